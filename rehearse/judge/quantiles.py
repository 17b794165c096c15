"""Quantiles of many histograms at once: neighbours merged in piles, all piles in one pass over their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate

import numpy as np

from rehearse.histogram import HIGHEST_US, Histogram, middle_of

_BEHIND_ALL = 1 << 20  # how far the buckets of one pile are from those of the next
_OVERFLOW_PLACE = _BEHIND_ALL - 1  # behind every bucket

Pile = tuple[int, int]  # first and end of neighbouring histograms


class Durations:
    """The histograms of one series and side, end to end."""

    def __init__(self, histograms: Iterable[Histogram]) -> None:
        histograms = list(histograms)
        packed = [histogram.packed for histogram in histograms]
        counts = [histogram.count for histogram in histograms]
        numbers = np.frombuffer(b"".join(packed), dtype=np.int64)
        self._buckets = numbers[::2].astype(np.int32)
        self._buckets[self._buckets < 0] = _OVERFLOW_PLACE
        self._counts = numbers[1::2].copy()
        self._starts = np.array([0, *accumulate(len(part) // 2 for part in packed)])
        self.until = [0, *accumulate(counts)]  # durations before each histogram, and in all
        self._until = np.array(self.until)

    def count(self, pile: Pile) -> int:
        """How many durations are in a pile."""
        return self.until[pile[1]] - self.until[pile[0]]

    def quantiles_s(self, piles: Sequence[Pile], quantile: float) -> list[float]:
        """What `Histogram.merged(pile).quantile_s` tells of each pile. They are in order, and none is empty."""
        if not piles:
            return []
        bounds = np.array(piles)
        firsts, ends = bounds[:, 0], bounds[:, 1]
        starts, stops = self._starts[firsts], self._starts[ends]
        if np.array_equal(firsts[1:], ends[:-1]):  # as they are in one round
            chosen = slice(starts[0], stops[-1])
            places, counts = self._buckets[chosen].astype(np.int64), self._counts[chosen]
        else:
            parts = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
            places = np.concatenate([self._buckets[part] for part in parts]).astype(np.int64)
            counts = np.concatenate([self._counts[part] for part in parts])
        places += np.repeat(np.arange(len(piles)) * _BEHIND_ALL, stops - starts)
        if np.any(places[1:] < places[:-1]):
            order = np.argsort(places, kind="stable")
            places, counts = places[order], counts[order]
        totals = self._until[ends] - self._until[firsts]
        ranks = np.maximum(1, np.ceil(quantile * totals - 1e-9)).astype(np.int64)
        wanted = np.cumsum(totals) - totals + ranks
        found = places[np.searchsorted(np.cumsum(counts), wanted)] % _BEHIND_ALL
        return [_seconds(bucket) for bucket in found.tolist()]


@cache
def _seconds(bucket: int) -> float:
    return HIGHEST_US / 1e6 if bucket == _OVERFLOW_PLACE else middle_of(bucket) / 1e6
