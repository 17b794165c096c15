"""Real checks that die, hang or never end in their child process: each is named, and the others still run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from rehearse.checks.orders import Began, Finished
from rehearse.checks.runner import PytestRunner
from rehearse.model import CheckOutcome
from tests.checks.breaks import Checks, Found
from tests.presence import absent

ERROR, FAILED, PASSED = CheckOutcome.ERROR, CheckOutcome.FAILED, CheckOutcome.PASSED

DEADLY = """
@pytest.mark.breakage(id="before")
def test_before():
    pass


@pytest.mark.breakage(id="exit-0")
def test_exit():
    os._exit(0)


@pytest.mark.breakage(id="killed")
def test_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.breakage(id="loop")
def test_loop():
    os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "321")
    while True:
        pass


@pytest.mark.breakage(id="after")
def test_after():
    assert input_is_empty()


def input_is_empty():
    return os.read(0, 1) == b""
"""
MORE_OF_IT = """
@pytest.mark.breakage(id="segfault")
def test_segfault():
    import ctypes

    ctypes.string_at(0)


@pytest.mark.breakage(id="session")
def test_session():
    pytest.exit("enough")


@pytest.mark.breakage(id="forks")
def test_forks():
    if os.fork() == 0:
        time.sleep(600)


@pytest.mark.breakage(id="loud")
def test_loud():
    for _ in range(100):
        print("x" * 100_000)
        os.write(1, b"y" * 1000)
    raise AssertionError("z" * 10_000_000)


@pytest.mark.breakage(id="closes")
def test_closes():
    os.closerange(3, 200)
"""


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("deadly"))
    checks.write("test_deadly.py", DEADLY)
    return checks.run(timeout_s=2.0)


@pytest.fixture(scope="module")
def more_of_it(tmp_path_factory: pytest.TempPathFactory) -> Found:
    checks = Checks(tmp_path_factory.mktemp("more of it"))
    checks.write("test_more_of_it.py", MORE_OF_IT)
    return checks.run(timeout_s=20.0)


@pytest.mark.parametrize(
    ("check_id", "outcome", "why"),
    [
        ("before", PASSED, ""),
        ("exit-0", ERROR, "it ended the process (exit code 0)"),
        ("killed", ERROR, "SIGKILL"),
        ("loop", ERROR, "may take 2 s"),
        ("after", PASSED, ""),
    ],
)
def test_a_check_that_takes_its_process_along_is_named_and_the_others_still_run(
    deadly: Found, check_id: str, outcome: CheckOutcome, why: str
) -> None:
    assert deadly.outcome(check_id) is outcome
    assert why in deadly.sentence(check_id)


def test_nothing_that_a_check_began_outlives_it(deadly: Found) -> None:
    assert deadly.planned
    assert deadly.troubles == []
    alive = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "321"] not in alive


@pytest.mark.live  # a child process for each of them
@pytest.mark.parametrize(
    ("check_id", "outcome", "why"),
    [
        ("segfault", ERROR, "SIGSEGV"),
        ("session", ERROR, "it ended the whole session"),
        ("forks", PASSED, ""),
        ("loud", FAILED, "zzz"),
        ("closes", ERROR, "while it ran"),
    ],
)
def test_a_check_that_breaks_its_process_in_another_way_is_named_too(
    more_of_it: Found, check_id: str, outcome: CheckOutcome, why: str
) -> None:
    assert more_of_it.outcome(check_id) is outcome
    assert why in more_of_it.sentence(check_id)


@pytest.mark.live
def test_a_check_that_says_much_is_not_held_up_by_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        absent("there is no /dev/full here")
    checks = Checks(tmp_path)
    marked = '@pytest.mark.breakage(id="loud")\n'
    checks.write("test_loud.py", marked + 'def test_loud():\n    os.write(2, b"words\\n" * 100_000)\n')
    order = checks.order(timeout_s=10.0)
    Path(order.log).parent.mkdir()
    Path(order.log).symlink_to("/dev/full")
    with closing(PytestRunner().run(order, str)) as messages:
        results = [message.result for message in messages if isinstance(message, Finished)]
    assert [result.outcome for result in results] == [PASSED], results


@pytest.mark.live
def test_a_check_that_says_ten_megabytes_fills_neither_record_nor_log(more_of_it: Found) -> None:
    assert len(more_of_it.sentence("loud")) <= 20_003
    assert len(more_of_it.log) <= 2_000_000
    assert more_of_it.troubles == []


def test_the_budget_of_all_ends_the_rest_and_says_so(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for name in "abc":
        checks.write(
            f"test_{name}.py", f"@pytest.mark.breakage(id='{name}')\ndef test_{name}(): time.sleep(60)\n"
        )
    found = checks.run(budget_s=1.5)
    assert "checks.budget" in found.sentence("a")
    assert list(found.results) == ["a"]
    assert "2 checks were never run" in found.troubles[0]


def test_a_collection_that_never_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.checks.runner.COLLECT_TIMEOUT_S", 1.0)
    checks = Checks(tmp_path)
    checks.write("test_a.py", "time.sleep(60)\n")
    assert checks.run().troubles == ["collecting the checks took over 1 s"]


def test_closing_the_messages_ends_the_process_at_once(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write("test_a.py", "@pytest.mark.breakage(id='a')\ndef test_a(): time.sleep(322)\n")
    began = time.monotonic()
    with closing(PytestRunner().run(checks.order(), str)) as messages:
        for message in messages:
            if isinstance(message, Began):
                break
    assert time.monotonic() - began < 20
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if "rehearse.checks.child" in child.cmdline()] == []


def test_the_process_ends_when_rehearse_is_killed(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write("test_a.py", "@pytest.mark.breakage(id='a')\ndef test_a(): time.sleep(323)\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ}, text=True
    )
    assert parent.stdout is not None
    (child,) = psutil.Process(int(parent.stdout.readline())).children()
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


PARENT = """
import os, sys
from pathlib import Path
from tests.checks.breaks import Checks
from rehearse.checks.orders import Began
from rehearse.checks.runner import PytestRunner

for message in PytestRunner().run(Checks(Path(sys.argv[1])).order(), str):
    if isinstance(message, Began):
        print(os.getpid(), flush=True)
"""


def test_messages_of_a_check_come_while_the_next_one_runs(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    checks.write(
        "test_a.py",
        """
        @pytest.mark.breakage(id="first")
        def test_first():
            pass


        @pytest.mark.breakage(id="second")
        def test_second():
            time.sleep(60)
        """,
    )
    seen = []
    with closing(PytestRunner().run(checks.order(), str)) as messages:
        for message in messages:
            seen.append(message)
            if isinstance(message, Began) and message.source.endswith("second"):
                break
    assert [message.result.check_id for message in seen if isinstance(message, Finished)] == ["first"]
