"""Simulated capacity probes whose truth is known, from a seed: a queue that is served at a fixed rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from rehearse.judge.staircase import Ending, climb_of, hold_rate
from rehearse.load.schedule import Schedule
from rehearse.load.turns import climb, hold
from rehearse.model import (
    Arrivals,
    Block,
    CapacityProbe,
    Evidence,
    Metric,
    Objective,
    Phase,
    Policy,
    RequestOutcome,
    Scope,
    Series,
    Side,
)
from tests.judge.evidence import OBJECTIVES, SCENARIO, constant, finals_of, good, healthy_rig

PLAN = CapacityProbe(100.0, 400.0, 0.15, 3.0, 6, 200, 0.05)
POLICY = Policy((*OBJECTIVES, Objective(Metric.CAPACITY, 0.10)), capacity=PLAN)
BASE = Schedule(100.0, "uniform", 4.0, 1, 8, seed=1)


@dataclass
class Queue:
    """One side: it serves `per_s` at most, a little more or less in each turn and step."""

    per_s: float
    turn_sd: float = 0.01
    step_sd: float = 0.005
    calm_s: float = 0.05
    users: int = 200
    waiting: float = field(default=0.0, init=False)

    def turn(
        self, schedule: Schedule, side: Side, number: int, rng: np.random.Generator
    ) -> tuple[Block, ...]:
        """What one turn records."""
        self.waiting = 0.0
        per_s = self.per_s * float(np.exp(rng.normal(0, self.turn_sd)))
        steps = range(schedule.blocks)
        return tuple(self._step(schedule, side, number, index, per_s, rng) for index in steps)

    def _step(
        self, schedule: Schedule, side: Side, number: int, index: int, per_s: float, rng: np.random.Generator
    ) -> Block:
        planned, length_s = schedule.arrivals_in(index), schedule.block_s
        served = per_s * length_s * float(np.exp(rng.normal(0, self.step_sd)))
        completed = round(min(self.waiting + planned, served))
        self.waiting += planned - completed
        service_s = max(self.calm_s, min(self.waiting, self.users) / per_s)
        response_s = self.calm_s + self.waiting / per_s
        return Block(
            side=side,
            round=number,
            index=index,
            is_warm_up=schedule.is_warm_up(index),
            start_s=index * length_s,
            length_s=length_s,
            arrivals=Arrivals(planned=planned, dispatched=planned, ok=planned),
            series=(
                Series(Scope.SCENARIO, SCENARIO, {RequestOutcome.OK: constant(response_s, planned)}),
                Series(Scope.ENDPOINT, "GET /x", {RequestOutcome.OK: constant(service_s, planned)}),
            ),
            rig=healthy_rig(planned),
            completed=completed,
            phase=schedule.phase,
        )


def probe(
    queues: Mapping[Side, Queue], seed: int, policy: Policy = POLICY, first_round: int = 2
) -> tuple[Block, ...]:
    """All that a whole probe records: a staircase of each side, then turns that hold both beyond their limit."""
    rng, plan = np.random.default_rng(seed), policy.capacity or PLAN
    blocks: list[Block] = []
    climbs = {}
    for number, (side, queue) in enumerate(queues.items(), start=first_round):
        steps = until_it_broke(queue.turn(climb(BASE, plan), side, number, rng), policy)
        climbs[side] = climb_of(steps, policy)
        blocks += steps
    schedule = hold(BASE, plan, hold_rate(climbs, plan.max_rate_per_s))
    for pair in range(plan.pairs):
        for place, (side, queue) in enumerate(queues.items()):
            number = first_round + len(queues) * (pair + 1) + place
            blocks += queue.turn(schedule, side, number, rng)
    return tuple(blocks)


def until_it_broke(steps: Sequence[Block], policy: Policy) -> tuple[Block, ...]:
    """A staircase is climbed no further than its break."""
    for count in range(1, len(steps) + 1):
        if climb_of(steps[:count], policy).ending is not Ending.TOP:
            return tuple(steps[:count])
    return tuple(steps)


def both(baseline: float, candidate: float, **changes: float) -> dict[Side, Queue]:
    """Two sides that can take so much."""
    return {
        Side.BASELINE: Queue(baseline, **changes),  # type: ignore[arg-type]
        Side.CANDIDATE: Queue(candidate, **changes),  # type: ignore[arg-type]
    }


def probed(
    evidence: Evidence, blocks: Sequence[Block], before: Sequence[Block] = (), policy: Policy = POLICY
) -> Evidence:
    """`evidence` with a probe, and its reference with another one between identical versions."""
    reference = evidence.reference
    if reference is not None:
        reference = replace(reference, probe=tuple(before))
    return replace(
        evidence,
        policy=policy,
        reference=reference,
        probe=tuple(blocks),
        probe_finals=finals_of(blocks),
    )


def rehearsed(baseline: float, candidate: float, seed: int = 1, policy: Policy = POLICY) -> Evidence:
    """A rehearsal in which nothing differs but, perhaps, how much each side can take."""
    now = probe(both(baseline, candidate), seed, policy)
    then = probe(both(baseline, baseline), seed + 10_000, policy)
    return probed(_otherwise_good(), now, then, policy)


@cache
def _otherwise_good() -> Evidence:
    return good()


def of_side(blocks: Sequence[Block], side: Side, phase: Phase | None = None) -> list[Block]:
    """The blocks of one side, and of one phase when it is named."""
    return [block for block in blocks if block.side is side and phase in (None, block.phase)]
