"""A LeanHttpUser's requests are booked once, whether the scenario listens to Locust's events or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rehearse.load.engine import BlockClosed
from rehearse.load.orders import LoadOrder
from rehearse.model import Arrivals, RequestOutcome, Scope, Side
from tests.load import test_engine
from tests.servers import serving

order = test_engine.order

LISTENING = """
import sys
from locust import events, task
from rehearse.load import LeanHttpUser

@events.request.add_listener
def heard(name, exception, **told):
    print("heard", name, exception is None, told["context"], file=sys.stderr)

class Visitor(LeanHttpUser):
    def context(self):
        return {"user": 1}

    @task
    def look(self):
        self.client.get("/look?token=canary")
        with self.client.post("/order", json={"a": 1}, catch_response=True) as response:
            response.failure(f"order {len(response.text)} is missing")
"""
SILENT = LISTENING.replace("@events.request.add_listener", "")


@pytest.mark.parametrize("scenario", [LISTENING, SILENT], ids=["the scenario listens", "nobody listens"])
def test_each_request_is_booked_once_with_its_name_and_its_outcome(
    order: Callable[..., LoadOrder], tmp_path: Path, scenario: str
) -> None:
    with serving() as site:
        events = test_engine.run(order(site, scenario=scenario, each_block=10.0))
        assert site.requests.count("GET /look?token=canary") == site.requests.count("POST /order") == 20
    assert test_engine.total(events, Side.BASELINE) == Arrivals(planned=20, dispatched=20, error=20)
    counts: dict[tuple[str, RequestOutcome], int] = {}
    for event in events:
        for series in event.block.series if isinstance(event, BlockClosed) else ():
            for outcome, histogram in series.durations.items():
                key = (f"{series.scope} {series.name}", outcome)
                counts[key] = counts.get(key, 0) + histogram.count
    assert counts == {
        (f"{Scope.ENDPOINT} GET /look", RequestOutcome.OK): 20,
        (f"{Scope.ENDPOINT} POST /order", RequestOutcome.ERROR): 20,
        (f"{Scope.TASK} Visitor_visit.look", RequestOutcome.ERROR): 20,
        (f"{Scope.SCENARIO} visit", RequestOutcome.ERROR): 20,
    }
    log = (tmp_path / "logs" / "baseline-round0-worker0.log").read_text()
    assert log.count("heard /look True {'user': 1}") == (20 if scenario is LISTENING else 0)
