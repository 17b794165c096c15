"""The exit plan: how to get through an upgrade, back out of it, or forward to a repair; and what is wrong with a plan.

Times are kept as text in ISO 8601. Pure: who asks says which day it is, and what is measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from rehearse.errors import nearest

AFTER_START = re.compile(r"T\+(\d+(?:\.\d+)?)\s*(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_STALE_DAYS = 90  # people and systems have changed since

Deed = tuple[str, ...] | str  # a command, or in words what is done by hand


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the upgrade, in its order. A step without a deed is done by hand, as its name says."""

    name: str
    run: Deed = ()
    undo: Deed = ()
    verify: tuple[str, ...] = ()  # ids of checks that must pass before the next step
    timeout_s: float = 600.0
    is_point_of_no_return: bool = False
    window: str = ""  # what runs with what once it is done: "old app, new schema"

    @property
    def can_be_undone(self) -> bool:
        """Whether the way back still leads through here."""
        return bool(self.undo) and not self.is_point_of_no_return


@dataclass(frozen=True, slots=True)
class ForwardStep:
    """One step from the broken candidate to its repair."""

    name: str
    run: Deed = ()
    verify: tuple[str, ...] = ()
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Criterion:
    """What makes the team turn back, and what measures it. At most one of the three is set."""

    when: str
    objective: str = ""  # a metric of [objectives]
    series: str = ""  # a name of [[series]]
    check: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window of time in which nothing is promoted."""

    begins: str  # ISO 8601, with its offset
    ends: str
    reason: str

    def holds_at(self, now: datetime) -> bool:
        """Whether `now` lies in it; its ends belong to it."""
        return datetime.fromisoformat(self.begins) <= now <= datetime.fromisoformat(self.ends)


@dataclass(frozen=True, slots=True)
class Backup:
    """What can be restored, and who has seen that it can."""

    what: str = ""
    max_age_s: float | None = None
    check: str = ""  # the check that looks at its age
    restore_rehearsed: str = ""  # the day


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """The whole plan, as the configuration has it."""

    strategy: str
    decide_by: str = ""
    decide_before: str = ""  # the step that waits for the decision
    decider: str = ""
    text: str = ""
    steps: tuple[Step, ...] = ()
    forward: tuple[ForwardStep, ...] = ()
    forward_rehearsed: str = ""  # the day
    abort: tuple[Criterion, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    backup: Backup = Backup()

    @property
    def is_empty(self) -> bool:
        """Whether nobody has planned anything."""
        return self == ExitPlan(self.strategy, freeze=self.freeze)

    @property
    def last_way_back(self) -> Step | None:
        """The first step that cannot be undone: until it begins, the way back is open."""
        return next((step for step in self.steps if not step.can_be_undone), None)


@dataclass(frozen=True, slots=True)
class Measured:
    """What there is to refer to."""

    checks: Collection[str]  # ids
    objectives: Collection[str]
    series: Collection[str]


class Level(StrEnum):
    """How bad a fault is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a plan, and what to do. An error means that following it can end without a way out."""

    level: Level
    where: str  # the key, as in rehearse.toml
    sentence: str


def faults(plan: ExitPlan, measured: Measured, today: date) -> tuple[Fault, ...]:
    """All of them, errors first."""
    if plan.is_empty:
        advice = "agree on how to get back, and until when, before you go: docs/exit-plan.md has a whole one"
        return (_warning("exit_plan", f"is not there; {advice}"),)
    found = [
        *_of_steps(plan),
        *_of_the_decision(plan),
        *_of_checks(plan, measured),
        *_of_criteria(plan, measured),
        *_of_forward(plan, today),
        *_of_the_backup(plan, today),
    ]
    return tuple(sorted(found, key=lambda fault: fault.level != "error"))


def _error(where: str, sentence: str) -> Fault:
    return Fault(Level.ERROR, where, sentence)


def _warning(where: str, sentence: str) -> Fault:
    return Fault(Level.WARNING, where, sentence)


def _of_steps(plan: ExitPlan) -> Iterator[Fault]:
    if not plan.steps:
        yield _warning(
            "exit_plan.steps", "are not there: only `text` says what to do; write [[exit_plan.steps]]"
        )
    names = [*(step.name for step in plan.steps), *(step.name for step in plan.forward)]
    for name, count in Counter(names).items():
        if count > 1:
            yield _error("exit_plan.steps", f"{count} are named {name!r}: nobody could say which one failed")
    returns = [number for number, step in enumerate(plan.steps) if step.is_point_of_no_return]
    for number in returns[1:]:
        yield _error(
            _step(number, "point_of_no_return"),
            f"is the second one after step {plan.steps[returns[0]].name!r}; there is one, the first",
        )
    first = returns[0] if returns else len(plan.steps)
    for number, step in enumerate(plan.steps):
        if not step.undo:
            yield from _without_undo(plan, step, number, first)


def _without_undo(plan: ExitPlan, step: Step, number: int, first: int) -> Iterator[Fault]:
    where = _step(number, "undo")
    if number < first:
        advice = "write its undo, or say point_of_no_return = true and decide before it"
        yield _error(
            where, f"is missing in step {step.name!r}, and nothing says that there is no way back: {advice}"
        )
    elif not plan.forward:
        place = "is the point of no return" if number == first else "comes after the point of no return"
        advice = "write its undo, or [[exit_plan.forward]] steps that lead to a repair"
        yield _error(
            where, f"is missing, and step {step.name!r} {place}: there is no way out of it; {advice}"
        )
    elif number > first:
        advice = "only the forward steps lead out of it: rehearse them"
        yield _warning(where, f"is missing in step {step.name!r}, after the point of no return; {advice}")


def _step(number: int, key: str) -> str:
    return f"exit_plan.steps[{number}].{key}"


def _of_the_decision(plan: ExitPlan) -> Iterator[Fault]:
    if not plan.decider:
        yield _warning("exit_plan.decider", "is missing: name the role that decides; silence is not go")
    if not plan.decide_by and not plan.decide_before:
        yield _warning(
            "exit_plan.decide_by",
            "is missing: who does not know when to turn back turns too late; write 'T+20m'",
        )
    names = [step.name for step in plan.steps]
    if plan.decide_before and plan.decide_before not in names:
        yield _error(
            "exit_plan.decide_before",
            f"{plan.decide_before!r} is no step. {nearest(plan.decide_before, names)}",
        )
        return
    last = plan.last_way_back
    if last is None:
        return
    position = names.index(last.name)
    if plan.decide_before and names.index(plan.decide_before) > position:
        yield _error(
            "exit_plan.decide_before",
            f"{plan.decide_before!r} comes after {last.name!r}, which cannot be undone: decide before {last.name!r}",
        )
    yield from _too_late(plan, plan.steps[:position], last)


def _too_late(plan: ExitPlan, undoable: Sequence[Step], last: Step) -> Iterator[Fault]:
    """Without a step that waits for it, a decision by the clock must come while all steps so far can be undone."""
    decide_s = seconds_after_start(plan.decide_by)
    longest_s = sum(step.timeout_s for step in undoable)
    if plan.decide_before or decide_s is None or decide_s <= longest_s:
        return
    yield _error(
        "exit_plan.decide_by",
        f"{plan.decide_by!r} is later than the last step that can be undone: by T+{longest_s / 60:.3g}m step"
        f" {last.name!r} has begun; decide earlier, or let it wait with decide_before = {last.name!r}",
    )


def seconds_after_start(text: str) -> float | None:
    """`T+20m` is 1200; None for a decision point in other words."""
    found = AFTER_START.search(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def _of_checks(plan: ExitPlan, measured: Measured) -> Iterator[Fault]:
    named = [(_step(number, "verify"), one) for number, step in enumerate(plan.steps) for one in step.verify]
    named += [
        (f"exit_plan.forward[{number}].verify", one)
        for number, step in enumerate(plan.forward)
        for one in step.verify
    ]
    named += [("exit_plan.backup.check", plan.backup.check)] if plan.backup.check else []
    for where, check_id in named:
        if check_id not in measured.checks:
            yield _error(where, f"{check_id!r} is no check. {nearest(check_id, measured.checks)}")
    for number, step in enumerate(plan.steps):
        if not step.verify:
            yield _warning(
                _step(number, "verify"),
                f"is missing: nothing shows that step {step.name!r} has worked; name a check",
            )


def _of_criteria(plan: ExitPlan, measured: Measured) -> Iterator[Fault]:
    if not plan.abort:
        yield _warning(
            "exit_plan.abort", "is missing: say what makes you turn back; write [[exit_plan.abort]]"
        )
    for when, count in Counter(one.when for one in plan.abort).items():
        if count > 1:
            yield _error(
                "exit_plan.abort", f"{count} say {when!r}: nobody could tell which one fired; reword one"
            )
    for number, one in enumerate(plan.abort):
        where = f"exit_plan.abort[{number}]"
        given = [
            (key, value, known)
            for key, value, known in (
                ("objective", one.objective, measured.objectives),
                ("series", one.series, measured.series),
                ("check", one.check, measured.checks),
            )
            if value
        ]
        if not given:
            advice = "name an objective, a series or a check that does"
            yield _warning(where, f"nothing measures {one.when!r}; {advice}")
        if len(given) > 1:
            yield _error(
                where, f"{one.when!r} names {' and '.join(key for key, _, _ in given)}; one measures it"
            )
        for key, value, known in given:
            if value not in known:
                yield _error(f"{where}.{key}", f"{value!r} is not measured. {nearest(value, known)}")


def _of_forward(plan: ExitPlan, today: date) -> Iterator[Fault]:
    if plan.strategy == "roll-forward" and not plan.forward and plan.steps:
        yield _error(
            "exit_plan.forward", "is missing, and the strategy is roll-forward; write [[exit_plan.forward]]"
        )
    if plan.forward:
        yield from _rehearsed(
            "exit_plan.forward_rehearsed", "the forward steps", plan.forward_rehearsed, today
        )


def _of_the_backup(plan: ExitPlan, today: date) -> Iterator[Fault]:
    if not plan.backup.what:
        if plan.last_way_back is not None:
            sentence = (
                f"is missing, and step {plan.last_way_back.name!r} cannot be undone; say what can be restored"
            )
            yield _warning("exit_plan.backup", sentence)
        return
    if plan.backup.max_age_s is None:
        yield _warning(
            "exit_plan.backup.max_age", "is missing: say how old it may be when the upgrade begins"
        )
    yield from _rehearsed(
        "exit_plan.backup.restore_rehearsed", "its restore", plan.backup.restore_rehearsed, today
    )


def _rehearsed(where: str, what: str, day: str, today: date) -> Iterator[Fault]:
    if not day:
        yield _warning(
            where, f"is missing: {what} was never rehearsed; do it on staging, and write down the day"
        )
        return
    age = (today - date.fromisoformat(day)).days
    if age < 0:
        yield _error(where, f"{day} lies in the future: write the day on which {what} was rehearsed last")
    elif age > _STALE_DAYS:
        yield _warning(where, f"{day} is {age} days ago: rehearse {what} again")
