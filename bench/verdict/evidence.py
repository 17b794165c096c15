"""From drawn requests to what the judge sees: blocks of histograms, closing accounts, evidence."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from bench.verdict.simulator import Draw, Floats, Ints, Requests, World, draw
from rehearse.histogram import HIGHEST_US, PACKED, Histogram
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    Evidence,
    Metric,
    Mode,
    Objective,
    Policy,
    Reference,
    RequestOutcome,
    RigHealth,
    Scope,
    Series,
    Side,
    WorkerFinal,
)

SCENARIO = "shop"
OBJECTIVES = (
    Objective(Metric.P50, 0.05),
    Objective(Metric.P95, 0.10),
    Objective(Metric.P99, 0.20, is_advisory=True),
    Objective(Metric.ERROR_RATIO, 0.001),
    Objective(Metric.COMPLETED_RATIO, 0.03),
)
POLICY = Policy(OBJECTIVES)

_BUCKETS = 1 << 15  # more than a histogram has
_BINS = 1 << 24
_NO_HISTOGRAM = Histogram()  # shared: nothing here changes a histogram once it is made
_Durations = dict[RequestOutcome, Histogram]


class Remembered(Histogram):
    """A histogram that nobody adds to any more: each look asks the same blocks for the same quantiles."""

    __slots__ = ("_known",)

    _known: dict[float, float | None]

    @classmethod
    def of_checked(cls, packed: array[int], total: int) -> Self:
        """As that of any histogram; the only way in which one of these is made."""
        found = super().of_checked(packed, total)
        found._known = {}
        return found

    def quantile_s(self, q: float) -> float | None:
        """As that of any histogram."""
        if q not in self._known:
            self._known[q] = super().quantile_s(q)
        return self._known[q]


def buckets_of(seconds: Floats) -> Ints:
    """The bucket of each duration, as `Histogram.record` would choose it."""
    micros = np.clip(np.rint(seconds * 1e6), 0, HIGHEST_US).astype(np.int64)
    shift = np.maximum(np.frexp(micros.astype(np.float64))[1] - 11, 0)
    return np.where(micros < 2048, micros, 2048 + (shift - 1) * 1024 + (micros >> shift) - 1024)


def histogram(seconds: Floats) -> Histogram:
    """All of `seconds` in one histogram, as `record` would count them."""
    return _histograms(np.zeros(seconds.size, dtype=np.int64), buckets_of(seconds)).get(0, Histogram())


def constant(seconds: float, count: int) -> Histogram:
    """`count` times the same duration."""
    return histogram(np.full(count, seconds))


def _histograms(groups: Ints, buckets: Ints) -> dict[int, Histogram]:
    """One histogram for each group. What `np.unique` gives is ascending and counts at least one: as it is packed."""
    keys, counts = np.unique(groups * _BUCKETS + buckets, return_counts=True)
    pairs = np.column_stack((keys % _BUCKETS, counts)).astype(np.int64)
    names, firsts = np.unique(keys // _BUCKETS, return_index=True)
    ends = [*firsts[1:].tolist(), keys.size]
    return {
        name: Remembered.of_checked(array(PACKED, pairs[first:end].tobytes()), int(counts[first:end].sum()))
        for name, first, end in zip(names.tolist(), firsts.tolist(), ends, strict=True)
    }


# --- blocks -----------------------------------------------------------------------------------------------------


def recording(
    world: World, rng: np.random.Generator, sides: Sequence[Side] = tuple(Side)
) -> tuple[Block, ...]:
    """The blocks of every round on `sides`."""
    return blocks_of(draw(world, rng, sides))


def blocks_of(drawn: Draw) -> tuple[Block, ...]:
    """The blocks that a recorder would have made of these requests."""
    world = drawn.world
    sides = {side: _series_of(world, requests) for side, requests in drawn.sides.items()}
    rig = healthy_rig(world.arrivals)
    return tuple(
        _block(world, side, position, series.get(position, []), rig)
        for position in range(world.rounds * world.blocks_per_round)
        for side, series in sides.items()
    )


def _block(world: World, side: Side, position: int, series: Sequence[Series], rig: RigHealth) -> Block:
    number, index = divmod(position, world.blocks_per_round)
    totals = [one for one in series if one.scope is Scope.SCENARIO]
    count, errors = sum(one.count() for one in totals), sum(one.failed for one in totals)
    return Block(
        side=side,
        round=number,
        index=index,
        is_warm_up=index < world.warm_up_blocks,
        start_s=index * world.block_s,
        length_s=world.block_s,
        arrivals=Arrivals(count, count, ok=count - errors, error=errors),
        series=tuple(series),
        rig=rig,
    )


def _series_of(world: World, requests: Requests) -> dict[int, list[Series]]:
    """By block: the scenario's series, then each endpoint's (and its task's)."""
    names = list(world.endpoints)
    found: defaultdict[int, list[Series]] = defaultdict(list)
    for (block, _), (durations, errors) in _grouped(requests, np.zeros_like(requests.endpoint), 1).items():
        found[block].append(Series(Scope.SCENARIO, SCENARIO, durations, errors))
    for (block, position), (durations, errors) in _grouped(requests, requests.endpoint, len(names)).items():
        if world.has_tasks:
            found[block].append(Series(Scope.TASK, f"do {names[position]}", durations, errors))
        found[block].append(Series(Scope.ENDPOINT, names[position], durations, errors))
    return found


def _grouped(
    requests: Requests, positions: Ints, count: int
) -> Mapping[tuple[int, int], tuple[_Durations, tuple[ErrorBin, ...]]]:
    """Durations by outcome and failures by bin, for each block and position."""
    groups = requests.block * count + positions
    histograms = _histograms(groups * 2 + requests.failed, buckets_of(requests.seconds))
    found: dict[int, _Durations] = {}
    for key in sorted(histograms):
        outcome = RequestOutcome.ERROR if key % 2 else RequestOutcome.OK
        found.setdefault(key // 2, {RequestOutcome.OK: _NO_HISTOGRAM})[outcome] = histograms[key]
    bins = _error_bins(groups[requests.failed], requests.at_s[requests.failed])
    return {
        divmod(group, count): (durations, tuple(bins.get(group, ()))) for group, durations in found.items()
    }


def _error_bins(groups: Ints, at_s: Floats) -> dict[int, list[ErrorBin]]:
    keys, counts = np.unique(groups * _BINS + (at_s * 2).astype(np.int64), return_counts=True)
    found: dict[int, list[ErrorBin]] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        found.setdefault(key // _BINS, []).append(ErrorBin("HTTP 500", key % _BINS, count))
    return found


def healthy_rig(arrivals: int) -> RigHealth:
    """A rig that was 0.5 ms late for each arrival."""
    return RigHealth(constant(0.0005, arrivals), Histogram(), stall_max_s=0.01, cpu_ratio=0.3)


# --- evidence ---------------------------------------------------------------------------------------------------


def finals_of(blocks: Sequence[Block]) -> tuple[WorkerFinal, ...]:
    """The closing accounts that belong to `blocks`, of one worker a side and round."""
    own: defaultdict[tuple[Side, int], list[Block]] = defaultdict(list)
    for block in blocks:
        own[block.side, block.round].append(block)
    return tuple(
        WorkerFinal(side, number, 0, _total(own[side, number]), len(own[side, number]), 0, 0, 0, 0)
        for side, number in sorted(own)
    )


def _total(blocks: Sequence[Block]) -> Arrivals:
    return sum((block.arrivals for block in blocks), Arrivals())


def evidence_of(
    blocks: tuple[Block, ...],
    world: World,
    reference: Reference | None,
    *,
    mode: Mode = Mode.PAIRED,
    policy: Policy = POLICY,
    looks: int = 1,
) -> Evidence:
    """Complete evidence around `blocks`."""
    return Evidence(
        mode=mode,
        policy=policy,
        blocks=blocks,
        finals=finals_of(blocks),
        reference=reference,
        planned_blocks=world.blocks * world.rounds,
        expected_workers=1,
        rounds=world.rounds,
        restarted=frozenset(Side),  # each recording, and each round of it, starts both processes anew
        looks=looks,
        is_complete=True,
    )
