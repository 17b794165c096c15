"""What makes evidence unfit for GO, fault by fault: the code, and whether ABORT stays possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from rehearse.histogram import Histogram
from rehearse.judge.verdict import judge
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    Evidence,
    Mode,
    ReasonCode,
    RequestOutcome,
    RigLimits,
    Scope,
    Series,
    Side,
)
from tests.judge.evidence import POLICY, QUIET, World, constant, good, paired, with_blocks

SLOW = replace(QUIET, slowdown={"": 1.25})


@cache
def good_evidence() -> Evidence:
    return good()


def on(
    change: Callable[[Block], Block], side: Side | None = None, first: int = 0
) -> Callable[[Evidence], Evidence]:
    """Change every measured block of one side (or of both) from index `first` on."""
    return lambda evidence: with_blocks(
        evidence,
        [
            change(block)
            if not block.is_warm_up and block.index >= first and side in (None, block.side)
            else block
            for block in evidence.blocks
        ],
    )


def lagging(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, rig_lag=constant(0.009, block.arrivals.dispatched)))


def stalled(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, stall_max_s=0.2))


def busy(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, cpu_ratio=0.9))


def stolen(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, steal_ratio=0.5))


def not_sent(block: Block) -> Block:
    """Four per cent of the planned arrivals never went out."""
    extra = round(0.04 * block.arrivals.planned)
    arrivals = block.arrivals
    return replace(block, arrivals=replace(arrivals, planned=arrivals.planned + extra, unsent=extra))


def also_planned(block: Block) -> Block:
    """The same plan on the side that did send all."""
    extra = round(0.04 * block.arrivals.planned)
    series = [
        replace(
            s, durations={**s.durations, RequestOutcome.OK: _with_more(s.durations[RequestOutcome.OK], extra)}
        )
        if s.scope is Scope.SCENARIO or s.name == "do GET /items"
        else s
        for s in block.series
    ]
    arrivals = block.arrivals
    arrivals = replace(arrivals, planned=arrivals.planned + extra, dispatched=arrivals.dispatched + extra,
                       ok=arrivals.ok + extra)  # fmt: skip
    return replace(block, arrivals=arrivals, series=tuple(series))


def _with_more(histogram: Histogram, extra: int) -> Histogram:
    return Histogram.merged([histogram, constant(0.01, extra)])


def limited(ratio: float) -> Callable[[Block], Block]:
    return lambda block: replace(
        block, arrivals=replace(block.arrivals, concurrency_limited=round(ratio * block.arrivals.dispatched))
    )


def codes(evidence: Evidence) -> set[str]:
    return {finding.code for finding in judge(evidence).reasons}


# --- the rig ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [lagging, stalled, busy])
def test_blocks_in_which_the_rig_was_unfit_are_discarded_on_both_sides(
    trouble: Callable[[Block], Block],
) -> None:
    verdict = judge(on(trouble, Side.BASELINE, first=8)(good_evidence()))
    assert verdict.decision is not Decision.ABORT
    assert (verdict.pairs_used, verdict.pairs_discarded) == (14, 2)
    assert not {finding.code for finding in verdict.reasons} & {ReasonCode.RIG_UNHEALTHY}


@pytest.mark.parametrize(
    ("trouble", "word"),
    [(lagging, "rig lag"), (stalled, "stall"), (busy, "CPU")],
    ids=["lag", "stall", "CPU"],
)
@pytest.mark.parametrize("side", list(Side))
def test_too_many_unfit_blocks_are_an_unhealthy_rig(
    trouble: Callable[[Block], Block], word: str, side: Side
) -> None:
    verdict = judge(on(trouble, side, first=6)(good_evidence()))
    assert verdict.decision is Decision.INCONCLUSIVE
    (finding,) = [finding for finding in verdict.reasons if finding.code == ReasonCode.RIG_UNHEALTHY]
    assert (
        f"6 of 16 blocks were discarded because the load generator was unfit (6 {word})" in finding.sentence
    )


def test_steal_time_counts_only_where_a_limit_is_set() -> None:
    stolen_blocks = on(stolen)(good_evidence())
    assert judge(stolen_blocks).pairs_discarded == 0
    limited_policy = replace(POLICY, rig=RigLimits(max_steal_ratio=0.1))
    assert judge(replace(stolen_blocks, policy=limited_policy)).pairs_discarded == 16


def test_a_slow_service_allows_a_later_rig() -> None:
    """10 % of the baseline's p50 of 200 ms is 20 ms: 9 ms of rig lag is no trouble then."""
    slow = World(endpoints={"GET /report": (1.0, 0.2)}, shared_sd=0.05)
    assert judge(on(lagging)(paired(slow, 1))).pairs_discarded == 0


