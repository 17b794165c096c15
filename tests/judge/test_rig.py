"""The rig is judged before the system: each trouble of it has words and a number, and what is not known is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from rehearse.judge.fitness import CAUSES
from rehearse.judge.pairs import columns, judged_pairs
from rehearse.judge.refusals import refusal_faults
from rehearse.judge.rig import _WORDS, DISCARDED, not_measured
from rehearse.judge.verdict import baseline_findings, judge
from rehearse.model import (
    Block,
    Decision,
    ErrorBin,
    Evidence,
    ReasonCode,
    RequestOutcome,
    RigLimits,
    Scope,
    Side,
)
from tests.judge.evidence import POLICY, constant, good
from tests.judge.test_validity import on

LIMITED = replace(POLICY, rig=RigLimits(max_queue_wait_ratio=0.2, max_steal_ratio=0.1))


@cache
def good_evidence() -> Evidence:
    return good()


def with_rig(**changes: Any) -> Callable[[Block], Block]:
    return lambda block: replace(block, rig=replace(block.rig, **changes))


TROUBLES = [
    (with_rig(exhausted=7), "out of descriptors or ports", "7 times the load generator had no descriptor"),
    (with_rig(clock_step_s=3.2), "clock step", "the wall clock was set by 3.20 s"),
    (with_rig(throttled=2), "CPU quota", "the quota of its control group stopped the worker 2 times"),
    (with_rig(steal_ratio=0.3), "steal time", "the hypervisor gave 30.0 % of the CPU to others"),
    (with_rig(queue_wait_ratio=0.4), "waiting for a core", "the worker waited for a core 40.0 % of the time"),
    (
        with_rig(stall_max_s=0.43, stalled_in="visit.py:9 look()"),
        "stall",
        "its event loop stood still for 430 ms: visit.py:9 look()",
    ),
    (with_rig(cpu_ratio=0.93), "CPU", "the worker used 93.00 % of a core"),
    (
        with_rig(rig_lag=constant(0.009, 200), gc_ratio=0.31),
        "rig lag",
        "1 % of the arrivals were 9.00 ms late or later, garbage collection took 31.0 % of it",
    ),
]
NAMES = [name for _, name, _ in TROUBLES]


def test_every_cause_has_its_words_and_its_test() -> None:
    assert set(_WORDS) == set(CAUSES)
    assert {cause.name for cause in CAUSES} == set(NAMES)


@pytest.mark.parametrize(("trouble", "name", "words"), TROUBLES, ids=NAMES)
def test_too_many_unfit_blocks_are_inconclusive_with_the_cause_in_words(
    trouble: Callable[[Block], Block], name: str, words: str
) -> None:
    evidence = replace(on(trouble, Side.CANDIDATE, first=5)(good_evidence()), policy=LIMITED)
    verdict = judge(evidence)
    assert verdict.decision is Decision.INCONCLUSIVE
    (finding,) = [one for one in verdict.reasons if one.code == ReasonCode.RIG_UNHEALTHY]
    assert f"(8 {name})" in finding.sentence
    assert f"at worst {words}" in finding.sentence
    assert "(candidate, round 0, block 5)" in finding.sentence


@pytest.mark.parametrize(("trouble", "name", "words"), TROUBLES, ids=NAMES)
def test_a_few_unfit_blocks_are_left_out_and_told(
    trouble: Callable[[Block], Block], name: str, words: str
) -> None:
    evidence = replace(on(trouble, Side.BASELINE, first=8)(good_evidence()), policy=LIMITED)
    verdict = judge(evidence)
    assert ReasonCode.RIG_UNHEALTHY not in {finding.code for finding in verdict.reasons}
    assert verdict.pairs_discarded == 2
    (warning,) = [one for one in verdict.warnings if one.code == DISCARDED]
    assert words in warning.sentence


@pytest.mark.parametrize("trouble", [trouble for trouble, _, _ in TROUBLES], ids=NAMES)
def test_what_is_recorded_on_an_unfit_rig_is_no_baseline(trouble: Callable[[Block], Block]) -> None:
    evidence = replace(on(trouble)(good_evidence()), policy=LIMITED)
    assert ReasonCode.RIG_UNHEALTHY in {finding.code for finding in baseline_findings(evidence)}


def test_when_every_block_is_spoiled_the_rig_is_the_only_reason() -> None:
    """Nothing is left to judge: that must not read as a scenario that never ran, or endpoints that are gone."""
    evidence = on(with_rig(stall_max_s=0.5))(replace(good_evidence(), scenarios=("shop",)))
    verdict = judge(evidence)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.RIG_UNHEALTHY
    assert not {ReasonCode.NO_EVIDENCE, ReasonCode.MISSING_ENDPOINT} & {
        one.code for one in verdict.reasons if one.subject != "certified"
    }


def test_a_worker_that_was_away_for_seconds_is_never_go_however_few_blocks_that_were() -> None:
    def stopped(block: Block) -> Block:
        return with_rig(stall_max_s=6.0)(block) if (block.round, block.index) == (0, 4) else block

    verdict = judge(on(stopped, Side.CANDIDATE)(good_evidence()))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert [one.code for one in verdict.reasons] == [ReasonCode.RIG_UNHEALTHY]
    assert "the load generator of the candidate was away in round 0, block 4" in verdict.reasons[0].sentence


def test_what_is_only_recorded_spoils_nothing() -> None:
    waited = on(with_rig(queue_wait_ratio=0.9, steal_ratio=0.9, gc_ratio=0.9))(good_evidence())
    assert judge(waited).pairs_discarded == 0


def test_what_was_not_measured_is_said_and_what_was_is_not() -> None:
    blocks = good_evidence().blocks
    assert len(not_measured(blocks)) == 5
    told = with_rig(steal_ratio=0.0, queue_wait_ratio=0.0, throttled=0, clock_step_s=0.0, gc_ratio=0.0)
    assert not_measured([told(block) for block in blocks]) == ()
    assert not_measured([]) == ()


# --- users that are no longer let in ----------------------------------------------------------------------------


def refusing(ratio: float, kind: str = "HTTP 401") -> Callable[[Block], Block]:
    """A part of the successes becomes 401."""

    def change(block: Block) -> Block:
        series, refused = [], 0
        for one in block.series:
            count = round(ratio * one.count(RequestOutcome.OK))
            durations = {RequestOutcome.OK: constant(0.01, one.count() - count)}
            errors: tuple[ErrorBin, ...] = ()
            if count:
                durations[RequestOutcome.ERROR] = constant(0.001, count)
                errors = (ErrorBin(kind, block.index * 8, count),)
            refused = count if one.scope is Scope.SCENARIO else refused
            series.append(replace(one, durations=durations, errors=errors))
        arrivals = replace(block.arrivals, ok=block.arrivals.ok - refused, error=refused)
        return replace(block, series=tuple(series), arrivals=arrivals)

    return change


def second_round(change: Callable[[Block], Block]) -> Callable[[Block], Block]:
    return lambda block: change(block) if block.round == 1 else block


@pytest.mark.parametrize("kind", ["HTTP 401", "HTTP 403"])
def test_a_token_that_expires_on_both_sides_is_the_scenarios_trouble_and_no_sameness(kind: str) -> None:
    verdict = judge(on(second_round(refusing(0.04, kind)))(good_evidence()))
    assert verdict.decision is Decision.INCONCLUSIVE
    told = [one.sentence for one in verdict.reasons if one.code == ReasonCode.LOAD_MISMATCH]
    assert len(told) == 2
    assert "4.00 % of the requests to the baseline were refused (401 or 403) in the second half" in told[0]


@pytest.mark.parametrize(
    ("side", "allows_abort"),
    [(Side.CANDIDATE, True), (Side.BASELINE, False), (None, False)],
    ids=["the candidate alone", "the baseline alone", "both"],
)
def test_only_a_candidate_that_alone_begins_to_refuse_can_still_be_abort(
    side: Side | None, allows_abort: bool
) -> None:
    evidence = on(second_round(refusing(0.5)), side)(good_evidence())
    faults = refusal_faults(columns(judged_pairs(evidence.blocks, RigLimits())), tuple(Side))
    assert [one.allows_abort for one in faults] == [allows_abort] * (1 if side else 2)
    assert all("expired" in one.finding.sentence for one in faults)


@pytest.mark.parametrize("kind", ["HTTP 500", "HTTP 404"])
def test_other_failures_are_no_refusals(kind: str) -> None:
    verdict = judge(on(second_round(refusing(0.04, kind)))(good_evidence()))
    assert ReasonCode.LOAD_MISMATCH not in {one.code for one in verdict.reasons}


def test_refusals_that_were_there_from_the_start_are_no_rise() -> None:
    verdict = judge(on(refusing(0.04))(good_evidence()))
    assert ReasonCode.LOAD_MISMATCH not in {one.code for one in verdict.reasons}
