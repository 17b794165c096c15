"""What a rehearsed exit says, load aside: steps, the way back against the clock, rows, answers, criteria, outages."""

from __future__ import annotations

from collections.abc import Iterator

from rehearse.cutovers import (
    CutoverEvidence,
    CutoverPhase,
    CutoverTerms,
    Direction,
    PhaseKind,
    RowsSeen,
    StepOutcome,
    StepRecord,
    time_of,
)
from rehearse.disruptions import ProbeLog
from rehearse.judge.disruption import between, disruption_findings
from rehearse.judge.faults import Fault, fault
from rehearse.judge.wording import duration
from rehearse.model import Finding, Outcome, ReasonCode

UPGRADED, UNDONE = "after the upgrade", "after the undo"  # when rows are looked for
NOT_PROBED, NO_LIMIT, SLOW_FORWARD = "not_probed", "no_limit", "forward_slow"
_ABORTS = (StepOutcome.FAILED, StepOutcome.TIMED_OUT, StepOutcome.BROKEN)
_WORDS = {
    StepOutcome.FAILED: "failed",
    StepOutcome.TIMED_OUT: "took too long",
    StepOutcome.BROKEN: "was done, and then a check failed",
    StepOutcome.NOT_STARTED: "could not be started",
    StepOutcome.NOT_VERIFIED: "was done, and nothing shows that it worked",
    StepOutcome.BEGUN: "was begun, and its end is not known",
}


def exit_faults(found: CutoverEvidence, terms: CutoverTerms) -> list[Fault]:
    """Everything that stands against GO: what is hard is the upgrade's or the exit plan's own fault."""
    return [
        *_of_the_backup(found, terms),
        *_of_steps(found),
        *_not_applied(found, terms),
        *_not_undone(found, terms),
        *_not_forward(found, terms),
        *_of_criteria(found, terms),
        *_of_rows(found, terms),
        *_of_answers(found, terms),
        *_of_time(found, terms),
        *_of_probes(found, terms),
    ]


def exit_warnings(found: CutoverEvidence, terms: CutoverTerms) -> list[Finding]:
    """What a reader must know, and what decides nothing."""
    return [
        Finding(Outcome.INCONCLUSIVE, code, "cutover", sentence) for code, sentence in _remarks(found, terms)
    ]


def _hard(code: ReasonCode, subject: str, sentence: str, **numbers: float | int | str | None) -> Fault:
    return Fault(Finding(Outcome.FAIL, code, subject, sentence, is_hard=True, numbers=numbers))


# --- steps --------------------------------------------------------------------------------------------------------


def subject_of(step: StepRecord) -> str:
    """How findings name a step."""
    return f"{step.direction}: {step.name}"


def _of_steps(found: CutoverEvidence) -> Iterator[Fault]:
    for step in found.steps:
        if step.outcome is StepOutcome.DONE:
            continue
        why = f": {step.sentence}" if step.sentence else ""
        sentence = f"{_named(step)} {_WORDS[step.outcome]}{why}"
        if step.outcome in _ABORTS:
            yield _hard(ReasonCode.STEP_FAILED, subject_of(step), sentence, took_s=step.took_s)
        else:
            yield fault(ReasonCode.STEP_NOT_RUN, subject_of(step), sentence)


