"""Real workers that are killed, stopped, blocked, starved or unheard: nothing is lost silently, and each has a name."""

from __future__ import annotations

import re
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from rehearse.load.engine import BlockClosed, LiveCounts, LoadEvent, Trouble, WorkerDone
from rehearse.load.locust_engine import LocustSession
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.load.worker_process import WorkerProcess
from rehearse.model import Arrivals, ReasonCode, Side, WorkerFinal
from tests.load.test_engine import SIMPLE, incidents, total
from tests.servers import Site, serving

pytestmark = pytest.mark.live

RATE = 20


def load(folder: Path, *sites: Site, scenario: str = SIMPLE, blocks: int = 3, workers: int = 1) -> LoadOrder:
    (folder / "visit.py").write_text(scenario)
    return LoadOrder(
        sides=tuple(SideOrder(side, site.url) for side, site in zip(Side, sites, strict=False)),
        schedule=Schedule(RATE, "uniform", 1.0, 0, blocks, seed=3, shares=(1.0,)),
        round=0,
        scenarios=(ScenarioOrder("visit", str(folder / "visit.py")),),
        allow=("127.0.0.1",),
        production=(),
        side_effects=False,
        users=10,
        workers=workers,
        timeout_s=2.0,
        log_dir=str(folder / "logs"),
        working_dir=str(folder),
    )


def run(
    session: LocustSession, meanwhile: Callable[[LocustSession, LoadEvent], None] | None = None
) -> list[LoadEvent]:
    events = []
    with session:
        for event in session.events():
            events.append(event)
            if meanwhile is not None:
                meanwhile(session, event)
    return events


def sentences(events: list[LoadEvent]) -> list[str]:
    return [event.incident.sentence for event in events if isinstance(event, Trouble)]


def finals(events: list[LoadEvent]) -> list[WorkerFinal]:
    return [event.final for event in events if isinstance(event, WorkerDone)]


def block_indexes(events: list[LoadEvent]) -> list[int]:
    return [event.block.index for event in events if isinstance(event, BlockClosed)]


def at_first_block(do: Callable[[psutil.Process], object]) -> Callable[[LocustSession, LoadEvent], None]:
    """Do something to the (first) worker when its first block is there."""
    is_done = threading.Event()

    def meanwhile(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed) and not is_done.is_set():
            is_done.set()
            do(psutil.Process(session._workers[0].process.pid))

    return meanwhile


class Losing(LocustSession):
    """The report `lost` does not arrive the first `times` times."""

    def __init__(self, order: LoadOrder, lost: tuple[str, int], times: int) -> None:
        self.lost, self.times = lost, times
        super().__init__(order)

    def _handle(self, worker: WorkerProcess, message: dict[str, object] | None) -> Iterator[LoadEvent]:
        if message is not None and (message["type"], message.get("seq")) == self.lost and self.times:
            self.times -= 1
            return
        yield from super()._handle(worker, message)


# --- reports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [("block", 0), ("block", 2), ("final", 3)], ids=str)
def test_a_report_that_is_lost_once_is_sent_again_and_counted_once(
    tmp_path: Path, lost: tuple[str, int]
) -> None:
    with serving() as site:
        events = run(Losing(load(tmp_path, site), lost, times=1))
        assert total(events, Side.BASELINE) == Arrivals(60, 60, 0, 60)
        assert len(site.requests) == 60
    assert block_indexes(events) == [0, 1, 2]
    assert incidents(events) == []
    (final,) = finals(events)
    assert final.blocks_acknowledged == final.blocks_closed == 3
    assert final.reports_resent >= (lost[0] == "block")


def test_a_lost_acknowledgement_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = WorkerProcess.tell
    lost: list[str] = []

    def losing(self: WorkerProcess, line: str) -> None:
        if line == "ack 0" and not lost:
            lost.append(line)
            return
        tell(self, line)

    monkeypatch.setattr(WorkerProcess, "tell", losing)
    with serving() as site:
        events = run(LocustSession(load(tmp_path, site)))
    assert lost
    assert block_indexes(events) == [0, 1, 2]
    assert incidents(events) == []


