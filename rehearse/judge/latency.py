"""Quantiles of blocks: enough samples in each, as logarithms, in the order of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearse.histogram import Histogram
from rehearse.judge.pairs import Column, Slice
from rehearse.judge.stats import Sample

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
    step = math.sqrt(quantile * (1 - quantile) / histogram.count)
    low, high = max(quantile - step, 0.0), min(quantile + step, 1.0)
    return (log_quantile(histogram, high) - log_quantile(histogram, low)) / 2


def relative_margin(margin: float, floor_s: float, baseline_s: float | None) -> float:
    """A margin on the log scale; a change of less than `floor_s` is never a worsening."""
    floor = math.log1p(floor_s / baseline_s) if baseline_s else 0.0
    return max(math.log1p(margin), floor)


def pair_groups(column: Column, quantile: float) -> tuple[Group, ...]:
    """The pairs of one series, adjacent ones merged where one alone has too few samples."""
    rows = [(first, second) for first, second in zip(column.baseline, column.candidate, strict=True)]
    return _grouped(rows, quantile)


def side_groups(slices: Iterable[Slice], quantile: float) -> tuple[Group, ...]:
    """The same for one side alone."""
    return _grouped([(part,) for part in slices], quantile)


def log_ratios(groups: Sequence[Group]) -> Sample:
    """log(candidate/baseline) of each pair."""
    return Sample(
        tuple(group.logs[1] - group.logs[0] for group in groups), tuple(group.round for group in groups)
    )


def logs_of(groups: Sequence[Group], position: int = 0) -> Sample:
    """The log quantiles of one side."""
    return Sample(tuple(group.logs[position] for group in groups), tuple(group.round for group in groups))


def _grouped(rows: Sequence[tuple[Slice, ...]], quantile: float) -> tuple[Group, ...]:
    """Walk through each round; a group ends when every side has enough. What is left over joins the last group."""
    needed = samples_needed(quantile)
    groups: list[Group] = []
    for number in sorted({row[0].round for row in rows}):
        piles: list[list[tuple[Slice, ...]]] = [[]]
        for row in (row for row in rows if row[0].round == number):
            piles[-1].append(row)
            if _has_enough(piles[-1], needed):
                piles.append([])
        rest = piles.pop()
        if piles:
            piles[-1].extend(rest)
        groups.extend(_group(number, pile, quantile) for pile in piles)
    return tuple(groups)


def _has_enough(pile: Sequence[tuple[Slice, ...]], needed: int) -> bool:
    return all(sum(part.judged.count for part in side) >= needed for side in zip(*pile, strict=True))


def _group(number: int, pile: Sequence[tuple[Slice, ...]], quantile: float) -> Group:
    merged = [_merged(side) for side in zip(*pile, strict=True)]
    return Group(
        number,
        tuple(log_quantile(histogram, quantile) for histogram in merged),
        tuple(histogram.count for histogram in merged),
    )


def _merged(side: Sequence[Slice]) -> Histogram:
    return side[0].judged if len(side) == 1 else Histogram.merged(part.judged for part in side)
