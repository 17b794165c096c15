"""One command of the team's own, such as a vendor's health check.

It is as trusted as `prepare` in rehearse.toml: an argv from a file under review, without a shell. It runs in a process
group of its own, and nothing of that group outlives the check.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Annotated

from pydantic import Field

from rehearse.checks.context import CheckedSide
from rehearse.checks.tolerance import Expectations, TextExpectations, cut
from rehearse.config.fields import Argv, Duration, Whole, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section
from rehearse.databases import shown_url
from rehearse.process_groups import begin_group, kill_group

MAX_OUTPUT_BYTES = 1_000_000
POLL_S = 0.02


class CommandExpectations(Expectations):
    """How the command must end, and what it must say."""

    exit_code: Annotated[Whole, between(0, 255, "exit codes are")] = Field(
        default=0, description="Left out, it must be 0 nevertheless."
    )
    stdout: TextExpectations | None = Field(default=None, description="What is in its standard output.")
    stderr: TextExpectations | None = Field(default=None, description="What is in its error output.")


class CommandProbe(Section):
    """One command in the project's folder, without a shell. The variables `REHEARSE_SIDE` and `REHEARSE_URL` say which
    side is under test."""

    argv: Argv = Field(description="The command and its arguments.")
    timeout_s: Annotated[Duration, between(0.1, 3600, "a check must end", write_duration)] = Field(
        default=20.0, description="When it is ended, with its children: then the check has failed."
    )
    expect: CommandExpectations = Field(description="How it must end, and what it must say.")

    @property
    def what(self) -> str:
        """How sentences name it: its arguments may be anybody's data."""
        return f"command {cut(self.argv[0])}"

    def complaints(self, side: CheckedSide, root: Path, longest_s: float = 3600.0) -> Iterator[str]:
        """Run it once, and say what is wrong with how it ended; it is ended after `longest_s` in any case."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            try:
                code = self._run(side, root, stdout, stderr, min(self.timeout_s, longest_s))
            except OSError as error:
                yield f"could not be started: {error.strerror}"
            except _Ended as error:
                yield str(error)
            else:
                yield from self._result_complaints(code, _text(stdout), _text(stderr))

    def _run(
        self, side: CheckedSide, root: Path, stdout: IO[bytes], stderr: IO[bytes], timeout_s: float
    ) -> int:
        # Files and not pipes: what a command leaves running would hold a pipe open, and us with it.
        told = {"REHEARSE_SIDE": str(side.side), "REHEARSE_URL": shown_url(side.url)}
        env = {**os.environ, **told}
        process = begin_group(self.argv, root, subprocess.DEVNULL, stdout, stderr, env)
        try:
            return _exit_code(process, (stdout, stderr), timeout_s)
        finally:
            kill_group(process)  # and what it left behind

    def _result_complaints(self, code: int, stdout: str, stderr: str) -> Iterator[str]:
        expect = self.expect
        if code != expect.exit_code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            yield f"expected exit code {expect.exit_code}, found {how}"
        for name, expected, text in (("stdout", expect.stdout, stdout), ("stderr", expect.stderr, stderr)):
            if expected is not None:
                yield from (f"{name}: {complaint}" for complaint in expected.complaints(text))


class _Ended(Exception):
    """Why a command was ended before it ended by itself."""


def _exit_code(process: subprocess.Popen[bytes], said: Sequence[IO[bytes]], timeout_s: float) -> int:
    deadline = monotonic() + timeout_s
    while (code := process.poll()) is None:
        if monotonic() > deadline:
            raise _Ended(f"did not end within {timeout_s:g} s")
        if max(os.fstat(file.fileno()).st_size for file in said) > MAX_OUTPUT_BYTES:
            raise _Ended(f"said more than {MAX_OUTPUT_BYTES:,} bytes")
        sleep(POLL_S)
    return code


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MAX_OUTPUT_BYTES + 1).decode(errors="replace")