def test_arrivals_from_the_backlog_need_no_rig_lag() -> None:
    def from_backlog(block: Block) -> Block:
        rig = replace(
            block.rig,
            rig_lag=Histogram(),
            backlog_lag=constant(0.009, block.arrivals.dispatched),
        )
        return replace(block, rig=rig)

    assert ReasonCode.RIG_UNHEALTHY not in codes(on(from_backlog, Side.CANDIDATE)(good_evidence()))


# --- the load ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_arrivals_that_were_never_sent_are_a_load_mismatch(side: Side) -> None:
    other = Side.CANDIDATE if side is Side.BASELINE else Side.BASELINE
    verdict = judge(on(also_planned, other)(on(not_sent, side)(good_evidence())))
    assert verdict.decision is Decision.INCONCLUSIVE
    (finding,) = [finding for finding in verdict.reasons if finding.code == ReasonCode.LOAD_MISMATCH]
    assert f"were sent to the {side} (no sign that users were all busy)" in finding.sentence


def test_a_candidate_that_keeps_every_user_waiting_can_still_be_abort() -> None:
    """Unsent because all users waited for the candidate is its own doing: proven worse stays ABORT."""
    evidence = on(also_planned, Side.BASELINE)(on(not_sent, Side.CANDIDATE)(paired(SLOW, 2, before=QUIET)))
    assert judge(evidence).decision is Decision.INCONCLUSIVE
    assert judge(on(limited(0.5), Side.CANDIDATE)(evidence)).decision is Decision.ABORT


def test_a_baseline_that_was_concurrency_limited_is_refused() -> None:
    assert codes(on(limited(0.06), Side.BASELINE)(good_evidence())) == {ReasonCode.LOAD_MISMATCH}
    assert judge(on(limited(0.04), Side.BASELINE)(good_evidence())).decision is Decision.GO


def test_another_mix_of_tasks_is_another_load() -> None:
    """60:40 against 45:55 by the rig's own choice."""
    evidence = good_evidence()
    other = paired(replace(QUIET, endpoints={"GET /items": (0.45, 0.010), "POST /orders": (0.55, 0.020)}), 1)
    blocks = [b for b in evidence.blocks if b.side is Side.BASELINE] + [
        b for b in other.blocks if b.side is Side.CANDIDATE
    ]
    verdict = judge(with_blocks(evidence, blocks))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.LOAD_MISMATCH
    assert "of the baseline's tasks" in verdict.reasons[0].sentence


def test_chance_alone_is_no_other_mix() -> None:
    tiny = replace(QUIET, rate_per_s=5.0)
    assert all(ReasonCode.LOAD_MISMATCH not in codes(paired(tiny, seed)) for seed in range(20))


# --- scenarios --------------------------------------------------------------------------------------------------


def without_scenario(block: Block) -> Block:
    return replace(block, series=tuple(s for s in block.series if s.scope is not Scope.SCENARIO))


