"""A step's command: in a group of its own, bounded, and without secrets in what is kept of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from rehearse.cutover import steps
from rehearse.cutover.steps import ProcessRunner, RunningProcess
from rehearse.errors import NotReady

SECRET = "canary-4711-secret"


def run(tmp_path: Path, *words: str) -> RunningProcess:
    runner = ProcessRunner(tmp_path, lambda text: text.replace(SECRET, "***"))
    return runner.start(words, tmp_path / "step.log")


def code_of(running: RunningProcess) -> int | None:
    deadline = time.monotonic() + 10
    while running.exit_code() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return running.exit_code()


def test_what_it_says_is_kept_without_secrets_and_its_code_is_told(tmp_path: Path) -> None:
    running = run(tmp_path, "sh", "-c", f"echo one; echo {SECRET} >&2; exit 3")
    assert code_of(running) == 3
    assert running.close() == "one\n***"
    assert SECRET not in (tmp_path / "step.log").read_text()


def test_a_server_that_it_leaves_running_goes_on(tmp_path: Path) -> None:
    running = run(tmp_path, "sh", "-c", "sleep 30 & echo $!")
    assert code_of(running) == 0
    child = int(running.close())
    try:
        os.kill(child, 0)
    finally:
        os.kill(child, 9)


def test_closing_one_that_still_runs_ends_it_with_its_children(tmp_path: Path) -> None:
    running = run(tmp_path, "sh", "-c", "sleep 30 & echo $!; wait")
    deadline = time.monotonic() + 10
    while not running.words.last_line and time.monotonic() < deadline:
        running.words.keep()
        time.sleep(0.01)
    child = int(running.words.last_line)
    running.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("its child still runs")


def test_one_that_says_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST_SAID_BYTES", 1_000)
    running = run(
        tmp_path, sys.executable, "-S", "-c", "import time; print('x' * 5000, flush=True); time.sleep(30)"
    )
    with pytest.raises(NotReady, match="it said more than"):
        code_of(running)
    running.close()


def test_a_command_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(tmp_path, "no-such-command-4711")
