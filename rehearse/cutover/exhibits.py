"""A cutover as the store keeps it: what it was to do, each step before and after it ran, and what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rehearse.codec import from_bytes, to_bytes
from rehearse.cutovers import (
    BackupSeen,
    CriterionSeen,
    CutoverEvidence,
    CutoverPhase,
    CutoverTerms,
    RowsSeen,
    SameAnswer,
    StepOutcome,
    StepProcess,
    StepRecord,
)
from rehearse.disruptions import ProbeLog
from rehearse.model import Exhibit

T = TypeVar("T")
TERMS, CLOCK, PHASE, PROBES = "cutover.terms", "cutover.clock", "cutover.phase", "cutover.probes"
BEGUN, PROCESS, STEP = "cutover.begun", "cutover.process", "cutover.step"
OF_STANDING = (TERMS, BEGUN, PROCESS, STEP)  # all that says where an environment stands
BACKUP, ROWS, ANSWER, CRITERION = "cutover.backup", "cutover.rows", "cutover.answer", "cutover.criterion"


def terms_exhibit(terms: CutoverTerms) -> Exhibit:
    """What it is to do; written before anything is touched."""
    return Exhibit(TERMS, "terms", to_bytes(terms))


def clock_exhibit(load_began_s: float) -> Exhibit:
    """When the common start of the load was."""
    return Exhibit(CLOCK, "load", to_bytes(load_began_s))


def step_exhibit(step: StepRecord) -> Exhibit:
    """A step: once before it runs, and once after it."""
    kind = BEGUN if step.outcome is StepOutcome.BEGUN else STEP
    return Exhibit(kind, f"{step.number:03d} {step.direction} {step.name}", to_bytes(step))


def process_exhibit(process: StepProcess) -> Exhibit:
    """Which process a step's command is."""
    return Exhibit(PROCESS, f"{process.number:03d}", to_bytes(process))


def phase_exhibit(number: int, phase: CutoverPhase) -> Exhibit:
    """A phase that is over."""
    return Exhibit(PHASE, f"{number:03d} {phase.name}", to_bytes(phase))


def probes_exhibit(log: ProbeLog) -> Exhibit:
    """What the probes saw."""
    return Exhibit(PROBES, "log", to_bytes(log))


def backup_exhibit(backup: BackupSeen) -> Exhibit:
    """What the check of the backup said."""
    return Exhibit(BACKUP, backup.check, to_bytes(backup))


def rows_exhibit(rows: RowsSeen) -> Exhibit:
    """Whether the rows are still there."""
    return Exhibit(ROWS, rows.when, to_bytes(rows))


def answer_exhibit(answer: SameAnswer) -> Exhibit:
    """One question before and after."""
    return Exhibit(ANSWER, answer.question, to_bytes(answer))


def criterion_exhibit(seen: CriterionSeen) -> Exhibit:
    """What came of one abort criterion."""
    return Exhibit(CRITERION, seen.when, to_bytes(seen))


def cutover_evidence(exhibits: Iterable[Exhibit]) -> CutoverEvidence:
    """All that a run holds of a cutover. Raises CodecError when it holds something else."""
    found = sorted(exhibits, key=lambda one: (one.kind, one.name))

    def of(kind: str, noun: type[T]) -> tuple[T, ...]:
        return tuple(from_bytes(noun, one.body) for one in found if one.kind == kind)

    ended = {step.number: step for step in of(STEP, StepRecord)}
    steps = {step.number: step for step in of(BEGUN, StepRecord)} | ended
    return CutoverEvidence(
        terms=next(iter(of(TERMS, CutoverTerms)), None),
        steps=tuple(steps[number] for number in sorted(steps)),
        phases=of(PHASE, CutoverPhase),
        probes=next(iter(of(PROBES, ProbeLog)), None),
        rows=of(ROWS, RowsSeen),
        answers=of(ANSWER, SameAnswer),
        criteria=of(CRITERION, CriterionSeen),
        processes=of(PROCESS, StepProcess),
        backup=next(iter(of(BACKUP, BackupSeen)), None),
        load_began_s=next(iter(of(CLOCK, float)), None),
    )
