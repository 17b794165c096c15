"""Which cells there are, what each is for, and how many samples a pair needs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rehearse.histogram import Histogram
from rehearse.judge.cells import cells_of
from rehearse.judge.failures import Tally, highest_rise, tally
from rehearse.judge.latency import log_ratios, pair_groups, samples_needed
from rehearse.judge.pairs import Slice, columns, judged_pairs
from rehearse.judge.verdict import judge
from rehearse.model import (
    Cell,
    Decision,
    ErrorBin,
    Evidence,
    Metric,
    Objective,
    Outcome,
    Policy,
    RequestOutcome,
    Role,
    Scope,
    Series,
    Side,
)
from tests.judge.evidence import OBJECTIVES, POLICY, QUIET, World, constant, histogram, paired, with_blocks

SHOP = World(
    endpoints={"GET /items": (0.80, 0.010), "POST /orders": (0.15, 0.020), "GET /rare": (0.05, 0.010)},
    shared_sd=0.05,
    own_sd=0.003,
)


def roles(policy: Policy, world: World = SHOP) -> dict[tuple[str, Metric], Role]:
    table = columns(judged_pairs(paired(world, 1).blocks, policy.rig))
    return {(cell.name, cell.metric): cell.role for cell in cells_of(policy, table)}


# --- roles ------------------------------------------------------------------------------------------------------


BUSY = replace(SHOP, rate_per_s=800.0)


def test_totals_and_frequent_endpoints_are_certified_and_the_rest_is_watched() -> None:
    found = roles(POLICY, BUSY)
    assert found["shop", Metric.P95] is Role.CERTIFY
    assert found["shop", Metric.ERROR_RATIO] is Role.CERTIFY
    assert found["shop", Metric.COMPLETED_RATIO] is Role.CERTIFY
    assert found["POST /orders", Metric.P50] is Role.CERTIFY
    assert found["GET /rare", Metric.P50] is Role.WATCH
    assert found["do GET /items", Metric.P50] is Role.WATCH
    assert found["GET /items", Metric.P99] is Role.ADVISORY


def test_a_frequent_endpoint_is_watched_while_chance_alone_leaves_no_room_in_its_margin() -> None:
    """480 samples of a spread of 0.3 tell p50 to within 2.4 %: too much for 5 %, little enough for 30 %."""
    assert roles(POLICY)["POST /orders", Metric.P50] is Role.WATCH
    assert roles(POLICY)["shop", Metric.P50] is Role.CERTIFY  # the total always is
    wide = replace(POLICY, overrides={"POST /orders": (Objective(Metric.P50, 0.3),)})
    assert roles(wide)["POST /orders", Metric.P50] is Role.CERTIFY


def test_an_unsteady_candidate_lowers_nothing_that_is_asked_of_it() -> None:
    """Roles are told from the baseline alone."""
    evidence = paired(BUSY, 1)
    unsteady = [
        replace(block, series=tuple(_unsteady(one) for one in block.series))
        if block.side is Side.CANDIDATE
        else block
        for block in evidence.blocks
    ]
    tables = [columns(judged_pairs(blocks, POLICY.rig)) for blocks in (evidence.blocks, unsteady)]
    before, after = ([cell.role for cell in cells_of(POLICY, table)] for table in tables)
    assert before == after


def _unsteady(series: Series) -> Series:
    spread = np.random.default_rng(1).lognormal(math.log(0.02), 2.0, series.count())
    return replace(series, durations={RequestOutcome.OK: histogram(spread)})


def test_a_critical_endpoint_is_certified_however_rare() -> None:
    found = roles(replace(POLICY, critical=("GET /rare",)))
    assert found["GET /rare", Metric.P50] is Role.CERTIFY
    assert found["GET /rare", Metric.ERROR_RATIO] is Role.CERTIFY


def test_errors_of_an_endpoint_are_watched_when_one_failure_would_leave_its_margin_open() -> None:
    """2,560 requests cannot prove 0.1 points, 3,584 could not after a single failure, 5,120 can."""
    assert roles(POLICY)["GET /items", Metric.ERROR_RATIO] is Role.WATCH
    assert roles(POLICY, replace(SHOP, rate_per_s=70.0))["GET /items", Metric.ERROR_RATIO] is Role.WATCH
    assert roles(POLICY, replace(SHOP, rate_per_s=100.0))["GET /items", Metric.ERROR_RATIO] is Role.CERTIFY


def test_an_override_replaces_the_objective_of_its_metric_only() -> None:
    policy = replace(POLICY, overrides={"GET /rare": (Objective(Metric.P95, 0.5),)})
    table = columns(judged_pairs(paired(SHOP, 1).blocks, policy.rig))
    margins = {
        cell.metric: cell.objective.margin for cell in cells_of(policy, table) if cell.name == "GET /rare"
    }
    assert (margins[Metric.P95], margins[Metric.P50]) == (0.5, 0.05)


def test_what_was_completed_is_one_cell_even_with_several_scenarios() -> None:
    evidence = two_scenarios(paired(QUIET, 1, before=QUIET))
    verdict = judge(evidence)
    (cell,) = [j.cell for j in verdict.judgements if j.cell.metric is Metric.COMPLETED_RATIO]
    assert (cell.scope, cell.name, cell.role) == (Scope.REHEARSAL, "all scenarios", Role.CERTIFY)
    certified = {
        j.cell.name
        for j in verdict.judgements
        if j.cell.scope is Scope.SCENARIO and j.outcome is Outcome.PASS
    }
    assert certified == {"browsing", "buying"}


def two_scenarios(evidence: Evidence) -> Evidence:
    """Each endpoint's task as a scenario of its own."""
    names = {"do GET /items": "browsing", "do POST /orders": "buying"}

    def split(series: tuple[Series, ...]) -> tuple[Series, ...]:
        kept = [one for one in series if one.scope is not Scope.SCENARIO]
        return (
            *(replace(s, scope=Scope.SCENARIO, name=names[s.name]) for s in kept if s.scope is Scope.TASK),
            *kept,
        )

    assert evidence.reference is not None
    reference = replace(
        evidence.reference,
        blocks=tuple(replace(block, series=split(block.series)) for block in evidence.reference.blocks),
    )
    blocks = [replace(block, series=split(block.series)) for block in evidence.blocks]
    return with_blocks(replace(evidence, reference=reference), blocks)


