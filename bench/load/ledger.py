"""Every kind of Locust file, on both sides: nothing is lost, nothing reaches the other side, and the rate is kept.

    .venv/bin/python -m bench.load.ledger

The table has a line per kind of file: planned = dispatched + unsent and dispatched = ok + error + timeout + censored,
exactly. Then nginx as a witness: what its own access log says of the rate, against the schedule. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.load.servers import ROOT, nginx
from rehearse.load.engine import BlockClosed, LoadEvent, Trouble, WorkerDone
from rehearse.load.locust_engine import LocustEngine
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Arrivals, RequestOutcome, Scope, Side
from tests.load.test_locust_files import FILES, order_of
from tests.servers import serving

RATES = (100.0, 500.0, 1000.0)
RATE_ERROR_ALLOWED = 0.005
SECONDS = 20
LOOK = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/")
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    side: str
    numbers: Mapping[str, float]
    is_met: bool


def main() -> int:
    """Run, print the table, write the JSON; 0 when every account balances and every rate is kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-ledger.json")
    options = parser.parse_args()
    rows: list[Row] = []
    for row in (*_files(), *(_rate(rate) for rate in RATES)):
        numbers = "  ".join(f"{name} {value:g}" for name, value in row.numbers.items())
        print(f"{row.what:<24} {row.side:<10} {numbers}{'' if row.is_met else '  NOT MET'}", flush=True)
        rows.append(row)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    failed = sum(not row.is_met for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _files() -> Iterator[Row]:
    for name, text in FILES.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(headers={"X-Side": "left"}) as left,
            serving(headers={"X-Side": "right"}) as right,
        ):
            events = _run(order_of(Path(folder), {name: text}, (left, right)))
            strays = sum("/right" in one for one in left.requests) + sum(
                "/left" in one for one in right.requests
            )
            for side in Side:
                yield _account(name, side, events, strays)


def _account(name: str, side: Side, events: Sequence[LoadEvent], strays: int) -> Row:
    arrivals = sum(
        (
            event.final.arrivals
            for event in events
            if isinstance(event, WorkerDone) and event.final.side is side
        ),
        Arrivals(),
    )
    booked = {
        outcome: sum(
            series.durations[outcome].count
            for event in events
            if isinstance(event, BlockClosed) and event.block.side is side
            for series in event.block.series
            if series.scope is Scope.SCENARIO and outcome in series.durations
        )
        for outcome in RequestOutcome
    }
    numbers: dict[str, float] = {"planned": arrivals.planned, "dispatched": arrivals.dispatched}
    numbers |= {"unsent": arrivals.unsent, **{str(outcome): count for outcome, count in booked.items()}}
    balances = (
        arrivals.planned == arrivals.dispatched + arrivals.unsent
        and arrivals.dispatched == sum(booked.values())
        and arrivals.imbalance() is None
        and not any(isinstance(event, Trouble) for event in events)
    )
    return Row(name, side, {**numbers, "to the other side": strays}, balances and not strays)


def _rate(rate: float) -> Row:
    """The rate between the first and the last answer in nginx's log, against that of the schedule."""
    schedule = Schedule(rate, "poisson", 2.0, 0, SECONDS // 2, seed=17)
    due_s = [slot.due_s for slot in schedule.slots(Side.CANDIDATE, 0)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "times.log"
        with nginx(access_log=log) as (_, port):
            _run(_order(Path(folder), f"http://127.0.0.1:{port}", schedule))
        seen_s = sorted(float(line) for line in log.read_text(encoding="utf-8").split())
    wanted = (len(due_s) - 1) / (due_s[-1] - due_s[0])
    offered = (len(seen_s) - 1) / (seen_s[-1] - seen_s[0])
    error = offered / wanted - 1
    numbers = {"scheduled/s": round(wanted, 2), "seen/s": round(offered, 2), "error": round(error, 5)}
    return Row(f"{rate:g}/s for {SECONDS} s", "candidate", numbers, abs(error) <= RATE_ERROR_ALLOWED)


def _order(folder: Path, url: str, schedule: Schedule) -> LoadOrder:
    file = folder / "look.py"
    file.write_text(LOOK, encoding="utf-8")
    return LoadOrder(
        sides=(SideOrder(Side.CANDIDATE, url),),
        schedule=schedule,
        round=0,
        scenarios=(ScenarioOrder("look", str(file)),),
        allow=("127.0.0.1",),
        production=(),
        side_effects=False,
        users=100,
        workers=1,
        timeout_s=5.0,
        log_dir=str(folder),
        working_dir=str(folder),
    )


def _run(order: LoadOrder) -> list[LoadEvent]:
    with LocustEngine().start(order) as session:
        return list(session.events())


if __name__ == "__main__":
    sys.exit(main())
