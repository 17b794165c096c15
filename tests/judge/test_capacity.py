"""The capacity's cell: its estimate against a known truth, its error rates, and every way of not knowing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rehearse.judge.sequential import LiveBin
from rehearse.judge.staircase import Alarm, Ending, climb_of, middle_of, readings_of, turns_of
from rehearse.judge.verdict import judge
from rehearse.load.turns import climb, short_climb
from rehearse.model import (
    Block,
    Decision,
    Evidence,
    Incident,
    Judgement,
    Metric,
    Mode,
    Objective,
    Outcome,
    Phase,
    Policy,
    ReasonCode,
    Role,
    Scope,
    Side,
    Verdict,
)
from tests.judge.evidence import QUIET, good, recorded
from tests.judge.staircases import BASE, PLAN, POLICY, Queue, both, of_side, probe, probed, rehearsed

DISTRESS = Incident(ReasonCode.DISTRESS, "the candidate was in distress at 150/s", Side.CANDIDATE)


def capacity(evidence: Evidence) -> Judgement:
    """The one judgement about it."""
    return of_capacity(judge(evidence))


def of_capacity(verdict: Verdict) -> Judgement:
    found = [j for j in verdict.judgements if j.cell.metric is Metric.CAPACITY]
    assert len(found) == 1
    return found[0]


@cache
def verdict_on(baseline: float, candidate: float, seed: int) -> Verdict:
    """Each rehearsal is judged once, however many tests look at it."""
    return judge(rehearsed(baseline, candidate, seed))


# --- against the truth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "candidate"), [(200.0, 200.0), (200.0, 170.0), (150.0, 290.0)])
def test_the_estimate_is_the_truth_and_its_interval_holds_it(baseline: float, candidate: float) -> None:
    """25 probes with 1 % of noise between turns: estimates within 1.5 %, intervals that hold the truth."""
    truth = candidate / baseline - 1
    found = [of_capacity(verdict_on(baseline, candidate, seed)) for seed in range(25)]
    assert all(j.baseline == pytest.approx(baseline, rel=0.015) for j in found)
    assert all(j.candidate == pytest.approx(candidate, rel=0.015) for j in found)
    assert all(1 + (j.change or 0.0) == pytest.approx(1 + truth, rel=0.02) for j in found)
    held = [j.low is not None and j.high is not None and j.low <= truth <= j.high for j in found]
    assert sum(held) >= 23


def test_equal_sides_pass_and_are_never_abort() -> None:
    outcomes = [of_capacity(verdict_on(200.0, 200.0, seed)).outcome for seed in range(60)]
    assert outcomes.count(Outcome.PASS) >= 58
    assert Outcome.FAIL not in outcomes


def test_15_percent_less_is_abort_by_that_cell_alone() -> None:
    for seed in range(25):
        verdict = verdict_on(200.0, 170.0, seed)
        assert verdict.decision is Decision.ABORT
        assert [reason.subject for reason in verdict.reasons] == ["all scenarios capacity"]
        assert [reason.code for reason in verdict.reasons] == [ReasonCode.WORSE]


def test_a_loss_at_the_margin_is_not_certified() -> None:
    outcomes = [of_capacity(verdict_on(200.0, 180.0, seed)).outcome for seed in range(40)]
    assert outcomes.count(Outcome.PASS) <= 4  # 5 % of them, and a little luck


def test_noisy_turns_are_undecided_and_not_wrong() -> None:
    noisy = [
        probed(good(), probe(both(200.0, 200.0, turn_sd=0.25), seed), probe(both(200.0, 200.0), seed + 1))
        for seed in range(20)
    ]
    outcomes = [capacity(evidence).outcome for evidence in noisy]
    assert Outcome.FAIL not in outcomes
    assert Outcome.INCONCLUSIVE in outcomes


def test_sentences_and_numbers_count_as_a_reader_does() -> None:
    judgement = capacity(rehearsed(200.0, 170.0))
    assert judgement.change is not None
    assert judgement.upper_bound is not None
    assert judgement.change < 0 < judgement.upper_bound
    assert judgement.margin == pytest.approx(0.10)
    assert judgement.cell.unit == "1/s"
    assert (judgement.cell.scope, judgement.cell.role) == (Scope.REHEARSAL, Role.CERTIFY)
    assert "capacity changed by -1" in judgement.sentence
    assert "margin -10 %" in judgement.sentence


def test_the_same_evidence_gives_the_same_verdict() -> None:
    evidence = rehearsed(200.0, 190.0)
    assert judge(evidence) == judge(evidence)


# --- missing, or not the system's -------------------------------------------------------------------------------


def test_nobody_asked_so_there_is_no_cell() -> None:
    policy = replace(POLICY, capacity=None)
    assert all(j.cell.metric is not Metric.CAPACITY for j in judge(replace(good(), policy=policy)).judgements)


@pytest.mark.parametrize("missing", list(Side))
def test_without_a_probe_of_one_side_it_is_never_go_and_the_side_is_named(missing: Side) -> None:
    evidence = rehearsed(200.0, 200.0)
    assert judge(evidence).decision is Decision.GO
    kept = [block for block in evidence.probe if block.side is not missing]
    verdict = judge(probed(evidence, kept, evidence.probe))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert f"the capacity of the {missing} was not probed" in verdict.reasons[0].sentence


def test_a_turn_that_is_missing_with_all_its_accounts_is_never_go() -> None:
    evidence = rehearsed(200.0, 200.0)
    missing = evidence.probe[-1].round
    kept = [block for block in evidence.probe if block.round != missing]
    assert evidence.reference is not None
    verdict = judge(probed(evidence, kept, evidence.reference.probe))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert (
        "6 and 5 turns were taken" in verdict.reasons[0].sentence or "5 and 6" in verdict.reasons[0].sentence
    )


def late(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, stall_max_s=0.5))


def busy(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, cpu_ratio=0.97))


@pytest.mark.parametrize("spoil", [late, busy])
def test_when_the_load_generator_was_the_bottleneck_nothing_is_known(spoil: Callable[[Block], Block]) -> None:
    evidence = rehearsed(200.0, 170.0)
    spoilt = [spoil(block) if block.phase is Phase.HOLD else block for block in evidence.probe]
    verdict = judge(probed(evidence, spoilt, evidence.reference.probe if evidence.reference else ()))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.RIG_UNHEALTHY
    assert "load generator was unfit" in verdict.reasons[0].sentence


def test_when_every_user_was_busy_before_the_system_was_nothing_is_known() -> None:
    """5 users and 50 ms are 100/s, whatever the server could do."""
    evidence = probed(good(), probe(both(100.0, 100.0, users=5), 1))
    judgement = capacity(evidence)
    assert (judgement.outcome, judgement.code) == (Outcome.INCONCLUSIVE, ReasonCode.LOAD_MISMATCH)
    assert "every user was busy before the system was" in judgement.sentence


def test_a_staircase_that_begins_above_the_capacity_says_so() -> None:
    """What requests take when nothing waits is not known then."""
    judgement = capacity(probed(good(), probe(both(200.0, 60.0), 1)))
    assert judgement.outcome is Outcome.INCONCLUSIVE
    assert "the first step broke already: begin lower" in judgement.sentence


def test_a_probe_that_does_not_add_up_is_never_go() -> None:
    evidence = rehearsed(200.0, 200.0)
    lost = replace(evidence, probe=evidence.probe[:-1])
    verdict = judge(lost)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.LEDGER


def test_an_advisory_capacity_decides_nothing() -> None:
    objectives = tuple(
        replace(one, is_advisory=True) if one.metric is Metric.CAPACITY else one for one in POLICY.objectives
    )
    evidence = rehearsed(200.0, 150.0, policy=replace(POLICY, objectives=objectives))
    assert judge(evidence).decision is Decision.GO


# --- known on one side only -------------------------------------------------------------------------------------


def test_two_sides_that_take_the_highest_rate_are_equal_as_far_as_was_asked() -> None:
    judgement = capacity(rehearsed(1000.0, 600.0))
    assert judgement.outcome is Outcome.PASS
    assert "at least" in judgement.sentence


def test_a_baseline_that_was_not_saturated_proves_a_loss_but_never_its_absence() -> None:
    worse, near = capacity(rehearsed(1000.0, 250.0)), capacity(rehearsed(1000.0, 370.0))
    assert worse.outcome is Outcome.FAIL
    assert near.outcome is Outcome.INCONCLUSIVE


def test_a_candidate_that_was_not_saturated_is_never_worse() -> None:
    assert capacity(rehearsed(200.0, 1000.0)).outcome is Outcome.PASS


def test_turns_that_saturate_nobody_below_the_highest_rate_say_nothing() -> None:
    """Staircases that broke too soon, by chance, must not make two sides equal at a rate that both took easily."""
    blocks = [
        replace(block, completed=block.arrivals.planned) if block.phase is Phase.HOLD else block
        for block in probe(both(200.0, 200.0), 1)
    ]
    judgement = capacity(probed(good(), blocks))
    assert (judgement.outcome, judgement.code) == (Outcome.INCONCLUSIVE, ReasonCode.NOISE)
    assert "a staircase had broken below" in judgement.sentence


@pytest.mark.parametrize(("limit", "outcome"), [(150.0, Outcome.PASS), (230.0, Outcome.FAIL)])
def test_an_absolute_limit_holds_for_the_candidate_on_its_own(limit: float, outcome: Outcome) -> None:
    objectives = (*POLICY.objectives[:-1], Objective(Metric.CAPACITY, 0.10, limit))
    evidence = rehearsed(200.0, 200.0, policy=replace(POLICY, objectives=objectives))
    assert capacity(evidence).outcome is outcome
    if outcome is Outcome.FAIL:
        assert judge(evidence).reasons[0].is_hard


# --- distress ---------------------------------------------------------------------------------------------------


def only_staircases(evidence: Evidence, until: dict[Side, int]) -> Evidence:
    """Both staircases up to some step, and the candidate in distress."""
    kept = [
        block for block in evidence.probe if block.phase is Phase.CLIMB and block.index < until[block.side]
    ]
    return replace(probed(evidence, kept, evidence.probe), incidents=(DISTRESS,))


def test_distress_far_below_what_the_baseline_took_is_worse() -> None:
    evidence = only_staircases(rehearsed(350.0, 350.0), {Side.BASELINE: 12, Side.CANDIDATE: 3})
    judgement = capacity(evidence)
    assert judgement.outcome is Outcome.FAIL
    assert DISTRESS.sentence in judgement.sentence


def test_distress_one_step_apart_decides_nothing() -> None:
    evidence = only_staircases(rehearsed(350.0, 350.0), {Side.BASELINE: 6, Side.CANDIDATE: 5})
    assert capacity(evidence).outcome is Outcome.INCONCLUSIVE
    assert judge(evidence).decision is Decision.INCONCLUSIVE


def test_distress_in_the_first_step_is_no_capacity_at_all() -> None:
    evidence = only_staircases(rehearsed(350.0, 350.0), {Side.BASELINE: 12, Side.CANDIDATE: 0})
    assert capacity(evidence).outcome is Outcome.INCONCLUSIVE
    assert DISTRESS.sentence in judge(evidence).reasons[0].sentence


def live(bins: Sequence[tuple[int, int, int, int]]) -> str | None:
    alarm = Alarm(0.05, 100.0)
    said = [alarm.see(LiveBin(Side.CANDIDATE, *one)) for one in bins]
    return next((one for one in said if one), None)


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        ([(bin_, 50, 2, 50) for bin_ in range(20)], None),
        ([(bin_, 50, 0, 50) for bin_ in range(8)] + [(8, 50, 12, 50)], "12 of 200 requests failed"),
        ([(0, 4, 4, 4)], None),
        ([(bin_, 0, 0, 0) for bin_ in range(11)], "nothing was answered for 5 s"),
        ([(bin_, 1, 0, 1) for bin_ in range(0, 40, 8)], None),
    ],
    ids=["a few errors", "a burst", "four errors", "silence", "slow answers"],
)
def test_the_alarm_goes_off_at_distress_and_only_then(
    bins: Sequence[tuple[int, int, int, int]], expected: str | None
) -> None:
    said = live(bins)
    assert said is None if expected is None else said is not None and expected in said


# --- staircases -------------------------------------------------------------------------------------------------


def staircase(queue: Queue, seed: int = 1) -> tuple[Block, ...]:
    return queue.turn(climb(BASE, PLAN), Side.BASELINE, 0, np.random.default_rng(seed))


def test_a_staircase_breaks_at_the_first_step_above_the_capacity() -> None:
    found = climb_of(staircase(Queue(200.0)), POLICY)
    assert found.ending is Ending.SATURATED
    assert found.sustained_per_s is not None
    assert found.broken_per_s is not None
    assert found.sustained_per_s <= 205 < found.broken_per_s
    assert found.most_completed_per_s == pytest.approx(200, rel=0.05)


def test_one_pause_is_no_break() -> None:
    steps = list(staircase(Queue(1000.0)))
    steps[3] = replace(steps[3], completed=steps[3].completed // 2)
    assert climb_of(steps, POLICY).ending is Ending.TOP


def test_a_few_arrivals_that_are_under_way_at_the_end_of_a_step_are_no_break() -> None:
    """5/s and 0.6 s each: of 15 arrivals about three are always under way, a fifth of them."""
    plan = replace(PLAN, start_rate_per_s=5.0, max_rate_per_s=40.0)
    steps = Queue(1000.0).turn(climb(BASE, plan), Side.BASELINE, 0, np.random.default_rng(1))
    slow = [replace(step, completed=max(0, step.completed - 3)) for step in steps]
    assert climb_of(slow, POLICY).ending is Ending.TOP


def test_an_absolute_limit_ends_a_staircase_before_the_backlog_does() -> None:
    limited = replace(POLICY, objectives=(Objective(Metric.P95, 0.10, limit=0.2), POLICY.objectives[-1]))
    slow = [
        replace(block, series=staircase(Queue(1000.0, calm_s=0.3))[block.index].series)
        if block.index >= 6
        else block
        for block in staircase(Queue(1000.0))
    ]
    found = climb_of(slow, limited)
    assert found.ending is Ending.LIMIT
    assert found.broken_per_s == pytest.approx(climb(BASE, PLAN).rate_of(6), rel=0.01)


def test_shifted_staircases_find_a_limit_more_finely_than_their_steps() -> None:
    """The latency breaks its limit at 213/s exactly; twelve staircases in steps of 15 % find it within 3 %."""
    limited = replace(POLICY, objectives=(Objective(Metric.P95, 0.10, limit=0.2), POLICY.objectives[-1]))
    rng = np.random.default_rng(1)
    turns = [staircase(Queue(1000.0))]
    for pair in range(12):
        schedule = short_climb(BASE, PLAN, 200.0, 230.0, pair / 12)
        calm = Queue(1000.0).turn(schedule, Side.BASELINE, pair + 1, rng)
        slow = Queue(1000.0, calm_s=0.3).turn(schedule, Side.BASELINE, pair + 1, rng)
        turns.append(
            tuple(s if schedule.rate_of(c.index) > 213 else c for c, s in zip(calm, slow, strict=True))
        )
    readings = readings_of(turns, limited)
    assert not any(reading.complaint or reading.is_at_least for reading in readings)
    mean = math.exp(sum(math.log(reading.per_s) for reading in readings) / len(readings))
    assert mean == pytest.approx(213, rel=0.03)


def test_the_middle_of_a_step_is_half_way_as_ratios_go() -> None:
    found = climb_of(staircase(Queue(200.0)), POLICY)
    low, high = found.sustained_per_s or 0.0, found.broken_per_s or 0.0
    assert middle_of(found) == pytest.approx(math.sqrt(low * high))


def test_turns_come_in_order_and_apart() -> None:
    blocks = probe(both(200.0, 170.0), 1)
    turns = turns_of(reversed(blocks), Side.CANDIDATE)
    assert len(turns) == 1 + PLAN.pairs
    assert [turn[0].phase for turn in turns] == [Phase.CLIMB] + [Phase.HOLD] * PLAN.pairs
    assert sum(len(turn) for turn in turns) == len(of_side(blocks, Side.CANDIDATE))


# --- recorded mode ----------------------------------------------------------------------------------------------


def in_recorded_mode(baseline: float, candidate: float, policy: Policy = POLICY) -> Evidence:
    evidence = recorded(replace(QUIET, rounds=3), replace(QUIET, rounds=3), seed=1, policy=policy)
    now, then = probe(both(baseline, candidate), 1), probe(both(baseline, candidate), 2)
    return probed(evidence, of_side(now, Side.CANDIDATE), of_side(then, Side.BASELINE), policy)


def test_recorded_mode_compares_with_the_stored_turns_and_what_two_runs_differ_by() -> None:
    much, some = (capacity(in_recorded_mode(200.0, candidate)) for candidate in (100.0, 170.0))
    assert in_recorded_mode(200.0, 100.0).mode is Mode.RECORDED
    assert much.outcome is Outcome.FAIL
    assert some.outcome is Outcome.INCONCLUSIVE  # 5 % between runs cannot prove 15 %


def test_recorded_mode_without_a_stored_probe_is_never_go() -> None:
    evidence = in_recorded_mode(200.0, 200.0)
    assert evidence.reference is not None
    without = replace(evidence, reference=replace(evidence.reference, probe=()))
    assert "the capacity of the baseline was not probed" in capacity(without).sentence
