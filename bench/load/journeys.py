"""Runs inside the process of bench/load/overhead.py: what pacer and recorder cost for a journey with one request.

    python -m bench.load.journeys SLICES

prints a list: CPU microseconds per journey, one number for each pair of slices (with, less without).
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from time import perf_counter, process_time

from rehearse.load.pacer import Lane, Pacer
from rehearse.load.recorder import Recorder
from rehearse.load.request_hooks import RequestListener
from rehearse.load.schedule import Schedule, Slot
from rehearse.model import Block, Side

JOURNEYS = 5_000  # of one slice
RATE_PER_S = 20_000.0


def main() -> None:
    """Alternate slices with and without, after one to warm up."""
    _journeys_us()
    print(json.dumps([_journeys_us() - _empty_us() for _ in range(int(sys.argv[1]))]))


def _journeys_us() -> float:
    """Everything that happens for an arrival and its request, apart from the request."""
    schedule = Schedule(RATE_PER_S, "poisson", JOURNEYS / RATE_PER_S, 0, 1, seed=1)
    recorder = Recorder(Side.BASELINE, 0, schedule, schedule.planned(), _drop)
    pacer = Pacer(schedule.slots(Side.BASELINE, 0), [Lane("shop")], _first_lane, recorder)
    listener = RequestListener(recorder, pacer)

    def step() -> None:
        journey = pacer.claim(0)
        journey.task = "Visitor.look"
        journey.in_flight = ("GET /look", perf_counter())
        listener.ended("GET /look", 0.0005, None, None, journey)
        journey.in_flight = None
        pacer.finish(journey)

    return _step_us(step, before=lambda: pacer.run(perf_counter() - schedule.length_s))


def _empty_us() -> float:
    return _step_us(lambda: None, before=lambda: None)


def _step_us(step: Callable[[], None], before: Callable[[], None]) -> float:
    gc.collect()
    started = process_time()
    before()
    for _ in range(JOURNEYS):
        step()
    return (process_time() - started) / JOURNEYS * 1e6


def _first_lane(slot: Slot) -> int:
    return slot.scenario


def _drop(block: Block) -> None:
    del block


if __name__ == "__main__":
    main()
