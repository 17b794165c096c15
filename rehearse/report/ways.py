"""The ways out of an upgrade, as they are planned, with the times of what was rehearsed; what was not says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rehearse.cutovers import CutoverResult, Direction, StepOutcome, StepRecord


@dataclass(frozen=True, slots=True)
class WayRow:
    """One step of the way back, or forward."""

    number: int  # of the step in the plan
    name: str
    planned: str  # a command, or words; empty: there is no such way
    record: StepRecord | None
    why_not: str = ""  # it was not rehearsed
    is_beyond: bool = False  # a step from which there is no way back

    @property
    def is_missing(self) -> bool:
        """Whether somebody who has to go this way goes it for the first time."""
        is_rehearsed = self.record is not None and self.record.outcome is StepOutcome.DONE
        return bool(self.planned) and not self.is_beyond and not is_rehearsed

    @property
    def rehearsed_as(self) -> str:
        """The command that was run, where the plan has words or another."""
        return self.record.command if self.record is not None and self.record.command != self.planned else ""


def record_of(cutover: CutoverResult, direction: Direction, name: str) -> StepRecord | None:
    """How a step went: the first time, unless the second, on the way forward, went wrong."""
    own = [step for step in cutover.steps if (step.direction, step.name) == (direction, name)]
    wrong = [step for step in own if step.outcome is not StepOutcome.DONE]
    return next(iter([*wrong, *own]), None)


def way_back(cutover: CutoverResult) -> tuple[WayRow, ...]:
    """All that is planned, the last step first."""
    return tuple(reversed(tuple(_undos(cutover))))


def _undos(cutover: CutoverResult) -> Iterator[WayRow]:
    dead_end = ""
    for number, step in enumerate(cutover.terms.planned, start=1):
        record = record_of(cutover, Direction.UNDO, step.name)
        why_not = _why_not_back(cutover, step.name, dead_end) if record is None else ""
        yield WayRow(number, step.name, step.undo, record, why_not, is_beyond=bool(dead_end))
        dead_end = dead_end or ("" if step.undo else step.name)


def _why_not_back(cutover: CutoverResult, name: str, dead_end: str) -> str:
    terms = cutover.terms
    if dead_end:
        return f"it comes after {dead_end}, from which there is no way back"
    if terms.is_undo_only:
        return "this run did not take it back"
    if name not in terms.there_and_back:
        first = terms.steps[len(terms.there_and_back)]
        return terms.obstacles.get(name, f"it comes after {first}, which is not run there and back")
    is_begun = any(step.name == name for step in cutover.steps)
    return "the way back ended before it" if is_begun else "the upgrade did not get there"


def way_forward(cutover: CutoverResult) -> tuple[WayRow, ...]:
    """All that is planned."""
    why_not = "the run ended before it" if cutover.terms.forward else "--forward was not asked for"
    rows = []
    for number, step in enumerate(cutover.terms.planned_forward, start=1):
        record = record_of(cutover, Direction.FORWARD, step.name)
        rows.append(WayRow(number, step.name, step.run, record, "" if record is not None else why_not))
    return tuple(rows)


def way_out(cutover: CutoverResult) -> str:
    """What to do when steps were left behind."""
    if not cutover.dead_ends:
        return "`rehearse cutover --undo` runs the way back"
    named = " and ".join(cutover.dead_ends)
    return (
        f"`rehearse` has no undo for {named}: go forward or restore the backup, and then say"
        " `rehearse cutover --restored-by NAME`"
    )