def test_what_never_arrives_is_in_the_spool_and_the_worker_is_named(tmp_path: Path) -> None:
    with serving() as site:
        events = run(Losing(load(tmp_path, site), ("block", 1), times=1000))
        assert total(events, Side.BASELINE) == Arrivals(60, 60, 0, 60)
    assert block_indexes(events) == [0, 1, 2]
    assert incidents(events) == [ReasonCode.WORKER_LOST]
    assert "0 of its 3 blocks and 0 of its 60 planned arrivals are missing" in sentences(events)[0]


def test_a_spool_is_removed_when_all_of_it_has_arrived(tmp_path: Path) -> None:
    with serving() as site:
        run(LocustSession(load(tmp_path, site, blocks=1)))
    assert [path.suffix for path in (tmp_path / "logs").iterdir()] == [".log"]


def test_a_report_of_another_boot_id_is_not_taken(tmp_path: Path) -> None:
    def speak_in_its_place(session: LocustSession, event: LoadEvent) -> None:
        if isinstance(event, BlockClosed) and event.block.index == 0:
            forged: dict[str, Any] = {"type": "block", "boot": "another", "seq": 1, "data": "{}"}
            session._queue.put((session._workers[0], forged))

    with serving() as site:
        events = run(LocustSession(load(tmp_path, site, blocks=60)), speak_in_its_place)
    assert incidents(events) == [ReasonCode.WORKER_LOST]
    assert "a restarted process speaks in its place" in sentences(events)[0]
    (final,) = finals(events)
    assert final.arrivals == total(events, Side.BASELINE)


# --- workers ----------------------------------------------------------------------------------------------------


def test_a_killed_worker_leaves_the_exact_count_of_what_is_missing(tmp_path: Path) -> None:
    with serving() as site:
        kill = at_first_block(lambda worker: worker.kill())
        events = run(LocustSession(load(tmp_path, site, blocks=30)), kill)
    assert incidents(events) == [ReasonCode.WORKER_LOST]
    found = re.search(r"SIGKILL; (\d+) of its 30 blocks and (\d+) of its 600 planned", sentences(events)[0])
    assert found is not None
    assert int(found[1]) == 30 - len(block_indexes(events))
    assert int(found[2]) == 600 - total(events, Side.BASELINE).planned
    assert (tmp_path / "logs" / "baseline-round0-worker0.spool").exists()


def test_a_worker_that_is_stopped_for_six_seconds_is_lost_even_if_it_comes_back(tmp_path: Path) -> None:
    def stop(worker: psutil.Process) -> None:
        worker.suspend()
        threading.Timer(6.0, worker.resume).start()

    with serving() as site:
        events = run(LocustSession(load(tmp_path, site, blocks=60)), at_first_block(stop))
    assert incidents(events) == [ReasonCode.WORKER_LOST]
    assert "told nothing for 4 s: stopped, or blocked" in sentences(events)[0]
    (final,) = finals(events)
    assert final.arrivals == total(events, Side.BASELINE), "what it did is not lost"


def test_a_worker_that_is_stopped_for_a_moment_goes_on_and_its_block_says_so(tmp_path: Path) -> None:
    def stop(worker: psutil.Process) -> None:
        worker.suspend()
        threading.Timer(0.6, worker.resume).start()

    with serving() as site:
        events = run(LocustSession(load(tmp_path, site, blocks=4)), at_first_block(stop))
        assert total(events, Side.BASELINE).ok == 80
    assert incidents(events) == []
    rigs = [event.block.rig for event in events if isinstance(event, BlockClosed)]
    worst = max(rigs, key=lambda rig: rig.stall_max_s)
    assert worst.stall_max_s > 0.5
    assert "was stopped" in worst.stalled_in


BLOCKING = """
import time
from locust import FastHttpUser, task

DONE = []

def wait_without_yielding(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
        DONE.append(1)
        if len(DONE) == 25:
            wait_without_yielding({seconds})
"""


def test_a_worker_that_its_scenario_blocks_says_where(tmp_path: Path) -> None:
    with serving() as site:
        scenario = BLOCKING.format(seconds=6.0)
        events = run(LocustSession(load(tmp_path, site, scenario=scenario, blocks=60)))
    assert incidents(events) == [ReasonCode.WORKER_LOST]
    assert re.search(r"blocked in visit\.py:\d+ wait_without_yielding\(\)", sentences(events)[0])


