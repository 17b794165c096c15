"""Boundary instants as inputs: what each side answers to the same request, and what only happens at a boundary.

What is different on ordinary days as well is no matter of dates: the response contract tells of that. So ordinary days
of the same years are asked too, and what they show is left out here.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from time import monotonic
from urllib.parse import quote

import httpx

from rehearse.edges.date_inputs import DateInput
from rehearse.edges.documents import is_below, moved, places_of, values_of
from rehearse.model import Assertion, EdgeOutcome, EdgeRecord, Proof, Step

PLACEHOLDER = "{instant}"
_ASKED_AGAIN = ("GET", "HEAD")  # what has an effect is sent once
_MOST_DISPUTED = 30  # inputs that are asked again, with their neighbours
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class DateRequest:
    """A request with `{instant}` in its path or body."""

    path: str
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def path_with(self, written: str) -> str:
        """With one instant in it."""
        return self.path.replace(PLACEHOLDER, quote(written, safe=""))

    def body_with(self, written: str) -> bytes:
        """The same."""
        return self.body.replace(PLACEHOLDER, written).encode()


# --- what was seen ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DateAnswer:
    """What one side answered to one input. `status` is None when there was no answer."""

    written: str
    status: int | None
    places: Mapping[str, str] = field(
        default_factory=dict
    )  # of its JSON: types by place, "$.total": "number"
    values: Mapping[str, str] = field(default_factory=dict)  # by place

    @property
    def status_class(self) -> str:
        """ "2xx", or "no answer"."""
        return "no answer" if self.status is None else f"{self.status // 100}xx"


@dataclass(frozen=True, slots=True)
class DatesSeen:
    """All answers of one side."""

    answers: tuple[DateAnswer, ...] = ()
    problem: str = ""  # why not everything was asked


NewClient = Callable[[], AbstractContextManager[httpx.Client]]


def ask_dates(
    request: DateRequest,
    inputs: Iterable[DateInput],
    new_client: NewClient,
    until_s: float,
    clock: Callable[[], float] = monotonic,
) -> DatesSeen:
    """Ask one side everything, until the clock says `until_s`."""
    chosen = tuple(inputs)
    answers = _ask_all(request, chosen, new_client, until_s, clock)
    if request.method not in _ASKED_AGAIN:
        answers = [replace(one, values={}) for one in answers]
    problem = f"there was time for {len(answers)} inputs only" if len(answers) < len(chosen) else ""
    return DatesSeen(tuple(answers), problem)


def ask_again(
    seen: DatesSeen,
    request: DateRequest,
    disputed: Sequence[DateInput],
    new_client: NewClient,
    until_s: float,
    clock: Callable[[], float] = monotonic,
) -> DatesSeen:
    """The same, with only those values at `disputed` inputs that are the same twice, and with their neighbours.

    What differs at a neighbour as well is no matter of the boundary: the load writes data, and each side's is its own.
    """
    chosen = disputed[:_MOST_DISPUTED]
    known = {one.written for one in seen.answers}
    near = dict.fromkeys(text for one in chosen for text in one.neighbours if text not in known)
    again = _ask_all(request, [*chosen, *map(DateInput, near)], new_client, until_s, clock)
    twice = {one.written: one for one in again}
    unknown = {
        one.written
        for one in disputed
        if one.written not in twice or not set(one.neighbours) <= known | set(twice)
    }
    answers = [
        replace(one, values={}) if one.written in unknown else _confirmed(one, twice.get(one.written, one))
        for one in seen.answers
    ]
    beside = [one for one in again if one.written in near]
    return replace(seen, answers=(*answers, *beside))


def _confirmed(one: DateAnswer, other: DateAnswer) -> DateAnswer:
    gone = moved([one.values, other.values])
    return replace(one, values={place: value for place, value in one.values.items() if place not in gone})


def _ask_all(
    request: DateRequest,
    inputs: Sequence[DateInput],
    new_client: NewClient,
    until_s: float,
    clock: Callable[[], float],
) -> list[DateAnswer]:
    answers: list[DateAnswer] = []
    headers = dict(request.headers) | ({"Content-Type": "application/json"} if request.body else {})
    with new_client() as client:
        for one in inputs:
            if clock() > until_s:
                break
            body = request.body_with(one.written) if request.body else None
            path = request.path_with(one.written)
            answers.append(answer_to(client, request.method, path, headers, body, written=one.written)[0])
    return answers


def answer_to(
    client: httpx.Client,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    written: str,
) -> tuple[DateAnswer, str]:
    """What one request is answered, and the answer's `Date`, which is empty when it says none."""
    try:
        found = client.request(method, path, headers=headers, content=body)
    except httpx.HTTPError:
        return DateAnswer(written, None), ""
    answer = DateAnswer(written, found.status_code, places_of(found.content), values_of(found.content))
    return answer, found.headers.get("date", "")


# --- what differs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What one side does at one input that the other does not."""

    written: str
    what: str  # "$.total is null, on the baseline number": the same for the same break
    values: str = ""  # "7, on the baseline 5", where they differ

    @property
    def sentence(self) -> str:
        """Both, for one input."""
        return f"{self.what}: {self.values}" if self.values else self.what


@dataclass(frozen=True, slots=True)
class Comparing:
    """What of two answers is compared: fixed before the run."""

    values: bool = True
    ignored_places: tuple[str, ...] = ()  # with all below them


EVERYTHING = Comparing()


def differences(candidate: DatesSeen, baseline: DatesSeen, comparing: Comparing) -> list[Difference]:
    """Per input: another class of status; or at a place that both answers have, another type or another value."""
    known = {one.written: one for one in baseline.answers}
    return [
        found
        for answer in candidate.answers
        if answer.written in known
        for found in unlike(answer, known[answer.written], comparing)
    ]


