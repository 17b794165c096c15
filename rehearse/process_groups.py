"""Child processes in groups of their own, so that each ends with all its children, and none outlives `rehearse`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import psutil

from rehearse.errors import NotReady

STOP_TIMEOUT_S = 5.0
STOP_POLL_S = 0.02

_LIVE_GROUPS: set[int] = set()  # process groups that began here and that have not ended


def kill_live_groups() -> None:
    """Kill every group that still runs, without waiting: for a process that itself ends at once."""
    for group in tuple(_LIVE_GROUPS):
        _signal_group(group, signal.SIGKILL)


def begin_group(
    argv: Sequence[str],
    cwd: Path,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a process group of its own. Raises OSError."""
    process = subprocess.Popen(
        list(argv),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        start_new_session=True,  # a group of its own; and Ctrl-C in the terminal is ours to handle
    )
    _LIVE_GROUPS.add(process.pid)
    return process


def exit_code_of(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """How a command ended; None when it took longer and was ended. What it left running by itself keeps running."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:  # too long, or we were interrupted: nobody else would end it
            end_group(process)
        _LIVE_GROUPS.discard(process.pid)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: they are asked to, and after STOP_TIMEOUT_S killed.

    Raises NotReady when it cannot be ended, as what `sudo` started cannot.
    """
    try:
        _signal_group(process.pid, signal.SIGTERM)
        _wait_until_gone(process)
    finally:  # an interruption must not leave it running either
        _kill(process)
    _refuse_to_leave(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children at once. Raises NotReady like `end_group`."""
    _kill(process)
    _refuse_to_leave(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process.pid, signal.SIGKILL)
    _wait_until_gone(process)
    _LIVE_GROUPS.discard(process.pid)


def _refuse_to_leave(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        raise NotReady(f"process {process.pid} cannot be ended; end it by hand: kill -9 -{process.pid}")


def _wait_until_gone(process: subprocess.Popen[bytes]) -> None:
    """Wait for the whole group, for STOP_TIMEOUT_S at most: a leader that has gone can leave children behind."""
    deadline = monotonic() + STOP_TIMEOUT_S
    while True:
        # Until its end is taken note of, the leader keeps the group; a zombie with living threads has not ended yet.
        has_ended = process.poll() is not None and not _is_running(process.pid)
        if has_ended or monotonic() >= deadline:
            return
        sleep(STOP_POLL_S)


def _is_running(group: int) -> bool:
    """Zombies do not count: who adopts children whose parent has gone may take its time to note their end."""
    if not _signal_group(group, 0):
        return False
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when nothing of it is there, or ours to signal."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
