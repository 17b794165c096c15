"""The exit plan as a runbook: one text for the report and for Markdown. For somebody at 3 a.m."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rehearse.exit_plan import Criterion, Deed, ExitPlan, Fault, Freeze, Step
from rehearse.report.units import brief, length

BY_HAND = "by hand"
NO_WAY_BACK = "there is no way back from here"


def runbook_text(plan: ExitPlan) -> str:
    """The plan as the report shows it; Markdown as well. Empty when nobody has planned anything."""
    if plan.is_empty:
        return ""
    if not plan.steps:  # only words: they are the plan
        return "\n".join([*_head(plan), plan.text]).strip()
    sections = [
        ("", _head(plan)),
        ("Turn back when", [f"- {line}" for line in watched(plan)]),
        ("Before you begin", [f"- {line}" for line in before(plan)]),
        ("The steps", list(_steps(plan))),
        ("The way back", list(_way_back(plan))),
        ("The way forward", list(_way_forward(plan))),
        ("And", [plan.text] if plan.text else []),
    ]
    blocks = ["\n".join([*([f"## {name}", ""] if name else []), *lines]) for name, lines in sections if lines]
    return "\n\n".join(blocks)


def runbook_md(plan: ExitPlan, title: str) -> str:
    """The plan as a Markdown document."""
    return f"# Exit plan: {title}\n\n{runbook_text(plan) or 'Nobody has written one.'}\n"


def fault_lines(found: Sequence[Fault]) -> list[str]:
    """What is wrong with a plan, one line each."""
    return [f"{fault.level}: {fault.where}: {fault.sentence}" for fault in found]


def decision_point(plan: ExitPlan) -> str:
    """When it is decided: by the clock, by the steps, or both."""
    names = [step.name for step in plan.steps]
    at = names.index(plan.decide_before) + 1 if plan.decide_before in names else "?"
    step = f"before step {at} ({plan.decide_before})" if plan.decide_before else ""
    return ", ".join(filter(None, (plan.decide_by, step)))


def watched(plan: ExitPlan) -> tuple[str, ...]:
    """What makes the team turn back, and where to look."""
    return tuple(f"{one.when} ({_measured_by(one) or 'nothing measures it: look'})" for one in plan.abort)


def _measured_by(one: Criterion) -> str:
    places = (("objective", one.objective), ("series", one.series), ("check", one.check))
    return " and ".join(f"{kind} {name}" for kind, name in places if name)


def before(plan: ExitPlan) -> tuple[str, ...]:
    """What must be so before the first step."""
    return (*_backup(plan), *map(_freeze, plan.freeze))


def _backup(plan: ExitPlan) -> Iterator[str]:
    backup = plan.backup
    if not backup.what:
        return
    age = f", not older than {lasting(backup.max_age_s)}" if backup.max_age_s is not None else ""
    check = f" (check {backup.check})" if backup.check else ""
    seen = f"last restored as a test on {backup.restore_rehearsed}" if backup.restore_rehearsed else ""
    yield f"Backup: {backup.what}{age}{check}; {seen or 'nobody has ever restored it as a test'}"


def _freeze(window: Freeze) -> str:
    return f"Not from {window.begins} to {window.ends}: {window.reason}"


def way_back(steps: Sequence[Step]) -> tuple[tuple[int, Step], ...]:
    """What is undone, last step first, with the numbers of the steps."""
    return tuple(reversed(tuple(enumerate(steps, start=1))))


def deed(done: Deed) -> str:
    """A command as it is typed into a shell, or the words for what is done by hand."""
    if isinstance(done, str):
        return f"{BY_HAND}: {done}"
    return shlex.join(done) if done else BY_HAND


def _head(plan: ExitPlan) -> list[str]:
    point = decision_point(plan)
    return [
        f"Strategy: {plan.strategy}",
        *([f"Decision point: {point}"] if point else []),
        *([f"Who decides: {plan.decider}"] if plan.decider else []),
    ]


def _steps(plan: ExitPlan) -> Iterator[str]:
    for number, step in enumerate(plan.steps, start=1):
        if step.name == plan.decide_before:
            yield f"\nSTOP: go or abort is decided now, by {plan.decider or 'somebody: name a role'}.\n"
        if step.is_point_of_no_return:
            yield "\nPOINT OF NO RETURN: from here on only forward.\n"
        yield f"{number}. {step.name} (at most {lasting(step.timeout_s)})"
        yield f"   - do: {_code(step.run)}"
        yield from ([f"   - then these must pass: {', '.join(step.verify)}"] if step.verify else [])
        yield from ([f"   - until the next step: {step.window}"] if step.window else [])


def _way_back(plan: ExitPlan) -> Iterator[str]:
    yield "From the last step that was begun, upwards to the first:"
    yield ""
    for number, step in way_back(plan.steps):
        how = _code(step.undo) if step.undo else NO_WAY_BACK.upper()
        yield f"- step {number}, {step.name}: {how}"


def _way_forward(plan: ExitPlan) -> Iterator[str]:
    for number, step in enumerate(plan.forward, start=1):
        yield f"{number}. {step.name} (at most {lasting(step.timeout_s)})"
        yield f"   - do: {_code(step.run)}"
        yield from ([f"   - then these must pass: {', '.join(step.verify)}"] if step.verify else [])
    if plan.forward:
        yield f"Last rehearsed: {plan.forward_rehearsed or 'never'}"


def _code(done: Deed) -> str:
    return f"`{deed(done)}`" if isinstance(done, tuple) and done else deed(done)


def lasting(seconds: float) -> str:
    """A time limit in words."""
    return brief(length(seconds))
