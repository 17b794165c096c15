"""Recorded mode: rounds are the unit, and what cannot be decided is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from rehearse.judge.failures import Tally
from rehearse.judge.recorded import overdispersion, round_variance
from rehearse.judge.stats import Component
from rehearse.judge.verdict import judge
from rehearse.model import Block, Decision, Metric, Outcome, Policy, ReasonCode, Verdict
from tests.judge.evidence import OBJECTIVES, POLICY, World, recorded, with_blocks

RUN = World(
    blocks=5,
    rounds=3,
    warm_up_blocks=0,
    shared_sd=0.05,
    own_sd=0.01,
    start_sd=0.05,
    rate_per_s=25.0,
    has_tasks=False,
)
WIDE = replace(
    POLICY, objectives=tuple(replace(o, margin=0.3) if o.metric.quantile else o for o in OBJECTIVES)
)


def test_one_round_variance_from_assumption_and_rounds() -> None:
    """(4 * 0.05^2 + squares of both sides) / (4 + 2 + 1)."""
    found = round_variance([(0.0, 0.1, 0.2), (0.5, 0.7)], Component(0.05**2, 4))
    assert found.variance == pytest.approx((4 * 0.0025 + 0.02 + 0.02) / 7)
    assert found.degrees_of_freedom == 7


def test_identical_code_is_hardly_ever_abort() -> None:
    """100 comparisons with a run-to-run SD of 5 %; tolerance: 1 % and three standard errors, so at most 4."""
    decisions = [judge(recorded(RUN, RUN, seed)).decision for seed in range(100)]
    assert decisions.count(Decision.ABORT) <= 4


def test_half_again_as_slow_is_abort() -> None:
    """40 comparisons, expected well above 95 %; tolerance: at least 35."""
    slow = replace(RUN, slowdown={"": 1.5})
    decisions = [judge(recorded(slow, RUN, seed)).decision for seed in range(40)]
    assert decisions.count(Decision.ABORT) >= 35
    assert Decision.GO not in decisions


def test_wide_margins_can_be_go() -> None:
    long = replace(RUN, rate_per_s=60.0, start_sd=0.02)
    decisions = [judge(recorded(long, long, seed, policy=WIDE)).decision for seed in range(20)]
    assert decisions.count(Decision.GO) >= 15


@pytest.mark.parametrize(("stored", "new"), [(2, 3), (1, 1)])
def test_too_few_rounds_of_the_baseline_are_inconclusive(stored: int, new: int) -> None:
    verdict = judge(recorded(replace(RUN, rounds=new), replace(RUN, rounds=stored), 1))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert {finding.code for finding in verdict.reasons} == {ReasonCode.TOO_FEW_ROUNDS}


def test_one_round_of_the_candidate_is_enough_to_judge() -> None:
    verdict = judge(recorded(replace(RUN, rounds=1, slowdown={"": 2.5}), replace(RUN, rounds=4), 1))
    assert verdict.decision is Decision.ABORT


def test_it_says_in_plain_words_what_it_cannot_decide() -> None:
    told = " ".join(judge(recorded(RUN, RUN, 1)).assumptions)
    assert "recorded mode cannot measure what drifted between the two recordings" in told
    assert "the smallest p50 margin that this comparison could decide is" in told


def test_a_new_error_ratio_is_abort() -> None:
    verdict = judge(recorded(replace(RUN, candidate_errors=0.03), RUN, 1))
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].subject.endswith("error ratio")


def test_errors_that_vary_between_rounds_prove_less() -> None:
    even = [Tally(1000, 10, 10, 10, 1000)] * 3
    uneven = [Tally(1000, n, n, n, 1000) for n in (0, 1, 29)]
    assert overdispersion([even, even]) == 1.0
    assert overdispersion([uneven, even]) == pytest.approx((100 + 81 + 361) / 10 / 4)


def test_a_round_with_few_samples_counts_with_its_sampling_noise() -> None:
    """A rare endpoint's p95 of 60 samples a round varies by far more than 5 %: its interval must say so."""
    rare = replace(RUN, endpoints={"GET /items": (0.9, 0.010), "GET /rare": (0.1, 0.010)})
    verdict = judge(recorded(rare, rare, 1))
    errors = {j.cell.label: j.standard_error for j in verdict.judgements if j.standard_error is not None}
    assert errors["GET /rare p95"] > errors["GET /items p95"]
    assert [j.outcome for j in verdict.judgements if j.cell.label == "GET /rare p95"] != [Outcome.FAIL]


