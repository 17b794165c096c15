"""What is promised of server-side series before load is what the judge does; what is not stored is not promised."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rehearse.judge.forecast import Forecast, forecast, forecast_from_warm_up
from rehearse.judge.forecast_words import forecast_lines, refusal
from rehearse.judge.prospects import Plan, Prospect
from rehearse.judge.verdict import judge
from rehearse.model import Metric, Mode, Objective, Policy, Reference, SeriesWindow, Side
from tests.judge.evidence import POLICY, QUIET, SCENARIO, evidence_of, recording
from tests.judge.test_server_series import MEMORY, Shape, steady, windows

WORLD = replace(QUIET, rounds=2, blocks=8)
ROUND_S = WORLD.blocks * WORLD.block_s


def plan_of(blocks: int = WORLD.blocks, rounds: int = WORLD.rounds, policy: Policy | None = None) -> Plan:
    asked = replace(policy or POLICY, series=(MEMORY,))
    arrivals = {SCENARIO: WORLD.rate_per_s * WORLD.block_s}
    return Plan(Mode.PAIRED, asked, WORLD.block_s, blocks, rounds, 1, frozenset(Side), arrivals)


def reference(seed: int = 1, shape: Shape = steady, length_s: float = ROUND_S) -> Reference:
    rng = np.random.default_rng(seed)
    series = [one for side in Side for one in windows(rng, side, shape, length_s=length_s)]
    return Reference("main", recording(WORLD, rng), series=tuple(series))


def of_memory(told: Forecast, metric: Metric) -> Prospect:
    (found,) = (one for one in told.prospects if one.cell.label == f"memory {metric}")
    return found


@pytest.mark.parametrize("metric", [Metric.LEVEL, Metric.GROWTH])
def test_the_foretold_distance_is_the_one_that_the_judge_then_has(metric: Metric) -> None:
    known = reference()
    evidence = evidence_of(known.blocks, WORLD, known, policy=plan_of().policy)
    (seen,) = (
        one for one in judge(replace(evidence, series=known.series)).judgements if one.cell.metric is metric
    )
    assert seen.upper_bound is not None
    assert seen.change is not None
    scale = math.log1p if metric is Metric.LEVEL else float
    distance = scale(seen.upper_bound) - scale(seen.change)
    assert of_memory(forecast(plan_of(), known), metric).expected == pytest.approx(distance, rel=1e-6)


def test_more_rounds_reach_further_and_more_minutes_of_one_round_hardly_do() -> None:
    known = reference()
    once, longer, oftener = (
        of_memory(forecast(plan, known), Metric.LEVEL).reach
        for plan in (plan_of(), plan_of(blocks=8 * WORLD.blocks), plan_of(rounds=8 * WORLD.rounds))
    )
    assert oftener < 0.7 * once
    assert 0.7 * once < longer <= once


def test_a_comparison_of_shorter_rounds_is_told_from_as_much_as_it_will_have() -> None:
    known = reference(length_s=4 * ROUND_S)
    whole, cut = (
        of_memory(forecast(plan_of(blocks), known), Metric.GROWTH)
        for blocks in (4 * WORLD.blocks, WORLD.blocks)
    )
    assert cut.expected > whole.expected


def test_growth_of_both_sides_is_no_worsening_however_often_the_rounds_are_used() -> None:
    rising = reference(shape=lambda at_s: 100.0 + at_s)
    told = of_memory(forecast(plan_of(blocks=4 * WORLD.blocks, rounds=6), rising), Metric.GROWTH)
    assert told.reach < 0.10


def test_a_series_out_of_reach_is_told_and_refuses_nothing() -> None:
    strict = replace(MEMORY, objectives=(Objective(Metric.LEVEL, 0.001),))
    plan = plan_of()
    told = forecast(replace(plan, policy=replace(plan.policy, series=(strict,))), reference())
    assert of_memory(told, Metric.LEVEL).is_hopeless
    assert refusal(told) is None
    assert any(line.startswith("out of reach: memory level ") for line in forecast_lines(told))


def changed(known: Reference, **changes: object) -> Reference:
    first, *others = known.series
    return replace(known, series=(replace(first, **changes), *others))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (replace(reference(), series=()), "nothing was recorded of it of the baseline in round 1"),
        (changed(reference(), trouble="no series"), "no series (of the baseline in round 1)"),
        (changed(reference(), points=()), "0 points of the baseline in round 1"),
        (changed(reference(), query="another"), "it was recorded with another query"),
        (
            Reference("main", recording(WORLD, np.random.default_rng(1), (Side.BASELINE,))),
            "no recording of two equal",
        ),
        (None, "no recording of two equal sides tells by how much it differs"),
    ],
    ids=["nothing stored", "trouble", "no point", "another query", "one side", "no baseline"],
)
def test_what_is_not_stored_of_a_series_is_not_foretold_and_says_why(
    known: Reference | None, why: str
) -> None:
    told = forecast(plan_of(), known)
    assert not any(one.cell.name == "memory" for one in told.prospects)
    lines = [line for line in forecast_lines(told) if line.startswith("not foretold: memory ")]
    assert len(lines) == 2
    assert all(why in line for line in lines)
    assert "nan" not in "".join(lines).lower()


def test_a_warm_up_tells_nothing_of_series_and_says_nothing() -> None:
    told = forecast_from_warm_up(plan_of(), recording(WORLD, np.random.default_rng(1)))
    assert told is not None
    assert told.unknown == ()


def test_an_advisory_series_is_no_promise() -> None:
    shown = replace(MEMORY, objectives=(Objective(Metric.LEVEL, 0.2, is_advisory=True),))
    plan = plan_of()
    told = forecast(replace(plan, policy=replace(plan.policy, series=(shown,))), reference())
    assert not any(one.cell.name == "memory" for one in told.prospects)
    assert told.unknown == ()


def recorded_windows(rounds: int) -> tuple[SeriesWindow, ...]:
    return tuple(windows(np.random.default_rng(1), Side.BASELINE, rounds=rounds))


@pytest.mark.parametrize(("rounds", "is_known"), [(5, True), (2, False)])
def test_in_recorded_mode_rounds_of_the_baseline_stand_in_for_the_candidate(
    rounds: int, is_known: bool
) -> None:
    world = replace(WORLD, rounds=rounds)
    blocks = recording(world, np.random.default_rng(1), (Side.BASELINE,))
    known = Reference("main", blocks, series=recorded_windows(rounds))
    told = forecast(replace(plan_of(rounds=3), mode=Mode.RECORDED), known)
    if is_known:
        assert 0 < of_memory(told, Metric.LEVEL).reach < 1
        assert told.unknown == ()
    else:
        assert "rounds" in told.unknown[0].why
