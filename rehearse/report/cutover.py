"""A cutover as its report shows it: for somebody at 3 a.m. who has to know how long it takes, and how to get back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rehearse.cutovers import (
    CriterionSeen,
    CutoverEvidence,
    CutoverPhase,
    CutoverResult,
    Direction,
    PhaseKind,
    PhaseSeen,
    StepOutcome,
    StepRecord,
    time_of,
)
from rehearse.judge.brackets import touching
from rehearse.judge.disruption import between, disruptions, mixed_windows
from rehearse.judge.exits import UNDONE, apply_time, left_at_decision
from rehearse.model import Block, Decision, Outcome, Result, Scope
from rehearse.report.disruption_chart import DisruptionPicture, Span, disruption_picture
from rehearse.report.units import duration, length
from rehearse.report.ways import WayRow, record_of, way_back, way_forward, way_out

_MOST_KINDS = 3
_BINS_PER_S = 2
_MARKS = {
    StepOutcome.DONE: Outcome.PASS,
    StepOutcome.FAILED: Outcome.FAIL,
    StepOutcome.TIMED_OUT: Outcome.FAIL,
    StepOutcome.BROKEN: Outcome.FAIL,
}


# --- from evidence to the result ----------------------------------------------------------------------------------


def cutover_result(found: CutoverEvidence, blocks: Sequence[Block]) -> CutoverResult | None:
    """What a report has; None when it was never recorded what the cutover was to do."""
    if found.terms is None:
        return None
    seen = disruptions(found.probes) if found.probes is not None else ()
    left_s = left_at_decision(found, found.terms)
    return CutoverResult(
        terms=found.terms,
        began_s=found.began_s,
        steps=found.steps,
        phases=tuple(_phase_seen(phase, found, blocks) for phase in _in_order(found.phases)),
        disruptions=seen,
        mixed=mixed_windows(seen),
        rows=tuple(sorted(found.rows, key=lambda one: one.when == UNDONE)),
        answers=found.answers,
        criteria=found.criteria,
        backup=found.backup,
        apply_s=apply_time(found),
        undo_s=time_of(found.first(Direction.UNDO)),
        forward_s=time_of(found.of(Direction.FORWARD)),
        left_s=None if left_s is None else max(0.0, left_s),
    )


def _in_order(phases: Sequence[CutoverPhase]) -> list[CutoverPhase]:
    return sorted(phases, key=lambda phase: (phase.began_s, phase.ended_s))


def _phase_seen(phase: CutoverPhase, found: CutoverEvidence, blocks: Sequence[Block]) -> PhaseSeen:
    """Failures are given to a phase by their own half second, requests by the blocks that touch it."""
    if found.load_began_s is None:
        return PhaseSeen(phase, 0, 0)
    own = touching(blocks, found.load_began_s, [phase])
    endpoints = [one for block in own for one in block.series if one.scope is Scope.ENDPOINT]
    kinds: Counter[str] = Counter()
    for series in endpoints:
        for error in series.errors:
            at_s = found.load_began_s + error.bin / _BINS_PER_S
            if at_s < phase.ended_s and phase.began_s < at_s + 1 / _BINS_PER_S:
                kinds[error.kind] += error.count
    longest_s = 0.0
    if found.probes is not None:
        log = between(found.probes, phase.began_s, phase.ended_s)
        longest_s = max((one.longest_s for one in disruptions(log)), default=0.0) if log.samples else 0.0
    named = tuple(f"{kind} ({count})" for kind, count in kinds.most_common(_MOST_KINDS))
    requests = sum(series.count() for series in endpoints)
    return PhaseSeen(phase, requests, min(kinds.total(), requests), named, longest_s)


# --- in words -----------------------------------------------------------------------------------------------------


def why_cutover(result: Result, cutover: CutoverResult) -> str:
    """One sentence: what the decision rests on."""
    if cutover.terms.restored_by:
        return "Somebody put the environment back by hand; nothing was rehearsed."
    back = _taken_back(cutover)
    if cutover.terms.is_undo_only:
        return f"What an earlier run had left behind was {back}; nothing was measured."
    there = f"applied in {length(cutover.apply_s)}" if _is_applied(cutover) else "not applied to its end"
    ways = f"The upgrade was {there} and {back}"
    longest_s = max((one.longest_s for one in cutover.disruptions), default=0.0)
    outage = f"the longest outage was {duration(longest_s)}" if longest_s else "no probe saw an outage"
    ending = {
        Decision.GO: f"; {outage}.",
        Decision.ABORT: f"; {outage}. It must not happen like this in production.",
        Decision.INCONCLUSIVE: f"; {outage}. What is missing keeps it from being proven.",
    }
    return f"{ways}{ending[result.verdict.decision]}"


def _taken_back(cutover: CutoverResult) -> str:
    undone = [step for step in cutover.steps if step.direction is Direction.UNDO]
    begun = {step.name for step in cutover.steps if step.direction is Direction.APPLY}
    to_undo = begun.intersection(cutover.terms.there_and_back)
    is_back = to_undo <= {step.name for step in undone} and all(_is_done(step) for step in undone)
    if cutover.undo_s is None or not is_back:
        return "not taken back to its end" if undone else "not taken back"
    return f"taken back in {length(cutover.undo_s)}"


def _is_done(step: StepRecord) -> bool:
    return step.outcome is StepOutcome.DONE


def _is_applied(cutover: CutoverResult) -> bool:
    done = {step.name for step in cutover.steps if step.direction is Direction.APPLY and _is_done(step)}
    return bool(done) and done.issuperset(cutover.terms.there_and_back)


def cutover_lines(cutover: CutoverResult) -> Iterator[str]:
    """For the terminal: the times, the decision point, and each step that is not done."""
    times = (("there", cutover.apply_s), ("back", cutover.undo_s), ("forward", cutover.forward_s))
    told = [f"{name} {length(took_s)}" for name, took_s in times if took_s is not None]
    left = f"; {length(cutover.left_s)} left at the decision point" if cutover.left_s is not None else ""
    yield f"Exit: {', '.join(told) or 'no step was done'}{left}"
    if cutover.left_behind:
        yield f"Begun and not taken back: {', '.join(cutover.left_behind)}: {way_out(cutover)}"
    for one in cutover.disruptions:
        if one.outages:
            count = len(one.stretches)
            yield (
                f"Outage, {one.probe.name}: longest {duration(one.longest_s)}, {duration(one.total_s)} in all"
                f" ({count} time{'s' if count > 1 else ''})"
            )


# --- as a page shows it -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of the plan: what leads there, what leads back, and how long each took."""

    number: int
    name: str
    there: StepRecord | None
    back: StepRecord | None
    obstacle: str
    is_decision: bool  # the decision is made before it

    @property
    def mark(self) -> Outcome:
        """How both came out."""
        marks = [_MARKS.get(one.outcome, Outcome.ERROR) for one in (self.there, self.back) if one is not None]
        if Outcome.FAIL in marks:
            return Outcome.FAIL
        wanted = 1 if self.obstacle else 2  # what cannot be undone is done when it is there
        return Outcome.PASS if marks == [Outcome.PASS] * wanted else Outcome.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class CriterionRow:
    """One abort criterion: quiet, fired, or unwatched."""

    seen: CriterionSeen
    mark: Outcome
    told: str