# --- 5 + 3 restarts, and a machine that drifts between the two recordings ---------------------------------------

SHORT = replace(RUN, blocks=3, rate_per_s=50.0, shared_sd=0.10, shared_lag=0.4, start_sd=0.03)


CALM = replace(SHORT, shared_sd=0.01, own_sd=0.003, start_sd=0.005, rate_per_s=200.0)


def drifting(slower: float, count: int = 20) -> list[Verdict]:
    """The candidate's recording is slower or faster as a whole, by 5 %: that is what a day makes of a machine."""
    levels = np.exp(np.random.default_rng(3).normal(0, 0.05, count)).tolist()
    return [
        judge(
            recorded(
                replace(SHORT, rounds=3, slowdown={"": slower}, level=level),
                replace(SHORT, rounds=5),
                seed,
            )
        )
        for seed, level in enumerate(levels)
    ]


def test_identical_code_is_never_abort_though_the_machine_drifts() -> None:
    assert Decision.ABORT not in {verdict.decision for verdict in drifting(1.0)}


def test_half_again_as_slow_is_abort_though_the_machine_drifts() -> None:
    assert {verdict.decision for verdict in drifting(1.5)} == {Decision.ABORT}


def test_a_tenth_slower_is_mostly_inconclusive_and_told_in_the_right_words() -> None:
    """Tolerance: 2 of 20 may be decided."""
    open_ones = [verdict for verdict in drifting(1.1) if verdict.decision is Decision.INCONCLUSIVE]
    assert len(open_ones) >= 18
    told = [" ".join(finding.sentence for finding in verdict.reasons) for verdict in open_ones]
    honest = [words for words in told if "this rig cannot decide a" in words and "; it can decide" in words]
    assert (
        len(honest) >= len(told) - 1
    )  # where the machine drifted the other way, its latency is inside the margin


def test_rounds_that_are_alike_say_nothing_of_what_drifted_between_the_recordings() -> None:
    """A shift of 10 %, rounds within 1 %: a rule that takes the rounds for all of the noise says ABORT in 6 of 20."""
    alike = replace(SHORT, shared_sd=0.01, own_sd=0.003, start_sd=0.005)
    shifted = replace(alike, rounds=3, level=1.10)
    decisions = [judge(recorded(shifted, replace(alike, rounds=5), seed)).decision for seed in range(20)]
    assert Decision.ABORT not in decisions


# --- a machine that was slower, or faster, and of which the load generator tells -----------------------------------


def needing(blocks: Sequence[Block], times: float) -> tuple[Block, ...]:
    """The worker needs so many times the CPU time for the same arrivals."""
    return tuple(
        replace(block, rig=replace(block.rig, cpu_ratio=times * 0.01 * block.arrivals.dispatched / 25))
        for block in blocks
    )


def on_machine(slowdown: float, times: float, seed: int = 1, noise: World = SHORT) -> Verdict:
    """The candidate, and its machine, slower by so much than when the baseline was recorded."""
    return _felt(replace(noise, slowdown={"": slowdown}, level=times), times, seed, noise, POLICY)


def felt_alone(
    slowdown: float | Mapping[str, float],
    times: float,
    seed: int,
    noise: World = SHORT,
    policy: Policy = POLICY,
) -> Verdict:
    """Only the load generator is slower or faster than when the baseline was recorded."""
    each = {"": slowdown} if isinstance(slowdown, float) else slowdown
    return _felt(replace(noise, slowdown=each), times, seed, noise, policy)


