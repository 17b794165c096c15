"""The judge of recovery, held against queues whose fate is known, and with pieces of its evidence taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.edges.recovery import (
    Recovery,
    RecoveryRule,
    RecoveryState,
    Window,
    judge_recovery,
)
from tests.edges.queue_model import World, windows_of

RULE = RecoveryRule(deadline_s=8.0, hold_s=2.0, latency_floor_s=0.03)
STUBBORN = World()
BUDGETED = World(budget_ratio=0.1)
# No retries, little room to spare, and clients that wait for long: the backlog takes seconds to go.
SLOW = World(rate_per_s=70.0, timeout_s=60.0, attempts=1, fault_to_s=6.5)


def judged(world: World, seed: int, rule: RecoveryRule = RULE) -> Recovery:
    return judge_recovery(windows_of(world, seed), world.fault_from_s, world.fault_to_s, rule)


@pytest.mark.parametrize("seed", range(8))
def test_retries_without_a_budget_on_a_full_queue_are_found_to_be_metastable(seed: int) -> None:
    recovery = judged(STUBBORN, seed)
    assert recovery.state is RecoveryState.METASTABLE, recovery.sentence
    assert recovery.is_disturbed


@pytest.mark.parametrize("seed", range(8))
def test_the_same_with_a_budget_recovers(seed: int) -> None:
    recovery = judged(BUDGETED, seed)
    assert recovery.state is RecoveryState.RECOVERED, recovery.sentence
    assert recovery.is_disturbed


@pytest.mark.parametrize("seed", range(8))
def test_a_slow_recovery_is_not_called_metastable(seed: int) -> None:
    recovery = judged(SLOW, seed)
    assert recovery.state is RecoveryState.RECOVERED, recovery.sentence
    assert recovery.after_s is not None
    assert recovery.after_s > 2.0


@pytest.mark.parametrize("seed", range(8))
def test_a_queue_that_is_still_going_down_at_the_end_of_the_watch_is_not_called_metastable(seed: int) -> None:
    crawling = replace(SLOW, rate_per_s=85.0, fault_to_s=8.0, watched_s=10.0)
    assert judged(crawling, seed).state in {RecoveryState.TOO_EARLY, RecoveryState.LATE}


def test_without_a_fault_there_is_nothing_to_recover_from() -> None:
    quiet = replace(BUDGETED, fault_to_s=BUDGETED.fault_from_s, watched_s=13.0)
    recovery = judged(quiet, 3)
    assert (recovery.state, recovery.after_s) == (RecoveryState.RECOVERED, 0.0)


# --- by hand


def steady(*p95_s: float | None, start_s: float = 0.0, answered: int = 50) -> list[Window]:
    return [
        Window(start_s + n, 1.0, 50, answered if p95 is not None else 0, p95, 50)
        for n, p95 in enumerate(p95_s)
    ]


BEFORE = steady(0.1, 0.1, 0.1, 0.1, 0.9)  # the last one was due when the fault began
HAND_RULE = RecoveryRule(deadline_s=4.0, hold_s=2.0)


def at_hand(*after: float | None) -> Recovery:
    return judge_recovery([*BEFORE, *steady(*after, start_s=6.0)], 5.0, 6.0, HAND_RULE)


@pytest.mark.parametrize(
    ("after", "state", "after_s"),
    [
        ((0.1, 0.1), RecoveryState.RECOVERED, 0.0),
        ((None, 0.9, 0.1, 0.1), RecoveryState.RECOVERED, 2.0),
        (
            (0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1),
            RecoveryState.RECOVERED,
            1.0,
        ),  # one odd window is no relapse
        ((0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1), RecoveryState.LATE, 6.0),  # that was a relapse
        ((0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1), RecoveryState.LATE, 5.0),
        ((0.9, 0.9), RecoveryState.TOO_EARLY, None),
        ((0.9, 0.9, 0.9, 0.9, 0.9, 0.1), RecoveryState.TOO_EARLY, None),
        ((), RecoveryState.TOO_EARLY, None),
        ((None,) * 6, RecoveryState.METASTABLE, None),
        ((0.9,) * 6, RecoveryState.METASTABLE, None),
        ((0.9, 0.1) * 4, RecoveryState.TOO_EARLY, None),  # normal at the very end, for too short a time
        ((0.1, 0.9) * 4, RecoveryState.METASTABLE, None),  # never normal for long enough
        ((2.0, 1.8, 1.5, 1.2, 0.6, 0.4), RecoveryState.TOO_EARLY, None),
    ],
)
def test_the_ruling_follows_the_windows(
    after: tuple[float | None, ...], state: RecoveryState, after_s: float | None
) -> None:
    recovery = at_hand(*after)
    assert (recovery.state, recovery.after_s) == (state, after_s)


def test_a_hole_in_the_measurements_is_not_a_good_moment() -> None:
    late = steady(0.1, 0.1, start_s=9.0)
    recovery = judge_recovery([*BEFORE, *late], 5.0, 6.0, HAND_RULE)
    assert (recovery.state, recovery.after_s) == (RecoveryState.RECOVERED, 3.0)


def test_not_a_number_is_not_in_the_band() -> None:
    assert at_hand(*[float("nan")] * 6).state is RecoveryState.METASTABLE


def test_quick_failures_are_no_recovery() -> None:
    failing = [replace(window, answered=10) for window in steady(*[0.1] * 6, start_s=6.0)]
    assert judge_recovery([*BEFORE, *failing], 5.0, 6.0, HAND_RULE).state is RecoveryState.METASTABLE


def test_answers_in_time_that_cost_twice_the_attempts_are_no_recovery() -> None:
    storm = [replace(window, attempts=100) for window in steady(*[0.1] * 6, start_s=6.0)]
    assert judge_recovery([*BEFORE, *storm], 5.0, 6.0, HAND_RULE).state is RecoveryState.METASTABLE


def test_attempts_that_are_no_longer_counted_are_not_in_the_band() -> None:
    uncounted = [replace(window, attempts=None) for window in steady(*[0.1] * 6, start_s=6.0)]
    assert judge_recovery([*BEFORE, *uncounted], 5.0, 6.0, HAND_RULE).state is RecoveryState.METASTABLE


@pytest.mark.parametrize(
    "before", [[], BEFORE[1:], steady(0.1, 0.1, None, 0.1, 0.1)], ids=["none", "few", "one unanswered"]
)
def test_without_a_baseline_nothing_is_claimed(before: list[Window]) -> None:
    recovery = judge_recovery([*before, *steady(*[0.1] * 8, start_s=6.0)], 5.0, 6.0, HAND_RULE)
    assert recovery.state is RecoveryState.NO_BASELINE


def test_a_window_that_overlaps_the_fault_is_neither_before_nor_after_it() -> None:
    recovery = judge_recovery([*BEFORE, *steady(0.1, 0.1, 0.1, start_s=6.0)], 5.5, 6.5, HAND_RULE)
    assert recovery.watched_s == 2.5
