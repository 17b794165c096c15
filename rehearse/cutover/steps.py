"""Runs one step's command: a child process in a group of its own, whose words are kept without secrets."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rehearse.errors import DiskFull, NotReady
from rehearse.logs import ChildLog
from rehearse.process_groups import begin_group, end_group, exit_code_of
from rehearse.redaction import Clean

MOST_SAID_BYTES = 50_000_000  # a command that says more is ended: it would fill the disk
KEPT_CHARACTERS = 4_000


class RunningStep(Protocol):
    """A command under way. `close` ends it, with all its children, if it still runs."""

    @property
    def pid(self) -> int:
        """Its process; 0 when there is none."""
        ...

    def exit_code(self) -> int | None:
        """How it ended; None while it runs. Raises NotReady when it says more than can be kept."""
        ...

    def close(self) -> str:
        """Let go of it; the end of what it said."""
        ...


class StepRunner(Protocol):
    """Where steps run."""

    def start(self, argv: Sequence[str], log: Path) -> RunningStep:
        """Begin. Raises OSError when the command cannot be run at all."""
        ...


@dataclass(frozen=True, slots=True)
class ProcessRunner:
    """Real commands, without a shell, in the project's folder."""

    working_dir: Path
    clean: Clean

    def start(self, argv: Sequence[str], log: Path) -> RunningProcess:
        """See StepRunner."""
        try:
            words = ChildLog(log, self.clean)
        except DiskFull as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        try:
            process = begin_group(argv, self.working_dir, subprocess.DEVNULL, words.file, words.file)
        except BaseException:
            words.close()
            raise
        return RunningProcess(process, words)


@dataclass(slots=True)
class RunningProcess:
    """See RunningStep. What a command leaves running when it has ended by itself (a server) goes on."""

    process: subprocess.Popen[bytes]
    words: ChildLog
    _is_over: bool = False

    @property
    def pid(self) -> int:
        """See RunningStep."""
        return self.process.pid

    def exit_code(self) -> int | None:
        """See RunningStep."""
        if self.process.poll() is None:
            if os.fstat(self.words.file.fileno()).st_size > MOST_SAID_BYTES:
                raise NotReady(f"it said more than {MOST_SAID_BYTES / 1e6:g} MB")
            return None
        self._is_over = True
        return exit_code_of(self.process, 0.0)

    def close(self) -> str:
        """See RunningStep."""
        try:
            if not self._is_over:
                end_group(self.process)
        finally:
            self.words.close()
        return _end_of(self.words.path)


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * KEPT_CHARACTERS))
        return file.read().decode(errors="replace")[-KEPT_CHARACTERS:].strip()


# --- the fake -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ScriptedStep:
    """Ends after so many looks; the fake of RunningStep."""

    code: int
    looks: int
    said: str
    pid: int = 0

    def exit_code(self) -> int | None:
        """See RunningStep."""
        self.looks -= 1
        return self.code if self.looks < 0 else None

    def close(self) -> str:
        """See RunningStep."""
        return self.said


@dataclass(slots=True)
class ScriptedRunner:
    """Remembers what was run; the fake of StepRunner. A command without a script ends well at once."""

    scripts: dict[tuple[str, ...], ScriptedStep | OSError] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def start(self, argv: Sequence[str], log: Path) -> RunningStep:  # noqa: ARG002  # the protocol's
        """See StepRunner."""
        self.ran.append(tuple(argv))
        found = self.scripts.get(tuple(argv), ScriptedStep(0, 0, ""))
        if isinstance(found, OSError):
            raise found
        return ScriptedStep(found.code, found.looks, found.said)
