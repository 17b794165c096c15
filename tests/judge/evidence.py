"""Simulated rehearsals whose truth is known, from a seed; the same builder makes tests and benchmarks of error rates.

A side's durations are lognormal. Their level moves from block to block for both sides alike (a noisy host, with
serial correlation), a little for each side alone, and once for each start of a process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rehearse.histogram import HIGHEST_US, Histogram
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

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """What is true. Each endpoint has one task, and each task makes one request."""

    endpoints: Mapping[str, tuple[float, float]] = field(  # share of the requests, median seconds
        default_factory=lambda: {"GET /items": (0.6, 0.010), "POST /orders": (0.4, 0.020)}
    )
    rate_per_s: float = 50.0
    block_s: float = 4.0
    blocks: int = 8  # measured, per round
    rounds: int = 2
    warm_up_blocks: int = 1
    spread: float = 0.3  # log SD of one duration
    shared_sd: float = 0.18  # log SD of a block's level, the same on both sides
    shared_lag: float = 0.4  # serial correlation of that level
    own_sd: float = 0.01  # log SD of a block's level, of one side alone
    own_lag: float = 0.0  # serial correlation of that level
    start_sd: float = 0.0  # log SD of a process start
    slowdown: Mapping[str, float] = field(default_factory=dict)  # of the candidate, by endpoint; "" = all
    host: float = 1.0  # how much slower the candidate's host is, in every recording
    baseline_errors: float = 0.0
    candidate_errors: float = 0.0
    has_tasks: bool = True  # False: no task series, which saves time where many rehearsals are judged
    error_s: float | None = None  # how long a failing request takes; None = as long as any

    def slowdown_of(self, endpoint: str, side: Side) -> float:
        """The true factor on a side's durations."""
        if side is Side.BASELINE:
            return 1.0
        return self.host * self.slowdown.get(endpoint, self.slowdown.get("", 1.0))

    def errors_of(self, side: Side) -> float:
        """The true error ratio of a side."""
        return self.baseline_errors if side is Side.BASELINE else self.candidate_errors


QUIET = World(shared_sd=0.05, own_sd=0.003)


def histogram(seconds: Floats) -> Histogram:
    """All of `seconds` in one histogram, as `record` would count them."""
    micros = np.clip(np.rint(seconds * 1e6), 0, HIGHEST_US).astype(np.int64)
    shift = np.maximum(np.frexp(micros.astype(np.float64))[1] - 11, 0)
    buckets = np.where(micros < 2048, micros, 2048 + (shift - 1) * 1024 + (micros >> shift) - 1024)
    values, counts = np.unique(buckets, return_counts=True)
    return Histogram.from_pairs([int(n) for pair in zip(values, counts, strict=True) for n in pair])


def constant(seconds: float, count: int) -> Histogram:
    """`count` times the same duration."""
    return histogram(np.full(count, seconds))


def recording(
    world: World, rng: np.random.Generator, sides: Sequence[Side] = tuple(Side)
) -> tuple[Block, ...]:
    """The blocks of every round on `sides`."""
    blocks: list[Block] = []
    for number in range(world.rounds):
        starts = {side: rng.normal(0, world.start_sd) if world.start_sd else 0.0 for side in sides}
        shared, own = 0.0, dict.fromkeys(sides, 0.0)
        for index in range(world.warm_up_blocks + world.blocks):
            shared = _next_level(rng, shared, world.shared_sd, world.shared_lag)
            for side in sides:
                own[side] = _next_level(rng, own[side], world.own_sd, world.own_lag)
                blocks.append(_block(world, rng, side, number, index, shared + own[side] + starts[side]))
    return tuple(blocks)


def _next_level(rng: np.random.Generator, level: float, sd: float, lag: float) -> float:
    """One step of an AR(1) series that has the standard deviation `sd` in the long run."""
    return lag * level + rng.normal(0, 1) * sd * math.sqrt(1 - lag**2)


