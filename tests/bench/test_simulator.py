"""The simulator draws what it says, and one draw serves the judge and the peers alike."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bench.verdict.evidence import POLICY, blocks_of, buckets_of, histogram
from bench.verdict.missing import CASES, QUIET, Case
from bench.verdict.rehearsals import our_answer, seen_in, simulated, until
from bench.verdict.rows import USUAL, all_rows
from bench.verdict.simulator import World, draw, zipf
from bench.verdict.tally import wilson
from bench.verdict.traces import pairs, resampled
from rehearse.histogram import Histogram, bucket_of
from rehearse.judge.latency import log_ratios, pair_groups
from rehearse.judge.pairs import columns, judged_pairs
from rehearse.judge.verdict import judge
from rehearse.model import Decision, Evidence, RequestOutcome, RigLimits, Scope, Side


def test_the_usual_noise_is_that_of_the_real_measurements() -> None:
    """500 samples a side and block: p50 2.0-2.7 %, p95 9-11 %, p99 13-19 % were measured."""
    world = replace(USUAL, endpoints={"GET /": (1.0, 0.01)}, block_s=5.0, blocks=400, rounds=1, start_sd=0.0)
    table = columns(judged_pairs(blocks_of(draw(world, np.random.default_rng(1))), RigLimits()))
    column = table[Scope.ENDPOINT, "GET /"]
    p50, p95, p99 = (np.std(log_ratios(pair_groups(column, q)).values) for q in (0.5, 0.95, 0.99))
    assert 0.020 < p50 < 0.030
    assert 0.075 < p95 < 0.115
    assert 0.13 < p99 < 0.22


def test_judge_and_peers_see_the_same_requests() -> None:
    world = replace(USUAL, blocks=3, rounds=2, warm_up_blocks=1, candidate_errors=0.02)
    drawn = draw(world, np.random.default_rng(2))
    blocks = [block for block in blocks_of(drawn) if not block.is_warm_up and block.side is Side.CANDIDATE]
    totals = [one for block in blocks for one in block.series if one.scope is Scope.SCENARIO]
    requests = seen_in(drawn, None).candidate
    assert sum(one.count() for one in totals) == requests.seconds.size == 6 * world.arrivals
    assert sum(one.failed for one in totals) == requests.failed.sum() > 0
    ok = Histogram.merged(one.durations[RequestOutcome.OK] for one in totals)
    assert ok == histogram(requests.seconds[~requests.failed])
    assert set(requests.block.tolist()) == set(range(6))
    assert requests.at_s.min() >= 0
    assert requests.at_s.max() <= 6 * world.block_s


def test_buckets_are_those_of_the_histogram() -> None:
    seconds = np.random.default_rng(3).lognormal(-4, 2, 500)
    assert buckets_of(seconds).tolist() == [bucket_of(round(one * 1e6)) for one in seconds]


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (World(slowdown={"": 1.2}), 1.2),
        (World(host=1.1), 1.1),
        (World(level=1.5), 1.0),  # of both sides
    ],
)
def test_what_is_true_of_the_sides_shows(world: World, expected: float) -> None:
    world = replace(world, blocks=60, rounds=1, own_sd=0.0)
    sides = draw(world, np.random.default_rng(4)).sides
    medians = [np.median(sides[side].seconds[sides[side].endpoint == 0]) for side in Side]
    assert medians[1] / medians[0] == pytest.approx(expected, rel=0.03)


def test_the_slowest_requests_alone_can_be_slower() -> None:
    world = replace(USUAL, slowest=(0.03, 1.2), own_sd=0.0, start_sd=0.0, endpoints={"GET /": (1.0, 0.01)})
    sides = draw(world, np.random.default_rng(5)).sides
    ratio = [np.quantile(sides[Side.CANDIDATE].seconds, q) / np.quantile(sides[Side.BASELINE].seconds, q)
             for q in (0.5, 0.99)]  # fmt: skip
    assert ratio[0] == pytest.approx(1.0, abs=0.02)
    assert ratio[1] == pytest.approx(1.2, abs=0.08)


def test_pauses_and_bursts_of_errors_come() -> None:
    world = replace(USUAL, blocks=75, rounds=1, pause=(0.05, 0.5), error_bursts=(0.02, 1.0))
    requests = draw(world, np.random.default_rng(6)).sides[Side.BASELINE]
    assert 0.005 < np.mean(requests.seconds > 0.2) < 0.06
    assert 0.003 < requests.failed.mean() < 0.06


def test_zipf_gives_half_of_the_traffic_to_few() -> None:
    shares = [share for share, _ in zipf(50).values()]
    assert sum(shares) == pytest.approx(1.0)
    assert sum(shares[:6]) > 0.5
    assert sum(share >= 0.10 for share in shares) == 2


def test_a_look_sees_only_what_was_closed_by_then() -> None:
    rehearsal = simulated(replace(USUAL, blocks=4, rounds=2), None, POLICY, np.random.default_rng(7))
    seen = until(rehearsal.evidence, 20.0)
    assert {(block.round, block.index) for block in seen.blocks} == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)}
    assert not seen.is_complete
    assert our_answer(rehearsal.evidence).after_s == 32.0


def test_every_row_has_a_name_of_its_own_and_something_to_say() -> None:
    rows = all_rows()
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.truth and row.runs >= 60 for row in rows)


def test_one_resampled_rehearsal_of_the_traces_is_complete_evidence() -> None:
    assert sorted(pairs()) == ["A2", "B05", "B10", "B20", "Berr", "Btail"]
    rehearsal = resampled("A2", np.random.default_rng(8), 2.0, True)
    assert judge(rehearsal.evidence).decision is Decision.ABORT
    sides = (rehearsal.seen.baseline, rehearsal.seen.candidate)
    assert sides[0].seconds.size == sides[1].seconds.size


def test_wilsons_interval() -> None:
    assert list(wilson(0, 400)) == pytest.approx([0.0, 0.00951], abs=1e-4)
    assert list(wilson(5, 10)) == pytest.approx([0.2366, 0.7634], abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_missing_evidence_is_never_go(case: Case) -> None:
    assert judge(_good()).decision is Decision.GO
    assert judge(case.evidence(_good())).decision is not Decision.GO


@cache
def _good() -> Evidence:
    return simulated(QUIET, QUIET, POLICY, np.random.default_rng([73, 0])).evidence
