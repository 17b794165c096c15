"""Fifty endpoints, most of them rare: all are named, and the rare ones make no verdict INCONCLUSIVE."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.verdict import judge
from rehearse.model import Decision, Evidence, Outcome, Role, Scope
from tests.judge.evidence import QUIET, World, paired

ENDPOINTS = {f"GET /resource/{number}": (1 / number, 0.004 + 0.0005 * number) for number in range(1, 51)}
ZIPF = replace(QUIET, endpoints=ENDPOINTS, rate_per_s=200.0, rounds=4, blocks=12, has_tasks=False)
RARE = "GET /resource/37"


@pytest.fixture(scope="module")
def identical() -> Evidence:
    return paired(ZIPF, 1, before=ZIPF)


def test_identical_code_is_go_although_most_endpoints_are_too_rare_to_certify(identical: Evidence) -> None:
    verdict = judge(identical)
    assert verdict.decision is Decision.GO
    certified = {one.cell.name for one in verdict.judgements if one.cell.role is Role.CERTIFY}
    assert certified == {"shop", "GET /resource/1", "GET /resource/2"}


def test_every_endpoint_has_its_cells_and_what_was_only_watched_is_named_with_what_it_could_have_seen(
    identical: Evidence,
) -> None:
    verdict = judge(identical)
    judged = {one.cell.name for one in verdict.judgements if one.cell.scope is Scope.ENDPOINT}
    watched = {one.cell.label for one in verdict.judgements if one.cell.role is Role.WATCH}
    told = {one.subject: one.sentence for one in verdict.warnings if one.code == "only_watched"}
    assert judged == set(ENDPOINTS)
    assert set(told) == watched
    assert "could only have seen" in told[f"{RARE} error ratio"]


def slower(name: str, factor: float) -> World:
    return replace(ZIPF, slowdown={name: factor, "": 1.0})


def test_a_rare_endpoint_that_got_far_worse_is_abort_by_its_own_name() -> None:
    verdict = judge(paired(slower(RARE, 3.0), 2, before=ZIPF))
    assert verdict.decision is Decision.ABORT
    assert {reason.subject.rpartition(" ")[0] for reason in verdict.reasons} == {RARE}


def test_a_rare_endpoint_that_got_a_little_worse_is_neither_proven_nor_in_the_way() -> None:
    verdict = judge(paired(slower(RARE, 1.08), 3, before=ZIPF))
    assert verdict.decision is Decision.GO
    assert any(one.cell.name == RARE and one.outcome is Outcome.INCONCLUSIVE for one in verdict.judgements)