@dataclass(frozen=True, slots=True)
class ExitPage:
    """The exit section."""

    cutover: CutoverResult
    steps: tuple[StepRow, ...]
    way_back: tuple[WayRow, ...]  # all that is planned, the last one first
    forward: tuple[WayRow, ...]
    phases: tuple[PhaseSeen, ...]
    picture: DisruptionPicture | None
    criteria: tuple[CriterionRow, ...]
    said: tuple[StepRecord, ...]  # of those that said something
    clock: str  # the decision point and the way back, in one sentence

    def at(self, moment_s: float) -> str:
        """A moment, as seconds since the cutover began."""
        return length(max(0.0, moment_s - self.cutover.began_s))


def exit_page(result: Result) -> ExitPage | None:
    """None for what is no cutover."""
    cutover = result.cutover
    if cutover is None:
        return None
    rows = tuple(_step_rows(cutover))
    phases = tuple(one for one in cutover.phases if one.phase.kind is not PhaseKind.SETTLING or one.failed)
    back = way_back(cutover)
    return ExitPage(
        cutover=cutover,
        steps=rows,
        way_back=back,
        forward=way_forward(cutover),
        phases=phases,
        picture=_picture(cutover, phases),
        criteria=tuple(_criterion_row(cutover, one) for one in cutover.criteria),
        said=tuple(step for step in cutover.steps if step.said),
        clock=_clock(cutover, back),
    )


def _picture(cutover: CutoverResult, phases: Sequence[PhaseSeen]) -> DisruptionPicture | None:
    """Its phases are those of the table above it, by their numbers."""
    spans = [Span(one.phase.name, one.phase.began_s, one.phase.ended_s) for one in phases]
    picture = disruption_picture(cutover.disruptions, spans)
    return None if picture is None else replace(picture, phases=())


def _step_rows(cutover: CutoverResult) -> Iterator[StepRow]:
    for number, name in enumerate(cutover.terms.steps, start=1):
        there, back = (record_of(cutover, direction, name) for direction in (Direction.APPLY, Direction.UNDO))
        obstacle = cutover.terms.obstacles.get(name, "" if there or back else "not reached")
        yield StepRow(number, name, there, back, obstacle, name == cutover.terms.decide_before)


def _criterion_row(cutover: CutoverResult, seen: CriterionSeen) -> CriterionRow:
    if seen.fired_at_s is not None:
        at = length(seen.fired_at_s - cutover.began_s)
        return CriterionRow(seen, Outcome.FAIL, f"fired after {at}: {seen.sentence}")
    if seen.trouble:
        return CriterionRow(seen, Outcome.INCONCLUSIVE, f"not watched: {seen.trouble}")
    return CriterionRow(
        seen, Outcome.PASS, f"quiet; never longer than {length(seen.blind_s)} without an answer"
    )


def _clock(cutover: CutoverResult, back: Sequence[WayRow]) -> str:
    """How the time stands at the decision point."""
    terms = cutover.terms
    missing = [] if terms.is_undo_only else [row.name for row in back if row.is_missing]
    if cutover.undo_s is None or missing:
        named = f" (without {', '.join(missing)})" if missing else ""
        return f"The way back was not rehearsed to its end{named}: nobody knows how long it takes."
    took = f"The way back takes {length(cutover.undo_s)}"
    if terms.undo_within_s is not None:
        return f"{took}, and may take {length(terms.undo_within_s)}."
    if cutover.left_s is None or terms.decide_s is None:
        return f"{took}. No decision point is given as a time, so nothing says whether that is soon enough."
    begin_s = terms.decide_s - cutover.undo_s
    if begin_s < 0:
        return f"{took}: longer than until the decision point, {terms.decide_by}."
    return (
        f"{took}. To be back by the decision point ({terms.decide_by}), begin no later than T+{length(begin_s)};"
        f" {length(cutover.left_s)} are left once the upgrade is applied."
    )
