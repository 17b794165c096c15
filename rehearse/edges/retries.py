"""Exactly once, or not: the same order sent again because its answer was lost, and how often it then took effect.

The effect is counted by what the user names, an endpoint or a query; the loss is proven by the fault proxy. Nothing
here decides what to send: that is one request of the user's own, with a key that makes it one order.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote
from uuid import uuid4

import httpx

from rehearse.codec import CodecError, parse_json
from rehearse.edges.asking import value_at
from rehearse.edges.proxy import FaultInjector
from rehearse.edges.toxics import Toxic, ToxicType
from rehearse.errors import NotReady, RehearseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

RESET = Toxic(ToxicType.RESET_PEER, name="lose the response")
# Long enough for both to be under way before either is answered.
OVERLAP = Toxic(ToxicType.LATENCY, {"latency": 300}, name="answer late")
_SETTLE_STEP_S = 0.1
_SETTLE_AT_MOST_S = 5.0
_LARGEST_ANSWER = 1 << 20  # bytes of a counting endpoint's answer


class RetryCase(StrEnum):
    """What a client does."""

    LOST_RESPONSE = "lost response, same key"
    CONCURRENT = "two at once, same key"
    OTHER_PAYLOAD = "same key, other payload"
    NO_KEY = "lost response, no key"


# --- what is sent, and how its effects are counted


@dataclass(frozen=True, slots=True)
class OneOrder:
    """A request with an effect. `other_body` asks for something else under the same key."""

    path: str
    body: bytes
    other_body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    key_header: str = "Idempotency-Key"

    def command(self, url: str) -> str:
        """One command that sends it twice under one key; credentials are left for whoever runs it."""
        headers = {**self.headers, self.key_header: "once"}
        given = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        sent = [
            "curl",
            "-i",
            "-X",
            self.method,
            *given,
            "-d",
            self.body.decode(),
            f"{url.rstrip('/')}{self.path}",
        ]
        return f"for attempt in 1 2; do {shlex.join(sent)}; done"


class EffectCounter(Protocol):
    """Counts effects, from outside of the answers that claim them."""

    def count(self, key: str | None) -> int:
        """How often it took effect so far: with this key, or in all. Raises NotReady when that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointCounter:
    """A number in the JSON that an endpoint answers: path "/orders/count?key={key}", value "orders.count"."""

    new_client: Callable[[], httpx.Client]
    path: str
    value: str

    def count(self, key: str | None) -> int:
        """See EffectCounter."""
        if "{key}" in self.path and key is None:
            raise NotReady(f"{self.path} counts by key, and there is none")
        path = self.path.replace("{key}", quote(key or "", safe=""))
        try:
            with self.new_client() as client:
                answer = client.get(path)
        except httpx.HTTPError as error:
            raise NotReady(
                f"the effects could not be counted at {self.path}: {type(error).__name__}"
            ) from None
        if answer.status_code != 200:
            raise NotReady(
                f"the effects could not be counted at {self.path}: it answers {answer.status_code}"
            )
        return _number_at(answer.content[:_LARGEST_ANSWER], self.value, self.path)


def _number_at(body: bytes, value: str, path: str) -> int:
    try:
        found = value_at(parse_json(body), value)
    except CodecError:
        raise NotReady(f"{path} does not answer with JSON") from None
    if isinstance(found, bool) or not isinstance(found, int):
        raise NotReady(f"{path} has no whole number at {value!r}")
    return found


@dataclass(frozen=True, slots=True)
class SqlCounter:
    """A query that returns one number; `:key` in it is the key."""

    engine: Engine
    query: str

    def count(self, key: str | None) -> int:
        """See EffectCounter."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        statement = text(self.query)
        by_key = "key" in statement.compile().params
        if by_key and key is None:
            raise NotReady("the query counts by key, and there is none")
        try:
            with self.engine.connect() as connection:
                found = connection.execute(statement, {"key": key} if by_key else {}).scalar()
        except SQLAlchemyError as error:
            raise NotReady(f"the effects could not be counted: {type(error).__name__}") from None
        if isinstance(found, bool) or not isinstance(found, int):
            raise NotReady("the query that counts effects does not return one whole number")
        return found


# --- what was seen


@dataclass(frozen=True, slots=True)
class Answer:
    """How one sending ended. `status` is None when the client got no answer."""

    status: int | None
    body_sha256: str = ""
    error: str = ""
    began_s: float = 0.0
    ended_s: float = 0.0

    @property
    def is_success(self) -> bool:
        """Answered, and well."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def shown(self) -> str:
        """For sentences."""
        return str(self.status) if self.status is not None else self.error or "no answer"


