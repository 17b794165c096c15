"""Server-side series: a leak is found, identical processes are not blamed, and what is missing is never GO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rehearse.judge.policies import policy_differences
from rehearse.judge.verdict import judge
from rehearse.model import (
    Decision,
    Evidence,
    Judgement,
    Metric,
    Mode,
    Objective,
    Outcome,
    ReasonCode,
    SeriesWindow,
    ServerSeries,
    Side,
)
from tests.judge.evidence import POLICY, QUIET, good, recorded

QUERIES = ("memory{side='a'}", "memory{side='b'}")
MEMORY = ServerSeries(
    "memory", "bytes", QUERIES, (Objective(Metric.LEVEL, 0.20), Objective(Metric.GROWTH, 0.10)), floor=1e6
)
MEGABYTE = 1e6
Shape = Callable[[np.ndarray], np.ndarray]


def steady(at_s: np.ndarray) -> np.ndarray:
    return np.full_like(at_s, 100.0)


def leaking(at_s: np.ndarray) -> np.ndarray:
    """1 MB a second on 100 MB: 60 % a minute."""
    return 100.0 + at_s


def windows(
    rng: np.random.Generator,
    side: Side,
    shape: Shape = steady,
    *,
    rounds: int = 2,
    length_s: float = 32.0,
    step_s: float = 1.0,
    start_sd: float = 0.02,
    noise_sd: float = 0.002,
) -> list[SeriesWindow]:
    """One window a round: the shape, one factor for each process start, and noise that resembles its neighbours."""
    at_s = np.arange(0, length_s, step_s)
    found = []
    for number in range(rounds):
        noise = np.zeros_like(at_s)
        for place in range(1, at_s.size):
            noise[place] = 0.7 * noise[place - 1] + rng.normal(0, noise_sd)
        values = shape(at_s) * MEGABYTE * np.exp(rng.normal(0, start_sd) + noise)
        points = tuple(zip(at_s.tolist(), values.tolist(), strict=True))
        query = QUERIES[list(Side).index(side)]
        found.append(SeriesWindow("memory", side, number, query, length_s, step_s, points))
    return found


def with_series(
    candidate: Shape = steady, seed: int = 1, asked: ServerSeries = MEMORY, **noise: float
) -> Evidence:
    """A rehearsal that is GO but for what its series say."""
    rng, evidence = np.random.default_rng(seed), good()
    series = [*windows(rng, Side.BASELINE, **noise), *windows(rng, Side.CANDIDATE, candidate, **noise)]  # type: ignore[arg-type]
    policy = replace(evidence.policy, series=(asked,))
    return replace(evidence, policy=policy, series=tuple(series))


def judged(evidence: Evidence, metric: Metric) -> Judgement:
    return next(one for one in judge(evidence).judgements if one.cell.metric is metric)


def only(**changes: float | None) -> ServerSeries:
    """The level alone is asked for."""
    return replace(MEMORY, objectives=(Objective(Metric.LEVEL, changes.get("margin"), changes.get("limit")),))


# --- what it decides --------------------------------------------------------------------------------------------


def test_a_leak_at_equal_latency_is_abort_by_that_cell() -> None:
    verdict = judge(with_series(leaking))
    assert verdict.decision is Decision.ABORT
    assert "memory growth" in {finding.subject for finding in verdict.reasons}
    growth = judged(with_series(leaking), Metric.GROWTH)
    assert growth.change == pytest.approx(0.6, rel=0.1)
    assert growth.cell.unit == "bytes/min"
    assert "/min" in growth.sentence
    assert "MB" in growth.sentence


def test_the_same_memory_is_go_and_says_what_it_certified() -> None:
    verdict = judge(with_series())
    assert verdict.decision is Decision.GO
    assert judged(with_series(), Metric.LEVEL).outcome is Outcome.PASS
    assert any("server-side series" in assumption for assumption in verdict.assumptions)


def test_half_as_much_memory_again_is_abort_and_a_little_more_is_not_called_worse() -> None:
    assert judged(with_series(lambda at_s: steady(at_s) * 1.5), Metric.LEVEL).outcome is Outcome.FAIL
    assert judged(with_series(lambda at_s: steady(at_s) * 1.05), Metric.LEVEL).outcome is not Outcome.FAIL


def test_identical_processes_are_hardly_ever_blamed() -> None:
    """60 rehearsals whose starts differ by 3 % and whose points resemble their neighbours, two cells each; one false
    ABORT is tolerated."""
    failed = [
        one
        for seed in range(60)
        for one in judge(with_series(seed=seed, start_sd=0.03, noise_sd=0.02)).judgements
        if one.cell.name == "memory" and one.outcome is Outcome.FAIL
    ]
    assert len(failed) <= 1


def test_a_wandering_gauge_is_no_leak() -> None:
    """A random walk rises somewhere in every round. 40 rehearsals, one false ABORT is tolerated."""
    rng = np.random.default_rng(7)

    def wandering(at_s: np.ndarray) -> np.ndarray:
        return 100.0 + np.cumsum(rng.normal(0, 1.0, at_s.size))

    failed = [
        judged(with_series(wandering, seed=seed), Metric.GROWTH).outcome is Outcome.FAIL for seed in range(40)
    ]
    assert sum(failed) <= 1


def test_more_points_of_one_round_do_not_make_up_for_rounds() -> None:
    """A start is drawn once a round: ten times the points leave its part of the uncertainty as it is."""
    few, many = (judged(with_series(step_s=step), Metric.LEVEL).standard_error for step in (2.0, 0.2))
    assert few is not None
    assert many is not None
    assert many > 0.6 * few
    assert many > 0.015  # two sides, two rounds, 3 % assumed and mixed with what the rounds show


def test_a_change_below_the_floor_is_never_a_worsening() -> None:
    asked = replace(only(margin=0.01), floor=80 * MEGABYTE)
    assert (
        judged(with_series(lambda at_s: steady(at_s) * 1.5, asked=asked), Metric.LEVEL).outcome
        is Outcome.PASS
    )


def test_a_broken_limit_is_a_hard_abort() -> None:
    verdict = judge(with_series(lambda at_s: steady(at_s) * 6, asked=only(limit=512e6)))
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].code == ReasonCode.LIMIT
    assert "limit 512 MB" in verdict.reasons[0].sentence


def test_a_series_that_is_often_zero_can_have_a_limit() -> None:
    """Nobody waits for a connection: no margin in per cent, and a limit that is kept, or not."""

    def waiting(at_s: np.ndarray) -> np.ndarray:
        return np.where(at_s % 3 == 0, 2.0, 0.0)

    kept = judge(with_series(waiting, asked=only(limit=10 * MEGABYTE)))
    assert kept.decision is Decision.GO
    assert judge(with_series(waiting, asked=only(limit=0.1 * MEGABYTE))).decision is Decision.ABORT
    assert judge(with_series(waiting, asked=only(margin=0.1))).decision is Decision.INCONCLUSIVE


def test_an_advisory_series_decides_nothing() -> None:
    asked = replace(MEMORY, objectives=(Objective(Metric.GROWTH, 0.10, is_advisory=True),))
    assert judge(with_series(leaking, asked=asked)).decision is Decision.GO


# --- what is missing --------------------------------------------------------------------------------------------


def changed(series: Sequence[SeriesWindow], place: int, **changes: object) -> tuple[SeriesWindow, ...]:
    return tuple(
        replace(one, **changes) if number == place else one  # type: ignore[arg-type]
        for number, one in enumerate(series)
    )


MISSING: dict[str, Callable[[tuple[SeriesWindow, ...]], tuple[SeriesWindow, ...]]] = {
    "no series at all": lambda _: (),
    "no series of the candidate": lambda all_: tuple(one for one in all_ if one.side is Side.BASELINE),
    "no series of the baseline": lambda all_: tuple(one for one in all_ if one.side is Side.CANDIDATE),
    "one round is missing": lambda all_: all_[:-1],
    "a window says why it has nothing": lambda all_: changed(all_, 0, points=(), trouble="does not answer"),
    "a window with points says that they are unusable": lambda all_: changed(all_, 0, trouble="NaN"),
    "an empty window": lambda all_: changed(all_, 3, points=()),
    "a window that ends in the middle": lambda all_: changed(all_, 3, points=all_[3].points[:16]),
    "another query": lambda all_: changed(all_, 2, query="sum(memory)"),
    "a zero": lambda all_: changed(all_, 2, points=((0.0, 0.0), *all_[2].points[1:])),
    "moments that the other side has not": lambda all_: tuple(
        replace(one, points=tuple((at + 0.5, value) for at, value in one.points))
        if one.side is Side.CANDIDATE
        else one
        for one in all_
    ),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_inconclusive_with_the_reason(what: str) -> None:
    evidence = with_series(asked=only(margin=0.2))
    verdict = judge(replace(evidence, series=MISSING[what](evidence.series)))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.SERIES_MISSING
    assert verdict.reasons[0].subject == "memory level"
    assert len(verdict.reasons[0].sentence) > len("memory level: ")


def test_missing_series_do_not_hide_what_load_proved() -> None:
    slow = recorded(replace(QUIET, rounds=3, slowdown={"": 3.0}), replace(QUIET, rounds=5), 1)
    evidence = replace(slow, policy=replace(POLICY, series=(MEMORY,)))
    assert judge(evidence).decision is Decision.ABORT


# --- recorded mode ----------------------------------------------------------------------------------------------


@cache
def load_against_recording(stored_rounds: int) -> Evidence:
    return recorded(replace(QUIET, rounds=3), replace(QUIET, rounds=stored_rounds), seed=1)


def against_recording(candidate: Shape, seed: int = 1, stored_rounds: int = 5) -> Evidence:
    rng = np.random.default_rng(seed)
    evidence = load_against_recording(stored_rounds)
    assert evidence.reference is not None
    before = windows(rng, Side.BASELINE, rounds=stored_rounds)
    after = windows(rng, Side.CANDIDATE, candidate, rounds=3)
    return replace(
        evidence,
        mode=Mode.RECORDED,
        policy=replace(POLICY, series=(MEMORY,)),
        reference=replace(evidence.reference, series=tuple(before)),
        series=tuple(after),
    )


def test_against_a_recording_a_leak_is_found_and_identical_code_is_not_blamed() -> None:
    assert judged(against_recording(leaking), Metric.GROWTH).outcome is Outcome.FAIL
    outcomes = [judged(against_recording(steady, seed), Metric.LEVEL).outcome for seed in range(20)]
    assert Outcome.FAIL not in outcomes


def test_a_recording_of_too_few_rounds_decides_nothing() -> None:
    found = judged(against_recording(leaking, stored_rounds=2), Metric.GROWTH)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.code == ReasonCode.TOO_FEW_ROUNDS


def test_a_recording_without_the_series_is_inconclusive() -> None:
    evidence = against_recording(steady)
    assert evidence.reference is not None
    bare = replace(evidence, reference=replace(evidence.reference, series=()))
    assert judged(bare, Metric.LEVEL).code == ReasonCode.SERIES_MISSING


def test_another_policy_is_told_in_words() -> None:
    fixed = replace(POLICY, series=(MEMORY,))
    other = replace(POLICY, series=(replace(only(margin=0.3, limit=512e6), floor=0.0),))
    told = policy_differences(fixed, other)
    assert [line.partition(":")[0] for line in told] == ["memory growth", "memory level"]
    assert "at most +30 % and limit 512 MB" in told[1]
    assert "not asked for" in told[0]
