"""A cutover as a result holds it, with something of each kind: for every test that looks at pages and files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from rehearse.cutovers import (
    BackupSeen,
    CriterionSeen,
    CutoverPhase,
    CutoverResult,
    CutoverTerms,
    Direction,
    PhaseKind,
    PhaseSeen,
    PlannedStep,
    RowCount,
    RowsSeen,
    SameAnswer,
    StepOutcome,
    StepRecord,
)
from rehearse.disruptions import Disruption, Gap, MixedWindow, Outage, Probe, Tolerance, VersionSeen
from rehearse.model import Decision, Finding, Outcome, ReasonCode, Result
from tests.report.examples import go

BEGAN_S = 5_000.0


def step(
    number: int, direction: Direction, name: str, at_s: float, took_s: float, **more: object
) -> StepRecord:
    record = StepRecord(
        number, direction, name, f"make {name}", BEGAN_S + at_s, StepOutcome.DONE, BEGAN_S + at_s + took_s
    )
    return replace(record, **more)  # type: ignore[arg-type]  # the fields of StepRecord


def phase(kind: PhaseKind, name: str, from_s: float, to_s: float, failed: int = 0) -> PhaseSeen:
    kinds = (f"status 500 ({failed})",) if failed else ()
    return PhaseSeen(
        CutoverPhase(kind, name, BEGAN_S + from_s, BEGAN_S + to_s), 40, failed, kinds, 1.2 if failed else 0.0
    )


TERMS = CutoverTerms(
    place="shop.staging.example:443",
    steps=("expand", "switch", "contract", "tell customers"),
    obstacles={"contract": "there is no way back from it", "tell customers": "it is done by hand"},
    forward=("deploy 2.1", "let them in"),
    planned=(
        PlannedStep("expand", "make expand", "make expand"),
        PlannedStep("switch", "by hand: Point the load balancer at 2.0.", "by hand: Point it back at 1.0."),
        PlannedStep("contract", "make contract"),
        PlannedStep("tell customers", "by hand: Write to them.", "by hand: Write to them again."),
    ),
    planned_forward=(
        PlannedStep("deploy 2.1", "make 'deploy 2.1'"),
        PlannedStep("let them in", "by hand: Point the load balancer at 2.1."),
    ),
    tolerance=Tolerance(0.0, 0.0),
    decide_s=600.0,
    criteria=("more fails than is normal", "nobody can log in"),
    questions=("the schema", "what it says of itself"),
    has_survival=True,
    backup_check="INC-2",
    least_blocks=10,
    decide_by="T+10m",
    decide_before="contract",
    decider="the release engineer on duty",
)
STEPS = (
    step(1, Direction.APPLY, "expand", 20, 2.5, said="ALTER TABLE\nok"),
    step(2, Direction.APPLY, "switch", 28, 0.4, verified_s=BEGAN_S + 30),
    step(3, Direction.UNDO, "switch", 50, 0.3),
    step(
        4, Direction.UNDO, "expand", 55, 1.5, outcome=StepOutcome.FAILED, sentence="exit code 1: it is locked"
    ),
    step(5, Direction.FORWARD, "deploy 2.1", 60, 4.0, outcome=StepOutcome.FAILED, sentence="exit code 2"),
)
READ, WRITE = Probe("read"), Probe("write, fresh", "POST", "/orders", is_write=True, is_fresh=True)
OUTAGE = Outage(
    "write, fresh", "status 500", BEGAN_S + 21, BEGAN_S + 22.2, 12, BEGAN_S + 20.9, BEGAN_S + 22.1
)
DISRUPTIONS = (
    Disruption(
        READ,
        BEGAN_S,
        BEGAN_S + 70,
        700,
        700,
        versions=(
            VersionSeen("read", "1.0", BEGAN_S, BEGAN_S + 29, 290),
            VersionSeen("read", "2.0", BEGAN_S + 28.5, BEGAN_S + 50, 210),
        ),
        slowest_s=0.2,
    ),
    Disruption(
        WRITE,
        BEGAN_S,
        BEGAN_S + 70,
        690,
        678,
        outages=(OUTAGE,),
        gaps=(Gap("write, fresh", BEGAN_S + 40, BEGAN_S + 41, "event loop late"),),
        rig_samples=10,
        slowest_s=0.9,
    ),
)
CUTOVER = CutoverResult(
    terms=TERMS,
    began_s=BEGAN_S,
    steps=STEPS,
    phases=(
        phase(PhaseKind.SETTLING, "settling, before", 0, 3),
        phase(PhaseKind.BEFORE, "before", 3, 20),
        phase(PhaseKind.STEP, "apply: expand", 20, 22.5, failed=7),
        phase(PhaseKind.WINDOW, "old app, new schema", 22.5, 28),
        phase(PhaseKind.CANDIDATE, "candidate", 33, 50),
    ),
    disruptions=DISRUPTIONS,
    mixed=(MixedWindow(("1.0", "2.0"), BEGAN_S + 28.5, BEGAN_S + 29),),
    rows=(
        RowsSeen("after the upgrade", 40, before=RowCount(18), since=RowCount(22, 3)),
        RowsSeen(
            "after the undo",
            50,
            ("row 47, number 7 of 50",),
            1,
            before=RowCount(18),
            since=RowCount(32, 3),
        ),
    ),
    answers=(
        SameAnswer("the schema", "a" * 64, "b" * 64, "line 3 was 'x' and is 'y'"),
        SameAnswer("what it says of itself", "a" * 64, trouble="after: it does not answer"),
    ),
    criteria=(
        CriterionSeen("more fails than is normal", BEGAN_S + 35, "12 of 20 failed, and 1.00 % may"),
        CriterionSeen("nobody can log in", trouble="check INC-7: it has no result"),
    ),
    backup=BackupSeen("INC-2", StepOutcome.DONE),
    apply_s=4.5,
    undo_s=1.8,
    forward_s=4.0,
    left_s=595.5,
)


@cache
def cutover() -> Result:
    """An ABORT with all that a cutover can have."""
    result = go()
    finding = Finding(
        Outcome.FAIL, ReasonCode.OUTAGE, "disruption: write, fresh", "write: 1 outage", is_hard=True
    )
    lost = Finding(Outcome.FAIL, ReasonCode.DATA_LOST, "rows", "1 of 50 rows is gone", is_hard=True)
    verdict = replace(result.verdict, decision=Decision.ABORT, reasons=(finding, lost))
    return replace(result, verdict=verdict, cutover=CUTOVER)