@dataclass(frozen=True, slots=True)
class RetrySeen:
    """What one case came to on one side."""

    case: RetryCase
    answers: tuple[Answer, ...] = ()
    effects: int | None = None  # None: not known
    injected: int = 0  # lost responses, or sendings that overlapped; 0: the condition was not there
    problem: str = ""  # why it could not be tried, or its effects not be counted
    is_tried: bool = True  # False: nothing was sent under the condition
    is_cleaned_up: bool = True  # no fault is left in force


@dataclass(frozen=True, slots=True)
class RetryProbe:
    """Sends the order in each way. `new_client` leads through `faults`, with a connection of its own each time."""

    order: OneOrder
    new_client: Callable[[], AbstractContextManager[httpx.Client]]
    faults: FaultInjector
    counter: EffectCounter
    settle_s: float = 0.3  # effects may come a little later than answers
    sleep: Callable[[float], None] = time.sleep

    def try_case(self, case: RetryCase) -> RetrySeen:
        """One case, after one plain order has shown that its effect is seen at all. Cleared of faults at the end."""
        seen = self._tried(case)
        try:
            self.faults.clear()
        except RehearseError as error:
            return replace(seen, problem=seen.problem or str(error), is_cleaned_up=False)
        return seen

    def _tried(self, case: RetryCase) -> RetrySeen:
        try:
            if problem := self._blindness():
                return RetrySeen(case, problem=problem, is_tried=False)
            return self._try(case)
        except RehearseError as error:
            return RetrySeen(case, problem=str(error))

    def _blindness(self) -> str:
        """Why effects cannot be counted; empty when one plain order counts as one."""
        self.faults.clear()
        key = _new_key()
        before = self._count(key)
        answer = self._send(key, self.order.body)
        effects = self._count(key) - before
        if not answer.is_success:
            return f"a plain order is answered {answer.shown}"
        return "" if effects == 1 else f"a plain order changes the count by {effects}, and not by 1"

    def _try(self, case: RetryCase) -> RetrySeen:
        key = None if case is RetryCase.NO_KEY else _new_key()
        before = self._count(key)
        injected, answers = {
            RetryCase.LOST_RESPONSE: self._lose_and_retry,
            RetryCase.NO_KEY: self._lose_and_retry,
            RetryCase.CONCURRENT: self._send_two_at_once,
            RetryCase.OTHER_PAYLOAD: self._send_two_payloads,
        }[case](key)
        return RetrySeen(case, answers, self._count(key) - before, injected)

    def _lose_and_retry(self, key: str | None) -> tuple[int, tuple[Answer, ...]]:
        earlier = self.faults.set(RESET)
        lost = self._send(key, self.order.body)
        seen = self.faults.clear().after(earlier)
        injected = sum(one.is_lost_response for one in seen) if lost.status is None else 0
        return injected, (lost, self._send(key, self.order.body))

    def _send_two_at_once(self, key: str | None) -> tuple[int, tuple[Answer, ...]]:
        earlier = self.faults.set(OVERLAP)
        start, answers = Barrier(2), list[Answer]()

        def send() -> None:
            start.wait()
            answers.append(self._send(key, self.order.body))

        threads = [Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        delayed = self.faults.clear().acted(OVERLAP.name) - earlier.acted(OVERLAP.name)
        both = len(answers) == 2 and max(one.began_s for one in answers) < min(one.ended_s for one in answers)
        return (2 if both and delayed >= 2 else 0), tuple(sorted(answers, key=lambda one: one.ended_s))

    def _send_two_payloads(self, key: str | None) -> tuple[int, tuple[Answer, ...]]:
        first = self._send(key, self.order.body)
        return int(first.is_success), (first, self._send(key, self.order.other_body))

    def _send(self, key: str | None, body: bytes) -> Answer:
        headers = dict(self.order.headers) | ({self.order.key_header: key} if key else {})
        began_s = time.monotonic()
        try:
            with self.new_client() as client:
                began_s = time.monotonic()
                found = client.request(self.order.method, self.order.path, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Answer(None, error=type(error).__name__, began_s=began_s, ended_s=time.monotonic())
        digest = hashlib.sha256(found.content).hexdigest()
        return Answer(found.status_code, digest, began_s=began_s, ended_s=time.monotonic())

    def _count(self, key: str | None) -> int:
        """The count, once it has stayed the same for a while."""
        last, same_s, waited_s = self.counter.count(key), 0.0, 0.0
        while same_s < self.settle_s:
            self.sleep(_SETTLE_STEP_S)
            waited_s += _SETTLE_STEP_S
            if waited_s > _SETTLE_AT_MOST_S:
                raise NotReady(f"the count of effects still changes after {_SETTLE_AT_MOST_S:g} s")
            now = self.counter.count(key)
            same_s = same_s + _SETTLE_STEP_S if now == last else 0.0
            last = now
        return last


def _new_key() -> str:
    return f"rehearse-{uuid4().hex}"
