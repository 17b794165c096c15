"""A simulator of rehearsals whose truth is known: one draw gives the raw requests, and the blocks that the judge sees.

A duration is an endpoint's median times a body (lognormal, or with a second mode), a tail, and levels: one of the
moment that both sides share (a noisy host, with serial correlation), one of each side's own, one of each process start.
Everything is drawn for all blocks of a recording at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rehearse.model import Side

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_TWO_ENDPOINTS = {"GET /items": (0.6, 0.010), "POST /orders": (0.4, 0.020)}


@dataclass(frozen=True, slots=True)
class World:
    """What is true. Each endpoint has one task, and each task makes one request."""

    endpoints: Mapping[str, tuple[float, float]] = field(  # share of the requests, median seconds
        default_factory=lambda: dict(_TWO_ENDPOINTS)
    )
    rate_per_s: float = 50.0
    block_s: float = 4.0
    blocks: int = 8  # measured, per round
    rounds: int = 2
    warm_up_blocks: int = 1
    # --- the noise
    spread: float = 0.3  # log SD of the body of one duration
    second_mode: tuple[float, float] = (
        0.0,
        1.0,
    )  # a share of the requests is this many times slower: cache misses
    tail: tuple[float, float] = (0.0, 3.0)  # a share of the requests has a Pareto tail of this index
    shared_sd: float = 0.18  # log SD of a block's level, the same on both sides
    shared_lag: float = 0.4  # serial correlation of that level
    own_sd: float = 0.01  # log SD of a block's level, of one side alone
    own_lag: float = 0.0  # serial correlation of that level
    start_sd: float = 0.0  # log SD of a process start
    drift_per_h: float = 0.0  # how much slower both sides become
    pause: tuple[float, float] = (
        0.0,
        0.0,
    )  # each side stands still: how often a second, and for how many seconds
    neighbour: tuple[float, float] = (
        0.0,
        1.0,
    )  # a share of the blocks in which both sides are so many times slower
    error_bursts: tuple[float, float] = (
        0.0,
        0.0,
    )  # on each side: how often a second, and for how many seconds
    # --- what is true of the sides
    slowdown: Mapping[str, float] = field(default_factory=dict)  # of the candidate, by endpoint; "" = all
    slowest: tuple[float, float] = (
        0.0,
        1.0,
    )  # of the candidate: this share, the slowest, is so many times slower
    host: float = 1.0  # how much slower the candidate's host is, in every recording
    level: float = 1.0  # how much slower both sides are than usual
    baseline_errors: float = 0.0
    candidate_errors: float = 0.0
    has_tasks: bool = True  # False: no task series, which saves time where many rehearsals are judged
    error_s: float | None = None  # how long a failing request takes; None = as long as any

    @property
    def arrivals(self) -> int:
        """How many there are on a side in one block."""
        return round(self.rate_per_s * self.block_s)

    @property
    def blocks_per_round(self) -> int:
        """Warm-up and measured."""
        return self.warm_up_blocks + self.blocks

    def slowdown_of(self, endpoint: str, side: Side) -> float:
        """The true factor on a side's durations."""
        if side is Side.BASELINE:
            return self.level
        return self.level * self.host * self.slowdown.get(endpoint, self.slowdown.get("", 1.0))

    def errors_of(self, side: Side) -> float:
        """The true error ratio of a side, bursts left out."""
        return self.baseline_errors if side is Side.BASELINE else self.candidate_errors


def zipf(count: int, median_s: float = 0.010) -> dict[str, tuple[float, float]]:
    """`count` endpoints with Zipf traffic; medians between one and two times `median_s`."""
    total = sum(1 / (rank + 1) for rank in range(count))
    return {
        f"GET /e{rank:02d}": (1 / (rank + 1) / total, median_s * (1 + (rank * 7 % count) / count))
        for rank in range(count)
    }


@dataclass(frozen=True)
class Requests:
    """The requests of one side: one row each."""

    block: Ints  # 0, 1, ... over all rounds
    at_s: Floats  # when it was due, since the start of its round
    endpoint: Ints
    seconds: Floats
    failed: Flags

    def chosen(self, mask: Flags) -> Requests:
        """Some of them."""
        return Requests(*(getattr(self, one.name)[mask] for one in fields(self)))

    @cached_property
    def p95_s(self) -> float:
        """NaN without requests."""
        return float(np.quantile(self.seconds, 0.95)) if self.seconds.size else math.nan

    @cached_property
    def error_ratio(self) -> float:
        """NaN without requests."""
        return float(self.failed.mean()) if self.failed.size else math.nan