def test_a_configured_scenario_that_never_ran_is_no_evidence() -> None:
    assert judge(replace(good_evidence(), scenarios=("shop",))).decision is Decision.GO
    verdict = judge(replace(good_evidence(), scenarios=("shop", "checkout")))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert {finding.code for finding in verdict.reasons} == {ReasonCode.NO_EVIDENCE}
    assert [finding.sentence.split(" in any")[0] for finding in verdict.reasons] == [
        "the scenario checkout was not run once against the baseline",
        "the scenario checkout was not run once against the candidate",
    ]


@pytest.mark.parametrize("side", list(Side))
def test_a_scenario_that_ran_on_one_side_only_is_named_with_the_other(side: Side) -> None:
    verdict = judge(replace(on(without_scenario, side)(good_evidence()), scenarios=("shop",)))
    assert verdict.decision is Decision.INCONCLUSIVE
    absent = [f for f in verdict.reasons if f.code == ReasonCode.NO_EVIDENCE and f.subject == "shop"]
    assert [finding.numbers["side"] for finding in absent] == [side]


def test_a_scenario_that_never_ran_hides_no_worsening_of_another() -> None:
    evidence = replace(paired(SLOW, 2, before=QUIET), scenarios=("shop", "checkout"))
    assert judge(evidence).decision is Decision.ABORT


# --- endpoints --------------------------------------------------------------------------------------------------


def renamed(block: Block) -> Block:
    series = [replace(s, name="GET /elements") if s.name == "GET /items" else s for s in block.series]
    return replace(block, series=tuple(series))


def test_an_endpoint_that_only_one_side_has_is_missing() -> None:
    verdict = judge(on(renamed, Side.CANDIDATE)(good_evidence()))
    assert verdict.decision is Decision.INCONCLUSIVE
    missing = {finding.subject for finding in verdict.reasons if finding.code == ReasonCode.MISSING_ENDPOINT}
    assert missing == {"GET /items", "GET /elements"}


def test_an_endpoint_that_only_the_reference_has_is_missing() -> None:
    verdict = judge(on(renamed)(good_evidence()))
    assert "GET /items" in {f.subject for f in verdict.reasons if f.code == ReasonCode.MISSING_ENDPOINT}


def test_an_endpoint_asked_a_few_times_on_one_side_is_not_missing() -> None:
    def with_one_more(block: Block) -> Block:
        extra = Series(Scope.ENDPOINT, "GET /odd", {RequestOutcome.OK: constant(0.01, 1)})
        return replace(block, series=(*block.series, extra))

    assert judge(on(with_one_more, Side.BASELINE)(good_evidence())).decision is Decision.GO


# --- the baseline, and isolation --------------------------------------------------------------------------------


def test_a_baseline_that_fails_more_than_when_it_was_recorded_is_unhealthy() -> None:
    flaky = replace(QUIET, baseline_errors=0.02, candidate_errors=0.02)
    assert ReasonCode.BASELINE_UNHEALTHY in codes(paired(flaky, 4, before=QUIET))
    assert ReasonCode.BASELINE_UNHEALTHY not in codes(paired(flaky, 4, before=flaky))


def test_a_candidate_that_slows_the_baseline_down_is_not_isolated() -> None:
    """Both sides 60 % slower than recorded: the difference is nil, and that is no sameness."""
    crowded = replace(QUIET, endpoints={"GET /items": (0.6, 0.016), "POST /orders": (0.4, 0.032)})
    verdict = judge(paired(crowded, 5, before=QUIET))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert ReasonCode.NOT_ISOLATED in {finding.code for finding in verdict.reasons}


def test_a_candidate_that_is_worse_beside_a_baseline_it_slows_down_is_abort() -> None:
    crowded = replace(SLOW, endpoints={"GET /items": (0.6, 0.016), "POST /orders": (0.4, 0.032)})
    verdict = judge(paired(crowded, 5, before=QUIET))
    assert verdict.decision is Decision.ABORT
    assert ReasonCode.NOT_ISOLATED in {finding.code for finding in verdict.warnings}


