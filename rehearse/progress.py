"""Tells a waiting person what happens: on stderr, and only moving when that is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn


class Listener(Protocol):
    """Who is told how a rehearsal gets on."""

    def phase(self, text: str) -> None:
        """A phase begins: one line."""
        ...

    def look(self, text: str) -> None:
        """How it stands, told while the phase goes on: one line."""
        ...

    def load(self, done_s: float, total_s: float, note: str) -> None:
        """Load is under way: `done_s` of `total_s` seconds."""
        ...


class Silence:
    """Tells nobody."""

    def phase(self, text: str) -> None:
        """Nothing."""

    def look(self, text: str) -> None:
        """Nothing."""

    def load(self, done_s: float, total_s: float, note: str) -> None:
        """Nothing."""


class TerminalProgress:
    """One line a phase, and on a terminal a bar while load runs."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop_bar()

    def phase(self, text: str) -> None:
        """One line, which also ends the bar of the phase before."""
        self._drop_bar()
        self._say("·", text)

    def look(self, text: str) -> None:
        """One line above the bar, which goes on."""
        self._say(" ", text)

    def load(self, done_s: float, total_s: float, note: str) -> None:
        """Move the bar; nothing when stderr is not a terminal."""
        if self._quiet or not self._console.is_terminal:
            return
        if self._bar is None:
            columns = (
                TextColumn("  load"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} s  {task.description}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=total_s)
            self._bar.start()
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=min(max(done_s, 0.0), total_s), description=escape(_printable(note)))

    def _say(self, mark: str, text: str) -> None:
        if not self._quiet:
            self._console.print(f"{mark} {escape(_printable(text))}", highlight=False, soft_wrap=True)

    def _drop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _printable(text: str) -> str:
    """Without control characters: what a target says must not move the cursor."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
