"""A real Locust process against a real server of known limit: the staircase breaks there, and the turns find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load.limited import limited
from rehearse.judge.staircase import Ending, climb_of, readings_of
from rehearse.load.engine import BlockClosed, Tick, WorkerDone
from rehearse.load.locust_engine import LocustEngine
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.load.turns import climb, hold
from rehearse.model import (
    Arrivals,
    Block,
    CapacityProbe,
    Metric,
    Objective,
    Policy,
    RigLimits,
    Side,
    WorkerFinal,
)

pytestmark = pytest.mark.live

SCENARIO = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
"""
PLAN = CapacityProbe(80.0, 320.0, 0.25, 1.0, 4, 120, 0.05)
RIG = RigLimits(
    max_rig_lag_p99_s=0.5, max_stall_s=2.0, max_cpu_ratio=1.0
)  # a busy machine is none of this test
POLICY = Policy((Objective(Metric.CAPACITY, 0.10),), rig=RIG, capacity=PLAN)
BASE = Schedule(80.0, "poisson", 1.0, 0, 8, seed=1)


def take(schedule: Schedule, url: str, folder: Path, number: int) -> tuple[list[Block], list[WorkerFinal]]:
    """One turn, stopped where the probe would stop it."""
    (folder / "visit.py").write_text(SCENARIO)
    order = LoadOrder(
        sides=(SideOrder(Side.BASELINE, url),),
        schedule=schedule,
        round=number,
        scenarios=(ScenarioOrder("visit", str(folder / "visit.py")),),
        allow=("127.0.0.1",),
        production=(),
        side_effects=False,
        users=PLAN.users,
        workers=1,
        timeout_s=5.0,
        log_dir=str(folder / "logs"),
        working_dir=str(folder),
    )
    blocks, finals = [], []
    with LocustEngine().start(order) as session:
        for event in session.events():
            match event:
                case BlockClosed(block):
                    blocks.append(block)
                    if schedule.growth_ratio and climb_of(blocks, POLICY).ending is not Ending.TOP:
                        session.stop(5.0)
                case WorkerDone(final):
                    finals.append(final)
                case Tick(at_s) if at_s > schedule.length_s + 0.25:
                    session.stop(5.0)
                case _:
                    pass
    return blocks, finals


def test_a_known_limit_is_found_within_5_percent_and_every_arrival_is_accounted_for(tmp_path: Path) -> None:
    with limited(workers=8, service_s=0.05) as server:
        steps, closing = take(climb(BASE, PLAN), server.url, tmp_path, 1)
        held, closing_of_hold = take(hold(BASE, PLAN, 200.0), server.url, tmp_path, 2)
    found = climb_of(steps, POLICY)
    assert found.ending is Ending.SATURATED
    assert found.most_completed_per_s == pytest.approx(160, rel=0.10)
    (reading,) = readings_of([steps, held], POLICY)
    assert reading.complaint == ""
    assert not reading.is_at_least
    assert reading.per_s == pytest.approx(160, rel=0.05)
    for blocks, finals in ((steps, closing), (held, closing_of_hold)):
        total = sum((block.arrivals for block in blocks), Arrivals())
        assert total.imbalance() is None
        assert sum((final.arrivals for final in finals), Arrivals()) == total


def test_a_server_that_takes_all_of_it_is_known_from_below(tmp_path: Path) -> None:
    with limited(workers=50, service_s=0.02) as server:
        steps, _ = take(climb(BASE, PLAN), server.url, tmp_path, 1)
    assert climb_of(steps, POLICY).ending is Ending.TOP