# --- samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantile", "needed"), [(0.50, 10), (0.95, 40), (0.99, 200)])
def test_how_many_samples_a_quantile_needs(quantile: float, needed: int) -> None:
    assert samples_needed(quantile) == needed


def test_adjacent_blocks_are_merged_until_both_sides_have_enough() -> None:
    """50 requests a block are enough for p50 and p95; p99 takes four blocks together, inside each round."""
    table = columns(judged_pairs(paired(replace(QUIET, rate_per_s=12.5), 1).blocks, POLICY.rig))
    column = table[Scope.SCENARIO, "shop"]
    sizes = {q: [group.counts for group in pair_groups(column, q)] for q in (0.5, 0.95, 0.99)}
    assert sizes[0.5] == sizes[0.95] == [(50, 50)] * 16
    assert sizes[0.99] == [(200, 200)] * 4


def test_a_rest_joins_the_last_pair_of_its_round() -> None:
    world = replace(QUIET, rate_per_s=12.5, blocks=7, rounds=1)
    column = columns(judged_pairs(paired(world, 1).blocks, POLICY.rig))[Scope.SCENARIO, "shop"]
    assert [group.counts for group in pair_groups(column, 0.99)] == [(350, 350)]


def test_identical_code_has_symmetric_ratios_even_with_the_fewest_samples() -> None:
    """The bias of a small sample's p95 cancels: over 2,000 pairs of 40 samples the mean log ratio is 0 within 3 SE."""
    world = replace(QUIET, rate_per_s=10.0, blocks=2000, rounds=1, endpoints={"GET /items": (1.0, 0.010)})
    column = columns(judged_pairs(paired(world, 11).blocks, POLICY.rig))[Scope.SCENARIO, "shop"]
    sample = log_ratios(pair_groups(column, 0.95))
    assert sample.count == 2000
    assert abs(sample.mean) < 3 * math.sqrt(sample.within.variance / sample.count)
    skewness = np.mean(((np.array(sample.values) - sample.mean) / np.std(sample.values)) ** 3)
    assert abs(float(skewness)) < 0.3


