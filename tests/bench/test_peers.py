"""The peers' rules do what their descriptions say, their ways of passing without data included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.verdict.peers import PEERS, Seen, hodges_lehmann, k6, kayenta, keptn, mann_whitney, point10, welch
from bench.verdict.simulator import Requests
from rehearse.model import Decision

LENGTH_S = 60.0


def side(factor: float = 1.0, error_ratio: float = 0.0, seed: int = 1, first_slow_s: float = 0.0) -> Requests:
    """3,000 requests of about 10 ms over a minute, in windows of 4 s; slower by `factor` from `first_slow_s` on."""
    rng = np.random.default_rng(seed)
    at_s = np.sort(rng.random(3000) * LENGTH_S)
    seconds = 0.010 * rng.lognormal(0, 0.3, at_s.size) * np.where(at_s >= first_slow_s, factor, 1.0)
    none = np.zeros(at_s.size, dtype=np.int64)
    return Requests((at_s / 4).astype(np.int64), at_s, none, seconds, rng.random(at_s.size) < error_ratio)


def seen(candidate: Requests, baseline: Requests | None = None, earlier: int = 3) -> Seen:
    baseline = baseline or side()
    return Seen(baseline, candidate, (baseline,) * earlier, 1, LENGTH_S)


def nothing() -> Requests:
    whole = side()
    return whole.chosen(np.zeros(whole.block.size, dtype=np.bool_))


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_candidate_half_slower_is_abort_and_the_very_same_requests_are_go(name: str) -> None:
    assert PEERS[name](seen(side(1.5, seed=2))).decision is Decision.ABORT
    assert PEERS[name](seen(side())).decision is Decision.GO


@pytest.mark.parametrize("name", ["point10", "keptn"])
def test_a_point_gate_knows_ten_per_cent_and_nothing_of_chance(name: str) -> None:
    assert PEERS[name](seen(side(1.09))).decision is Decision.GO
    assert PEERS[name](seen(side(1.11))).decision is Decision.ABORT


def test_k6_stops_at_the_first_look_that_is_beyond_its_threshold() -> None:
    assert k6(seen(side(1.5, seed=2))).after_s == 10.0
    late = k6(seen(side(3.0, first_slow_s=30.0)))
    assert late.decision is Decision.ABORT
    assert 30.0 < late.after_s <= 36.0
    assert late.after_s % 2 == 0


def test_k6_allows_one_per_cent_of_failures() -> None:
    assert k6(seen(side(error_ratio=0.005))).decision is Decision.GO
    assert k6(seen(side(error_ratio=0.05))).decision is Decision.ABORT


def test_keptn_holds_the_mean_of_the_last_three_and_passes_without_any() -> None:
    slow = side(1.5)
    assert keptn(seen(slow, earlier=0)).decision is Decision.GO
    history = (slow, side(), side(), side())  # the slow one is the fourth from the end
    assert keptn(replace(seen(side(1.05)), earlier=history)).decision is Decision.GO
    assert keptn(replace(seen(side(1.15)), earlier=history)).decision is Decision.ABORT


def test_keptn_of_a_baseline_without_failures_forbids_any() -> None:
    assert keptn(seen(side(error_ratio=0.005))).decision is Decision.ABORT


def test_kayenta_scores_metrics_and_has_a_middle() -> None:
    """Six metrics (p50, p95, errors; the whole and one endpoint): two of p95 alone are 67 %, below 75."""
    tail = side()
    slow_tail = replace(tail, seconds=np.where(tail.seconds > 0.014, tail.seconds * 2, tail.seconds))
    assert kayenta(seen(slow_tail)).decision is Decision.ABORT
    mixed = replace(
        slow_tail, endpoint=np.ones_like(slow_tail.endpoint)
    )  # the endpoint has no data: in no score
    assert kayenta(seen(mixed)).decision is Decision.ABORT
    five = replace(
        seen(slow_tail), baseline=replace(side(), endpoint=np.ones(3000, dtype=np.int64)), endpoints=0
    )
    assert kayenta(five).decision is Decision.ABORT


def test_hodges_lehmann_finds_the_shift_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    low, estimate = hodges_lehmann(rng.normal(0, 1, 60), rng.normal(2, 1, 60))
    assert estimate == pytest.approx(2.0, abs=0.4)
    assert 1.0 < low < estimate


@pytest.mark.parametrize("rule", [welch, mann_whitney])
def test_pooled_tests_call_a_shift_of_three_per_cent_worse_whatever_made_it(rule: type) -> None:
    assert rule(seen(side(1.03, seed=2), side(1.0, seed=3))).decision is Decision.ABORT
    assert rule(seen(side(0.8, seed=2))).decision is Decision.GO  # faster is fine


@pytest.mark.parametrize("name", sorted(PEERS))
def test_every_peer_passes_a_candidate_without_any_data(name: str) -> None:
    assert PEERS[name](seen(nothing())).decision is Decision.GO


def test_a_point_gate_counts_errors_in_points() -> None:
    assert point10(seen(side(error_ratio=0.005))).decision is Decision.ABORT
