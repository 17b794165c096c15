"""Load that goes on while other things happen. Whoever waits attends to it: then its blocks go to the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from rehearse.errors import NotReady, RehearseError
from rehearse.load.engine import LoadEngine, LoadEvent, LoadSession, Tick, Trouble
from rehearse.load.orders import LoadOrder

T = TypeVar("T")
BEGIN_TIMEOUT_S = 90.0
DRAIN_S = 1.0
END_TIMEOUT_S = 30.0
POLL_S = 0.02
_OVER = None


class Pace(Protocol):
    """How time passes while a cutover waits."""

    def now_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        ...

    def attend(self, for_s: float) -> None:
        """Let time pass, and deal with what happens meanwhile."""
        ...

    def ask(self, question: Callable[[], T], meanwhile: Callable[[], None]) -> T:
        """What `question` returns or raises, while time passes; `meanwhile` is called again and again."""
        ...


class Asking(Generic[T]):
    """A question that is being asked, in a thread of its own."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._found: list[T] = []
        self._error: RehearseError | OSError | None = None
        self._thread = Thread(target=self._run, name="asking", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any longer."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._found.append(self._ask())
        except (RehearseError, OSError) as error:
            self._error = error

    def answer(self) -> T:
        """Its answer, once it is over. Raises what the question raised, and RehearseError for no answer at all."""
        if self._error is not None:
            raise self._error
        if not self._found:
            raise RehearseError(
                "a question in a thread of its own ended without an answer; see the lines above"
            )
        return self._found[0]


class Idle:
    """No load at all; see Pace."""

    def now_s(self) -> float:
        """See Pace."""
        return time.monotonic()

    def attend(self, for_s: float) -> None:
        """See Pace."""
        time.sleep(for_s)

    def ask(self, question: Callable[[], T], meanwhile: Callable[[], None]) -> T:  # noqa: ARG002
        """See Pace."""
        return question()


@dataclass(slots=True)
class SteadyLoad:
    """One long round of load; see Pace. Leaving the context stops it at once."""

    engine: LoadEngine
    order: LoadOrder
    keep: Callable[[LoadEvent], None]
    began_s: float | None = None  # its common start
    trouble: str = ""  # why its evidence has a hole
    error: RehearseError | None = None  # that ended it
    _session: LoadSession | None = None
    _thread: Thread | None = None
    _events: SimpleQueue[LoadEvent | RehearseError | None] = field(default_factory=SimpleQueue)
    _is_ending: bool = False
    _is_over: bool = False

    def now_s(self) -> float:
        """See Pace."""
        return time.monotonic()

    def __enter__(self) -> Self:
        """Begin; returns when the first arrivals are due. Raises what the engine raises."""
        session = self.engine.start(self.order)
        self._session = session.__enter__()
        self._thread = Thread(target=self._listen, args=(self._session,), name="load", daemon=True)
        self._thread.start()
        deadline_s = time.monotonic() + BEGIN_TIMEOUT_S
        try:
            while self.began_s is None or time.monotonic() < self.began_s:
                self.attend(POLL_S)
                if self.error is not None:
                    raise self.error
                if self._is_over or time.monotonic() > deadline_s:
                    raise NotReady(f"the load did not begin: {self.trouble or 'its generator told nothing'}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def attend(self, for_s: float) -> None:
        """See Pace. An error of the load ends the load, and not what goes on beside it: the way back must be gone."""
        until_s = time.monotonic() + for_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._is_over:
                time.sleep(left_s)
                return
            with suppress(Empty):
                self._take(self._events.get(timeout=left_s))

    def ask(self, question: Callable[[], T], meanwhile: Callable[[], None]) -> T:
        """See Pace: in a thread of its own, for the load must be attended to."""
        asking = Asking(question)
        while not asking.is_over:
            self.attend(POLL_S)
            meanwhile()
        return asking.answer()

    def end(self) -> None:
        """Send no more, and wait for the closing accounts."""
        if self._session is None or self._is_over:
            return
        self._is_ending = True
        self._session.stop(DRAIN_S)
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < deadline_s and not self._has_ended():
            self.attend(POLL_S)

    def _has_ended(self) -> bool:
        return self._is_over

    def _take(self, event: LoadEvent | RehearseError | None) -> None:
        if event is _OVER:
            self._is_over = True
            if not self._is_ending:
                self.trouble = self.trouble or "the load came to an end by itself"
        elif isinstance(event, RehearseError):
            self._is_over, self.error, self.trouble = True, event, str(event)
        else:
            self.trouble = event.incident.sentence if isinstance(event, Trouble) else self.trouble
            self.keep(event)

    def _listen(self, session: LoadSession) -> None:
        """In a thread of its own: the load must not wait for a step, nor a step for the load."""
        try:
            for event in session.events():
                if isinstance(event, Tick):
                    if self.began_s is None:
                        self.began_s = time.monotonic() - event.at_s
                else:
                    self._events.put(event)
            self._events.put(_OVER)
        except RehearseError as error:
            self._events.put(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.__exit__(kind, error, trace)
        if self._thread is not None:
            self._thread.join(END_TIMEOUT_S)
