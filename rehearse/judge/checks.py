"""What codified breaks say of the candidate. A check speaks for it only when it was run to its end, and passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rehearse.judge.faults import Fault, fault
from rehearse.model import (
    CheckEvidence,
    CheckOutcome,
    CheckResult,
    Decision,
    Finding,
    Outcome,
    ReasonCode,
    Severity,
    Verdict,
)

SUBJECT = "check: "  # before the id: a waiver names a finding that way
WARNED, ALREADY_BROKEN, NOT_ASKED = "check_warned", "already_broken", "check_not_asked"
_ORDER = (
    CheckOutcome.FAILED,
    CheckOutcome.ERROR,
    CheckOutcome.ALREADY_BROKEN,
    CheckOutcome.ACCEPTED,
    CheckOutcome.NOT_RUN,
    CheckOutcome.PASSED,
)
_MOST_NAMED = 5
# Nobody can tell the two apart from here; in neither case is the upgrade to blame.
FAILS_ON_BOTH = "fails on both sides: broken before, or the check itself is wrong"


def settled(found: CheckEvidence, recorded: Sequence[CheckResult] = ()) -> tuple[CheckResult, ...]:
    """Every check on the candidate, in the light of the baseline: failed ones first.

    What failed there too is already broken: as it is now where it was asked now, else as it was recorded.
    """
    baseline = {result.check_id: result for result in (*recorded, *found.on_baseline)}
    results = [_settled(result, baseline.get(result.check_id)) for result in found.on_candidate]
    severities = tuple(Severity)
    return tuple(
        sorted(
            results,
            key=lambda one: (_ORDER.index(one.outcome), severities.index(one.severity), one.check_id),
        )
    )


def _settled(result: CheckResult, baseline: CheckResult | None) -> CheckResult:
    is_failed_there = baseline is not None and baseline.outcome is CheckOutcome.FAILED
    if result.outcome is CheckOutcome.FAILED and is_failed_there:
        return replace(result, outcome=CheckOutcome.ALREADY_BROKEN)
    return result


def check_faults(found: CheckEvidence | None, recorded: Sequence[CheckResult] = ()) -> list[Fault]:
    """What forbids GO: a failed check is beyond doubt, one that nobody can tell of is a gap."""
    results = settled(found or CheckEvidence(), recorded)
    return [
        *(Fault(_failed(one)) for one in results if _is_failed(one, Severity.ABORT)),
        *(_gap(subject_of(one), f"{_name(one)}: {one.sentence}") for one in results if _is_error(one)),
        *(_account_faults(found) if found is not None else ()),
        *_missing(recorded, frozenset(one.check_id for one in results)),
    ]


def check_warnings(found: CheckEvidence | None, recorded: Sequence[CheckResult] = ()) -> list[Finding]:
    """What a reader must know, and what decides nothing."""
    results = settled(found or CheckEvidence(), recorded)
    warned = [replace(_failed(one), code=WARNED, is_hard=False) for one in results if _is_warning(one)]
    return [
        *warned,
        *(_already_broken(one) for one in results if one.outcome is CheckOutcome.ALREADY_BROKEN),
        *(
            Finding(Outcome.INCONCLUSIVE, NOT_ASKED, subject_of(one), f"{_name(one)}: {one.sentence}")
            for one in results
            if one.outcome in (CheckOutcome.NOT_RUN, CheckOutcome.ACCEPTED)
        ),
    ]


def judge_checks(found: CheckEvidence, recorded: Sequence[CheckResult] = ()) -> Verdict:
    """What checks say alone, without load. That is no verdict on the upgrade."""
    faults = [one.finding for one in check_faults(found, recorded)]
    warnings = tuple(check_warnings(found, recorded))
    if any(finding.is_hard for finding in faults):
        return Verdict(Decision.ABORT, tuple(faults), warnings)
    if not faults and not any(one.outcome is CheckOutcome.PASSED for one in settled(found, recorded)):
        faults = [_gap("checks", "no check passed: nothing speaks for the candidate").finding]
    return Verdict(Decision.INCONCLUSIVE if faults else Decision.GO, tuple(faults), warnings)


def _is_warning(result: CheckResult) -> bool:
    return _is_failed(result, Severity.WARN)


def _is_failed(result: CheckResult, severity: Severity) -> bool:
    return result.outcome is CheckOutcome.FAILED and result.severity is severity


def _is_error(result: CheckResult) -> bool:
    return result.outcome is CheckOutcome.ERROR


def _failed(result: CheckResult) -> Finding:
    sentence = f"{_name(result)}, and it is back: {result.sentence}"
    return Finding(Outcome.FAIL, ReasonCode.CHECK_FAILED, subject_of(result), sentence, is_hard=True)


def _already_broken(result: CheckResult) -> Finding:
    sentence = f"{_name(result)}: it {FAILS_ON_BOTH}: {result.sentence}"
    return Finding(Outcome.FAIL, ALREADY_BROKEN, subject_of(result), sentence)


def subject_of(result: CheckResult) -> str:
    """How findings and waivers name a check: "check: INC-231"."""
    return f"{SUBJECT}{result.check_id}"


def _name(result: CheckResult) -> str:
    """ "check INC-231 (totals came as texts; broke on 2026-03-02)"."""
    since = f"; broke on {result.broke_on}" if result.broke_on else ""
    return f"check {result.check_id} ({result.story.rstrip('.')}{since})"


def _account_faults(found: CheckEvidence) -> list[Fault]:
    if found.end is None:
        return [_gap("checks", "the checks never came to their end: there is no closing account of them")]
    missing = found.end.planned - len(found.on_candidate)
    unaccounted = [f"{found.end.planned} checks were collected, and {len(found.on_candidate)} have a result"]
    return [_gap("checks", sentence) for sentence in (*found.end.troubles, *(unaccounted if missing else ()))]


def _missing(recorded: Sequence[CheckResult], ids: frozenset[str]) -> list[Fault]:
    """A check that the baseline was recorded with, and that is gone, must not be gone unseen."""
    gone = [one.check_id for one in recorded if one.check_id not in ids]
    if not gone:
        return []
    more = f" and {len(gone) - _MOST_NAMED} more" if len(gone) > _MOST_NAMED else ""
    sentence = (
        f"the baseline was recorded with checks that were not run now: {', '.join(gone[:_MOST_NAMED])}{more}; "
        "put them back, or record the baseline anew without them"
    )
    return [fault(ReasonCode.CHECK_MISSING, "checks", sentence, allows_abort=True)]


def _gap(subject: str, sentence: str) -> Fault:
    """It can only have hidden a break: what load proved worse is worse."""
    return fault(ReasonCode.CHECKS_INCOMPLETE, subject, sentence, allows_abort=True)
