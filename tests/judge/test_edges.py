"""What edge cases do to a verdict: only what was proven and passed leaves a GO."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.edges import edge_results, subject_of
from rehearse.judge.verdict import judge, judge_at_look
from rehearse.model import (
    Assertion,
    Decision,
    EdgeFamily,
    EdgeOutcome,
    EdgeRecord,
    Evidence,
    Proof,
    ReasonCode,
    Step,
    Waiver,
)
from tests.judge.evidence import good

PLANNED = EdgeRecord("leap-days", EdgeFamily.DATE, "It broke on 29 February.")
PASSED = replace(
    PLANNED,
    precondition=Step("the load generator is well", True),
    injection=Step("boundary instants", True),
    assertions=(Assertion("answered alike", EdgeOutcome.PASS, "62 are answered alike", {"instants": 62}),),
    proofs=(Proof("instants that the baseline answers well", 60),),
    cleanup=Step("nothing was changed", True),
)
FAILED = replace(PASSED, assertions=(Assertion("answered alike", EdgeOutcome.FAIL, "answered 500"),))
WAIVER = Waiver(subject_of(PLANNED), "Mara Lind", "nobody asks for that day", "2099-01-01")


def evidence(*records: EdgeRecord, planned: EdgeRecord = PLANNED) -> Evidence:
    return replace(good(), planned_edges=(planned,), edges=records)


def codes(found: Evidence) -> tuple[Decision, set[str]]:
    verdict = judge(found)
    return verdict.decision, {finding.code for finding in verdict.reasons}


def test_a_case_that_passed_leaves_a_go() -> None:
    assert judge(evidence(PASSED)).decision is Decision.GO


def test_a_case_that_failed_is_an_abort_beyond_doubt() -> None:
    assert codes(evidence(FAILED)) == (Decision.ABORT, {ReasonCode.EDGE_FAILED})


@pytest.mark.parametrize(
    "changes",
    [
        {"injection": None},
        {"injection": Step("boundary instants", False, "wrong port")},
        {"precondition": Step("the load generator is well", False, "it was killed")},
        {"proofs": ()},
        {"proofs": (Proof("instants that the baseline answers well", 0),)},
        {"assertions": ()},
        {"cleanup": None},
        {"cleanup": Step("no fault is left", False)},
    ],
    ids=str,
)
def test_one_piece_of_its_evidence_taken_away_is_never_go(changes: dict[str, object]) -> None:
    spoilt = replace(PASSED, **changes)  # type: ignore[arg-type]
    assert codes(evidence(spoilt)) == (Decision.INCONCLUSIVE, {ReasonCode.EDGES_INCOMPLETE})


def test_a_case_that_was_due_and_has_no_record_is_not_run() -> None:
    assert codes(evidence()) == (Decision.INCONCLUSIVE, {ReasonCode.EDGES_INCOMPLETE})
    (result,) = edge_results([PLANNED], ())
    assert (result.outcome, result.sentence) == (EdgeOutcome.NOT_RUN, "nothing was injected")


def test_what_is_not_required_warns_and_decides_nothing() -> None:
    optional = replace(PLANNED, is_required=False)
    for record in (replace(FAILED, is_required=False), optional):
        verdict = judge(evidence(record, planned=optional))
        assert verdict.decision is Decision.GO
        assert [one for one in verdict.warnings if one.subject == "edge: leap-days"]


def test_what_the_baseline_does_too_is_not_the_upgrades_doing() -> None:
    alike = (Assertion("it recovers", EdgeOutcome.ALREADY_BROKEN, "never back to normal"),)
    verdict = judge(evidence(replace(PASSED, assertions=alike)))
    assert verdict.decision is Decision.GO
    (warning,) = [one for one in verdict.warnings if one.subject == "edge: leap-days"]
    assert "on both sides: broken before, or the case itself is wrong" in warning.sentence


def test_a_failed_case_can_be_waived_and_one_that_was_not_run_cannot() -> None:
    found = evidence(FAILED)
    policy = replace(found.policy, waivers=(WAIVER,))
    waived = replace(found, policy=policy, started_at="2026-11-21T12:00:00+00:00")
    assert judge(waived).decision is Decision.GO
    assert judge(replace(waived, edges=())).decision is Decision.INCONCLUSIVE


def test_a_look_does_not_ask_for_what_comes_later() -> None:
    verdict = judge_at_look(evidence())
    assert ReasonCode.EDGES_INCOMPLETE not in {finding.code for finding in verdict.reasons}