def test_a_change_below_the_floor_is_no_worsening() -> None:
    """+10 % of 0.5 ms is 0.05 ms, under the floor of 0.2 ms: the effective margin is +40 %."""
    fast = replace(QUIET, endpoints={"GET /ping": (1.0, 0.0005)})
    verdict = judge(paired(replace(fast, slowdown={"": 1.1}), 1, before=fast))
    assert verdict.decision is Decision.GO
    (p50,) = [j for j in verdict.judgements if j.cell.label == "shop p50"]
    assert p50.margin == pytest.approx(0.4, abs=0.05)
    assert p50.is_proven_worse


# --- failures ---------------------------------------------------------------------------------------------------


def slice_of(errors: dict[int, int], failed: int | None = None) -> Slice:
    bins = tuple(ErrorBin("HTTP 500", bin_, count) for bin_, count in sorted(errors.items()))
    return Slice(0, 100.0, 1000, 1000, sum(errors.values()) if failed is None else failed, bins, Histogram())


def test_a_run_of_adjacent_bins_is_one_episode() -> None:
    assert tally([slice_of({3: 5, 4: 1, 5: 2, 9: 1})]).episodes == 2
    assert tally([slice_of({3: 5, 4: 1, 5: 2, 9: 1})]).per_episode == 4.5


def test_a_failure_that_no_bin_holds_counts_as_an_episode() -> None:
    assert tally([slice_of({3: 5}, failed=7)]).episodes == 3


def test_failures_in_a_fifth_of_all_bins_are_dense() -> None:
    assert not tally([slice_of(dict.fromkeys(range(39), 1))]).is_dense
    assert tally([slice_of(dict.fromkeys(range(40), 1))]).is_dense


def test_failures_that_come_in_bursts_prove_less() -> None:
    single, burst = Tally(5000, 4, 4, 4, 1000), Tally(5000, 40, 4, 4, 1000)
    clean = Tally(5000, 0, 0, 0, 1000)
    assert highest_rise(clean, burst, 0.05) == pytest.approx(10 * highest_rise(clean, single, 0.05))


def test_a_baseline_without_failures_leaves_all_of_alpha_to_the_candidate() -> None:
    clean = Tally(2995, 0, 0, 0, 1000)
    assert highest_rise(clean, clean, 0.05) < 0.001
    assert highest_rise(Tally(2995, 1, 1, 1, 1000), clean, 0.05) > 0.001


def test_a_new_kind_of_failure_has_a_cell_of_its_own() -> None:
    """As many failures on both sides, but the candidate's are of a new kind: the total is no different, the kind is."""

    def of_kind(series: Series, kind: str) -> Series:
        return replace(series, errors=tuple(replace(error, kind=kind) for error in series.errors))

    world = replace(
        QUIET, rate_per_s=25.0, blocks=40, rounds=1, baseline_errors=0.004, candidate_errors=0.004
    )
    evidence = paired(world, 3, before=world)
    blocks = [
        replace(block, series=tuple(of_kind(s, "timeout") for s in block.series))
        if block.side is Side.CANDIDATE
        else block
        for block in evidence.blocks
    ]
    verdict = judge(with_blocks(evidence, blocks))
    judged = {j.cell.label: j for j in verdict.judgements}
    assert judged["GET /items [timeout] error ratio"].outcome is Outcome.FAIL
    assert judged["GET /items [timeout] error ratio"].cell.role is Role.WATCH
    assert judged["GET /items error ratio"].outcome is not Outcome.FAIL
    assert "GET /items [HTTP 500] error ratio" not in judged
    assert verdict.decision is Decision.ABORT


