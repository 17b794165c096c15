"""The few places where Locust is told to follow the schedule. Runs in the worker only.

Locust's own loop stays: users, task sets, on_start, weights. What changes: a leaf task waits for its arrival before
it runs, the wait after a task is skipped (the schedule decides when the next one is due; an explicit `self.wait()`
keeps its meaning), and flat task lists are drawn from a seeded deck, so that both sides see the same mix.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any

import gevent
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.exception import (
    CatchResponseError,
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
    TaskSet,
)

from rehearse.load.pacer import Journey, Pacer
from rehearse.load.recorder import Ended, Recorder
from rehearse.model import RequestOutcome

_CONTROL_FLOW = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)
_OK = RequestOutcome.OK
_SPAWN_LEVELS = 4  # how far up a request made in a spawned greenlet looks for its journey


def current_journey() -> Journey | None:
    """The journey that the running greenlet, or the one that spawned it, belongs to."""
    greenlet: Any = gevent.getcurrent()
    for _ in range(_SPAWN_LEVELS):
        journey: Journey | None = getattr(greenlet, "rehearse_journey", None)
        if journey is not None:
            return journey
        spawner = getattr(greenlet, "spawning_greenlet", None)
        greenlet = spawner() if spawner is not None else None
        if greenlet is None:
            return None
    return None


class Decks:
    """Draws tasks by their weights without luck: each user class works through seeded shuffles of its task list."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._decks: dict[type, tuple[Random, list[Any]]] = {}

    def draw(self, user: Any) -> Any:
        """The next task of the user's class."""
        if type(user) not in self._decks:
            self._decks[type(user)] = (Random(f"{self._seed}:{type(user).__name__}"), [])
        rng, deck = self._decks[type(user)]
        if not deck:
            deck.extend(user.tasks)
            rng.shuffle(deck)
        return deck.pop()


def follow_schedule(pacer: Pacer, lane_of: dict[type, int], decks: Decks) -> None:
    """Make every leaf task of every task set wait for its arrival."""
    original_next = DefaultTaskSet.get_next_task
    original_default, original = DefaultTaskSet.execute_task, TaskSet.execute_task
    original_wait = TaskSet.wait

    drawn: dict[
        type, tuple[Any, bool]
    ] = {}  # user class: its tasks, and whether they are drawn from its deck

    def is_drawn(user: Any) -> bool:
        tasks, is_flat = drawn.get(type(user), (None, False))
        if tasks is not user.tasks:
            is_flat = type(user).__dict__.get("get_next_task") is None and not any(
                map(_is_task_set, user.tasks)
            )
            drawn[type(user)] = (user.tasks, is_flat)
        return is_flat

    def get_next_default(self: Any) -> Any:
        return decks.draw(self.user) if is_drawn(self.user) else original_next(self)  # type: ignore[no-untyped-call]

    def execute_default(self: Any, task: Any) -> None:
        run_leaf(self, task, original_default)

    def execute(self: Any, task: Any) -> None:
        run_leaf(self, task, original)

    def run_leaf(task_set: Any, task: Any, run: Callable[[Any, Any], None]) -> None:
        if _is_task_set(task):  # its own leaf tasks claim their arrivals
            run(task_set, task)
            return
        user = task_set.user
        journey = _claim(pacer, user, lane_of[type(user)], task)
        task_set.rehearse_skip_wait = False
        greenlet: Any = gevent.getcurrent()
        greenlet.rehearse_journey = journey
        try:
            run(task_set, task)
        except BaseException as error:  # gevent.Timeout is no Exception
            _note_exception(journey, error)
            raise
        finally:
            greenlet.rehearse_journey = None
            task_set.rehearse_skip_wait = True
            pacer.finish(journey)

    def wait(self: Any) -> None:
        if self.rehearse_skip_wait:
            self.rehearse_skip_wait = False
            if self.user._state == LOCUST_STATE_STOPPING:
                raise StopUser
            return
        original_wait(self)  # type: ignore[no-untyped-call]

    TaskSet.rehearse_skip_wait = False  # type: ignore[attr-defined]  # ours: set while a task set waits for nothing
    DefaultTaskSet.get_next_task = get_next_default  # type: ignore[method-assign]
    DefaultTaskSet.execute_task = execute_default  # type: ignore[method-assign]
    TaskSet.execute_task = execute  # type: ignore[method-assign]
    TaskSet.wait = wait  # type: ignore[method-assign]


def _is_task_set(task: Any) -> bool:
    return isinstance(task, type) and issubclass(task, TaskSet)


def _claim(pacer: Pacer, user: Any, lane: int, task: Any) -> Journey:
    """Park the user in Locust's waiting state, so that stopping it works, until its arrival is due."""
    user._state = LOCUST_STATE_WAITING
    journey = pacer.claim(lane, f"{type(user).__name__}.{getattr(task, '__name__', 'task')}")
    if user._state == LOCUST_STATE_STOPPING:
        raise StopUser
    user._state = LOCUST_STATE_RUNNING
    return journey


def _note_exception(journey: Journey, error: BaseException) -> None:
    """A task that raised is an error, unless raising is how Locust's control flow works."""
    if not isinstance(error, _CONTROL_FLOW):
        outcome, kind = _how_it_ended(error)
        journey.note(Ended(outcome, 0.0, 0.0, kind), perf_counter())


