"""The verdict on a cutover: the upgrade went there, its undo came back, and nobody was hurt on the way.

The same precedence as everywhere (judge/verdict.py). Latency and errors of the candidate can only ABORT here: that it
is no worse than the baseline is for a comparison to prove, which has the load for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rehearse.cutovers import CutoverEvidence, CutoverTerms, Direction, time_of
from rehearse.judge.brackets import Brackets, brackets_of
from rehearse.judge.exits import apply_time, exit_faults, exit_warnings
from rehearse.judge.failures import tally
from rehearse.judge.faults import Fault, fault
from rehearse.judge.ledger import block_faults, closing_faults, impossible_numbers
from rehearse.judge.measurement import Measurement, Strictness
from rehearse.judge.pairs import JudgedBlocks, columns, judged_recordings
from rehearse.judge.recorded import RecordedCase, measure_rounds
from rehearse.judge.rig import rig_faults, rig_warnings
from rehearse.judge.rulings import Ruling, finding_of, rule_on
from rehearse.judge.validity import incident_faults, scenario_faults
from rehearse.judge.wording import duration, share
from rehearse.model import (
    Block,
    Decision,
    Evidence,
    Finding,
    Metric,
    Outcome,
    Policy,
    ReasonCode,
    Role,
    Scope,
    Side,
    Verdict,
)

PROVEN = "rehearsed"
_ONE_PLACE = (
    "one environment, one after the other: that a drift of it is even over the time from before to after"
)


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that the decision is weighed from."""

    judged: JudgedBlocks
    faults: Sequence[Fault]
    rulings: Sequence[Ruling]
    worse: Sequence[Finding]
    remarks: Sequence[Finding] = ()  # on the rig


def judge_cutover(evidence: Evidence, found: CutoverEvidence) -> Verdict:
    """The final judgement on a cutover, from its blocks as they were recorded."""
    terms = found.terms
    if terms is None:
        sentence = "what the cutover was to do was never recorded: nothing was begun"
        return Verdict(reasons=(fault(ReasonCode.CUTOVER_INCOMPLETE, "run", sentence).finding,))
    if terms.is_undo_only or terms.restored_by:
        return _of_undo_only(found, terms)
    return _weigh(_case_of(evidence, found, terms), found, terms)


def _of_undo_only(found: CutoverEvidence, terms: CutoverTerms) -> Verdict:
    """It brings an environment back, and proves nothing about the upgrade."""
    faults = [one.finding for one in exit_faults(found, terms)]
    hard = [one for one in faults if one.is_hard]
    sentence = "this run only took back what an earlier one had left: nothing was measured"
    if terms.restored_by:
        sentence = f"{terms.restored_by} says that the environment was put back by hand: nothing was measured"
    rest = [
        fault(ReasonCode.CUTOVER_INCOMPLETE, "run", sentence).finding,
        *(one for one in faults if not one.is_hard),
    ]
    return Verdict(Decision.ABORT if hard else Decision.INCONCLUSIVE, (*hard, *rest))


# --- from evidence to what stands against GO ----------------------------------------------------------------------


def _case_of(evidence: Evidence, found: CutoverEvidence, terms: CutoverTerms) -> _Case:
    faults = [*incident_faults(evidence), *exit_faults(found, terms)]
    impossible = impossible_numbers(evidence)
    if impossible:
        return _Case(JudgedBlocks((), ()), [*faults, *impossible], (), ())
    brackets = brackets_of(evidence.blocks, found)
    policy = evidence.policy
    judged = judged_recordings((*brackets.before, *brackets.after), brackets.candidate, policy.rig)
    sides = (Side.CANDIDATE,)  # all of the load has one side
    faults += [
        *block_faults(evidence, sides),
        *closing_faults(evidence, sides),
        *rig_faults(judged, evidence.blocks, policy),
        *scenario_faults(evidence, columns(judged), tuple(Side)),
        *_too_few(brackets, terms),
        *_unhealthy(brackets.before, policy),
    ]
    rulings = _rulings(policy, judged, rounds=2)
    worse = [*_worse(rulings, ""), *_left_behind(brackets, policy), *_in_between(brackets, policy, terms)]
    if terms.forward:
        repaired = judged_recordings((*brackets.before, *brackets.after), brackets.repaired, policy.rig)
        worse += _worse(_rulings(policy, repaired, rounds=2), "repaired: ")
    return _Case(judged, faults, rulings, worse, rig_warnings(judged, policy))


def _too_few(brackets: Brackets, terms: CutoverTerms) -> Iterable[Fault]:
    """A phase without load says nothing."""
    phases = {
        "before": brackets.before,
        "on the candidate": brackets.candidate,
        "after the undo": brackets.after,
    }
    if terms.forward:
        phases["on the repair"] = brackets.repaired
    for name, blocks in phases.items():
        if len(blocks) < terms.least_blocks:
            sentence = f"{len(blocks)} blocks of load were measured {name}; {terms.least_blocks} are needed"
            yield fault(ReasonCode.TOO_FEW_PAIRS, name, sentence, allows_abort=True, blocks=len(blocks))


