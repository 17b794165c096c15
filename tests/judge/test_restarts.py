"""Only a restart draws a start anew: rounds that share one process average nothing of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.judge.measurement import PairedCase, Strictness
from rehearse.judge.paired import environment_terms
from rehearse.judge.pairs import JudgedBlocks
from rehearse.judge.stats import Component, Sample
from rehearse.judge.verdict import judge
from rehearse.model import Evidence, Judgement, Side
from tests.judge.evidence import POLICY, QUIET, World, paired, recorded

A, B = Side.CANDIDATE, Side.BASELINE
ROUNDS = Sample((0.0,) * 16, (0, 1, 2, 3) * 4)  # four rounds, no noise of blocks
START = Component(0.015**2, 8)
HOST_SD = POLICY.noise.host_sd


def fixed_variance(restarted: frozenset[Side], earlier: Sample | None = None) -> float:
    """In units of one start's variance, less that of the hosts where nothing was measured of them."""
    nothing = JudgedBlocks((), ())
    case = PairedCase(POLICY, Strictness.of(POLICY, 1, 1), nothing, {}, nothing, {}, restarted)
    _, terms = environment_terms(case, ROUNDS, earlier, START)
    hosts = HOST_SD**2 if earlier is None else 0.0
    return (sum(term.variance for term in terms) - hosts) / START.variance


@pytest.mark.parametrize(
    ("restarted", "starts"),
    [(frozenset(Side), 0.25 + 0.25), (frozenset({A}), 1.25), (frozenset({B}), 1.25), (frozenset(), 2.0)],
    ids=["both", "the candidate", "the baseline", "neither"],
)
def test_without_a_reference_only_restarted_sides_are_averaged(
    restarted: frozenset[Side], starts: float
) -> None:
    assert fixed_variance(restarted) == pytest.approx(starts)


@pytest.mark.parametrize(
    ("restarted", "starts", "lasting"),
    [(frozenset(Side), 0.5, 0), (frozenset({A}), 0.25, 1), (frozenset({B}), 1.25, 0), (frozenset(), 1.0, 1)],
    ids=["both", "the candidate", "the baseline", "neither"],
)
def test_with_a_reference_the_upgraded_candidate_is_always_another_process(
    restarted: frozenset[Side], starts: float, lasting: int
) -> None:
    """A baseline that is never restarted keeps its start: it is measured together with the hosts' difference."""
    prior, then = HOST_SD**2 + lasting * START.variance, starts * START.variance
    weight = prior / (prior + then)
    assert fixed_variance(restarted, ROUNDS) == pytest.approx(starts + weight * starts)


def p50(evidence: Evidence, label: str = "shop p50") -> Judgement:
    return next(one for one in judge(evidence).judgements if one.cell.label == label)


def test_more_rounds_without_restarts_make_nothing_surer() -> None:
    """The same load in 1 and in 4 rounds, no side restarted: the starts weigh as much."""
    no_side: frozenset[Side] = frozenset()
    one = replace(paired(replace(QUIET, blocks=32, rounds=1), 1), restarted=no_side)
    four = replace(paired(replace(QUIET, blocks=8, rounds=4), 1), restarted=no_side)
    least = (2 * POLICY.noise.start_sd**2 + HOST_SD**2) ** 0.5
    assert all((p50(evidence).standard_error or 0.0) >= least for evidence in (one, four))
    credited = p50(replace(four, restarted=frozenset(Side))).standard_error or 1.0
    assert credited < 0.85 * (p50(four).standard_error or 0.0)


def test_it_is_told_that_a_side_was_not_restarted() -> None:
    evidence = replace(paired(QUIET, 1), restarted=frozenset({B}))
    assert [told for told in judge(evidence).assumptions if "not started anew" in told] == [
        "the candidate was not started anew between the rounds: all of them count as one start of its process"
    ]


def test_recorded_rounds_of_one_process_are_one_start() -> None:
    run = World(blocks=5, rounds=3, warm_up_blocks=0, shared_sd=0.01, own_sd=0.01, has_tasks=False)
    fresh = recorded(run, run, 1)
    stale = replace(fresh, restarted=frozenset())
    run_to_run = POLICY.noise.run_to_run_sd**2
    rounds, starts = (
        (p50(one).standard_error or 0.0) ** 2 - run_to_run for one in (fresh, stale)
    )  # less drift
    assert rounds < run_to_run
    assert starts >= run_to_run * 2
