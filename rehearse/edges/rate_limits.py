"""Whoever is told to wait, and for how long, waits: is there still a limit, does it say so, and is it kept?

RFC 9110, 10.2.3: `Retry-After` is a number of seconds or a date.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from rehearse.model import Assertion, EdgeOutcome, EdgeRecord, Proof, Step

TOLD_TO_WAIT = (429, 503)
ASKING_S = 10.0  # until the limit is reached
_TRIES, _BETWEEN_S = 3, 0.3  # afterwards: ordinary load uses the limit as well
_LONGEST_SHOWN = 60
Ruling = tuple[EdgeOutcome, str]


@dataclass(frozen=True, slots=True)
class LimitSeen:
    """What one side did with many requests in a row."""

    sent: int = 0  # up to the one that was refused
    status: int | None = None  # of that one
    retry_after: str = ""  # as it was sent
    wait_s: float | None = None  # as it was meant; None when it cannot be read
    then: int | None = None  # status after the wait
    problem: str = ""

    @property
    def is_told(self) -> bool:
        """Whether there is a limit at all."""
        return self.status in TOLD_TO_WAIT

    @property
    def is_kept(self) -> bool:
        """Whether who waited was answered."""
        return self.then is not None and self.then not in TOLD_TO_WAIT

    @property
    def sentence(self) -> str:
        """ "refuses the 11th request with 429, `Retry-After: 2`, and answers 200 afterwards"."""
        if not self.is_told:
            return f"answers {self.sent} requests in a row and refuses none"
        told = f"`Retry-After: {self.retry_after}`" if self.retry_after else "no `Retry-After`"
        then = "" if self.then is None else f", and answers {self.then} afterwards"
        return f"refuses request {self.sent} with {self.status}, {told}{then}"


@dataclass(frozen=True, slots=True)
class LimitProbe:
    """Asks for one path until it is refused, waits as it is told, and asks again."""

    new_client: Callable[[], AbstractContextManager[httpx.Client]]
    path: str
    requests: int
    longest_wait_s: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self) -> LimitSeen:
        """All of it. Nothing but GET is sent."""
        try:
            with self.new_client() as client:
                seen = self._until_refused(client)
                if seen.wait_s is None or seen.wait_s > self.longest_wait_s:
                    return seen
                self.sleep(seen.wait_s)
                return replace(seen, then=self._afterwards(client))
        except httpx.HTTPError as error:
            return LimitSeen(problem=f"{self.path} does not answer: {type(error).__name__}")

    def _until_refused(self, client: httpx.Client) -> LimitSeen:
        until_s = self.clock() + ASKING_S
        sent = 0
        while sent < self.requests and self.clock() < until_s:
            answer = client.get(self.path)
            sent += 1
            if answer.status_code in TOLD_TO_WAIT:
                told = answer.headers.get("retry-after", "")[:_LONGEST_SHOWN]
                wait_s = read_wait(told, answer.headers.get("date", ""))
                return LimitSeen(sent, answer.status_code, told, wait_s)
        return LimitSeen(sent)

    def _afterwards(self, client: httpx.Client) -> int:
        for _ in range(_TRIES):
            status = client.get(self.path).status_code
            if status not in TOLD_TO_WAIT:
                break
            self.sleep(_BETWEEN_S)
        return status


def read_wait(
    text: str, date: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """What `Retry-After` means, in seconds from the answer's `Date` on; None when it means nothing."""
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    until, since = _instant(text), _instant(date)
    if until is None:
        return None
    return max(0.0, (until - (since or now())).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year of twenty digits is none
        return None
    return found if found.tzinfo is not None else None


# --- what it comes to ---------------------------------------------------------------------------------------------


def ruled(
    planned: EdgeRecord,
    probe_told: str,
    candidate: LimitSeen,
    baseline: LimitSeen | None,
    longest_wait_s: float,
) -> EdgeRecord:
    """The record of one case. Where the baseline refuses nothing there is nothing to be told."""
    known = baseline or LimitSeen(problem="the baseline's answers are not known")
    problem = candidate.problem or known.problem
    outcome, sentence = _ruling(candidate, known, longest_wait_s)
    numbers = {
        "wait_s": candidate.wait_s,
        "baseline_wait_s": known.wait_s,
        "sent": candidate.sent,
        "baseline_sent": known.sent,
    }
    return replace(
        planned,
        injection=Step(probe_told, not problem, problem),
        assertions=(Assertion("who is told to wait, and waits, is answered", outcome, sentence, numbers),),
        cleanup=Step("nothing was changed: only reads were sent", True),
        proofs=(
            Proof("requests that the baseline refused with 429 or 503", int(known.is_told)),
            Proof("requests that the candidate was sent", candidate.sent),
        ),
        told=f"{probe_told}: the baseline {known.sentence}; the candidate {candidate.sentence}",
    )


def _ruling(candidate: LimitSeen, known: LimitSeen, longest_wait_s: float) -> Ruling:
    if not candidate.is_told and candidate.sent < known.sent:
        return EdgeOutcome.INCONCLUSIVE, f"there was time for {candidate.sent} requests only"
    if not candidate.is_told:
        return EdgeOutcome.FAIL, f"it {candidate.sentence}; the baseline {known.sentence}"
    if candidate.wait_s is None:
        if known.wait_s is not None:
            return (
                EdgeOutcome.FAIL,
                f"it does not say for how long: it {candidate.sentence}; the baseline {known.sentence}",
            )
        return EdgeOutcome.PASS, f"it {candidate.sentence}, as the baseline"
    if candidate.wait_s > longest_wait_s:
        is_longer = known.wait_s is not None and known.wait_s <= longest_wait_s
        outcome = EdgeOutcome.FAIL if is_longer else EdgeOutcome.INCONCLUSIVE
        return outcome, f"it asks to wait {candidate.wait_s:g} s, longer than `longest_wait`"
    if not candidate.is_kept:
        outcome = EdgeOutcome.FAIL if known.is_kept else EdgeOutcome.ALREADY_BROKEN
        return outcome, f"it does not keep its word: it {candidate.sentence}; the baseline {known.sentence}"
    return EdgeOutcome.PASS, f"it {candidate.sentence}"
