"""How the requests of Locust's users are watched and booked. Runs in the worker only."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
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

from rehearse.load.failures import KnownFailure
from rehearse.load.pacer import Journey, Pacer
from rehearse.load.recorder import Ended, Recorder
from rehearse.load.sampling import Sampler
from rehearse.model import RequestOutcome
from rehearse.redaction import Clean

_CONTROL_FLOW = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)
_SHORTAGES = {  # what fails on this side of the wire, before a byte is sent
    errno.EMFILE: "no file descriptor left",
    errno.ENFILE: "no file descriptor left on this machine",
    errno.EADDRNOTAVAIL: "no local port left",
    errno.ENOBUFS: "no socket buffer left",
}
RIG_KIND = "load generator: "  # how failures are named that are the rig's own
_CAUSES_DEEP = 8  # how far down a wrapped error is looked into
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


def carry(journey: Journey | None) -> None:
    """From now on the running greenlet, and those that it spawns, make the requests of this journey."""
    greenlet: Any = gevent.getcurrent()
    greenlet.rehearse_journey = journey


def note_exception(journey: Journey, error: BaseException) -> None:
    """A task that raised is an error, unless raising is how Locust's control flow works."""
    if not isinstance(error, _CONTROL_FLOW):
        outcome, kind = _how_it_ended(error)
        shortage = shortage_in(error)
        ended = Ended(outcome, 0.0, 0.0, shortage or kind, is_rig_fault=bool(shortage))
        journey.note(ended, perf_counter())


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
        with InFlight(listener, method, name):
            return original_fast(self, method, url, name, *args, **kwargs)

    def plain(self: Any, method: str, url: str, name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        check_method(method)
        name = name or self.request_name or without_query(url)
        kwargs.setdefault("timeout", timeout_s)
        with InFlight(listener, method, name):
            return original_requests(self, method, url, name, *args, **kwargs)

    FastHttpSession.request = fast  # type: ignore[method-assign]
    HttpSession.request = plain  # type: ignore[method-assign, assignment]


def without_query(url: str) -> str:
    """The name of a request that the scenario did not name: values would make endless names, and may be secret."""
    return url.partition("?")[0].partition("#")[0]


class InFlight:
    """Notes on the current journey which request it waits for; one that is cancelled has no event, and is booked."""

    __slots__ = ("_around", "_journey", "_listener", "_name", "_sent_at")

    def __init__(self, listener: RequestListener, method: str, name: str) -> None:
        self._listener = listener
        self._name = f"{method} {name}"
        self._journey = current_journey()
        self._around = None if self._journey is None else self._journey.in_flight  # a statement's transaction
        self._sent_at = perf_counter()

    def __enter__(self) -> None:
        if self._journey is not None:
            self._journey.in_flight = (self._name, self._sent_at)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._journey is not None:
            self._journey.in_flight = self._around
        if error is not None and not isinstance(error, Exception):
            self._listener.cancelled(self._name, perf_counter() - self._sent_at, error)


class RequestListener:
    """Books each `request` event; counts its own failures, because Locust would swallow them."""

    def __init__(
        self, recorder: Recorder, pacer: Pacer, sampler: Sampler | None = None, clean: Clean = str
    ) -> None:
        self._recorder = recorder
        self._clean = clean
        self._pacer = pacer
        self._sampler = sampler
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
                outcome, kind, is_answered = classify(exception, response, self._clean)
                shortage = "" if is_answered else shortage_in(exception)
                self._keep(journey, name, duration_s, outcome, kind, is_answered, shortage)
        except Exception:
            self.failures += 1
            raise
        if self._sampler is not None and response is not None:
            self._sampler.see(name, response)

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
        shortage: str = "",
    ) -> None:
        now = perf_counter()
        at_s = now - self._pacer.start_at
        ended = Ended(outcome, duration_s, at_s, shortage or kind, is_answered, bool(shortage))
        if journey is None:
            self._recorder.request(None, name, ended)
        elif not journey.is_over:  # or else the cut-off has booked it as censored
            self._recorder.request(journey.slot, name, ended)
            journey.note(ended, now)


def classify(exception: object, response: object, clean: Clean = str) -> tuple[RequestOutcome, str, bool]:
    """(outcome, kind of failure, whether the system answered) of one request event."""
    if isinstance(exception, KnownFailure):
        return exception.outcome, exception.kind, exception.is_answered
    status = getattr(response, "status_code", None)
    is_answered = bool(status) or (response is None and exception is None)
    if exception is None or exception is False:
        return RequestOutcome.OK, "", True
    if isinstance(exception, (CatchResponseError, str)):
        return (
            RequestOutcome.ERROR,
            f"rejected by the scenario: {_without_digits(clean(str(exception)))}",
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


def shortage_in(exception: object) -> str:
    """What the rig itself ran out of, when that is why a request failed; empty when it is not.

    HTTP clients wrap the error of the socket in errors of their own: each is looked into.
    """
    found: list[object] = [exception]
    for _ in range(_CAUSES_DEEP):
        errors = [one for one in found if isinstance(one, BaseException)]
        if not errors:
            return ""
        error, found = errors[0], list[object](errors[1:])
        code = error.errno if isinstance(error, OSError) else None
        if code in _SHORTAGES:
            return f"{RIG_KIND}{_SHORTAGES[code]} ({errno.errorcode[code]})"
        found += [getattr(error, "original", None), getattr(error, "reason", None), error.__cause__]
        found += [error.__context__, *error.args]
    return ""


def _cause(exception: object) -> object:
    """What really happened: FastHttpUser wraps every failed connection into "retries exceeded"."""
    original = getattr(exception, "original", None)
    return exception if original is None else original


def _without_digits(message: str) -> str:
    """Messages differ by ids; the kind of failure does not."""
    return re.sub(r"\d+", "#", message)[:80]
