"""What is promised before load is what the judge then does."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearse.histogram import Histogram
from rehearse.judge.forecast import Forecast, forecast, forecast_from_warm_up
from rehearse.judge.forecast_words import forecast_lines, lasting, refusal
from rehearse.judge.prospects import Plan
from rehearse.judge.stats import requests_to_certify
from rehearse.judge.verdict import judge
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    Metric,
    Mode,
    Objective,
    Policy,
    Reference,
    RequestOutcome,
    RigHealth,
    Role,
    Scope,
    Series,
    Side,
)
from tests.judge.evidence import OBJECTIVES, POLICY, SCENARIO, World, evidence_of, recording

STEADY = World(
    endpoints={"GET /items": (1.0, 0.010)}, blocks=16, own_sd=0.01, start_sd=0.005, has_tasks=False
)


def plan_of(world: World, policy: Policy = POLICY, mode: Mode = Mode.PAIRED) -> Plan:
    arrivals = {SCENARIO: world.rate_per_s * world.block_s}
    return Plan(mode, policy, world.block_s, world.blocks, world.rounds, 4, frozenset(Side), arrivals)


def reference(world: World, seed: int = 1, sides: tuple[Side, ...] = tuple(Side)) -> Reference:
    return Reference("main", recording(world, np.random.default_rng(seed), sides))


def asking(metric: Metric, margin: float) -> Policy:
    others = tuple(one for one in OBJECTIVES if one.metric is not metric)
    return replace(POLICY, objectives=(*others, Objective(metric, margin)))


def reach(told: Forecast, label: str) -> float:
    return next(one.reach for one in told.prospects if one.cell.label == label)


def test_the_foretold_distance_is_the_one_that_the_judge_then_has() -> None:
    """Judged on the very pairs that the forecast was made from."""
    known = reference(STEADY)
    told = {one.cell.label: one for one in forecast(plan_of(STEADY), known).prospects}
    verdict = judge(evidence_of(known.blocks, STEADY, known, looks=4))
    certified = [one for one in verdict.judgements if one.cell.role is Role.CERTIFY]
    assert {one.cell.label for one in certified} == set(told)
    for judgement in certified:
        if judgement.cell.metric.quantile is not None:
            seen = math.log1p(judgement.upper_bound or 0.0) - math.log1p(judgement.change or 0.0)
            assert told[judgement.cell.label].expected == pytest.approx(seen, rel=1e-6)


def test_what_was_recorded_from_another_machine_measures_no_noise_and_refuses_nothing() -> None:
    known = replace(reference(STEADY), other_rig="rig.cpu was 'A', is 'B'")
    policy = asking(Metric.P50, 0.0001)
    told = forecast(plan_of(STEADY, policy), known)
    assert not told.is_measured
    assert "from another machine" in told.source
    assert forecast(plan_of(STEADY, policy), replace(known, other_rig="")).is_measured


def test_four_of_five_unchanged_candidates_go_when_the_forecast_says_yes() -> None:
    policy = asking(Metric.P50, 0.07)
    promised = kept = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        known = Reference("main", recording(STEADY, rng))
        if all(one.can_be_certified for one in forecast(plan_of(STEADY, policy), known).prospects):
            evidence = evidence_of(recording(STEADY, rng), STEADY, known, policy=policy, looks=4)
            promised += 1
            kept += judge(evidence).decision is Decision.GO
    assert promised >= 20
    assert kept >= 0.8 * promised


def test_more_load_reaches_further_and_the_minutes_that_are_named_are_enough() -> None:
    noisy = replace(STEADY, own_sd=0.08, blocks=8)
    known = reference(replace(noisy, blocks=40))
    short = forecast(plan_of(noisy), known)
    label = "GET /items p95"
    (wanted,) = (one for one in short.prospects if one.cell.label == label)
    assert not wanted.can_be_certified
    assert wanted.needed_s is not None
    assert wanted.needed_s > short.plan.measured_s
    blocks = math.ceil(wanted.needed_s / noisy.block_s / noisy.rounds)
    longer = forecast(plan_of(replace(noisy, blocks=blocks)), known)
    assert reach(longer, label) <= wanted.margin * 1.05
    assert f"{label} +10 %" in "\n".join(forecast_lines(short))
    assert f"plan {lasting(wanted.needed_s)}" in "\n".join(forecast_lines(short))


def test_without_any_failure_the_number_of_requests_is_all_that_errors_need() -> None:
    told = forecast(plan_of(replace(STEADY, blocks=5)), reference(STEADY))
    (errors,) = (one for one in told.prospects if one.cell.label == f"{SCENARIO} error ratio")
    planned = 5 * STEADY.rounds * STEADY.rate_per_s * STEADY.block_s
    needed = requests_to_certify(0.001, POLICY.go_alpha) or 0
    assert not errors.can_be_certified
    assert errors.needed_s == pytest.approx(told.plan.measured_s * needed / planned)


def test_failures_of_the_recording_make_errors_harder_to_certify() -> None:
    failing = replace(STEADY, baseline_errors=0.002, candidate_errors=0.002)
    label = f"{SCENARIO} error ratio"
    clean, dirty = (forecast(plan_of(STEADY), reference(world)) for world in (STEADY, failing))
    assert reach(dirty, label) > 2 * reach(clean, label)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_rehearsal_on_paper_counts_episodes_as_one_of_that_length_would(repeats: int) -> None:
    """Blocks that are used again must not fall into the bins of the first time."""
    failing = replace(STEADY, baseline_errors=0.002, candidate_errors=0.002, blocks=8)
    longer = replace(failing, blocks=8 * repeats)
    known = reference(failing)
    told = forecast(plan_of(longer), known)
    label = f"{SCENARIO} error ratio"
    first = reach(forecast(plan_of(failing), known), label)
    assert reach(told, label) == pytest.approx(first / math.sqrt(repeats), rel=0.25)


# refusing


def test_a_margin_far_below_the_measured_noise_is_refused_with_all_that_helps() -> None:
    wild = replace(STEADY, own_sd=0.3, blocks=8)
    reason = refusal(forecast(plan_of(wild), reference(wild)))
    assert reason is not None
    for expected in (
        " cannot be certified in 64 s of load", "margin is +", "an unchanged candidate", "plan ", "objectives",
        "load.budget", "judge.critical", "judge.certify_share", "advisory = true", "--advisory",
    ):  # fmt: skip
        assert expected in reason


def test_a_margin_that_luck_can_still_reach_is_not_refused() -> None:
    told = forecast(plan_of(STEADY, asking(Metric.P50, 0.03)), reference(STEADY))
    assert any(not one.can_be_certified for one in told.prospects)
    assert refusal(told) is None


def test_an_assumption_refuses_nothing() -> None:
    policy = asking(Metric.P50, 0.001)
    assert refusal(forecast(plan_of(STEADY, policy), None)) is None
    one_side = reference(STEADY, sides=(Side.BASELINE,))
    assert refusal(forecast(plan_of(STEADY, policy), one_side)) is None
    assert refusal(forecast(plan_of(STEADY, policy, Mode.RECORDED), one_side)) is None


def test_too_few_requests_for_an_error_margin_are_refused_even_without_a_recording() -> None:
    told = forecast(plan_of(replace(STEADY, blocks=3, rate_per_s=10)), None)
    reason = refusal(told)
    assert reason is not None
    assert reason.startswith(f"{SCENARIO} error ratio cannot be certified")


def test_a_critical_endpoint_that_is_asked_for_too_rarely_is_refused() -> None:
    rare = replace(STEADY, endpoints={"GET /items": (0.99, 0.01), "GET /rare": (0.01, 0.01)})
    policy = replace(POLICY, critical=("GET /rare",))
    reason = refusal(forecast(plan_of(rare, policy), reference(rare)))
    assert reason is not None
    assert "GET /rare" in reason
    assert refusal(forecast(plan_of(rare), reference(rare))) is None  # watched only, it stops nobody


# where the noise is taken from


def test_without_a_recording_the_assumed_terms_bound_what_can_be_certified() -> None:
    told = forecast(plan_of(STEADY), None)
    assert not told.is_measured
    assert reach(told, f"{SCENARIO} p50") > 0.04  # hosts 2 %, starts 1.5 % a side and round
    assert "no recording tells the noise" in " ".join(forecast_lines(told))


def test_the_warm_up_tells_the_spread_of_the_durations() -> None:
    blocks = [block for block in recording(STEADY, np.random.default_rng(1)) if block.is_warm_up]
    told = forecast_from_warm_up(plan_of(STEADY), blocks)
    assert told is not None
    assert "warm-up" in told.source
    assumed = forecast(plan_of(STEADY), None)
    assert reach(told, f"{SCENARIO} p95") > reach(assumed, f"{SCENARIO} p95")
    assert {one.cell.scope for one in told.prospects} == {Scope.SCENARIO, Scope.ENDPOINT}
    assert forecast_from_warm_up(plan_of(STEADY), []) is None


def of_two_kinds(
    blocks: int = 2, each: int = 12, slow_s: float = 0.080, ending: RequestOutcome = RequestOutcome.OK
) -> list[Block]:
    """Every second answer is forty times as slow: the median lies in between, where there is no answer."""
    found = []
    for index in range(blocks):
        durations = Histogram()
        for number in range(each):
            durations.record(0.002 if number % 2 else slow_s)
        series = tuple(
            Series(scope, name, {ending: durations})
            for scope, name in ((Scope.SCENARIO, SCENARIO), (Scope.ENDPOINT, "GET /items"))
        )
        ledger, rig = Arrivals(each, each, ok=each), RigHealth(Histogram(), Histogram(), 0.0, 0.0)
        found.append(Block(Side.BASELINE, 0, index, True, index * 4.0, 4.0, ledger, series, rig))
    return found


def test_a_median_between_two_kinds_of_answers_is_not_called_out_of_reach_by_a_warm_up() -> None:
    """It was: "+321 % is in reach; more minutes do not bring it nearer"."""
    told = forecast_from_warm_up(plan_of(STEADY, asking(Metric.P50, 0.05)), of_two_kinds())
    assert told is not None
    lines = forecast_lines(told)
    (line,) = (line for line in lines if line.startswith(f"not foretold: {SCENARIO} p50 +5 %: "))
    assert "24 durations so far leave anything from 2.00 ms to 80.0 ms open" in line
    assert "only pairs of both sides can tell" in line
    assert not any("p50" in line for line in lines if line.startswith("out of reach"))
    assert "more minutes do not" not in "".join(line for line in lines if "p50" in line)


def test_a_warm_up_of_one_kind_of_answers_foretells_every_median() -> None:
    blocks = [block for block in recording(STEADY, np.random.default_rng(1)) if block.is_warm_up]
    told = forecast_from_warm_up(plan_of(STEADY, asking(Metric.P50, 0.001)), blocks)
    assert told is not None
    assert told.unknown == ()
    assert any(line.startswith(f"out of reach: {SCENARIO} p50") for line in forecast_lines(told))


@given(
    blocks=st.integers(1, 3),
    each=st.integers(0, 30),
    slow_s=st.sampled_from([0.0, 0.002, 0.08, 3600.0]),
    ending=st.sampled_from(list(RequestOutcome)),
)
@settings(max_examples=30, deadline=None)
def test_no_warm_up_whatever_foretells_what_is_no_number(
    blocks: int, each: int, slow_s: float, ending: RequestOutcome
) -> None:
    told = forecast_from_warm_up(plan_of(STEADY), of_two_kinds(blocks, each, slow_s, ending))
    lines = " ".join(forecast_lines(told)) if told is not None else ""
    assert re.search(r"\b(nan|inf)\b", lines, re.IGNORECASE) is None


def test_in_recorded_mode_only_rounds_help() -> None:
    world = replace(STEADY, rounds=3)
    told = forecast(plan_of(world, mode=Mode.RECORDED), reference(world, sides=(Side.BASELINE,)))
    lines = "\n".join(forecast_lines(told))
    assert "more rounds" in lines
    assert refusal(told) is None


def test_without_a_baseline_recorded_mode_says_that_nothing_is_known() -> None:
    (line,) = forecast_lines(forecast(plan_of(STEADY, mode=Mode.RECORDED), None))
    assert "not known" in line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (8, "8 s"),
        (44.2, "45 s"),
        (99, "99 s"),
        (100, "1.7 min"),
        (300, "5 min"),
        (301, "5.1 min"),
        (3601, "61 min"),
    ],
)
def test_lengths_are_rounded_up_as_people_plan_them(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
