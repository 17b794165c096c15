"""The data under a rehearsal: another set or another amount is no comparison, and a toy is named as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.verdict import judge
from rehearse.model import DataRules, DataState, Decision, Evidence, Finding, Moment, ReasonCode, Side
from tests.judge.evidence import QUIET, good, recorded

ROWS = {"orders": 50_000, "customers": 200}


def with_data(rules: DataRules | None = None, data_set: str = "november", **candidate_rows: int) -> Evidence:
    evidence = good()
    states = (
        DataState(Side.BASELINE, Moment.BEFORE, "november", ROWS),
        DataState(Side.CANDIDATE, Moment.BEFORE, data_set, {**ROWS, **candidate_rows}),
        DataState(Side.CANDIDATE, Moment.AFTER, data_set, {**ROWS, "orders": 90_000}),
    )
    return replace(evidence, policy=replace(evidence.policy, data=rules or DataRules()), data=states)


def warning(evidence: Evidence, code: str) -> Finding | None:
    return next((one for one in judge(evidence).warnings if one.code == code), None)


def test_the_same_data_is_no_obstacle() -> None:
    assert judge(with_data()).decision is Decision.GO


def test_growth_under_load_is_no_difference() -> None:
    """What was added by the load is told, and not compared."""
    assert judge(with_data(orders=52_000)).decision is Decision.GO


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (with_data(data_set="december"), "'november' on the baseline and 'december' on the candidate"),
        (with_data(orders=60_000), "50,000 orders on the baseline and 60,000 on the candidate"),
        (with_data(orders=0), "50,000 orders on the baseline and 0 on the candidate"),
        (with_data(invoices=5_000), "0 invoices on the baseline and 5,000 on the candidate"),
    ],
    ids=["another set", "more rows", "no rows", "a kind that the baseline has not"],
)
def test_other_data_is_not_comparable(evidence: Evidence, words: str) -> None:
    verdict = judge(evidence)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.NOT_COMPARABLE
    assert words in verdict.reasons[0].sentence


@pytest.mark.parametrize(
    ("declared", "evidence"),
    [
        ("state.data_set", with_data(data_set="december")),
        ("state.rows.orders", with_data(orders=60_000)),
        ("state.rows", with_data(orders=60_000, invoices=5_000)),
    ],
)
def test_what_the_upgrade_changes_is_declared(declared: str, evidence: Evidence) -> None:
    policy = replace(evidence.policy, data=DataRules(declared=(declared,)))
    assert judge(replace(evidence, policy=policy)).decision is Decision.GO


def test_a_handful_of_rows_is_no_other_amount() -> None:
    assert judge(with_data(customers=500)).decision is Decision.GO


def test_staging_that_is_far_smaller_than_production_is_a_warning() -> None:
    rules = DataRules(production_rows={"orders": 48_000_000, "customers": 1_000, "invoices": 7})
    evidence = with_data(rules)
    assert judge(evidence).decision is Decision.GO
    found = warning(evidence, "small_data")
    assert found is not None
    assert "50,000 orders, 0.10 % of production's" in found.sentence
    assert "0 invoices" in found.sentence
    assert "customers" not in found.sentence


def test_a_side_that_said_nothing_is_named() -> None:
    evidence = with_data()
    silent = replace(evidence, data=evidence.data[:1])
    found = warning(silent, "unknown_data")
    assert found is not None
    assert "candidate" in found.sentence


def test_in_recorded_mode_the_stored_baselines_data_counts() -> None:
    world = replace(QUIET, rounds=3)
    evidence = recorded(world, world, 1)
    assert evidence.reference is not None
    stored = (DataState(Side.BASELINE, Moment.BEFORE, "october", ROWS),)
    now = (DataState(Side.CANDIDATE, Moment.BEFORE, "november", ROWS),)
    policy = replace(evidence.policy, data=DataRules())
    verdict = judge(
        replace(evidence, policy=policy, data=now, reference=replace(evidence.reference, data=stored))
    )
    assert ReasonCode.NOT_COMPARABLE in {finding.code for finding in verdict.reasons}
    assert verdict.decision is not Decision.GO