def _unhealthy(before: Sequence[Block], policy: Policy) -> Iterable[Fault]:
    table = columns(JudgedBlocks(tuple(before), ()))
    seen = tally(
        part for (scope, _), column in table.items() if scope is Scope.SCENARIO for part in column.baseline
    )
    if seen.requests and seen.ratio > policy.max_baseline_error_ratio:
        sentence = (
            f"{share(seen.ratio)} of the tasks failed before the upgrade; at most "
            f"{share(policy.max_baseline_error_ratio)} may; repair the known-good version (token, data, capacity)"
        )
        yield fault(ReasonCode.BASELINE_UNHEALTHY, "before", sentence, error_ratio=seen.ratio)


# --- cells --------------------------------------------------------------------------------------------------------


def _rulings(
    policy: Policy, judged: JudgedBlocks, rounds: int, metrics: Iterable[Metric] | None = None
) -> tuple[Ruling, ...]:
    """The usual cells, each of which can only ABORT: two phases of the same code may differ as two recordings do."""
    policy = replace(policy, min_rounds=rounds)
    strictness = Strictness.of(policy, 1, 1)
    case = RecordedCase(policy, strictness, judged, columns(judged))
    chosen = None if metrics is None else set(metrics)
    measured = [_watched(one) for one in measure_rounds(case) if chosen is None or one.cell.metric in chosen]
    return rule_on(measured, strictness)


def _watched(measured: Measurement) -> Measurement:
    role = Role.ADVISORY if measured.cell.role is Role.ADVISORY else Role.WATCH
    return replace(measured, cell=replace(measured.cell, role=role))


def _worse(rulings: Sequence[Ruling], where: str, code: str = "") -> list[Finding]:
    found = [
        finding_of(ruling)
        for ruling in rulings
        if ruling.role is not Role.ADVISORY and ruling.judgement.outcome is Outcome.FAIL
    ]
    return [
        replace(
            one, subject=f"{where}{one.subject}", sentence=f"{where}{one.sentence}", code=code or one.code
        )
        for one in found
    ]


def _left_behind(brackets: Brackets, policy: Policy) -> list[Finding]:
    """What was before and what is after the undo must agree."""
    after = tuple(replace(block, side=Side.CANDIDATE, round=0) for block in brackets.after)
    rulings = _rulings(policy, judged_recordings(brackets.before, after, policy.rig), rounds=1)
    return _worse(rulings, "after the undo: ", ReasonCode.LEFT_BEHIND)


def _in_between(brackets: Brackets, policy: Policy, terms: CutoverTerms) -> list[Finding]:
    """Failures of the load while steps ran: with a claim of no outage they are as bad as those of the probes."""
    if terms.tolerance.longest_outage_s != 0:
        return []
    moving = tuple(replace(block, side=Side.CANDIDATE, round=0) for block in brackets.moving)
    judged = JudgedBlocks(brackets.before, moving)
    rulings = _rulings(policy, judged, rounds=1, metrics=[Metric.ERROR_RATIO])
    return _worse(rulings, "while steps ran: ", ReasonCode.OUTAGE)


# --- the decision -------------------------------------------------------------------------------------------------


def _weigh(case: _Case, found: CutoverEvidence, terms: CutoverTerms) -> Verdict:
    """Precedence, row by row."""
    hard = [one.finding for one in case.faults if one.finding.is_hard]
    invalid = [one.finding for one in case.faults if not one.finding.is_hard and not one.allows_abort]
    doubts = [one.finding for one in case.faults if not one.finding.is_hard and one.allows_abort]
    worse = list(case.worse)
    unproven = [_but_for_validity(finding) for finding in worse] if invalid else []
    if hard:
        proven = [] if invalid else worse
        return _verdict(case, found, terms, Decision.ABORT, [*hard, *proven], [*invalid, *doubts, *unproven])
    if invalid:
        return _verdict(case, found, terms, Decision.INCONCLUSIVE, [*invalid, *doubts], unproven)
    if worse:
        return _verdict(case, found, terms, Decision.ABORT, worse, doubts)
    if doubts:
        return _verdict(case, found, terms, Decision.INCONCLUSIVE, doubts, [])
    return _verdict(case, found, terms, Decision.GO, [_proven(found)], [])


def _verdict(
    case: _Case,
    found: CutoverEvidence,
    terms: CutoverTerms,
    decision: Decision,
    reasons: list[Finding],
    warnings: list[Finding],
) -> Verdict:
    return Verdict(
        decision=decision,
        reasons=tuple(reasons),
        warnings=(*warnings, *case.remarks, *exit_warnings(found, terms)),
        judgements=tuple(ruling.judgement for ruling in case.rulings),
        pairs_used=min(len(case.judged.baseline), len(case.judged.candidate)),
        pairs_discarded=case.judged.discarded,
        assumptions=(_ONE_PLACE,),
    )


def _but_for_validity(finding: Finding) -> Finding:
    sentence = f"it would be a reason to ABORT if the evidence were valid: {finding.sentence}"
    return replace(finding, sentence=sentence)


def _proven(found: CutoverEvidence) -> Finding:
    """What GO rests on."""
    there_s, back_s = apply_time(found), time_of(found.first(Direction.UNDO))
    samples = len(found.probes.samples) if found.probes is not None else 0
    sentence = (
        f"the upgrade was applied in {duration(there_s or 0.0)} and taken back in {duration(back_s or 0.0)}, and "
        f"{samples:,} samples of the probes saw no more outage than is accepted"
    )
    numbers: dict[str, float | int | str | None] = {"apply_s": there_s, "undo_s": back_s, "samples": samples}
    return Finding(Outcome.PASS, PROVEN, "cutover", sentence, numbers=numbers)
