"""Blocks of load around a fault, made by hand."""

from __future__ import annotations

from collections.abc import Iterator

from rehearse.histogram import Histogram
from rehearse.model import Arrivals, Block, RequestOutcome, RigHealth, Scope, Series, Side

PER_BLOCK = 25
BLOCK_S = 0.5


def durations(count: int, seconds: float) -> Histogram:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(seconds)
    return histogram


def block(
    side: Side, start_s: float, seconds: float = 0.01, failed: int = 0, *, warm_up: bool = False
) -> Block:
    """One block in which all that was answered took as long."""
    ok = PER_BLOCK - failed
    found = {RequestOutcome.OK: durations(ok, seconds), RequestOutcome.ERROR: durations(failed, seconds)}
    return Block(
        side=side,
        round=1000,
        index=round(start_s / BLOCK_S),
        is_warm_up=warm_up,
        start_s=start_s,
        length_s=BLOCK_S,
        arrivals=Arrivals(planned=PER_BLOCK, dispatched=PER_BLOCK, ok=ok, error=failed),
        series=(Series(Scope.SCENARIO, "shop", {key: value for key, value in found.items() if value.count}),),
        rig=RigHealth(Histogram(), Histogram(), 0.0, 0.1),
    )


def around(
    side: Side,
    *,
    fault: tuple[float, float],
    back_s: float,
    to_s: float,
    failed: int = 0,
    slow_s: float = 2.0,
) -> Iterator[Block]:
    """A warm-up, calm until the fault, slow from then until `back_s`, and calm again."""
    for number in range(round(to_s / BLOCK_S)):
        start_s = number * BLOCK_S
        if fault[0] <= start_s < back_s:
            in_fault = start_s < fault[1]
            yield block(side, start_s, slow_s, failed if in_fault else 0)
        else:
            yield block(side, start_s, warm_up=start_s < 1.0)