def _of_the_backup(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    """Who upgrades without a backup that is proven has no last way out."""
    if not terms.backup_check or terms.is_undo_only:
        return
    seen = found.backup
    if seen is not None and seen.outcome is StepOutcome.BROKEN:
        yield _hard(ReasonCode.NO_BACKUP, "backup", f"the backup is not as it must be: {seen.sentence}")
    elif seen is None or seen.outcome is not StepOutcome.DONE:
        why = f"check {terms.backup_check} was not asked" if seen is None else seen.sentence
        yield fault(ReasonCode.NO_BACKUP, "backup", f"whether there is a backup is not known: {why}")


def _named(step: StepRecord) -> str:
    what = {
        Direction.APPLY: "step",
        Direction.UNDO: "the undo of step",
        Direction.FORWARD: "the forward step",
    }
    return f"{what[step.direction]} {step.name!r}"


def _not_applied(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    """Each step of the plan is applied at least once."""
    if terms.is_undo_only:
        return
    begun = {step.name for step in found.of(Direction.APPLY)}
    missing = [name for name in terms.steps if name not in begun]
    for name in missing[:1]:
        later = f", nor were the {len(missing) - 1} after it" if len(missing) > 1 else ""
        why = terms.obstacles.get(name, "it was not reached")
        yield fault(ReasonCode.STEP_NOT_RUN, f"apply: {name}", f"step {name!r} was not run{later}: {why}")
    if not terms.steps:
        sentence = "the exit plan has no steps: there is nothing to rehearse; write [[exit_plan.steps]]"
        yield fault(ReasonCode.STEP_NOT_RUN, "exit plan", sentence)


def _not_undone(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    """What was rehearsed there is rehearsed back."""
    undone = {step.name for step in found.of(Direction.UNDO)}
    begun = [step.name for step in found.of(Direction.APPLY)]
    for name in terms.there_and_back:
        if name in begun and name not in undone:
            sentence = f"step {name!r} was not taken back: the way back was not rehearsed to its end"
            yield fault(ReasonCode.STEP_NOT_RUN, f"undo: {name}", sentence)


def _not_forward(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    begun = {step.name for step in found.of(Direction.FORWARD)}
    for name in terms.forward:
        if name not in begun:
            sentence = f"the forward step {name!r} was not run: the way forward was not rehearsed to its end"
            yield fault(ReasonCode.STEP_NOT_RUN, f"forward: {name}", sentence)


# --- the clock ----------------------------------------------------------------------------------------------------


def apply_time(found: CutoverEvidence) -> float | None:
    """How long the steps took the first time."""
    return time_of(found.first(Direction.APPLY))


def left_at_decision(found: CutoverEvidence, terms: CutoverTerms) -> float | None:
    """How much time the decision point leaves once the upgrade has been applied."""
    applied_s = apply_time(found)
    return None if terms.decide_s is None or applied_s is None else terms.decide_s - applied_s


def _of_time(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    left_s = left_at_decision(found, terms)
    back_s = time_of(found.first(Direction.UNDO))
    yield from _too_slow("the way back", back_s, terms.undo_within_s, left_s, terms)
    if terms.strategy == "roll-forward" or terms.forward_within_s is not None:
        forward_s = time_of(found.of(Direction.FORWARD))
        yield from _too_slow("the way forward", forward_s, terms.forward_within_s, left_s, terms)


def _too_slow(
    what: str, took_s: float | None, within_s: float | None, left_s: float | None, terms: CutoverTerms
) -> Iterator[Fault]:
    limit_s = left_s if within_s is None else within_s
    if took_s is None or limit_s is None or took_s <= limit_s:
        return
    allowed = (
        f"{duration(max(limit_s, 0.0))} are left at the decision point ({terms.decide_by})"
        if within_s is None
        else f"{duration(within_s)} are allowed"
    )
    yield _hard(
        ReasonCode.EXIT_TOO_SLOW, what, f"{what} took {duration(took_s)}, and {allowed}", took_s=took_s
    )


# --- criteria, rows, answers --------------------------------------------------------------------------------------


def _of_criteria(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    seen = {one.when: one for one in found.criteria}
    for when in terms.criteria if not terms.is_undo_only else ():
        one = seen.get(when)
        if one is not None and one.fired_at_s is not None:
            at, back = duration(one.fired_at_s - found.began_s), _way_back_after(found, one.fired_at_s)
            sentence = f"after {at} the abort criterion {when!r} fired ({one.sentence}); {back}"
            yield _hard(ReasonCode.CRITERION, when, sentence, fired_s=one.fired_at_s - found.began_s)
        elif one is None or one.trouble:
            why = one.trouble if one is not None else "nobody looked"
            sentence = f"the abort criterion {when!r} was not watched: {why}"
            yield fault(ReasonCode.CUTOVER_INCOMPLETE, when, sentence, allows_abort=True)


def _way_back_after(found: CutoverEvidence, moment_s: float) -> str:
    steps = [step for step in found.of(Direction.UNDO) if step.began_s >= moment_s]
    if not steps:
        return "nothing was taken back then"
    took_s = time_of(steps)
    return "the way back never ended" if took_s is None else f"the way back took {duration(took_s)}"


def _of_rows(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    if not terms.has_survival or terms.is_undo_only:
        return
    seen = {one.when: one for one in found.rows}
    for one in found.rows:
        if one.missing_count:
            few = f": {', '.join(one.missing)}" if one.missing else ""
            sentence = f"{one.when} {one.missing_count} of {one.written} rows that were written are gone{few}"
            yield _hard(
                ReasonCode.DATA_LOST, "rows", sentence, missing=one.missing_count, written=one.written
            )
    for when in (UPGRADED, UNDONE):
        if why := _why_rows_say_nothing(seen.get(when)):
            sentence = f"{when} it is not known whether the rows are still there: {why}"
            yield fault(ReasonCode.CUTOVER_INCOMPLETE, "rows", sentence, allows_abort=True)


def _why_rows_say_nothing(rows: RowsSeen | None) -> str:
    """Rows from before the upgrade alone say nothing of those that users write while it goes on."""
    if rows is None:
        return "nobody looked"
    if rows.trouble or rows.since.taken:
        return rows.trouble
    return f"none was taken since the first step began ({rows.since.refused} were refused)"


def _of_answers(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    seen = {one.question: one for one in found.answers}
    for question in terms.questions if not terms.is_undo_only else ():
        one = seen.get(question)
        if one is None or one.before is None or one.after is None:
            why = "it was not asked both before and after" if one is None or not one.trouble else one.trouble
            sentence = f"whether the undo brings back {question} is not known: {why}"
            yield fault(ReasonCode.CUTOVER_INCOMPLETE, question, sentence, allows_abort=True)
        elif one.before != one.after:
            sentence = f"the undo does not bring back {question}: {one.difference or 'the answers differ'}"
            yield _hard(ReasonCode.LEFT_BEHIND, question, sentence)


# --- outages ------------------------------------------------------------------------------------------------------


def upgrade_window(found: CutoverEvidence) -> tuple[float, float] | None:
    """From the end of the known-good phase on, in which an outage is the upgrade's or the exit plan's."""
    before = [phase for phase in found.phases if phase.kind is PhaseKind.BEFORE]
    if not before or not found.phases:
        return None
    return before[-1].ended_s, max(phase.ended_s for phase in found.phases)


def _of_probes(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    if terms.is_undo_only:
        return
    window = upgrade_window(found)
    if found.probes is None or window is None:
        sentence = "what the probes saw is not there: nobody knows whether there was an outage"
        yield fault(ReasonCode.DISRUPTION_UNSEEN, "probes", sentence)
        return
    log = found.probes
    yield from _not_covered(log, found.phases)
    yield from _unhealthy_before(log, found, terms)
    for finding in disruption_findings(between(log, *window), terms.tolerance):
        if finding.outcome is not Outcome.PASS:
            yield Fault(finding, allows_abort=not finding.is_hard)


def _not_covered(log: ProbeLog, phases: tuple[CutoverPhase, ...]) -> Iterator[Fault]:
    first_s, last_s = min(one.began_s for one in phases), max(one.ended_s for one in phases)
    if log.began_s > first_s + log.interval_s or log.ended_s < last_s - log.interval_s:
        sentence = "the probes were not sent all the time: a part of the cutover has nobody seen"
        yield fault(ReasonCode.DISRUPTION_UNSEEN, "probes", sentence, allows_abort=True)


def _unhealthy_before(log: ProbeLog, found: CutoverEvidence, terms: CutoverTerms) -> Iterator[Fault]:
    """An outage of the known-good version, untouched, is no disruption by the upgrade."""
    for phase in found.phases:
        if phase.kind is PhaseKind.BEFORE:
            for finding in disruption_findings(between(log, phase.began_s, phase.ended_s), terms.tolerance):
                if finding.outcome is Outcome.FAIL:
                    sentence = f"before the upgrade: {finding.sentence}; repair the known-good version first"
                    yield fault(ReasonCode.BASELINE_UNHEALTHY, finding.subject, sentence)


# --- remarks ------------------------------------------------------------------------------------------------------


def _remarks(found: CutoverEvidence, terms: CutoverTerms) -> Iterator[tuple[str, str]]:
    if terms.is_undo_only:
        return
    if not terms.has_survival:
        yield NOT_PROBED, "whether rows survive was not probed; write [cutover.survival]"
    if not terms.has_schema:
        advice = "set cutover.database, or ask for it in [[cutover.same]] as 'the schema'"
        yield NOT_PROBED, f"whether the undo brings back the schema was not asked; {advice}"
    if not terms.questions:
        yield NOT_PROBED, "nothing else was asked either, before and after the undo: write [[cutover.same]]"
    if found.probes is not None and not any(probe.is_write for probe in found.probes.probes):
        yield NOT_PROBED, "no probe writes: an outage of writes alone would not have been seen"
    if terms.decide_s is None and terms.undo_within_s is None:
        yield NO_LIMIT, "nothing says how long the way back may take: write exit_plan.decide_by as 'T+20m'"
    left_s, forward_s = left_at_decision(found, terms), time_of(found.of(Direction.FORWARD))
    is_judged = terms.strategy == "roll-forward" or terms.forward_within_s is not None
    if left_s is not None and forward_s is not None and forward_s > left_s and not is_judged:
        took, left = duration(forward_s), duration(max(left_s, 0.0))
        yield (
            SLOW_FORWARD,
            f"the way forward took {took}, and {left} are left at the decision point: plan to go back",
        )