def _felt(candidate: World, times: float, seed: int, baseline: World, policy: Policy) -> Verdict:
    evidence = recorded(replace(candidate, rounds=3), replace(baseline, rounds=5), seed, policy=policy)
    assert evidence.reference is not None
    reference = replace(evidence.reference, blocks=needing(evidence.reference.blocks, 1.0))
    return judge(with_blocks(replace(evidence, reference=reference), needing(evidence.blocks, times)))


def test_what_the_machine_itself_became_slower_by_is_not_held_against_the_candidate() -> None:
    """A shift of 30 %: most of 20 (15 at least) are ABORT when nobody tells of it, none when the rig does."""
    felt = [on_machine(1.0, 1.3, seed).decision for seed in range(20)]
    unfelt = [on_machine(1.3, 1.0, seed).decision for seed in range(20)]
    assert Decision.ABORT not in felt
    assert Decision.GO not in felt
    assert unfelt.count(Decision.ABORT) >= 15


def test_a_slow_machine_does_not_excuse_what_it_cannot_explain() -> None:
    assert {on_machine(1.6, 1.15, seed).decision for seed in range(20)} == {Decision.ABORT}


def test_what_the_machine_became_faster_by_is_not_credited_to_the_candidate() -> None:
    """A candidate that is 20 % slower on a machine that is 20 % faster looks as good as identical code."""
    same, hidden = on_machine(1.0, 1.0, noise=CALM), on_machine(1.25, 0.8, noise=CALM)
    bounds = [
        next(j.upper_bound or 0.0 for j in one.judgements if j.cell.metric is Metric.P50)
        for one in (same, hidden)
    ]
    assert bounds[1] == pytest.approx(1.25 * (1 + bounds[0]) - 1, abs=0.03)
    assert hidden.decision is Decision.INCONCLUSIVE


def test_a_load_generator_that_alone_became_faster_or_slower_brings_no_identical_code_to_abort() -> None:
    """It may have a machine of its own, and a turbo of its own."""
    decisions = {felt_alone(1.0, times, seed).decision for seed in range(15) for times in (0.85, 1.15)}
    assert Decision.ABORT not in decisions


def test_what_only_the_machine_excuses_is_never_go_on_a_small_endpoint_either() -> None:
    """A candidate can slow its own machine down: 8 % of the requests take half again as long, and cores are busy."""
    rare = replace(
        SHORT, endpoints={"GET /items": (0.92, 0.010), "GET /rare": (0.08, 0.010)}, rate_per_s=200.0
    )
    slow = {"GET /rare": 1.6}
    fair, excused = ([felt_alone(slow, times, seed, rare, WIDE) for seed in range(4)] for times in (1.0, 1.6))
    assert {verdict.decision for verdict in fair} == {Decision.ABORT}
    assert {verdict.decision for verdict in excused} == {Decision.INCONCLUSIVE}
    assert {verdict.reasons[0].code for verdict in excused} == {ReasonCode.NOT_COMPARABLE}
    assert (
        "worse, but the machine itself was 60.0 % slower: keep other work" in excused[0].reasons[0].sentence
    )


def test_the_interval_holds_what_was_seen() -> None:
    for times in (0.6, 0.9, 1.1, 1.6):
        for judgement in on_machine(1.0, times).judgements:
            if None not in (judgement.low, judgement.change, judgement.high):
                assert judgement.low <= judgement.change <= judgement.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            1.2,
            "machine 20.0 % slower than in the recording; a latency that is worse only by that is left open",
        ),
        (
            0.8,
            "machine 25.0 % faster than in the recording; on the machine of then the candidate may be slower",
        ),
    ],
)
def test_the_speed_of_the_machine_is_told(times: float, words: str) -> None:
    verdict = on_machine(1.0, times)
    assert words in " ".join(verdict.assumptions)
    assert any(f"3 rounds, {words[:14]}" in judgement.sentence for judgement in verdict.judgements)
    assert "load generator's own work" not in " ".join(on_machine(1.0, 1.0).assumptions)


def test_blocks_that_are_not_judged_say_nothing_of_the_speed() -> None:
    """One in nine, in which the load generator was busy with something else, is discarded."""
    evidence = recorded(replace(RUN, slowdown={"": 1.5}), RUN, 3, policy=WIDE)
    busy = replace(evidence.blocks[0], rig=replace(evidence.blocks[0].rig, cpu_ratio=3.0))
    verdict = judge(with_blocks(evidence, (busy, *evidence.blocks[1:])))
    assert (verdict.decision, "machine" in verdict.reasons[0].sentence) == (Decision.ABORT, False)


