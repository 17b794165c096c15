"""Requests outside any journey: told when they fail or are many, and no GO when they are too many or surely fail."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from rehearse.judge.verdict import baseline_findings, judge
from rehearse.model import Decision, Evidence, ReasonCode, Side, Verdict
from tests.judge.evidence import QUIET, good, paired

A, B = Side.CANDIDATE, Side.BASELINE


@cache
def good_evidence() -> Evidence:
    """2 rounds of 9 blocks: 3,600 requests a side, warm-up included."""
    return good()


def outside(evidence: Evidence, counts: dict[Side, tuple[int, int]]) -> Evidence:
    """(requests, errors) of each round, outside any journey."""
    finals = [
        replace(
            final,
            unscheduled_requests=counts.get(final.side, (0, 0))[0],
            unscheduled_errors=counts.get(final.side, (0, 0))[1],
        )
        for final in evidence.finals
    ]
    return replace(evidence, finals=tuple(finals))


def told(verdict: Verdict) -> list[tuple[str, str]]:
    return [(one.subject, one.sentence) for one in verdict.warnings if one.code == "outside_journeys"]


def test_logins_that_all_succeed_are_nothing_to_tell() -> None:
    verdict = judge(outside(good_evidence(), {A: (50, 0), B: (50, 0)}))
    assert (verdict.decision, told(verdict)) == (Decision.GO, [])


@pytest.mark.parametrize("side", list(Side))
def test_failures_outside_any_journey_are_told_with_their_number_and_side(side: Side) -> None:
    verdict = judge(outside(good_evidence(), {side: (50, 2)}))
    assert verdict.decision is Decision.GO
    ((subject, sentence),) = told(verdict)
    assert subject == side
    assert f"4 of 100 requests to the {side} outside any journey, such as a login in on_start" in sentence


def test_failures_outside_any_journey_are_told_beside_an_abort() -> None:
    slow = paired(replace(QUIET, slowdown={"": 1.25}), 2, before=QUIET)
    verdict = judge(outside(slow, {A: (50, 30), B: (50, 0)}))
    assert verdict.decision is Decision.ABORT
    assert [subject for subject, _ in told(verdict)] == [A]


def test_a_large_part_outside_any_journey_is_told() -> None:
    verdict = judge(outside(good_evidence(), {A: (200, 0), B: (200, 0)}))
    assert verdict.decision is Decision.GO
    assert [subject for subject, _ in told(verdict)] == [B, A]
    assert "10.0 % of the requests to the candidate (400 of 4,000) were made outside" in told(verdict)[1][1]


@pytest.mark.parametrize(
    ("counts", "code", "words"),
    [
        ({A: (600, 0), B: (600, 0)}, ReasonCode.LOAD_MISMATCH, "at most 20.0 % may be"),
        ({A: (200, 0), B: (10, 0)}, ReasonCode.LOAD_MISMATCH, "the sides did not get the same load"),
        ({A: (10, 0), B: (200, 0)}, ReasonCode.LOAD_MISMATCH, "the sides did not get the same load"),
        ({A: (20, 20), B: (20, 0)}, ReasonCode.LOAD_MISMATCH, "40 of 40 requests to the candidate"),
        ({A: (20, 20), B: (20, 20)}, ReasonCode.BASELINE_UNHEALTHY, "40 of 40 requests to the baseline"),
    ],
    ids=[
        "a quarter of all load",
        "far more on the candidate",
        "far more on the baseline",
        "no login on the candidate",
        "no login on either side",
    ],
)
def test_much_that_nothing_judges_is_no_go(
    counts: dict[Side, tuple[int, int]], code: ReasonCode, words: str
) -> None:
    verdict = judge(outside(good_evidence(), counts))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert any(one.code == code and words in one.sentence for one in verdict.reasons)


def test_known_good_users_can_log_in() -> None:
    recording = replace(good_evidence(), reference=None)
    assert baseline_findings(outside(recording, {A: (20, 0), B: (20, 0)})) == ()
    assert [one.subject for one in baseline_findings(outside(recording, {A: (20, 20), B: (20, 0)}))] == [A]


def test_a_candidate_alone_is_held_to_its_own_part() -> None:
    alone = replace(good_evidence(), finals=tuple(f for f in good_evidence().finals if f.side is A))
    sentences = [one.sentence for one in judge(outside(alone, {A: (600, 0)})).reasons]
    assert any("at most 20.0 % may be" in sentence for sentence in sentences)
    assert not any("did not get the same load" in sentence for sentence in sentences)
