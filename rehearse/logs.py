"""What child processes say, kept without secrets."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from rehearse.errors import DiskFull, RehearseError
from rehearse.redaction import Clean

LONGEST_LINE = 100_000


def clean_lines(readline: Callable[[int], bytes], clean: Clean) -> Iterator[str]:
    """Each line without secrets, and of a longer one than LONGEST_LINE only the beginning."""
    is_rest = False
    while piece := readline(LONGEST_LINE):
        is_cut = len(piece) == LONGEST_LINE and not piece.endswith(b"\n")
        if not is_rest:
            text = piece.decode(errors="replace")
            yield clean(f"{text}...\n" if is_cut else text)  # a secret that is cut here is known by the dots
        is_rest = is_cut


class ChildLog:
    """A child process writes to `file`, which has no name in any folder; `keep` copies that to the log.

    A file and not a pipe: it holds up nobody who writes to it, however busy we are, and what a command leaves running
    (a daemon) does not end with us. Raises DiskFull, or RehearseError when the log cannot be written at all.
    """

    def __init__(self, path: Path, clean: Clean) -> None:
        self.path = path
        self.last_line = ""  # that was kept
        self._clean = clean
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._log = path.open("ab")
            # On the disk of the logs: it may grow as they do.
            descriptor, name = tempfile.mkstemp(dir=path.parent)
            self.file: IO[bytes] = os.fdopen(descriptor, "ab")
            self._said: IO[bytes] = Path(name).open("rb")  # noqa: SIM115  # `close` closes it
            Path(name).unlink()

    def keep(self) -> None:
        """What was said since the last time goes to the log."""
        with _writing(self.path):
            for line in clean_lines(self._said.readline, self._clean):
                self._log.write(line.encode())
                self.last_line = line.strip() or self.last_line
            self._log.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep the rest; what is said later is lost."""
        try:
            self.keep()
        finally:
            self.file.close()
            self._said.close()
            with _writing(self.path):
                self._log.close()  # what it still holds is tried once more


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Failures of the file system inside become one message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{path} cannot be written: the disk is full. Make room, then try again."
            ) from error
        raise RehearseError(f"{path} cannot be written: {error.strerror or error}.") from error
