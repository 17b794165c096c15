"""Real processes, real servers, one piece of evidence taken away at a time: never exit 0, always one clear message."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.project import Done, make_project
from tests.servers import Site, free_port, serving

pytestmark = pytest.mark.live

WORK_S = 0.05  # what each request costs: large against the noise of a busy test machine


class Rig:
    """Two real servers and a project that compares them."""

    def __init__(self, root: Path, left: Site, right: Site) -> None:
        self.left, self.right = left, right
        self.project = make_project(root, left.url, right.url)

    @property
    def store(self) -> Path:
        return self.project.root / ".rehearse" / "rehearse.db"

    def under_load(self, more_than: int = 60) -> Callable[[], bool]:
        already = len(self.right.requests)
        return lambda: len(self.right.requests) > already + more_than


@contextmanager
def rig_in(root: Path) -> Iterator[Rig]:
    with serving(delay_s=WORK_S) as left, serving(delay_s=WORK_S) as right:
        yield Rig(root, left, right)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds one good baseline; where it was recorded does not matter."""
    with rig_in(tmp_path_factory.mktemp("baseline")) as made:
        done = made.project.run("baseline")
        assert done.code == 0, done
        return made.store


@pytest.fixture
def ready(rig: Rig, recorded: Path) -> Rig:
    """A rig with its baseline already recorded."""
    rig.store.parent.mkdir(mode=0o700)
    rig.store.write_bytes(recorded.read_bytes())
    return rig


def one_message(done: Done) -> str:
    """The one line on stderr that is not progress; no traceback."""
    assert "Traceback" not in done.err, done.err
    lines = [line for line in done.err.splitlines() if line.startswith("rehearse: ")]
    assert len(lines) == 1, done
    return lines[0]


def test_the_same_server_on_both_sides_is_go_and_a_slow_candidate_is_abort(ready: Rig) -> None:
    """The other tests mean something only because this one can be GO."""
    done = ready.project.run("compare")
    assert (done.code, ready.project.decision()) == (0, "GO"), done
    first = ready.project.result()
    assert ready.project.run("judge", str(first["run_id"])).code == 0
    assert ready.project.result() == first, "the same evidence gives the same verdict"
    ready.right.delay_s = 5 * WORK_S
    done = ready.project.run("compare")
    assert (done.code, ready.project.decision()) == (10, "ABORT"), done


def test_a_candidate_that_refuses_connections_is_not_ready(ready: Rig) -> None:
    ready.project.edit(ready.right.url, f"http://127.0.0.1:{free_port()}")
    done = ready.project.run("compare")
    assert done.code == 13
    assert "candidate" in one_message(done)


def test_a_candidate_that_hangs_before_load_is_not_ready(ready: Rig) -> None:
    ready.right.hang.set()
    done = ready.project.run("compare")
    assert done.code == 13
    assert "does not answer" in one_message(done)


def test_a_candidate_that_hangs_under_load_is_abort(ready: Rig) -> None:
    process = ready.project.start("compare")
    wait_for(ready.under_load())
    ready.right.hang.set()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 10, (out, err)


def test_a_candidate_that_answers_500_to_all_is_abort(ready: Rig) -> None:
    ready.right.status = 500
    done = ready.project.run("compare")
    assert (done.code, ready.project.decision()) == (10, "ABORT"), done


def test_both_sides_answering_401_to_all_is_inconclusive_not_no_difference(ready: Rig) -> None:
    ready.left.status = ready.right.status = 401
    done = ready.project.run("compare")
    assert (done.code, ready.project.decision()) == (11, "INCONCLUSIVE"), done
    assert "baseline" in done.out


def test_what_answers_401_to_all_does_not_become_a_baseline(rig: Rig) -> None:
    rig.left.status = rig.right.status = 401
    done = rig.project.run("baseline")
    assert done.code == 13
    assert "not recorded as a baseline" in one_message(done)
    assert rig.project.run("compare").code == 13


