"""Quantiles of blocks: enough samples in each, as logarithms, in the order of time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rehearse.histogram import Histogram
from rehearse.judge.pairs import Column, Slice
from rehearse.judge.quantiles import Durations, Pile
from rehearse.judge.stats import Sample
from rehearse.model import Side

_SHORTEST_S = 1e-6  # the histogram's resolution: 0 has no logarithm


@dataclass(frozen=True, slots=True)
class Group:
    """One or more adjacent blocks of a round, enough samples on each side; values are log seconds."""

    round: int
    logs: tuple[float, ...]  # one for each side that was asked for
    counts: tuple[int, ...]


def samples_needed(quantile: float) -> int:
    """How many samples of one side make a block's quantile usable: p50 10, p95 40, p99 200.

    With the same number on both sides the bias of a small sample's quantile cancels in the log ratio, and identical
    code gives a symmetric ratio; two samples beyond the quantile keep it from being the plain maximum.
    """
    return max(10, math.ceil(2 / (1 - quantile) - 1e-9))


def log_quantile(histogram: Histogram, quantile: float) -> float:
    """The logarithm of a quantile of a histogram that is not empty."""
    return math.log(max(histogram.quantile_s(quantile) or 0.0, _SHORTEST_S))


def quantile_noise(histogram: Histogram, quantile: float) -> float:
    """The standard deviation of a log quantile that independent samples alone would have (order statistics)."""
    low_s, high_s = quantile_range_s(histogram, quantile)
    return (math.log(high_s) - math.log(low_s)) / 2


def quantile_range_s(histogram: Histogram, quantile: float) -> tuple[float, float]:
    """The durations between which chance leaves a quantile, one standard deviation to each side."""
    step = math.sqrt(quantile * (1 - quantile) / histogram.count)
    low, high = max(quantile - step, 0.0), min(quantile + step, 1.0)
    return math.exp(log_quantile(histogram, low)), math.exp(log_quantile(histogram, high))


def relative_margin(margin: float, floor_s: float, baseline_s: float | None) -> float:
    """A margin on the log scale; a change of less than `floor_s` is never a worsening."""
    floor = math.log1p(floor_s / baseline_s) if baseline_s else 0.0
    return max(math.log1p(margin), floor)


def pair_groups(column: Column, quantile: float) -> tuple[Group, ...]:
    """The pairs of one series, adjacent ones merged where one alone has too few samples."""
    return _grouped(column.baseline, [column.durations(side) for side in Side], quantile)


def side_groups(slices: Sequence[Slice], quantile: float) -> tuple[Group, ...]:
    """The same for one side alone."""
    return _grouped(slices, [Durations(part.judged for part in slices)], quantile)


def log_ratios(groups: Sequence[Group]) -> Sample:
    """log(candidate/baseline) of each pair."""
    return Sample(
        tuple(group.logs[1] - group.logs[0] for group in groups), tuple(group.round for group in groups)
    )


def logs_of(groups: Sequence[Group], position: int = 0) -> Sample:
    """The log quantiles of one side."""
    return Sample(tuple(group.logs[position] for group in groups), tuple(group.round for group in groups))


def _grouped(slices: Sequence[Slice], sides: Sequence[Durations], quantile: float) -> tuple[Group, ...]:
    """Walk through each round; a group ends when every side has enough. What is left over joins the last group."""
    needed = samples_needed(quantile)
    piles = [
        (number, pile)
        for number, first, end in _rounds(slices)
        for pile in _piles([side.until for side in sides], first, end, needed)
    ]
    chosen = [pile for _, pile in piles]
    logs = [
        [math.log(max(value_s, _SHORTEST_S)) for value_s in side.quantiles_s(chosen, quantile)]
        for side in sides
    ]
    counts = [[side.count(pile) for pile in chosen] for side in sides]
    rows = zip(piles, zip(*logs, strict=True), zip(*counts, strict=True), strict=True)
    return tuple(Group(number, values, sizes) for (number, _), values, sizes in rows)


def _rounds(slices: Sequence[Slice]) -> list[tuple[int, int, int]]:
    """(number, first, end) of each round; slices are in the order of time."""
    found: list[tuple[int, int, int]] = []
    for number, parts in groupby(part.round for part in slices):
        first = found[-1][2] if found else 0
        found.append((number, first, first + len(list(parts))))
    return found


def _piles(until: Sequence[Sequence[int]], first: int, end: int, needed: int) -> list[Pile]:
    """`until` counts what each side has before each slice."""
    piles: list[Pile] = []
    start = first
    while (
        stop := max(bisect_left(counts, counts[start] + needed, start, end + 1) for counts in until)
    ) <= end:
        piles.append((start, stop))
        start = stop
    if piles:
        piles[-1] = (piles[-1][0], end)
    return piles