def test_a_short_stall_names_the_line_of_the_scenario(tmp_path: Path) -> None:
    with serving() as site:
        scenario = BLOCKING.format(seconds=0.4)
        events = run(LocustSession(load(tmp_path, site, scenario=scenario)))
    assert incidents(events) == []
    rigs = [event.block.rig for event in events if isinstance(event, BlockClosed)]
    worst = max(rigs, key=lambda rig: rig.stall_max_s)
    assert 0.3 < worst.stall_max_s < 2.0
    assert re.fullmatch(r"visit\.py:\d+ wait_without_yielding\(\)", worst.stalled_in)


@pytest.mark.parametrize("kind", ["FastHttpUser", "HttpUser"])
def test_running_out_of_descriptors_is_the_rigs_fault_and_no_error_that_the_guard_sees(
    tmp_path: Path, kind: str
) -> None:
    def starve(worker: psutil.Process) -> None:
        few = worker.num_fds()
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (few, few))

    with serving(headers={"Connection": "close"}) as site:
        order = load(tmp_path, site, scenario=SIMPLE.replace("FastHttpUser", kind), blocks=6)
        events = run(LocustSession(order), at_first_block(starve))
    assert set(incidents(events)) == {ReasonCode.RIG_UNHEALTHY}
    assert "no file descriptor left (EMFILE)" in sentences(events)[0]
    assert sum(event.errors for event in events if isinstance(event, LiveCounts)) == 0
    blocks = [event.block for event in events if isinstance(event, BlockClosed)]
    assert all(bool(block.rig.exhausted) == bool(block.arrivals.error) for block in blocks)
    assert any(block.rig.exhausted for block in blocks)


def test_the_spool_is_there_when_rehearse_itself_is_killed(tmp_path: Path) -> None:
    """A block that had closed is on the disk, and the worker is gone soon: it does not load for nobody."""
    with serving() as site:
        session = LocustSession(load(tmp_path, site, blocks=60))
        with session:
            next(event for event in session.events() if isinstance(event, BlockClosed))
            stdin = session._workers[0].process.stdin
            assert stdin is not None
            stdin.close()  # all that a worker sees of a `kill -9`
            assert session._workers[0].process.wait(5) == 4
    lines = (tmp_path / "logs" / "baseline-round0-worker0.spool").read_bytes().splitlines()
    assert len(lines) >= 1


# --- versions ---------------------------------------------------------------------------------------------------


def test_a_scenario_file_that_changed_since_the_record_is_named(tmp_path: Path) -> None:
    with serving() as site:
        expected = {"scenario.visit": "0" * 64, "rehearse": "0.0"}
        events = run(LocustSession(replace(load(tmp_path, site, blocks=1), expected=expected)))
    assert set(incidents(events)) == {ReasonCode.NOT_COMPARABLE}
    assert ["another rehearse" in one for one in sentences(events)] == [True, False]
    assert "another scenario.visit" in sentences(events)[1]


class OneIsOlder(LocustSession):
    """Worker 1 says that it runs an older Locust."""

    def _handle(self, worker: WorkerProcess, message: dict[str, Any] | None) -> Iterator[LoadEvent]:
        if message is not None and message["type"] == "ready" and worker.number == 1:
            message["loaded"]["rig.locust"] = "2.40.0"
        yield from super()._handle(worker, message)


def test_a_worker_that_runs_other_versions_is_named(tmp_path: Path) -> None:
    with serving() as site:
        events = run(OneIsOlder(load(tmp_path, site, blocks=1, workers=2)))
    assert incidents(events) == [ReasonCode.NOT_COMPARABLE]
    assert "(worker 1): it loaded another rig.locust (2.40.0, expected 2." in sentences(events)[0]


def test_workers_of_one_version_have_no_complaint(tmp_path: Path) -> None:
    with serving() as left, serving() as right:
        events = run(LocustSession(load(tmp_path, left, right, blocks=1, workers=2)))
    assert incidents(events) == []
