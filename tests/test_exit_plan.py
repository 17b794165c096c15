"""A plan that leads into a dead end is found before the upgrade: each test takes one thing away from a whole plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from rehearse.exit_plan import (
    Backup,
    Criterion,
    ExitPlan,
    Fault,
    ForwardStep,
    Freeze,
    Measured,
    Step,
    faults,
    seconds_after_start,
)

TODAY = date(2026, 11, 21)
MEASURED = Measured(checks={"INC-1", "INC-2"}, objectives={"p95", "error_ratio"}, series={"locks"})
EXPAND = Step("expand", ("migrate", "up"), ("migrate", "down"), ("INC-1",), 600.0)
SWITCH = Step("switch", ("switch", "new"), ("switch", "old"), ("INC-2",), 300.0)
CONTRACT = Step("contract", ("drop", "column"), (), ("INC-1",), 600.0, is_point_of_no_return=True)
WHOLE = ExitPlan(
    strategy="roll-back",
    decide_by="T+15m",
    decider="release engineer",
    steps=(EXPAND, SWITCH, CONTRACT),
    forward=(ForwardStep("repair", ("deploy", "2.1"), ("INC-1",)),),
    forward_rehearsed="2026-11-02",
    abort=(Criterion("orders fail", objective="error_ratio"),),
    backup=Backup("the orders database", 4 * 3600.0, "INC-2", "2026-10-01"),
)


def found(plan: ExitPlan, today: date = TODAY) -> tuple[Fault, ...]:
    return faults(plan, MEASURED, today)


def test_a_whole_plan_has_no_fault() -> None:
    assert found(WHOLE) == ()


HOLES: dict[str, tuple[ExitPlan, str, str, str]] = {
    "a step without a way back that nobody calls so": (
        replace(WHOLE, steps=(replace(EXPAND, undo=()), SWITCH, CONTRACT)),
        "error",
        "exit_plan.steps[0].undo",
        "nothing says that there is no way back",
    ),
    "no way out of the point of no return": (
        replace(WHOLE, forward=()),
        "error",
        "exit_plan.steps[2].undo",
        "no way out",
    ),
    "a step after the point of no return without undo": (
        replace(WHOLE, steps=(EXPAND, SWITCH, CONTRACT, replace(SWITCH, name="clean up", undo=()))),
        "warning",
        "exit_plan.steps[3].undo",
        "only the forward steps",
    ),
    "the same without forward steps": (
        replace(WHOLE, forward=(), steps=(replace(CONTRACT, undo=("x",)), replace(SWITCH, undo=()))),
        "error",
        "exit_plan.steps[1].undo",
        "comes after the point of no return",
    ),
    "two points of no return": (
        replace(WHOLE, steps=(EXPAND, replace(SWITCH, is_point_of_no_return=True), CONTRACT)),
        "error",
        "exit_plan.steps[2].point_of_no_return",
        "the second one",
    ),
    "a decision by the clock after the last way back": (
        replace(WHOLE, decide_by="T+15.5m"),
        "error",
        "exit_plan.decide_by",
        "by T+15m step 'contract' has begun",
    ),
    "a decision after the step that cannot be undone": (
        replace(WHOLE, decide_before="clean up", steps=(*WHOLE.steps, replace(SWITCH, name="clean up"))),
        "error",
        "exit_plan.decide_before",
        "decide before 'contract'",
    ),
    "a decision before no step": (
        replace(WHOLE, decide_before="contrct"),
        "error",
        "exit_plan.decide_before",
        "Did you mean 'contract'?",
    ),
    "no decision point": (replace(WHOLE, decide_by=""), "warning", "exit_plan.decide_by", "is missing"),
    "nobody who decides": (replace(WHOLE, decider=""), "warning", "exit_plan.decider", "silence is not go"),
    "a criterion that nothing measures": (
        replace(WHOLE, abort=(Criterion("it feels slow"),)),
        "warning",
        "exit_plan.abort[0]",
        "nothing measures 'it feels slow'",
    ),
    "a criterion on an unknown series": (
        replace(WHOLE, abort=(Criterion("locks", series="lock"),)),
        "error",
        "exit_plan.abort[0].series",
        "Did you mean 'locks'?",
    ),
    "a criterion on two things": (
        replace(WHOLE, abort=(Criterion("locks", series="locks", check="INC-1"),)),
        "error",
        "exit_plan.abort[0]",
        "names series and check",
    ),
    "two criteria of one name": (
        replace(WHOLE, abort=(Criterion("it fails", check="INC-1"), Criterion("it fails", series="locks"))),
        "error",
        "exit_plan.abort",
        "2 say 'it fails'",
    ),
    "no criterion": (replace(WHOLE, abort=()), "warning", "exit_plan.abort", "is missing"),
    "a step that is verified by no check": (
        replace(WHOLE, steps=(EXPAND, replace(SWITCH, verify=("INC-3",)), CONTRACT)),
        "error",
        "exit_plan.steps[1].verify",
        "'INC-3' is no check",
    ),
    "a step that nothing verifies": (
        replace(WHOLE, steps=(EXPAND, replace(SWITCH, verify=()), CONTRACT)),
        "warning",
        "exit_plan.steps[1].verify",
        "nothing shows",
    ),
    "two steps of one name": (
        replace(WHOLE, steps=(EXPAND, replace(SWITCH, name="expand"), CONTRACT)),
        "error",
        "exit_plan.steps",
        "2 are named 'expand'",
    ),
    "a forward plan that was never rehearsed": (
        replace(WHOLE, forward_rehearsed=""),
        "warning",
        "exit_plan.forward_rehearsed",
        "never rehearsed",
    ),
    "a forward plan that was rehearsed long ago": (
        replace(WHOLE, forward_rehearsed="2026-01-01"),
        "warning",
        "exit_plan.forward_rehearsed",
        "324 days ago",
    ),
    "a rehearsal in the future": (
        replace(WHOLE, forward_rehearsed="2026-11-22"),
        "error",
        "exit_plan.forward_rehearsed",
        "in the future",
    ),
    "a backup that nobody ever restored": (
        replace(WHOLE, backup=replace(WHOLE.backup, restore_rehearsed="")),
        "warning",
        "exit_plan.backup.restore_rehearsed",
        "never rehearsed",
    ),
    "no backup for what cannot be undone": (
        replace(WHOLE, backup=Backup()),
        "warning",
        "exit_plan.backup",
        "say what can be restored",
    ),
    "roll-forward without steps forward": (
        replace(WHOLE, strategy="roll-forward", forward=(), steps=(EXPAND, SWITCH)),
        "error",
        "exit_plan.forward",
        "the strategy is roll-forward",
    ),
    "no plan at all": (ExitPlan("roll-back"), "warning", "exit_plan", "is not there"),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_found_with_its_place_and_advice(hole: str) -> None:
    plan, level, where, words = HOLES[hole]
    assert [f for f in found(plan) if (f.level, f.where) == (level, where) and words in f.sentence]


def test_errors_come_first() -> None:
    levels = [fault.level for fault in found(replace(WHOLE, decider="", decide_by="T+2h"))]
    assert levels == ["error", "warning"]


def test_a_step_that_waits_for_the_decision_makes_its_time_possible() -> None:
    assert found(replace(WHOLE, decide_by="T+2h", decide_before="contract")) == ()


@pytest.mark.parametrize(
    ("text", "seconds"), [("T+20m", 1200), ("at T+1.5 h", 5400), ("noon", None), ("", None)]
)
def test_a_time_after_the_start_is_read(text: str, seconds: float | None) -> None:
    assert seconds_after_start(text) == seconds


def test_a_freeze_holds_from_its_begin_to_its_end_in_any_time_zone() -> None:
    freeze = Freeze("2026-12-24T18:00:00+01:00", "2026-12-27T00:00:00+01:00", "Christmas")
    assert freeze.holds_at(datetime(2026, 12, 24, 17, tzinfo=UTC))
    assert not freeze.holds_at(datetime(2026, 12, 24, 16, 59, tzinfo=UTC))
    assert not freeze.holds_at(datetime(2026, 12, 26, 23, 1, tzinfo=UTC))