@pytest.mark.parametrize("cpu_ratio", [-0.1, float("nan"), float("inf")])
def test_a_speed_that_cannot_be_is_inconclusive_and_no_crash(cpu_ratio: float) -> None:
    evidence = recorded(RUN, RUN, 3, policy=WIDE)
    blocks = tuple(replace(one, rig=replace(one.rig, cpu_ratio=cpu_ratio)) for one in evidence.blocks)
    verdict = judge(with_blocks(evidence, blocks))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "load generator's own work" not in " ".join(verdict.assumptions)


def test_a_load_generator_that_cannot_tell_its_cpu_time_changes_nothing() -> None:
    evidence = recorded(replace(RUN, slowdown={"": 2.0}), RUN, 3, policy=WIDE)
    silent = needing(evidence.blocks, 0.0)
    assert judge(with_blocks(evidence, silent)) == judge(evidence)


# --- a machine that was shared ------------------------------------------------------------------------------------


def waiting(blocks: Sequence[Block], queue_wait_ratio: float | None) -> tuple[Block, ...]:
    """The worker needs 5 % of a core, and waits for it."""
    return tuple(
        replace(block, rig=replace(block.rig, cpu_ratio=0.05, queue_wait_ratio=queue_wait_ratio))
        for block in blocks
    )


def stolen(now: float, then: float) -> Verdict:
    """A candidate that is twice as slow, where the hypervisor gave so much to others now, and then."""
    evidence = recorded(replace(RUN, slowdown={"": 2.0}), RUN, 3, policy=WIDE)
    assert evidence.reference is not None
    new, stored = (
        tuple(replace(one, rig=replace(one.rig, steal_ratio=ratio)) for one in waiting(blocks, 0.02))
        for blocks, ratio in ((evidence.blocks, now), (evidence.reference.blocks, then))
    )
    reference = replace(evidence.reference, blocks=stored)
    return judge(with_blocks(replace(evidence, reference=reference), new))


def shared(now: float | None, then: float | None, slowdown: float) -> Verdict:
    """A comparison in which the load generator waited for a core so long now, and then."""
    evidence = recorded(replace(RUN, slowdown={"": slowdown}), RUN, 3, policy=WIDE)
    assert evidence.reference is not None
    reference = replace(evidence.reference, blocks=waiting(evidence.reference.blocks, then))
    return judge(with_blocks(replace(evidence, reference=reference), waiting(evidence.blocks, now)))


@pytest.mark.parametrize(("now", "then", "when"), [(0.07, 0.02, "now"), (0.02, 0.07, "then")])
@pytest.mark.parametrize("slowdown", [1.0, 2.0])
def test_recordings_of_machines_that_were_not_equally_crowded_decide_nothing(
    now: float, then: float, when: str, slowdown: float
) -> None:
    verdict = shared(now, then, slowdown)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.NOT_COMPARABLE
    assert f"more crowded {when}" in verdict.reasons[0].sentence


@pytest.mark.parametrize(("now", "then", "when"), [(0.3, 0.0, "now"), (0.0, 0.3, "then"), (1.0, 0.0, "now")])
def test_nor_do_those_of_a_machine_that_the_hypervisor_lent_to_others(
    now: float, then: float, when: str
) -> None:
    assert f"more crowded {when}" in stolen(now, then).reasons[0].sentence
    assert stolen(now, then).decision is Decision.INCONCLUSIVE
    assert stolen(0.1, 0.05).decision is Decision.ABORT


@pytest.mark.parametrize(("now", "then"), [(0.025, 0.02), (None, 0.02), (0.07, None)])
def test_machines_that_were_equally_crowded_or_cannot_tell_do_not_hide_a_slow_candidate(
    now: float | None, then: float | None
) -> None:
    assert shared(now, then, 2.0).decision is Decision.ABORT
