"""What checks do to a verdict: every outcome, every gap, and every place of it in the precedence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.checks import judge_checks, settled
from rehearse.judge.verdict import judge, judge_at_look
from rehearse.model import (
    CheckEvidence,
    CheckOutcome,
    CheckResult,
    ChecksEnd,
    Decision,
    Evidence,
    Incident,
    ReasonCode,
    Reference,
    Severity,
    Verdict,
    Waiver,
)
from tests.judge.evidence import QUIET, good, paired

PASSED, FAILED, ERROR = CheckOutcome.PASSED, CheckOutcome.FAILED, CheckOutcome.ERROR
ABORT, GO, INCONCLUSIVE = Decision.ABORT, Decision.GO, Decision.INCONCLUSIVE


def result(
    check_id: str = "INC-1", outcome: CheckOutcome = PASSED, severity: Severity = Severity.ABORT
) -> CheckResult:
    sentence = "" if outcome is PASSED else f"it is {outcome}"
    return CheckResult(
        check_id, f"checks/test_a.py::test_{check_id}", "Totals were texts.", outcome, severity, sentence
    )


def found(*results: CheckResult, baseline: tuple[CheckResult, ...] = ()) -> CheckEvidence:
    return CheckEvidence(results, baseline, ChecksEnd(len(results)))


def with_checks(checks: CheckEvidence | None, *recorded: CheckResult) -> Evidence:
    whole = good()
    assert isinstance(whole.reference, Reference)
    return replace(whole, checks=checks, reference=replace(whole.reference, checks=recorded))


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.reasons]


def test_checks_that_pass_leave_a_good_run_a_go() -> None:
    assert judge(with_checks(found(result()), result())).decision is GO
    assert judge(with_checks(None)).decision is GO


@pytest.mark.parametrize(
    ("outcome", "severity", "decision"),
    [
        (FAILED, Severity.ABORT, ABORT),
        (FAILED, Severity.WARN, GO),
        (ERROR, Severity.ABORT, INCONCLUSIVE),
        (ERROR, Severity.WARN, INCONCLUSIVE),
        (CheckOutcome.NOT_RUN, Severity.ABORT, GO),
        (CheckOutcome.ACCEPTED, Severity.ABORT, GO),
    ],
)
def test_what_one_check_does_to_a_run_that_is_go_otherwise(
    outcome: CheckOutcome, severity: Severity, decision: Decision
) -> None:
    verdict = judge(with_checks(found(result("good"), result("one", outcome, severity))))
    assert verdict.decision is decision
    told = [*verdict.reasons, *verdict.warnings]
    assert any(
        finding.subject == "check: one" and "Totals were texts" in finding.sentence for finding in told
    )


def test_a_failed_check_is_the_first_reason_and_beyond_doubt() -> None:
    verdict = judge(with_checks(found(result("one", FAILED))))
    assert codes(verdict)[0] == ReasonCode.CHECK_FAILED
    assert verdict.reasons[0].is_hard


@pytest.mark.parametrize(
    ("checks", "why"),
    [
        (CheckEvidence((result(),), (), None), "closing account"),
        (CheckEvidence((result(),), (), ChecksEnd(2)), "2 checks were collected, and 1 have a result"),
        (CheckEvidence((), (), ChecksEnd(0, ("no check was collected",))), "no check was collected"),
        (CheckEvidence((result(),), (), ChecksEnd(1, ("a.py cannot be collected",))), "a.py cannot"),
    ],
    ids=["no end", "one is missing", "none at all", "one file is broken"],
)
def test_a_gap_is_never_go(checks: CheckEvidence, why: str) -> None:
    verdict = judge(with_checks(checks))
    assert (verdict.decision, codes(verdict)) == (INCONCLUSIVE, [ReasonCode.CHECKS_INCOMPLETE])
    assert why in verdict.reasons[0].sentence
    assert judge_checks(checks).decision is INCONCLUSIVE


@pytest.mark.parametrize("checks", [found(result("other")), None], ids=["other checks", "no checks at all"])
def test_a_check_that_the_baseline_has_and_that_is_gone_is_never_go(checks: CheckEvidence | None) -> None:
    verdict = judge(with_checks(checks, result("gone")))
    assert (verdict.decision, codes(verdict)) == (INCONCLUSIVE, [ReasonCode.CHECK_MISSING])
    assert "gone" in verdict.reasons[0].sentence


def test_a_gap_hides_no_worsening_that_load_has_proven() -> None:
    slow = paired(replace(QUIET, slowdown={"": 3.0}), 3, before=QUIET)
    verdict = judge(replace(slow, checks=CheckEvidence()))
    assert verdict.decision is ABORT
    assert codes(verdict)[0] == ReasonCode.WORSE


def test_a_failed_check_is_abort_even_when_the_run_was_interrupted() -> None:
    evidence = with_checks(found(result("one", FAILED)))
    cut = Incident(ReasonCode.INTERRUPTED, "stopped by SIGINT")
    assert judge(replace(evidence, incidents=(cut,))).decision is ABORT


def test_what_fails_on_the_baseline_too_does_not_blame_the_upgrade() -> None:
    one = result("one", FAILED)
    for evidence in (
        with_checks(found(result("good"), one, baseline=(one,))),  # asked now
        with_checks(found(result("good"), one), one, result("good")),  # as recorded
    ):
        verdict = judge(evidence)
        assert verdict.decision is GO
        assert any(
            "fails on both sides: broken before, or the check itself is wrong" in finding.sentence
            for finding in verdict.warnings
        )


def test_the_baseline_of_now_is_believed_before_the_recorded_one() -> None:
    failed, passed = result("one", FAILED), result("one")
    assert judge(with_checks(found(failed, baseline=(passed,)), failed)).decision is ABORT
    assert judge(with_checks(found(failed, baseline=(failed,)), passed)).reasons[0].subject != "check: one"


@pytest.mark.parametrize(
    ("outcome", "until", "decision"),
    [
        (FAILED, "2026-11-02", GO),
        (FAILED, "2026-10-31", ABORT),
        (ERROR, "2026-11-02", INCONCLUSIVE),
    ],
    ids=["accepted", "no longer", "it could not be asked"],
)
def test_a_named_person_can_accept_a_failed_check_until_a_date_and_nothing_else(
    outcome: CheckOutcome, until: str, decision: Decision
) -> None:
    evidence = with_checks(found(result("good"), result("one", outcome)))
    waiver = Waiver("check: one", "the orders team", "clients are patched", until)
    policy = replace(evidence.policy, waivers=(waiver,))
    verdict = judge(replace(evidence, policy=policy, started_at="2026-11-01T10:00:00+00:00"))
    assert verdict.decision is decision
    assert any("the orders team" in finding.sentence for finding in verdict.warnings)


@pytest.mark.parametrize("there", [ERROR, CheckOutcome.NOT_RUN, PASSED])
def test_only_a_failure_there_excuses_a_failure_here(there: CheckOutcome) -> None:
    evidence = found(result("one", FAILED), baseline=(result("one", there),))
    assert settled(evidence)[0].outcome is FAILED


def test_a_look_during_the_load_knows_no_checks_yet() -> None:
    verdict = judge_at_look(with_checks(CheckEvidence(), result("one")))
    assert ReasonCode.CHECKS_INCOMPLETE not in codes(verdict)
    assert ReasonCode.CHECK_MISSING not in codes(verdict)


def test_failed_ones_come_first_and_passed_ones_last() -> None:
    results = [result(str(outcome), outcome) for outcome in CheckOutcome]
    ordered = settled(found(*results, result("warned", FAILED, Severity.WARN)))
    assert [one.check_id for one in ordered[:3]] == ["failed", "warned", "error"]
    assert ordered[-1].check_id == "passed"


def test_checks_alone_that_all_were_skipped_prove_nothing() -> None:
    assert judge_checks(found(result("one", CheckOutcome.NOT_RUN))).decision is INCONCLUSIVE
    assert judge_checks(found(result("one"))).decision is GO
    assert judge_checks(found(result("one", FAILED))).decision is ABORT