def _block(
    world: World, rng: np.random.Generator, side: Side, number: int, index: int, level: float
) -> Block:
    count = round(world.rate_per_s * world.block_s)
    shares = [share for share, _ in world.endpoints.values()]
    chosen = rng.choice(len(shares), size=count, p=np.asarray(shares) / sum(shares))
    medians = np.array(
        [median * world.slowdown_of(name, side) for name, (_, median) in world.endpoints.items()]
    )
    seconds = medians[chosen] * np.exp(level + rng.normal(0, world.spread, count))
    failed = rng.random(count) < world.errors_of(side)
    if world.error_s is not None:
        seconds = np.where(failed, world.error_s, seconds)
    bins = ((index * world.block_s + rng.random(count) * world.block_s) * 2).astype(int)
    series = [_series(Scope.SCENARIO, SCENARIO, seconds, failed, bins)]
    for position, name in enumerate(world.endpoints):
        mine = chosen == position
        if mine.any() and world.has_tasks:
            series.append(_series(Scope.TASK, f"do {name}", seconds[mine], failed[mine], bins[mine]))
        if mine.any():
            series.append(_series(Scope.ENDPOINT, name, seconds[mine], failed[mine], bins[mine]))
    errors = int(failed.sum())
    return Block(
        side=side,
        round=number,
        index=index,
        is_warm_up=index < world.warm_up_blocks,
        start_s=index * world.block_s,
        length_s=world.block_s,
        arrivals=Arrivals(planned=count, dispatched=count, ok=count - errors, error=errors),
        series=tuple(series),
        rig=healthy_rig(count),
    )


def _series(
    scope: Scope, name: str, seconds: Floats, failed: NDArray[np.bool_], bins: NDArray[np.int_]
) -> Series:
    durations = {RequestOutcome.OK: histogram(seconds[~failed])}
    errors: tuple[ErrorBin, ...] = ()
    if failed.any():
        durations[RequestOutcome.ERROR] = histogram(seconds[failed])
        where, counts = np.unique(bins[failed], return_counts=True)
        errors = tuple(ErrorBin("HTTP 500", int(b), int(n)) for b, n in zip(where, counts, strict=True))
    return Series(scope, name, durations, errors)


def healthy_rig(arrivals: int) -> RigHealth:
    """A rig that was 0.5 ms late for each arrival."""
    return RigHealth(constant(0.0005, arrivals), Histogram(), stall_max_s=0.01, cpu_ratio=0.3)


def finals_of(blocks: Sequence[Block]) -> tuple[WorkerFinal, ...]:
    """The closing accounts that belong to `blocks`, of one worker a side and round."""
    keys = sorted({(block.side, block.round) for block in blocks})
    finals = []
    for side, number in keys:
        own = [block for block in blocks if (block.side, block.round) == (side, number)]
        total = sum((block.arrivals for block in own), Arrivals())
        finals.append(WorkerFinal(side, number, 0, total, len(own), 0, 0, 0, 0))
    return tuple(finals)


def paired(
    world: World, seed: int, *, before: World | None = None, policy: Policy = POLICY, looks: int = 1
) -> Evidence:
    """A complete paired rehearsal; `before` is the world of its A/A reference, None for no reference."""
    rng = np.random.default_rng(seed)
    reference = None if before is None else Reference("main", recording(before, rng))
    return evidence_of(recording(world, rng), world, reference, policy=policy, looks=looks)


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


def recorded(world: World, before: World, seed: int, *, policy: Policy = POLICY) -> Evidence:
    """A candidate alone against a stored recording of the baseline alone."""
    rng = np.random.default_rng(seed)
    reference = Reference("main", recording(before, rng, (Side.BASELINE,)))
    blocks = recording(world, rng, (Side.CANDIDATE,))
    return evidence_of(blocks, world, reference, mode=Mode.RECORDED, policy=policy)


def good(seed: int = 1) -> Evidence:
    """Identical code on quiet machines, with an A/A reference: this is GO, so that taking something away means much."""
    return paired(QUIET, seed, before=QUIET)


def with_blocks(evidence: Evidence, blocks: Sequence[Block]) -> Evidence:
    """The same evidence with other blocks, and the closing accounts that belong to them."""
    return replace(evidence, blocks=tuple(blocks), finals=finals_of(blocks))