def test_the_only_kind_of_failure_needs_no_cell_of_its_own() -> None:
    verdict = judge(paired(replace(QUIET, candidate_errors=0.05), 1, before=QUIET))
    assert not [j for j in verdict.judgements if "[" in j.cell.name]


# --- completed, limits ------------------------------------------------------------------------------------------


def test_a_candidate_that_answers_less_is_abort_and_its_change_is_negative() -> None:
    evidence = paired(QUIET, 1, before=QUIET)
    blocks = []
    for block in evidence.blocks:
        if block.side is Side.CANDIDATE:
            late = round(0.10 * block.arrivals.ok) + block.index % 2
            arrivals = replace(block.arrivals, ok=block.arrivals.ok - late, timeout=late)
            block = replace(
                block, arrivals=arrivals, series=tuple(with_timeouts(s, late) for s in block.series)
            )
        blocks.append(block)
    verdict = judge(with_blocks(evidence, blocks))
    (completed,) = [j for j in verdict.judgements if j.cell.metric is Metric.COMPLETED_RATIO]
    assert completed.outcome is Outcome.FAIL
    assert completed.change is not None
    assert completed.low is not None
    assert completed.low < completed.change < -0.09
    assert completed.upper_bound is not None
    assert completed.upper_bound > 0.09


def with_timeouts(series: Series, late: int) -> Series:
    """`late` of a scenario's or task's successes as timeouts of 1 s instead (tasks: all from the first one)."""
    if series.scope is Scope.ENDPOINT or series.name == "do POST /orders":
        return series
    pairs = series.durations[RequestOutcome.OK].to_pairs()
    left = late
    kept: list[int] = []
    for bucket, count in zip(pairs[::2], pairs[1::2], strict=True):
        taken = min(left, count)
        left -= taken
        if count > taken:
            kept += [bucket, count - taken]
    durations = {RequestOutcome.OK: Histogram.from_pairs(kept), RequestOutcome.TIMEOUT: constant(1.0, late)}
    return replace(series, durations=durations)


def limit_verdict(metric: Metric, limit: float, world: World = QUIET) -> Decision:
    objectives = tuple(replace(o, limit=limit) if o.metric is metric else o for o in OBJECTIVES)
    return judge(paired(world, 1, before=QUIET, policy=replace(POLICY, objectives=objectives))).decision


@pytest.mark.parametrize(
    ("metric", "limit", "decision"),
    [
        (Metric.P95, 0.050, Decision.GO),
        (Metric.P95, 0.010, Decision.ABORT),
        (Metric.P95, 0.0279, Decision.INCONCLUSIVE),
        (Metric.ERROR_RATIO, 0.01, Decision.GO),
        (Metric.COMPLETED_RATIO, 0.90, Decision.GO),
    ],
)
def test_an_absolute_limit_is_broken_kept_or_open(metric: Metric, limit: float, decision: Decision) -> None:
    endpoints = {"GET /items": (1.0, 0.017)} if limit == 0.0279 else QUIET.endpoints
    world = replace(QUIET, endpoints=endpoints)
    objectives = tuple(replace(o, limit=limit) if o.metric is metric else o for o in OBJECTIVES)
    verdict = judge(paired(world, 2, before=world, policy=replace(POLICY, objectives=objectives)))
    assert verdict.decision is decision


def test_an_error_limit_that_is_broken_is_hard() -> None:
    assert limit_verdict(Metric.ERROR_RATIO, 0.01, replace(QUIET, candidate_errors=0.05)) is Decision.ABORT


def test_a_cell_can_have_a_limit_and_no_margin() -> None:
    objectives = (Objective(Metric.P95, None, limit=0.1), Objective(Metric.ERROR_RATIO, None, limit=0.01))
    verdict = judge(paired(QUIET, 1, before=QUIET, policy=replace(POLICY, objectives=objectives)))
    assert verdict.decision is Decision.GO
    assert isinstance(verdict.judgements[0].cell, Cell)
