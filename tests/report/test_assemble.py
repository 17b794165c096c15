"""From blocks and a verdict to the one model: nothing lost, nothing invented, warm-up left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.histogram import Histogram
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    ErrorBin,
    ErrorKind,
    Mode,
    Reference,
    RequestOutcome,
    RigHealth,
    RunRecord,
    RunState,
    Scope,
    Series,
    Side,
    Verdict,
)
from rehearse.report.assemble import MAX_CURVE_POINTS, assemble, curve_points
from tests.report.examples import Story, abort, blocks_of, empty, go, record


def _histogram(*seconds: float) -> Histogram:
    histogram = Histogram()
    for value in seconds:
        histogram.record(value)
    return histogram


def _series(scope: Scope, name: str, ok: int, errors: tuple[ErrorBin, ...] = ()) -> Series:
    failed = sum(error.count for error in errors)
    durations = {
        RequestOutcome.OK: _histogram(*[0.01] * ok),
        RequestOutcome.ERROR: _histogram(*[0.001] * failed),
    }
    return Series(scope, name, durations, errors)


def _block(side: Side = Side.CANDIDATE, index: int = 1, **changes: object) -> Block:
    block = Block(
        side=side,
        round=0,
        index=index,
        is_warm_up=index == 0,
        start_s=index * 4.0,
        length_s=4.0,
        arrivals=Arrivals(10, 10, 0, 10),
        series=(_series(Scope.SCENARIO, "shopper", 10), _series(Scope.ENDPOINT, "GET /", 30)),
        rig=RigHealth(_histogram(0.001), Histogram(), 0.01, 0.3),
    )
    return replace(block, **changes)  # type: ignore[arg-type]  # each test changes what it is about


def _pair(index: int, **changes: object) -> list[Block]:
    return [_block(side, index, **changes) for side in Side]


# what is counted


def test_warm_up_is_left_out_everywhere() -> None:
    result = assemble(record(), [*_pair(0), *_pair(1)], Verdict())
    assert result.load_s == 4.0
    assert [side.requests for side in result.sides] == [30, 30]
    assert [side.arrivals.planned for side in result.sides] == [10, 10]
    assert len(result.timeline) == 2
    assert {curve.count for curve in result.curves} == {10, 30}


def test_requests_are_endpoints_and_arrivals_are_journeys() -> None:
    (baseline, candidate) = assemble(record(), [*_pair(1), *_pair(2)], Verdict()).sides
    assert (baseline.requests, baseline.arrivals.planned, baseline.failed) == (60, 20, 0)
    assert (candidate.target, candidate.url) == ("green", "https://green.staging.example.internal")


def test_without_endpoints_the_scenario_is_what_was_requested() -> None:
    only = (_series(Scope.SCENARIO, "shopper", 10),)
    assert assemble(record(), _pair(1, series=only), Verdict()).sides[0].requests == 10


def test_the_worst_of_the_rig_is_told() -> None:
    slow = RigHealth(_histogram(0.004), Histogram(), 0.09, 0.7)
    (baseline, candidate) = assemble(record(), [*_pair(1), _block(index=2, rig=slow)], Verdict()).sides
    assert candidate.rig_lag_p99_s == pytest.approx(0.004, rel=0.001)
    assert (candidate.worker_cpu_ratio, candidate.stall_max_s) == (0.7, 0.09)
    assert (baseline.worker_cpu_ratio, baseline.stall_max_s) == (0.3, 0.01)


def test_a_run_without_blocks_has_targets_and_no_numbers() -> None:
    result = assemble(record(), [], Verdict())
    assert [side.rig_lag_p99_s for side in result.sides] == [None, None]
    assert (result.load_s, result.timeline, result.curves, result.error_kinds) == (0, (), (), ())
    assert "Nothing was recorded of the candidate." in result.blind_spots


def test_what_the_record_says_is_handed_on() -> None:
    result = go()
    assert (result.run_id, result.title, result.baseline_name) == (
        record().run_id,
        record().title,
        "prod-4.1.7",
    )
    assert (result.command, result.exit_plan) == (record().command, record().exit_plan)
    assert result.provenance == record().provenance
    assert result.schema_version == empty().schema_version == 1


# over time


def test_rounds_are_joined_end_to_end() -> None:
    second = [replace(block, round=1) for block in (*_pair(1), *_pair(2))]
    result = assemble(record(), [*_pair(1), *_pair(2), *second], Verdict())
    assert [p.at_s for p in result.timeline if p.side is Side.BASELINE] == [0.0, 4.0, 8.0, 12.0]
    assert result.load_s == 16.0


def test_a_pair_that_the_rig_spoiled_is_marked_on_both_sides() -> None:
    late = RigHealth(_histogram(0.2), Histogram(), 0.01, 0.3)
    result = assemble(record(), [*_pair(1), _block(Side.BASELINE, 2), _block(index=2, rig=late)], Verdict())
    assert [(p.at_s, p.is_discarded) for p in result.timeline] == [(0.0, False), (4.0, True)] * 2


def test_a_block_without_its_partner_is_not_judged_and_says_so() -> None:
    result = assemble(record(), [*_pair(1), _block(Side.BASELINE, 2)], Verdict())
    assert [p.is_discarded for p in result.timeline] == [False, True, False]


def test_the_pairs_that_are_marked_are_as_many_as_the_verdict_discarded() -> None:
    marked = {point.at_s for point in abort().timeline if point.is_discarded}
    assert len(marked) == abort().verdict.pairs_discarded == 1


def test_several_scenarios_are_one_total() -> None:
    two = (_series(Scope.SCENARIO, "a", 3), _series(Scope.SCENARIO, "b", 5, (ErrorBin("503", 1, 2),)))
    result = assemble(record(), _pair(1, series=two), Verdict())
    assert result.timeline[0].error_ratio == 0.2
    assert [(curve.name, curve.count) for curve in result.curves if curve.side is Side.BASELINE] == [
        ("whole scenario", 8)
    ]


def test_an_empty_block_has_no_latency_and_no_errors() -> None:
    point = assemble(record(), _pair(1, series=()), Verdict()).timeline[0]
    assert (point.p50_s, point.p95_s, point.error_ratio) == (None, None, 0.0)


# curves


@pytest.mark.parametrize("count", [1, 7, 400, 5000])
def test_a_curve_is_no_finer_than_its_durations(count: int) -> None:
    points = curve_points(_histogram(*(0.001 * (1 + rank) for rank in range(count))))
    shares = [share for share, _ in points]
    assert 1 <= len(points) <= MAX_CURVE_POINTS
    assert shares == sorted(shares)
    assert max(shares) <= max(0.5, 1 - 1 / count)
    assert [value for _, value in points] == sorted(value for _, value in points)


def test_the_usual_percentiles_are_on_a_curve() -> None:
    points = dict(curve_points(_histogram(*(0.001 * (1 + rank) for rank in range(20_000)))))
    assert {0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999} <= set(points)
    assert points[0.95] == pytest.approx(19.0, rel=0.001)


def test_curves_come_total_first_then_by_name_baseline_before_candidate() -> None:
    order = [(curve.name, curve.side) for curve in abort().curves[:4]]
    assert order == [
        ("whole scenario", Side.BASELINE),
        ("whole scenario", Side.CANDIDATE),
        ("GET /", Side.BASELINE),
        ("GET /", Side.CANDIDATE),
    ]


# errors


def test_errors_are_counted_by_endpoint_and_kind_on_both_sides() -> None:
    errors = (ErrorBin("503", 3, 2), ErrorBin("503", 4, 1), ErrorBin("timeout", 4, 1))
    bad = (_series(Scope.SCENARIO, "s", 10, errors), _series(Scope.ENDPOINT, "GET /", 30, errors))
    result = assemble(record(), [_block(Side.BASELINE, 1), _block(index=1, series=bad)], Verdict())
    assert result.error_kinds == (ErrorKind("GET /", "503", 0, 3), ErrorKind("GET /", "timeout", 0, 1))
    assert result.sides[1].failed == 4


def test_a_failure_that_no_request_had_is_told_of_its_task() -> None:
    broken = (ErrorBin("KeyError", 1, 2), ErrorBin("503", 1, 1))
    series = (_series(Scope.TASK, "buy", 9, broken), _series(Scope.ENDPOINT, "GET /", 30, broken[1:]))
    result = assemble(record(), [_block(index=1, series=series)], Verdict())
    assert result.error_kinds == (ErrorKind("GET /", "503", 0, 1), ErrorKind("buy", "KeyError", 0, 2))


# recorded mode


def test_a_stored_baseline_is_shown_when_the_run_has_none_of_its_own() -> None:
    stored = Reference("prod-4.1.7", (*_pair(0), *_pair(1)))
    result = assemble(record(mode=Mode.RECORDED), [_block(index=1)], Verdict(), stored)
    assert [(point.side, point.is_discarded) for point in result.timeline] == [
        (Side.BASELINE, False),
        (Side.CANDIDATE, False),
    ]
    assert [side.requests for side in result.sides] == [30, 30]
    assert any("recorded at another time" in spot for spot in result.blind_spots)


def test_a_paired_run_shows_its_own_baseline_only() -> None:
    stored = Reference("prod-4.1.7", tuple(_pair(1)))
    own = _pair(1)
    assert assemble(record(), own, Verdict(), stored) == assemble(record(), own, Verdict())


# what the report cannot tell


def _spots(changed: RunRecord, *blocks: Block, verdict: Verdict | None = None) -> str:
    return "\n".join(assemble(changed, blocks, verdict or Verdict()).blind_spots)


def test_what_was_not_rehearsed_is_always_told() -> None:
    spots = "\n".join(go().blind_spots)
    assert "No check and no edge case was rehearsed" in spots
    assert "The amount of data of production was not compared" in spots


def test_what_was_assumed_is_told() -> None:
    assert f"assumed, not measured: {go().verdict.assumptions[0]}" in "\n".join(go().blind_spots)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"state": RunState.INTERRUPTED, "is_complete": False},
            "did not come to its end (it is interrupted)",
        ),
        ({"is_complete": False}, "did not come to its end"),
        ({"targets": ()}, "told nothing of themselves"),
        ({"policy": replace(record().policy, shares_host=True)}, "shared a host"),
    ],
    ids=["interrupted", "not complete", "no facts", "one host"],
)
def test_a_gap_in_the_run_is_told(changes: dict[str, object], expected: str) -> None:
    assert expected in _spots(record(**changes), *_pair(1))
    assert expected not in _spots(record(), *_pair(1))


def test_cut_off_requests_and_unmeasured_steal_are_told() -> None:
    censored = Series(Scope.ENDPOINT, "GET /", {RequestOutcome.CENSORED: _histogram(3.0)})
    spots = _spots(record(), *_pair(1, series=(censored,)))
    assert "durations are lower bounds" in spots
    assert "steal" in spots
    measured = RigHealth(Histogram(), Histogram(), 0.0, 0.1, steal_ratio=0.0)
    assert "steal" not in _spots(record(), *_pair(1, rig=measured))


def test_cells_without_an_estimate_are_named_the_first_five() -> None:
    bare = tuple(replace(judgement, change=None) for judgement in go().verdict.judgements[:7])
    spots = _spots(record(), *_pair(1), verdict=Verdict(Decision.GO, judgements=bare))
    assert "for 7 cells: shopper p50, shopper p95" in spots
    assert "and 2 more" in spots


def test_the_same_run_assembles_to_the_same_result() -> None:
    blocks = blocks_of(Story(seed=3, pairs=3))
    assert assemble(record(), blocks, Verdict()) == assemble(record(), list(blocks), Verdict())
