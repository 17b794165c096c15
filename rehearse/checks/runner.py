"""Runs checks in child processes and tells what comes out, one check at a time.

A check can do anything: block for ever, end the process, crash the interpreter. Whatever it does, the time is kept
here, the check is named, and the remaining ones run in a new child.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import IO, Protocol

from rehearse.checks.context import CheckedSide
from rehearse.checks.orders import (
    MESSAGES,
    Began,
    CheckMessage,
    CheckOrder,
    Collected,
    Ended,
    Finished,
    Trouble,
)
from rehearse.codec import CodecError, from_jsonable, to_jsonable
from rehearse.errors import NotReady
from rehearse.logs import clean_lines
from rehearse.model import CheckOutcome, CheckResult
from rehearse.process_groups import begin_group, kill_group
from rehearse.redaction import Clean

COLLECT_TIMEOUT_S = 60.0
POLL_S = 0.1
LAST_WORDS_S = 0.5  # after its end, until what it had written has come through the pipe
MOST_LOG_BYTES = 2_000_000
# A setting of these would change what pytest collects and runs, and a proxy where requests go.
NOT_FOR_CHECKS = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")

Messages = Generator[CheckMessage, None, None]


class CheckRunner(Protocol):
    """Where results of checks come from."""

    def run(self, order: CheckOrder, clean: Clean) -> Messages:
        """Collected once, then what happens, as it happens. Closing the iterator ends what still runs."""
        ...


@dataclass(frozen=True, slots=True)
class ScriptedRunner:
    """Plays back one script after the other; the fake of CheckRunner."""

    scripts: Sequence[Sequence[CheckMessage]]
    orders: list[CheckOrder] = field(default_factory=list)

    def run(self, order: CheckOrder, clean: Clean) -> Messages:  # noqa: ARG002  # the protocol's
        """The next script."""
        self.orders.append(order)
        yield from self.scripts[len(self.orders) - 1]


@dataclass(frozen=True, slots=True)
class PytestRunner:
    """Real pytest in child processes."""

    def run(self, order: CheckOrder, clean: Clean) -> Messages:
        """See CheckRunner."""
        return _Run(order, clean).messages()


class _Run:
    """All children of one order. Each but the first runs what the one before left over."""

    def __init__(self, order: CheckOrder, clean: Clean) -> None:
        self._order = order
        self._clean = clean
        self._waiting: dict[str, CheckResult] | None = None  # by source; None until it is known what there is
        self._running: str | None = None
        self._told: set[str] = set()
        self._ends_at = math.inf  # the budget is of the checks: it begins when they are known
        self._must_move_by = 0.0

    def messages(self) -> Messages:
        """What happens, until nothing is left to run or a child makes no progress."""
        while self._waiting is None or self._waiting:
            before = None if self._waiting is None else len(self._waiting)
            yield from self._of_one_child()
            after = None if self._waiting is None else len(self._waiting)
            if self._order.is_listing or after is None or after == before or monotonic() >= self._ends_at:
                break
        if self._waiting and not self._order.is_listing:
            yield Trouble(f"{len(self._waiting)} checks were never run: {', '.join(sorted(self._waiting))}")

    def _of_one_child(self) -> Iterator[CheckMessage]:
        self._running = None
        self._must_move_by = monotonic() + COLLECT_TIMEOUT_S
        only = self._order.only if self._waiting is None else tuple(self._waiting)
        try:
            child = _Child(replace(self._order, only=only), self._clean)
        except NotReady as error:
            yield from self._shut_out(error)
            return
        try:
            while True:
                message = child.next(min(self._must_move_by, self._ends_at))
                if message is None or isinstance(message, Ended):
                    break
                yield from self._take(message)
            yield from self._left_behind(child, message)
        except TimeoutError:
            yield from self._too_long()
        except NotReady as error:
            yield from self._shut_out(error)
        finally:
            child.close()

    def _shut_out(self, error: NotReady) -> Iterator[CheckMessage]:
        """There are no credentials any more: what would be asked now says nothing about an upgrade."""
        self._ends_at = monotonic()
        yield Trouble(str(error))

    def _take(self, message: CheckMessage) -> Iterator[CheckMessage]:
        self._must_move_by = monotonic() + self._order.context.timeout_s
        match message:
            case Collected(checks):
                if self._waiting is None:
                    self._ends_at = monotonic() + self._order.budget_s
                    self._waiting = {check.source: check for check in checks}
                    yield message
            case Began(source):
                self._running = source
                yield message
            case Finished(result):
                self._running = None
                if self._waiting is not None and self._waiting.pop(result.source, None) is not None:
                    yield message
            case Trouble(sentence):
                if sentence not in self._told:  # each child collects anew
                    self._told.add(sentence)
                    yield message
            case Ended():
                pass

    def _left_behind(self, child: _Child, end: CheckMessage | None) -> Iterator[CheckMessage]:
        """What a child that is gone leaves unsaid."""
        how = "it ended the whole session" if end is not None else child.how_it_ended()
        if self._running is not None:
            yield from self._failed(f"{how} while it ran")
        elif end is None:
            yield Trouble(f"the process of the checks is gone: {how} between two checks or before the first")

    def _too_long(self) -> Iterator[CheckMessage]:
        is_over = monotonic() >= self._ends_at
        limit_s = self._order.budget_s if is_over else self._order.context.timeout_s
        name = "all checks together (checks.budget)" if is_over else "one check (checks.timeout)"
        if self._running is not None:
            yield from self._failed(f"it was ended: {name} may take {limit_s:g} s")
        elif self._waiting is None:
            yield Trouble(
                f"collecting the checks took over {min(COLLECT_TIMEOUT_S, self._order.budget_s):g} s"
            )
        else:
            yield Trouble(f"the process of the checks hung between two checks: {name} may take {limit_s:g} s")

    def _failed(self, sentence: str) -> Iterator[CheckMessage]:
        """The check that ran when its child came to an end."""
        planned = (self._waiting or {}).pop(str(self._running), None)
        if planned is None:  # a plugin runs it again, and it has a result already
            yield Trouble(f"{self._running}: {sentence}, for a second time")
        else:
            yield Finished(replace(planned, outcome=CheckOutcome.ERROR, sentence=sentence))
        self._running = None


class _Child:
    """One child process, and the two threads that read what it says."""

    def __init__(self, order: CheckOrder, clean: Clean) -> None:
        self._sides = [side for side in (order.context.baseline, order.context.candidate) if side is not None]
        self._headers = _headers_of(self._sides)
        line = json.dumps(to_jsonable(order))
        self._queue: queue.Queue[CheckMessage | None] = queue.Queue()
        self._process = begin_group(
            [sys.executable, "-P", "-m", "rehearse.checks.child"],
            Path(order.root),
            subprocess.PIPE,
            subprocess.PIPE,
            subprocess.PIPE,
            _environment(),
        )
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._keep_log, args=(Path(order.log), clean), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._tell(line)

    def _tell(self, line: str) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError):  # how it ended says more
                stdin.write(line.encode() + b"\n")
                stdin.flush()

    def _tell_new_headers(self) -> None:
        """A token was renewed. Raises NotReady when it has expired, and no other one can be had."""
        now = _headers_of(self._sides)
        if now != self._headers:
            self._headers = now
            self._tell(json.dumps(now))

    def next(self, until: float) -> CheckMessage | None:
        """What it says next; None at its end. Raises TimeoutError at `until`, and NotReady without a good token."""
        while True:
            self._tell_new_headers()
            is_gone = self._process.poll() is not None
            try:
                return self._queue.get(timeout=LAST_WORDS_S if is_gone else POLL_S)
            except queue.Empty:
                if is_gone:  # what a check forked may hold the pipe open
                    return None
                if monotonic() >= until:
                    raise TimeoutError from None

    def how_it_ended(self) -> str:
        """In words, for the check that was under way."""
        try:
            code = self._process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return "it closed the way back to rehearse"
        if code < 0:
            return f"it crashed the process ({signal.Signals(-code).name})"
        return f"it ended the process (exit code {code})"

    def close(self) -> None:
        """End it, and all that it began."""
        try:
            kill_group(self._process)
        finally:
            for reader in self._readers:
                reader.join(LAST_WORDS_S)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                _close(pipe)

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is not None:
            with suppress(ValueError, OSError, KeyError, CodecError):  # a torn line: it died while writing it
                for line in stdout:
                    document = json.loads(line)
                    self._queue.put(from_jsonable(MESSAGES[document["type"]], document["body"]))
        self._queue.put(None)

    def _keep_log(self, path: Path, clean: Clean) -> None:
        """Everything is read, so that nobody waits for it; what is kept has no secret in it, and an end."""
        stderr = self._process.stderr
        if stderr is None:
            return
        left = MOST_LOG_BYTES
        with suppress(ValueError, OSError), _opened(path) as log:
            for line in clean_lines(stderr.readline, clean):
                if left > 0:
                    text = line.encode()[:left]
                    left -= len(text)
                    log.write(text)
                    log.flush()
        with suppress(ValueError, OSError):  # no room for it, or none of our business any more
            while stderr.read(1 << 16):
                pass


def _headers_of(sides: Sequence[CheckedSide]) -> dict[str, dict[str, str]]:
    return {side.side.value: dict(side.headers) for side in sides}


def _opened(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("ab")


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(OSError, ValueError):
            pipe.close()


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_FOR_CHECKS and not name.lower().endswith("_proxy")
    }