def test_zero_requests_are_no_evidence(ready: Rig) -> None:
    (ready.project.root / "visit.py").write_text(
        "from locust import FastHttpUser, task\n"
        "class Visitor(FastHttpUser):\n    @task\n    def look(self):\n        pass\n"
    )
    done = ready.project.run("compare", "--without-baseline")
    assert (done.code, ready.project.decision()) == (11, "INCONCLUSIVE"), done


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_killed_worker_is_inconclusive_and_named(ready: Rig, side: str) -> None:
    process = ready.project.start("compare")
    wait_for(ready.under_load())
    os.kill(worker_of(process.pid, side).pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 11, (out, err)
    assert "SIGKILL" in out
    assert ready.project.decision() == "INCONCLUSIVE"


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_worker_that_stands_still_for_six_seconds_is_inconclusive_and_named(ready: Rig, side: str) -> None:
    process = ready.project.start("compare")
    wait_for(ready.under_load())
    worker = worker_of(process.pid, side)
    worker.suspend()
    resume = threading.Timer(6.0, worker.resume)
    resume.start()
    out, err = process.communicate(timeout=60)
    resume.join()
    assert process.returncode == 11, (out, err)
    assert f"the load generator of the {side} (worker 0): it told nothing for 4 s" in " ".join(out.split())


def test_a_deleted_store_means_no_baseline(ready: Rig) -> None:
    for file in ready.store.parent.glob("rehearse.db*"):
        file.unlink()
    done = ready.project.run("compare")
    assert done.code == 13
    assert "rehearse baseline" in one_message(done)


@pytest.mark.parametrize("keep_bytes", [0, 5000, 40000])
def test_a_truncated_store_is_never_go(ready: Rig, keep_bytes: int) -> None:
    content = ready.store.read_bytes()
    assert len(content) > keep_bytes
    for file in ready.store.parent.glob("rehearse.db-*"):
        file.unlink()
    ready.store.write_bytes(content[:keep_bytes])
    done = ready.project.run("compare")
    assert done.code == 13, done
    one_message(done)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_under_load_keeps_the_evidence_and_shows_it_within_five_seconds(
    ready: Rig, sent: signal.Signals
) -> None:
    done, took_s = ready.project.interrupt("compare", when=ready.under_load(150), with_signal=sent)
    assert done.code == 128 + sent
    assert took_s < 5
    assert ready.project.decision() == "INCONCLUSIVE"
    assert "INCONCLUSIVE" in done.out
    timeline = ready.project.result()["timeline"]
    assert isinstance(timeline, list)
    assert timeline, "the blocks so far are gone"
    html = max(ready.project.root.glob("reports/*/report.html"), key=lambda path: path.stat().st_mtime)
    assert "SIG" in html.read_text()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_before_load_ends_with_its_own_code_and_a_report(ready: Rig, sent: signal.Signals) -> None:
    ready.right.hang.set()
    before = len(ready.right.requests)
    done, took_s = ready.project.interrupt(
        "compare", when=lambda: len(ready.right.requests) > before, with_signal=sent
    )
    assert done.code == 128 + sent
    assert took_s < 5
    assert ready.project.decision() == "INCONCLUSIVE"


def test_a_signal_while_recording_a_baseline_names_nothing(rig: Rig) -> None:
    done, took_s = rig.project.interrupt("baseline", when=rig.under_load(), with_signal=signal.SIGTERM)
    assert done.code == 143
    assert took_s < 5
    one_message(done)
    assert "interrupted" in rig.project.run("runs", "list").out
    assert rig.project.run("compare").code == 13


def test_load_stops_within_two_seconds_of_a_sigkill_and_the_next_run_works(ready: Rig) -> None:
    process = ready.project.start("compare")
    wait_for(ready.under_load())
    process.kill()
    process.communicate()
    time.sleep(2)
    seen = len(ready.left.requests), len(ready.right.requests)
    time.sleep(1)
    assert (len(ready.left.requests), len(ready.right.requests)) == seen
    newest = ready.project.run("runs", "list").out.splitlines()[0]
    assert "running" in newest
    run_id = newest.split()[0]
    judged = ready.project.run("judge", run_id)
    assert (judged.code, ready.project.decision()) == (11, "INCONCLUSIVE")
    assert ready.project.run("compare").code in {0, 11}


def test_a_target_off_the_allow_list_is_refused_and_sees_no_byte(ready: Rig) -> None:
    with serving("127.0.0.2") as forbidden:
        ready.project.edit(ready.right.url, forbidden.url)
        for command in (("baseline",), ("compare",), ("compare", "--dry-run")):
            done = ready.project.run(*command)
            assert done.code == 12
            assert "127.0.0.2" in one_message(done)
        assert forbidden.connections == 0


def test_a_redirect_off_the_allow_list_is_refused_and_sees_no_byte(ready: Rig) -> None:
    with serving("127.0.0.2") as forbidden:
        ready.right.status, ready.right.location = 302, f"{forbidden.url}/elsewhere"
        done = ready.project.run("compare")
        assert done.code == 12
        assert "127.0.0.2" in one_message(done)
        assert forbidden.connections == 0


def test_an_absolute_url_in_a_scenario_is_refused_and_sees_no_byte(ready: Rig) -> None:
    with serving("127.0.0.2") as forbidden:
        scenario = ready.project.root / "visit.py"
        scenario.write_text(scenario.read_text().replace('"/look"', f'"{forbidden.url}/look", name="/look"'))
        done = ready.project.run("compare", "--without-baseline")
        assert done.code == 12
        assert "127.0.0.2" in one_message(done)
        assert forbidden.connections == 0


def test_another_scenario_than_the_recorded_one_is_not_comparable(ready: Rig) -> None:
    scenario = ready.project.root / "visit.py"
    scenario.write_text(scenario.read_text() + "\n# changed\n")
    requests = len(ready.right.requests)
    done = ready.project.run("compare")
    assert done.code == 13
    assert "scenario.shop" in one_message(done)
    assert len(ready.right.requests) == requests


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.02)


def worker_of(pid: int, side: str) -> psutil.Process:
    """The load generator that has a connection to, or the log of, one side."""
    for child in psutil.Process(pid).children(recursive=True):
        if any(f"{side}-round0" in file.path for file in child.open_files()):
            return child
    raise AssertionError(f"no worker of the {side}")