def test_a_level_that_moves_as_runs_do_is_isolated() -> None:
    """8 % is within what two runs on one machine differ by (5 % each)."""
    moved = replace(QUIET, endpoints={"GET /items": (0.6, 0.0108), "POST /orders": (0.4, 0.0216)})
    assert ReasonCode.NOT_ISOLATED not in codes(paired(moved, 5, before=QUIET))


def test_sides_that_share_a_host_are_only_compared_with_an_a_a_recording() -> None:
    crowded = replace(QUIET, endpoints={"GET /items": (0.6, 0.016), "POST /orders": (0.4, 0.032)})
    evidence = paired(crowded, 5, before=QUIET)
    assert evidence.reference is not None
    alone = tuple(block for block in evidence.reference.blocks if block.side is Side.BASELINE)
    shared = replace(evidence, policy=replace(POLICY, shares_host=True))
    assert ReasonCode.NOT_ISOLATED in codes(shared)
    assert ReasonCode.NOT_ISOLATED not in codes(
        replace(shared, reference=replace(evidence.reference, blocks=alone))
    )


def test_pairs_that_resemble_their_neighbours_are_correlated() -> None:
    """The candidate's own level drifts up and down over the run: far fewer independent pairs than it seems."""

    def drifting(block: Block) -> Block:
        factor = 1.08 if (block.index // 6) % 2 else 0.92
        series = [
            replace(s, durations={outcome: _scaled(h, factor) for outcome, h in s.durations.items()})
            for s in block.series
        ]
        return replace(block, series=tuple(series))

    long = replace(QUIET, blocks=36, rounds=1)
    assert ReasonCode.CORRELATED in codes(on(drifting, Side.CANDIDATE)(paired(long, 6, before=long)))
    assert ReasonCode.CORRELATED not in codes(paired(long, 6, before=long))


def _scaled(histogram: Histogram, factor: float) -> Histogram:
    scaled = Histogram()
    for seconds, count in histogram.buckets():
        for _ in range(count):
            scaled.record(seconds * factor)
    return scaled


# --- ledgers ----------------------------------------------------------------------------------------------------


def test_every_ledger_fault_says_where() -> None:
    def unbalanced(block: Block) -> Block:
        return replace(block, arrivals=replace(block.arrivals, ok=block.arrivals.ok - 1))

    verdict = judge(on(unbalanced, Side.CANDIDATE, first=8)(good_evidence()))
    assert any(
        f.code == ReasonCode.LEDGER and "first candidate round 0 block 8" in f.sentence
        for f in verdict.reasons
    )


def test_workers_stopped_in_the_middle_of_a_block_are_no_ledger_fault() -> None:
    """Worker 0 had closed the tenth block, worker 1 had not: it was never merged, and that is how a stop looks."""
    evidence = with_blocks(good_evidence(), [b for b in good_evidence().blocks if b.round == 0])
    finals = []
    for final in evidence.finals:
        half = Arrivals(*(getattr(final.arrivals, name) // 2 for name in Arrivals.__slots__))
        ahead = half + Arrivals(planned=100, dispatched=100, ok=100)
        finals.append(replace(final, arrivals=ahead, blocks_closed=final.blocks_closed + 1))
        finals.append(replace(final, worker=1, arrivals=half, abandoned=12))
    verdict = judge(replace(evidence, finals=tuple(finals), expected_workers=2))
    assert ReasonCode.LEDGER not in {finding.code for finding in verdict.reasons}
    whole = tuple(replace(final, abandoned=0) for final in finals)
    verdict = judge(replace(evidence, finals=whole, expected_workers=2))
    assert ReasonCode.LEDGER in {finding.code for finding in verdict.reasons}


def test_recorded_mode_without_a_baseline_has_nothing_to_say() -> None:
    alone = with_blocks(good_evidence(), [b for b in good_evidence().blocks if b.side is Side.CANDIDATE])
    verdict = judge(replace(alone, mode=Mode.RECORDED, reference=None))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert ReasonCode.MISSING_BASELINE in {finding.code for finding in verdict.reasons}
