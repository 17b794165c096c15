"""Trials for tests: what the load generator would tell of a few journeys."""

from __future__ import annotations

from collections.abc import Sequence

from rehearse.doctor.trial import JOURNEYS
from rehearse.histogram import Histogram
from rehearse.load.engine import BlockClosed, LoadEvent, LoadStarted, WorkerDone
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    RequestOutcome,
    RigHealth,
    Scope,
    Series,
    Side,
    WorkerFinal,
)


def block(side: Side, took_s: float = 0.01, failed: int = 0, kind: str = "HTTP 500") -> Block:
    """All journeys of one side, each of one request."""
    durations = {
        RequestOutcome.OK: times(took_s, JOURNEYS - failed),
        RequestOutcome.ERROR: times(took_s, failed),
    }
    errors = (ErrorBin(kind, 0, failed),) if failed else ()
    names = ((Scope.SCENARIO, "visit"), (Scope.TASK, "visit: look"), (Scope.ENDPOINT, "GET /look"))
    return Block(
        side, 0, 0, is_warm_up=False, start_s=0.0, length_s=5.0,
        arrivals=Arrivals(planned=JOURNEYS, dispatched=JOURNEYS, ok=JOURNEYS - failed, error=failed),
        series=tuple(Series(scope, name, durations, errors) for scope, name in names),
        rig=RigHealth(times(0.0005, JOURNEYS), Histogram(), stall_max_s=0.0, cpu_ratio=0.02, clock_step_s=0.0),
    )  # fmt: skip


def final(side: Side, outside: int = 0, outside_failed: int = 0) -> WorkerFinal:
    """Its closing account."""
    return WorkerFinal(
        side,
        0,
        0,
        Arrivals(planned=JOURNEYS, dispatched=JOURNEYS, ok=JOURNEYS),
        1,
        0,
        outside,
        outside_failed,
        0,
    )


def script(
    blocks: Sequence[Block] | None = None, finals: Sequence[WorkerFinal] | None = None
) -> list[LoadEvent]:
    """A trial in which all is well, unless something else is given."""
    return [
        LoadStarted({}),
        *map(BlockClosed, [block(side) for side in Side] if blocks is None else blocks),
        *map(WorkerDone, [final(side) for side in Side] if finals is None else finals),
    ]


def times(value_s: float, count: int) -> Histogram:
    """The same duration, so many times."""
    found = Histogram()
    for _ in range(count):
        found.record(value_s)
    return found
