"""The response contract in the verdict: what gates, what a waiver takes back, and what is missing is never GO."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import fisher_exact

from rehearse.judge.stats import fisher_p_value
from rehearse.judge.verdict import judge
from rehearse.model import (
    ContractRules,
    Decision,
    Evidence,
    Reference,
    Sample,
    Side,
    ValueDifference,
    Verdict,
    Waiver,
    Weight,
)
from tests.checks.answers import contracts, sample
from tests.judge.evidence import POLICY, QUIET, paired

N = 40
GET = "GET /items"
TYPE = f"contract: {GET} 200 $.total type"
CALM = replace(QUIET, rounds=2, blocks=12, rate_per_s=200.0)
GO = paired(CALM, 3, before=CALM)


def answers(total: object, side: Side, endpoint: str = GET, status: int = 200) -> list[Sample]:
    return [sample({"id": 1, "total": total}, side, endpoint, status) for _ in range(N)]


BASELINE = answers(12.5, Side.BASELINE) + answers(1, Side.BASELINE, "POST /orders", 201)
SAME = answers(12.5, Side.CANDIDATE) + answers(1, Side.CANDIDATE, "POST /orders", 201)
BROKEN = answers("12.5", Side.CANDIDATE) + answers(1, Side.CANDIDATE, "POST /orders", 201)


def evidence(
    candidate: Iterable[Sample], *waivers: Waiver, baseline: Iterable[Sample] = BASELINE, **changes: object
) -> Evidence:
    """A rehearsal that is GO but for its answers, begun on 21 November 2026."""
    rules = changes.pop("rules", ContractRules())
    policy = replace(POLICY, contract=rules, waivers=waivers)  # type: ignore[arg-type]
    whole = replace(
        GO,
        policy=policy,
        contracts=contracts([*baseline, *candidate]),
        started_at="2026-11-21T12:00:00+00:00",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def waiver(finding: str = TYPE, until: str = "2026-12-31") -> Waiver:
    return Waiver(finding, "Mara Lind", "the mobile app reads both", until)


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in (*verdict.reasons, *verdict.warnings)]


def test_equal_answers_are_go_and_are_counted() -> None:
    verdict = judge(evidence(SAME))
    assert verdict.decision is Decision.GO
    assert (verdict.contract, verdict.contracts_compared) == ((), 2)


def test_a_changed_type_is_a_hard_abort_with_its_example() -> None:
    verdict = judge(evidence(BROKEN))
    assert verdict.decision is Decision.ABORT
    (reason,) = verdict.reasons
    assert (reason.subject, reason.code, reason.is_hard) == (TYPE, "contract", True)
    assert (reason.numbers["before"], reason.numbers["after"]) == ("12.5", '"12.5"')


def test_a_changed_type_stands_above_evidence_that_is_not_valid() -> None:
    verdict = judge(evidence(BROKEN, finals=()))
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].code == "contract"


@pytest.mark.parametrize("until", ["2026-11-21", "2026-12-31"])
def test_a_waiver_takes_the_abort_back_and_stays_visible(until: str) -> None:
    verdict = judge(evidence(BROKEN, waiver(until=until)))
    assert verdict.decision is Decision.GO
    assert verdict.contract[0].waiver == waiver(until=until)
    (told,) = [one for one in verdict.warnings if one.code == "waived"]
    assert f"waived by Mara Lind until {until} (the mobile app reads both): GET /items" in told.sentence


def test_an_expired_waiver_waives_nothing_and_says_so() -> None:
    verdict = judge(evidence(BROKEN, waiver(until="2026-11-20")))
    assert verdict.decision is Decision.ABORT
    (told,) = [one for one in verdict.warnings if one.code == "waiver_expired"]
    assert "ended on 2026-11-20 and is ignored" in told.sentence


def test_without_a_day_no_waiver_holds() -> None:
    assert judge(evidence(BROKEN, waiver(), started_at="")).decision is Decision.ABORT


def test_a_waiver_of_another_place_waives_nothing_and_names_the_nearest() -> None:
    verdict = judge(evidence(BROKEN, waiver(TYPE.replace("total", "totals"))))
    assert verdict.decision is Decision.ABORT
    (told,) = [one for one in verdict.warnings if one.code == "waiver_unused"]
    assert f"Did you mean {TYPE!r}?" in told.sentence


def test_a_waiver_never_takes_back_what_makes_evidence_invalid() -> None:
    subjects = {finding.subject for finding in judge(evidence(SAME, finals=())).reasons}
    assert subjects
    waivers = [waiver(subject) for subject in subjects]
    assert judge(evidence(SAME, *waivers, finals=())).decision is Decision.INCONCLUSIVE


def test_a_certified_endpoint_without_a_good_answer_on_one_side_is_never_go() -> None:
    for taken_away in (Side.BASELINE, Side.CANDIDATE):
        samples = {Side.BASELINE: BASELINE, Side.CANDIDATE: SAME}
        samples[taken_away] = [one for one in samples[taken_away] if one.endpoint != GET]
        verdict = judge(evidence(samples[Side.CANDIDATE], baseline=samples[Side.BASELINE]))
        assert verdict.decision is Decision.INCONCLUSIVE
        assert [reason.code for reason in verdict.reasons] == ["unseen_contract"]
        assert GET in verdict.reasons[0].sentence


def test_a_certified_endpoint_whose_answers_were_all_cut_is_never_go() -> None:
    cut = [replace(one, is_whole=one.endpoint != GET) for one in SAME]
    verdict = judge(evidence(cut))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert [reason.code for reason in verdict.reasons] == ["unseen_contract"]
    assert "contract.max_body_kb" in verdict.reasons[0].sentence


def test_an_endpoint_that_is_only_watched_is_told_and_decides_nothing() -> None:
    rare = answers(1, Side.BASELINE, "GET /rare")
    verdict = judge(evidence(SAME, baseline=[*BASELINE, *rare]))
    assert verdict.decision is Decision.GO
    assert [(one.endpoint, one.what) for one in verdict.contract] == [("GET /rare", "unseen")]


def test_when_no_answer_was_seen_the_report_says_that_nothing_was_compared() -> None:
    verdict = judge(evidence((), baseline=()))
    assert "no_contract" in codes(verdict)
    assert verdict.contracts_compared == 0


DIFFERENCE = ValueDifference(GET, 200, "$.tax", 3, 3, "19", "7")


@pytest.mark.parametrize(
    ("values", "noise", "weight", "decision"),
    [
        ("warn", (), Weight.WARN, Decision.GO),
        ("gate", (), Weight.GATE, Decision.ABORT),
        ("gate", (DIFFERENCE,), None, Decision.GO),
        ("off", (), None, Decision.GO),
    ],
    ids=["warns", "gates when asked to", "differs between equal sides too", "off"],
)
def test_another_value_in_the_answer_to_an_equal_request(
    values: str, noise: tuple[ValueDifference, ...], weight: Weight | None, decision: Decision
) -> None:
    assert GO.reference is not None
    verdict = judge(
        evidence(
            SAME,
            rules=ContractRules(values=values),
            differences=(DIFFERENCE,),
            reference=replace(GO.reference, differences=noise),
        )
    )
    assert [one.weight for one in verdict.contract] == ([] if weight is None else [weight])
    assert verdict.decision is decision


def test_equal_requests_do_not_tell_again_what_the_contract_tells() -> None:
    added = replace(DIFFERENCE, place="$.currency", baseline="nothing")
    changed = replace(DIFFERENCE, place="$.total")
    found = judge(evidence(BROKEN, differences=(added, changed))).contract
    assert [one.subject for one in found] == [TYPE]


def test_without_an_a_a_baseline_another_value_is_only_a_note() -> None:
    reference = Reference("main", tuple(one for one in GO.blocks if one.side is Side.BASELINE))
    case = evidence(SAME, rules=ContractRules(values="gate"), differences=(DIFFERENCE,), reference=reference)
    (change,) = judge(case).contract
    assert change.weight is Weight.NOTE
    assert "without a recorded A/A baseline" in change.sentence


@pytest.mark.parametrize(
    "table", [(0, 40, 40, 40), (0, 40, 3, 40), (2, 60, 9, 31), (0, 5, 5, 5), (7, 7, 0, 3)]
)
def test_fishers_test_is_scipys(table: tuple[int, int, int, int]) -> None:
    had, of, has, of_now = table
    expected = fisher_exact(np.array([[has, of_now - has], [had, of - had]]), alternative="greater").pvalue
    assert fisher_p_value(*table) == pytest.approx(expected, rel=1e-9)