def special(
    inputs: Sequence[DateInput], candidate: DatesSeen, baseline: DatesSeen, comparing: Comparing
) -> list[Difference]:
    """What differs at boundaries only: not on ordinary days, and where it is a value not today or beside one either."""
    boundaries = {one.written for one in inputs if one.why}
    ordinary_days = {one.written for one in inputs} - boundaries
    now = {one.written for one in inputs if one.is_now}
    found = differences(candidate, baseline, comparing)
    ordinary = {
        one.what
        for one in found
        if one.written in ordinary_days
        or (one.values and (one.written in now or one.written not in boundaries))
    }
    return [one for one in found if one.written in boundaries and one.what not in ordinary]


def disputed(
    inputs: Sequence[DateInput], candidate: DatesSeen, baseline: DatesSeen, comparing: Comparing
) -> tuple[DateInput, ...]:
    """The inputs at which a value differs, and may only do so because it never is the same twice."""
    found = {one.written for one in special(inputs, candidate, baseline, comparing) if one.values}
    return tuple(one for one in inputs if one.written in found)


def unlike(
    answer: DateAnswer, theirs: DateAnswer, comparing: Comparing, left_out: Collection[str] = ()
) -> list[Difference]:
    """What one answer has that another one has not; values of `left_out` places are no matter."""
    written = answer.written
    if answer.status_class != theirs.status_class:
        mine = answer.status or "no answer"
        return [Difference(written, f"answered {mine}, on the baseline {theirs.status or 'no answer'}")]
    places = [place for place in theirs.places if place in answer.places]
    places = [place for place in places if not is_below(place, comparing.ignored_places)]
    types = [
        Difference(written, f"{place} is {answer.places[place]}, on the baseline {theirs.places[place]}")
        for place in places
        if answer.places[place] != theirs.places[place]
    ]
    return types + [
        Difference(
            written, f"{place} is another value than on the baseline", f"{mine}, on the baseline {other}"
        )
        for place in places
        if comparing.values and answer.places[place] == theirs.places[place] and not is_below(place, left_out)
        for mine, other in [(answer.values.get(place), theirs.values.get(place))]
        if mine is not None and other is not None and mine != other
    ]


def ruled(
    planned: EdgeRecord,
    request: DateRequest,
    inputs: Sequence[DateInput],
    candidate: DatesSeen,
    baseline: DatesSeen | None,
    url: str,
    comparing: Comparing = EVERYTHING,
) -> EdgeRecord:
    """The record of one case: what the candidate does at boundaries only, and the baseline never."""
    why = {one.written: one.why for one in inputs}
    boundaries = {written for written, reason in why.items() if reason}
    known = baseline or DatesSeen()
    served = [one for one in known.answers if one.written in boundaries and one.status_class == "2xx"]
    found = special(inputs, candidate, known, comparing)
    first = found[0] if found else None
    problem = (
        candidate.problem or known.problem or ("" if baseline else "the baseline's answers are not known")
    )
    asked = len({one.written for one in candidate.answers} & boundaries)
    return replace(
        planned,
        injection=Step(
            f"{len(boundaries)} boundary instants as {request.method} {request.path}", bool(asked), problem
        ),
        assertions=(_assertion(found, why, asked, problem),),
        cleanup=Step("nothing was changed: an input is no fault", True),
        proofs=(
            Proof("boundary instants that the candidate was asked", asked),
            Proof("boundary instants that the baseline answers well", len(served)),
        ),
        told=_told(request, found, why, len(boundaries)),
        reproduce=command(request, url, first.written) if first else "",
    )


def _assertion(found: Sequence[Difference], why: Mapping[str, str], asked: int, problem: str) -> Assertion:
    what = "the candidate answers every boundary instant as the baseline does"
    hit = list(dict.fromkeys(one.written for one in found))
    numbers: dict[str, float | int | str | None] = {"instants": asked, "different": len(hit)}
    if found:
        first = found[0]
        more = f"; {len(hit) - 1} more: {_listed(hit[1:])}" if len(hit) > 1 else ""
        sentence = f"{first.written} ({why[first.written]}): {first.sentence}{more}"
        return Assertion(what, EdgeOutcome.FAIL, sentence, numbers)
    if problem:
        return Assertion(what, EdgeOutcome.INCONCLUSIVE, problem, numbers)
    return Assertion(what, EdgeOutcome.PASS, f"{asked} instants are answered as by the baseline", numbers)


def _told(request: DateRequest, found: Sequence[Difference], why: Mapping[str, str], count: int) -> str:
    """One line for each kind of break, with the first instant that shows it."""
    by_what: dict[str, list[str]] = {}
    for one in found:
        by_what.setdefault(one.what, []).append(one.written)
    asked = f"{request.method} {request.path} was asked {count} boundary instants on both sides"
    if not by_what:
        return asked
    lines = [f"{what}: {_listed(hit)} ({why[hit[0]]})" for what, hit in list(by_what.items())[:_MOST_NAMED]]
    more = (
        f"; and {len(by_what) - _MOST_NAMED} more kinds of difference" if len(by_what) > _MOST_NAMED else ""
    )
    return f"{asked}: {'; '.join(lines)}{more}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def command(request: DateRequest, url: str, written: str) -> str:
    """One command that shows it; what a login tells is left for whoever runs it."""
    words = ["curl", "-i"]
    words += ["-X", request.method] if request.method != "GET" else []
    if request.body:
        words += ["-H", "Content-Type: application/json", "-d", request.body_with(written).decode()]
    return shlex.join([*words, f"{url.rstrip('/')}{request.path_with(written)}"])
