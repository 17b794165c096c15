"""One load worker as `rehearse` holds it: a child process, and what is known of it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rehearse.logs import ChildLog
from rehearse.model import Side, WorkerFinal

PIPE_BYTES = 1 << 20  # so that a sample never makes a worker wait for `rehearse`


@dataclass(slots=True)
class WorkerProcess:
    """One child process and what is known of it."""

    side: Side
    number: int
    process: subprocess.Popen[bytes]
    log: ChildLog
    spool: Path
    boot_id: str = ""
    is_ready: bool = False
    loaded: dict[str, str] = field(default_factory=dict)
    heard_at: float = 0.0
    blocked_in: str = ""
    is_in_doubt: bool = False  # its trouble was told
    samples: int = 0  # that arrived
    final: WorkerFinal | None = None
    is_gone: bool = False

    def tell(self, line: str) -> None:
        """Send one command; a worker that is gone shows in its exit code, not here."""
        stdin = self.process.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):
                stdin.write(line.encode() + b"\n")
                stdin.flush()

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"the load generator of the {self.side} (worker {self.number})"

    def log_tail(self) -> str:
        """The last line that it wrote, for messages."""
        self.log.keep()
        return self.log.last_line[:300]


def widen(process: subprocess.Popen[bytes]) -> None:
    """Room for samples in the pipe, where the system lets us have it; without it fewer samples are kept."""
    command = getattr(fcntl, "F_SETPIPE_SZ", None)
    if command is not None and process.stdout is not None:
        with suppress(OSError):
            fcntl.fcntl(process.stdout, command, PIPE_BYTES)


def clean_environment() -> dict[str, str]:
    """Without proxy settings: load goes to the target itself, where the allow-list can see it."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def how_it_ended(code: int | None) -> str:
    """In words."""
    if code is None:
        return "it hangs"
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code} and no final report"