@dataclass(frozen=True, slots=True)
class Draw:
    """One recording, as drawn."""

    world: World
    sides: Mapping[Side, Requests]


def draw(world: World, rng: np.random.Generator, sides: Sequence[Side] = tuple(Side)) -> Draw:
    """All requests of every round on `sides`."""
    shared = _levels(rng, world, world.shared_sd, world.shared_lag) + _drift(world)
    shared = shared + math.log(world.neighbour[1]) * _spells(rng, world.neighbour[0], shared.size)
    return Draw(world, {side: _requests(world, rng, side, shared) for side in sides})


def _requests(world: World, rng: np.random.Generator, side: Side, shared: Floats) -> Requests:
    count, blocks = world.arrivals, shared.size
    starts = rng.normal(0, 1, world.rounds) * world.start_sd
    levels = (
        shared + _levels(rng, world, world.own_sd, world.own_lag) + np.repeat(starts, world.blocks_per_round)
    )
    block = np.repeat(np.arange(blocks), count)
    at_s = (block % world.blocks_per_round + rng.random(block.size)) * world.block_s
    shares = np.array([share for share, _ in world.endpoints.values()])
    endpoint = np.searchsorted(np.cumsum(shares)[:-1] / shares.sum(), rng.random(block.size), side="right")
    medians = np.log(
        [median * world.slowdown_of(name, side) for name, (_, median) in world.endpoints.items()]
    )
    seconds = np.exp(medians[endpoint] + levels[block] + _durations(world, rng, side, block.size))
    seconds += _pauses(world, rng, block // world.blocks_per_round, at_s)
    failed = rng.random(block.size) < world.errors_of(side)
    failed |= _pauses(world, rng, block // world.blocks_per_round, at_s, *world.error_bursts) > 0
    if world.error_s is not None:
        seconds = np.where(failed, world.error_s, seconds)
    return Requests(block, at_s, endpoint, seconds, failed)


def _durations(world: World, rng: np.random.Generator, side: Side, size: int) -> Floats:
    """The log of each duration relative to its endpoint's median, levels left out."""
    logs = rng.normal(0, world.spread, size)
    share, factor = world.second_mode
    if share:
        logs += math.log(factor) * (rng.random(size) < share)
    share, index = world.tail
    if share:
        logs += rng.exponential(1 / index, size) * (rng.random(size) < share)
    share, factor = world.slowest
    if share and side is Side.CANDIDATE:
        logs += math.log(factor) * (logs > np.quantile(logs, 1 - share))
    return logs


def _levels(rng: np.random.Generator, world: World, sd: float, lag: float) -> Floats:
    """An AR(1) series over the blocks, begun anew for each round, with the standard deviation `sd` in the long run."""
    steps = rng.normal(0, 1, (world.rounds, world.blocks_per_round)) * sd
    steps[:, 1:] *= math.sqrt(1 - lag**2)
    for index in range(1, steps.shape[1]):
        steps[:, index] += lag * steps[:, index - 1]
    return np.asarray(steps.reshape(-1), dtype=np.float64)


def _drift(world: World) -> Floats:
    at_s = np.arange(world.rounds * world.blocks_per_round, dtype=np.float64) * world.block_s
    return at_s * (math.log1p(world.drift_per_h) / 3600)


def _spells(rng: np.random.Generator, share: float, blocks: int, length: int = 3) -> Floats:
    """1.0 in about `share` of the blocks, some at a time, else 0.0."""
    begins = rng.random(blocks) < share / length
    return (np.convolve(begins, np.ones(length))[:blocks] > 0).astype(np.float64)


def _pauses(world: World, rng: np.random.Generator, rounds: Ints, at_s: Floats, *pause: float) -> Floats:
    """How long each request waits because its side stands still: until the end of the pause that it falls into."""
    per_s, length_s = pause or world.pause
    waits = np.zeros(at_s.size)
    if not per_s:
        return waits
    round_s = world.blocks_per_round * world.block_s
    for number in range(world.rounds):
        begins = rng.random(rng.poisson(per_s * round_s)) * round_s
        for begin in begins:
            late = begin + length_s - at_s
            waits = np.where(
                (rounds == number) & (late > 0) & (late <= length_s), np.maximum(waits, late), waits
            )
    return waits