def _how_it_ended(error: BaseException) -> tuple[RequestOutcome, str]:
    """What an exception says about the task or request that it ended."""
    if isinstance(error, gevent.Timeout):
        return RequestOutcome.TIMEOUT, "timeout set by the scenario"
    if isinstance(error, gevent.GreenletExit):
        return RequestOutcome.CENSORED, "cancelled by the scenario"
    return RequestOutcome.ERROR, f"exception: {type(error).__name__}"


def watch_requests(check_method: Callable[[str], None], timeout_s: float, listener: RequestListener) -> None:
    """Check each request's method before it is sent, book the ones that are cancelled, and let a cut-off name the
    request that was not answered. HttpUser, which has no default timeout, gets one."""
    original_fast, original_requests = FastHttpSession.request, HttpSession.request

    def fast(self: Any, method: str, url: str, name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        check_method(method)
        name = name or self.request_name or without_query(url)
        with _InFlight(listener, method, name):
            return original_fast(self, method, url, name, *args, **kwargs)

    def plain(self: Any, method: str, url: str, name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        check_method(method)
        name = name or self.request_name or without_query(url)
        kwargs.setdefault("timeout", timeout_s)
        with _InFlight(listener, method, name):
            return original_requests(self, method, url, name, *args, **kwargs)

    FastHttpSession.request = fast  # type: ignore[method-assign]
    HttpSession.request = plain  # type: ignore[method-assign, assignment]


def without_query(url: str) -> str:
    """The name of a request that the scenario did not name: values would make endless names, and may be secret."""
    return url.partition("?")[0].partition("#")[0]


class _InFlight:
    """Notes on the current journey which request it waits for; one that is cancelled has no event, and is booked."""

    __slots__ = ("_journey", "_listener", "_name", "_sent_at")

    def __init__(self, listener: RequestListener, method: str, name: str) -> None:
        self._listener = listener
        self._name = f"{method} {name}"
        self._journey = current_journey()
        self._sent_at = perf_counter()

    def __enter__(self) -> None:
        if self._journey is not None:
            self._journey.in_flight = (self._name, self._sent_at)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._journey is not None:
            self._journey.in_flight = None
        if error is not None and not isinstance(error, Exception):
            self._listener.cancelled(self._name, perf_counter() - self._sent_at, error)


class RequestListener:
    """Books each `request` event; counts its own failures, because Locust would swallow them."""

    def __init__(self, recorder: Recorder, pacer: Pacer) -> None:
        self._recorder = recorder
        self._pacer = pacer
        self.failures = 0

    def __call__(self, request_type: str, name: str, response_time: float, **details: Any) -> None:
        """Called by Locust, in the greenlet that made the request."""
        duration_s, exception = (response_time or 0.0) / 1000, details.get("exception")
        self.ended(
            f"{request_type} {name}", duration_s, exception, details.get("response"), current_journey()
        )

    def ended(
        self, name: str, duration_s: float, exception: object, response: object, journey: Journey | None
    ) -> None:
        """A request of `journey` ended: well without an exception, else as the exception and the response say."""
        try:
            if exception is None:
                self._keep(journey, name, duration_s, _OK)
            else:
                self._keep(journey, name, duration_s, *classify(exception, response))
        except Exception:
            self.failures += 1
            raise

    def cancelled(self, name: str, waited_s: float, error: BaseException) -> None:
        """A request was given up without an event, by gevent.Timeout or because its greenlet was killed."""
        outcome, kind = _how_it_ended(error)
        self._keep(current_journey(), name, waited_s, outcome, kind, is_answered=False)

    def _keep(
        self,
        journey: Journey | None,
        name: str,
        duration_s: float,
        outcome: RequestOutcome,
        kind: str = "",
        is_answered: bool = True,
    ) -> None:
        now = perf_counter()
        ended = Ended(outcome, duration_s, now - self._pacer.start_at, kind, is_answered)
        if journey is None:
            self._recorder.request(None, name, ended)
        elif not journey.is_over:  # or else the cut-off has booked it as censored
            self._recorder.request(journey.slot, name, ended)
            journey.note(ended, now)


def classify(exception: object, response: object) -> tuple[RequestOutcome, str, bool]:
    """(outcome, kind of failure, whether the system answered) of one request event."""
    status = getattr(response, "status_code", None)
    is_answered = bool(status) or (response is None and exception is None)
    if exception is None or exception is False:
        return RequestOutcome.OK, "", True
    if isinstance(exception, (CatchResponseError, str)):
        return (
            RequestOutcome.ERROR,
            f"rejected by the scenario: {_without_digits(str(exception))}",
            is_answered,
        )
    if is_answered:
        return RequestOutcome.ERROR, f"HTTP {status}", True
    cause = _cause(exception)
    name = type(cause).__name__
    is_timeout = "timeout" in name.lower() or "timed out" in str(cause)
    if is_timeout or isinstance(cause, (TimeoutError, gevent.Timeout)):
        return RequestOutcome.TIMEOUT, "timeout", False
    return RequestOutcome.ERROR, name, False


def _cause(exception: object) -> object:
    """What really happened: FastHttpUser wraps every failed connection into "retries exceeded"."""
    original = getattr(exception, "original", None)
    return exception if original is None else original


def _without_digits(message: str) -> str:
    """Messages differ by ids; the kind of failure does not."""
    return re.sub(r"\d+", "#", message)[:80]
