"""Abort criteria while load runs: what is proven fires, and chance does not."""

from __future__ import annotations

import numpy as np
import pytest

from bench.verdict.evidence import healthy_rig, histogram
from rehearse.judge.criteria import broken_by
from rehearse.model import Arrivals, Block, Metric, Objective, RequestOutcome, Scope, Series, Side

ALPHA = 0.001


def block(failed: int = 0, of: int = 20, slow: int = 0, seed: int = 1) -> Block:
    draws = np.random.default_rng(seed)
    seconds = np.concatenate([draws.uniform(0.008, 0.012, of - failed - slow), np.full(slow, 0.5)])
    durations = {RequestOutcome.OK: histogram(seconds)} if seconds.size else {}
    if failed:
        durations[RequestOutcome.ERROR] = histogram(np.full(failed, 0.001))
    series = (Series(Scope.SCENARIO, "shop", durations),)
    arrivals = Arrivals(of, of, ok=of - failed, error=failed)
    return Block(Side.CANDIDATE, 0, 0, False, 0.0, 1.0, arrivals, series, healthy_rig(of))


CALM = [block(seed=seed) for seed in range(10)]
ERRORS = Objective(Metric.ERROR_RATIO, 0.01)
LATENCY = Objective(Metric.P95, 0.10)


@pytest.mark.parametrize(
    ("objective", "recent", "fires"),
    [
        (ERRORS, [block(seed=3)] * 5, False),
        (ERRORS, [block(), block(failed=2)], False),  # chance
        (ERRORS, [block(failed=5)] * 5, True),
        (Objective(Metric.ERROR_RATIO, None, 0.5), [block(failed=5)] * 5, False),
        (Objective(Metric.ERROR_RATIO, None, 0.1), [block(failed=8)] * 5, True),
        (LATENCY, [block(seed=4)] * 5, False),
        (LATENCY, [block(slow=2), block(seed=5)], False),  # two of forty
        (LATENCY, [block(slow=10)] * 5, True),
        (Objective(Metric.P95, None, 0.4), [block(slow=10)] * 5, True),
        (Objective(Metric.P95, None, 0.6), [block(slow=10)] * 5, False),
        (LATENCY, [], False),
        (Objective(Metric.COMPLETED_RATIO, 0.0), [block(failed=20)] * 5, False),
    ],
)
def test_only_what_is_proven_to_be_beyond_the_objective_fires(
    objective: Objective, recent: list[Block], fires: bool
) -> None:
    assert bool(broken_by(objective, CALM, recent, ALPHA)) is fires


def test_without_anything_before_a_margin_has_nothing_to_stand_on() -> None:
    assert broken_by(ERRORS, [], [block(failed=20)] * 5, ALPHA) == ""
    assert broken_by(LATENCY, [], [block(slow=20)] * 5, ALPHA) == ""


def test_it_says_how_many_and_how_many_may() -> None:
    assert broken_by(ERRORS, CALM, [block(failed=10)], ALPHA) == "10 of 20 failed, and 1.00 % may"


def test_noise_alone_turns_nobody_back() -> None:
    draws = np.random.default_rng(7)
    fired = 0
    for _ in range(300):
        failed = int(draws.binomial(100, 0.01))
        fired += bool(broken_by(ERRORS, CALM, [block(failed=failed, of=100)], ALPHA))
    assert fired <= 2
