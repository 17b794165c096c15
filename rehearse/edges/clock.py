"""Another time of day for a process that `rehearse` starts itself, by libfaketime, and what it answers around a moment.

Programs that are linked statically, or ask the kernel by themselves (Go), do not see the shift. So nothing is believed
of it but what the target's own clock says: an answer counts for the moment that stands in its `Date`.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

from rehearse.edges.dates import EVERYTHING, Comparing, DateAnswer, Difference, unlike
from rehearse.edges.documents import moved
from rehearse.edges.pulse import PulseSeen, fails_more
from rehearse.errors import NotReady
from rehearse.judge.stats import fisher_p_value
from rehearse.model import Assertion, EdgeOutcome, EdgeRecord, Proof, Side, Step

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where libfaketime keeps the clock that processes share
FAKETIME = "faketime"  # the command of libfaketime; it knows where the library is
_ASKED_S = 5.0
CLOSE_S = 5.0  # a clock that is further off than this is not the one that was meant
_BLURRED_S = 1.0  # a `Date` is of the second that begun last, and servers keep one for a while
_SEEN = 2  # answers that must show a difference: one alone may be the load's doing
_CHANCE = 0.01  # what the baseline does at times as well is another matter when chance explains it less often
_CLEARLY_MORE = 0.5  # of the answers: when they are too few to rule chance out, nobody can tell
_MOST_NAMED = 3


class Moment(StrEnum):
    """When something was answered."""

    TODAY = "today"  # by the true clock, before the shift
    BEFORE = "before"
    AFTER = "after"


def shifted_start(offset_s: int, monotonic: str = "kept") -> tuple[str, ...]:
    """What to put before a command so that it, and its children, live so many seconds later. Raises NotReady.

    With `monotonic` "kept" CLOCK_MONOTONIC is left alone. libfaketime 0.9.10 gets sleeping until a moment of it wrong
    then (Python's `time.sleep` fails), and with "shifted" waiting until one (threads wait for ever).
    """
    try:
        asked = subprocess.run(
            [FAKETIME, "-m", "-f", "+0", "printenv", "LD_PRELOAD"],
            capture_output=True,
            check=False,
            text=True,
            timeout=_ASKED_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReady(f"libfaketime is not there ({error}); install the package `faketime`") from None
    if asked.returncode != 0 or not (library := asked.stdout.strip()):
        raise NotReady(f"`faketime` does not work here: {asked.stderr.strip()[:200] or 'it says no library'}")
    is_kept = monotonic == "kept"
    settings = {
        "LD_PRELOAD": library,
        "FAKETIME": f"{offset_s:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": str(int(is_kept)),
        # Its repair of waits for glibc before 2.24: needed where they are shifted, and else threads wait too long.
        "FAKETIME_FORCE_MONOTONIC_FIX": str(int(not is_kept)),
        "NO_FAKE_STAT": "1",  # files keep their times: Python would compile every module anew
    }
    return ("env", *(f"{name}={value}" for name, value in settings.items()))


def remove_traces(process_ids: Iterable[int]) -> None:
    """What libfaketime leaves behind of processes that were ended."""
    for number in process_ids:
        for name in (f"faketime_shm_{number}", f"sem.faketime_sem_{number}"):
            (SHARED_MEMORY / name).unlink(missing_ok=True)


def read_instant(text: object) -> datetime | None:
    """What a clock says: a `Date` header, ISO 8601 with its offset, or seconds since 1970; None when it is neither."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        try:
            return datetime.fromtimestamp(text, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    if not isinstance(text, str):
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            return found.astimezone(UTC) if found.tzinfo is not None else None
        except (ValueError, OverflowError):  # a year of twenty digits is none
            continue
    return None


# --- what was seen ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """All answers of one side; `written` of each is its path."""

    today: tuple[DateAnswer, ...] = ()
    before: tuple[DateAnswer, ...] = ()
    after: tuple[DateAnswer, ...] = ()
    unshifted: int = 0  # answers whose clock said another time than was set, or nothing
    load: PulseSeen = field(default_factory=PulseSeen)  # the ordinary load since the boundary
    problem: str = ""  # why it was not injected
    left_behind: str = ""  # why the true time may not be back

    def at(self, moment: Moment) -> tuple[DateAnswer, ...]:
        """What was answered then."""
        return {Moment.TODAY: self.today, Moment.BEFORE: self.before, Moment.AFTER: self.after}[moment]


def with_answer(
    seen: ClockSeen, answer: DateAnswer, says: datetime | None, expected: datetime, boundary: datetime
) -> ClockSeen:
    """The same with one answer of the shifted time more, in its place by what the target's own clock `says`.

    Who does not answer at all says nothing; then the time counts that was set, if that has been seen before.
    """
    if answer.status is None and len(seen.before) >= _SEEN:
        says = expected
    if says is None or abs(says - expected) > timedelta(seconds=CLOSE_S):
        return replace(seen, unshifted=seen.unshifted + 1)
    if says >= boundary:
        return replace(seen, after=(*seen.after, answer))
    if says < boundary - timedelta(seconds=_BLURRED_S):
        return replace(seen, before=(*seen.before, answer))
    return seen


# --- what it comes to ---------------------------------------------------------------------------------------------


IsRarer = Callable[[int, int, int, int], bool]  # so many of so many on the baseline, and on the candidate


def is_beyond_chance(had: int, of: int, has: int, of_now: int) -> bool:
    """Whether the candidate gives a kind of answer more often than chance explains (Fisher's exact test)."""
    return fisher_p_value(had, of, has, of_now) < _CHANCE


def looks_rarer(had: int, of: int, has: int, of_now: int) -> bool:
    """Whether it seems to, by far."""
    return has / of_now - had / of >= _CLEARLY_MORE


def differences(
    candidate: ClockSeen, baseline: ClockSeen, comparing: Comparing, is_rarer: IsRarer = is_beyond_chance
) -> dict[Moment, list[Difference]]:
    """What the candidate does before or after the boundary, and the baseline never, or more rarely; but not what is so
    today as well.

    A value that differs before the boundary is the load's own data, and no matter of the clock, then or afterwards.
    """
    found: dict[Moment, list[Difference]] = {moment: [] for moment in Moment}
    for path in dict.fromkeys(one.written for one in candidate.today):
        both = [_of_path(path, seen) for seen in (candidate, baseline)]
        moving = {place for side in both for answers in side.values() for place in moved(_values(answers))}
        for moment in Moment:
            mine, theirs = (side[moment] for side in both)
            usual = _usual(mine, theirs, is_rarer)
            found[moment] += _differences(mine, usual, comparing, moving)
    today = {(one.written, one.what) for one in found.pop(Moment.TODAY)}
    drifted = {(one.written, one.what) for one in found[Moment.BEFORE] if one.values}
    found[Moment.BEFORE] = [one for one in found[Moment.BEFORE] if not one.values]
    return {
        moment: [one for one in those if (one.written, one.what) not in today | drifted]
        for moment, those in found.items()
    }


def _of_path(path: str, seen: ClockSeen) -> dict[Moment, list[DateAnswer]]:
    return {moment: [one for one in seen.at(moment) if one.written == path] for moment in Moment}


def _values(answers: Iterable[DateAnswer]) -> list[Mapping[str, str]]:
    return [one.values for one in answers if one.status_class == "2xx"]


def _usual(mine: Sequence[DateAnswer], theirs: Sequence[DateAnswer], is_rarer: IsRarer) -> list[DateAnswer]:
    """The baseline's answers without those that are rarer there: one flake of its own excuses nobody's break."""
    kept = [
        one
        for one in theirs
        if one.status_class == "2xx" or not _is_rare(one, _class, mine, theirs, is_rarer)
    ]
    return [
        one
        for one in kept
        if not _is_rare(one, _types, _as(one, mine), _as(one, theirs), is_rarer)  # of those that ended alike
    ]


def _is_rare(
    one: DateAnswer,
    kind: Callable[[DateAnswer], object],
    mine: Sequence[DateAnswer],
    theirs: Sequence[DateAnswer],
    is_rarer: IsRarer,
) -> bool:
    had, has = (sum(kind(other) == kind(one) for other in answers) for answers in (theirs, mine))
    return has > 0 and is_rarer(had, len(theirs), has, len(mine))


def _class(answer: DateAnswer) -> object:
    return answer.status_class


def _types(answer: DateAnswer) -> object:
    return answer.places


def _as(one: DateAnswer, answers: Sequence[DateAnswer]) -> list[DateAnswer]:
    return [other for other in answers if other.status_class == one.status_class]


def _differences(
    mine: Sequence[DateAnswer], theirs: Sequence[DateAnswer], comparing: Comparing, moving: Collection[str]
) -> list[Difference]:
    """What `_SEEN` answers show at least, and what is unlike all of the baseline's."""
    if not theirs:
        return []
    shown = Counter(one for answer in mine for one in _unlike_all(answer, theirs, comparing, moving))
    return [one for one, count in shown.items() if count >= _SEEN]


def _unlike_all(
    answer: DateAnswer, known: Sequence[DateAnswer], comparing: Comparing, moving: Collection[str]
) -> list[Difference]:
    """Nothing when one of the baseline's answers is like it; else what tells it from the one that is nearest."""
    return min((unlike(answer, one, comparing, moving) for one in _as(answer, known) or known), key=len)


def ruled(
    planned: EdgeRecord,
    injection: str,
    boundary: str,
    candidate: ClockSeen,
    baseline: ClockSeen | None,
    failed_ratio: float,
    comparing: Comparing = EVERYTHING,
) -> EdgeRecord:
    """The record of one case. Without a target's own clock as a witness it was not run."""
    known = baseline or ClockSeen(problem="the baseline's answers are not known")
    sides = {Side.BASELINE: known, Side.CANDIDATE: candidate}
    problems = [why for side, one in sides.items() if (why := _why_not(side, one))]
    found = differences(candidate, known, comparing)
    doubtful = differences(candidate, known, comparing, looks_rarer)
    load = fails_more(
        "the ordinary load fails no more often after it than on the baseline",
        candidate.load,
        known.load,
        failed_ratio,
    )
    return replace(
        planned,
        injection=Step(injection, not problems, "; ".join(problems)),
        assertions=(
            *(_assertion(moment, found[moment], doubtful[moment], sides, boundary) for moment in found),
            load,
        ),
        cleanup=Step(
            "the targets run by the true clock again",
            not any(one.left_behind for one in sides.values()),
            "; ".join(one.left_behind for one in sides.values() if one.left_behind),
        ),
        proofs=tuple(proof for side, one in sides.items() for proof in _proofs(side, one, boundary)),
        told=_told(injection, found, sides),
    )


def _why_not(side: Side, seen: ClockSeen) -> str:
    if seen.problem or not seen.unshifted or seen.before:
        return seen.problem
    return f"the {side} does not live at the time that was set: its own clock says another one, or none"


def _proofs(side: Side, seen: ClockSeen, boundary: str) -> list[Proof]:
    paths = {one.written for one in (*seen.today, *seen.before, *seen.after)}
    proofs = [
        Proof(
            f"answers of the {side} at each path that its own clock dates {moment} {boundary}",
            min((sum(one.written == path for one in seen.at(moment)) for path in paths), default=0),
            _SEEN,
        )
        for moment in (Moment.BEFORE, Moment.AFTER)
    ]
    if side is Side.BASELINE:
        well = sum(one.status_class == "2xx" for one in seen.after)
        proofs.append(Proof(f"good answers of the baseline after {boundary}", well))
    return proofs


def _assertion(
    moment: Moment,
    found: Sequence[Difference],
    doubtful: Sequence[Difference],
    sides: Mapping[Side, ClockSeen],
    boundary: str,
) -> Assertion:
    what = f"the candidate answers {moment} {boundary} as the baseline does"
    count, known = (len(sides[side].at(moment)) for side in (Side.CANDIDATE, Side.BASELINE))
    numbers: dict[str, float | int | str | None] = {
        "answers": count,
        "baseline_answers": known,
        "different": len(found),
    }
    if found:
        return Assertion(what, EdgeOutcome.FAIL, _listed(found), numbers)
    if doubtful:
        too_few = f"the baseline does so at times, too; {count} answers and {known} are too few to tell"
        return Assertion(what, EdgeOutcome.INCONCLUSIVE, f"{_listed(doubtful)}; {too_few}", numbers)
    return Assertion(what, EdgeOutcome.PASS, f"{count} answers are alike", numbers)


def _listed(found: Sequence[Difference]) -> str:
    named = [f"{one.written} {one.sentence}" for one in found[:_MOST_NAMED]]
    more = len(found) - _MOST_NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _told(
    injection: str, found: Mapping[Moment, Sequence[Difference]], sides: Mapping[Side, ClockSeen]
) -> str:
    counts = ", ".join(
        f"the {side} {len(one.before)} times before and {len(one.after)} times after"
        for side, one in sides.items()
    )
    breaks = [f"{moment}: {_listed(those)}" for moment, those in found.items() if those]
    return f"{injection}; asked were {counts}" + (f"; {'; '.join(breaks)}" if breaks else "")
