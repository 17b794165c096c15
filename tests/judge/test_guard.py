"""When to look, and when the guard stops the load; time is data here, nothing sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rehearse.judge.looks import looks
from rehearse.judge.sequential import Guard, LiveBin
from rehearse.model import Incident, ReasonCode, Side
from tests.judge.evidence import POLICY

Rate = Callable[[float], float]  # error ratio at a second
A, B = Side.CANDIDATE, Side.BASELINE


def never(_: float) -> float:
    return 0.0


def always(ratio: float) -> Rate:
    return lambda _: ratio


def stream(
    rng: np.random.Generator,
    errors: dict[Side, Rate],
    rate_per_s: float = 50.0,
    length_s: float = 60.0,
    is_silent: Callable[[Side, float], bool] = lambda side, at_s: False,
    is_lost: Callable[[Side, float], bool] = lambda side, at_s: False,
    round_number: int = 0,
) -> Iterator[tuple[float, LiveBin]]:
    """(the second at which it is known, what ended in the bin) of one run.

    Where the side is silent its load generator says that nothing ended; where that is lost, nobody says anything.
    """
    for bin_ in range(int(length_s * 2)):
        for side, error_ratio in errors.items():
            at_s = bin_ / 2
            if is_lost(side, at_s):
                continue
            if is_silent(side, at_s):
                yield at_s + 0.5, LiveBin(side, bin_, 0, 0, 0, round_number)
                continue
            requests = int(rng.poisson(rate_per_s / 2))
            failed = int(rng.binomial(requests, error_ratio(at_s)))
            yield at_s + 0.5, LiveBin(side, bin_, requests, failed, requests, round_number)


def first_incident(guard: Guard, live: Iterator[tuple[float, LiveBin]]) -> tuple[float, Incident] | None:
    for at_s, bin_ in live:
        incident = guard.see(bin_)
        if incident is not None:
            return at_s, incident
    return None


# --- looks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget_s", "block_s", "min_pairs", "expected"),
    [
        (300.0, 4.0, 8, (44.0, 88.0, 148.0, 300.0)),
        (300.0, 5.0, 8, (45.0, 90.0, 150.0, 300.0)),
        (180.0, 5.0, 8, (45.0, 90.0, 180.0)),  # half is 90 s as well
        (100.0, 5.0, 8, (50.0, 100.0)),  # 90 s is within 20 % of the end, 45 s within 20 % of 50 s
        (60.0, 4.0, 8, (44.0, 60.0)),  # half the budget has 7 blocks only
        (60.0, 10.0, 8, (60.0,)),
        (30.0, 4.0, 8, (30.0,)),
        (3600.0, 4.0, 8, (44.0, 88.0, 1800.0, 3600.0)),
    ],
)
def test_looks_are_few_and_apart_and_the_end_is_always_one(
    budget_s: float, block_s: float, min_pairs: int, expected: tuple[float, ...]
) -> None:
    assert looks(budget_s, block_s, min_pairs) == expected


# --- a candidate in trouble -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_ten_per_cent_of_errors_stop_the_load_within_ten_seconds(seed: int) -> None:
    found = first_incident(Guard(POLICY), stream(np.random.default_rng(seed), {B: never, A: always(0.10)}))
    assert found is not None
    at_s, incident = found
    assert at_s <= 10.0
    assert (incident.code, incident.is_hard, incident.side) == (ReasonCode.GUARD, True, A)
    assert "requests to the candidate failed" in incident.sentence


@pytest.mark.parametrize("ratio", [0.01, 0.02])
def test_an_upgrade_with_a_few_errors_is_rehearsed_on(ratio: float) -> None:
    """Proven long before the end, but one report shall name everything that broke: the looks decide."""
    live = stream(np.random.default_rng(1), {B: never, A: always(ratio)}, length_s=300)
    assert first_incident(Guard(POLICY), live) is None


def test_an_outage_late_in_the_run_stops_the_load_after_ten_seconds_of_it() -> None:
    live = stream(
        np.random.default_rng(1), {B: never, A: lambda at_s: 1.0 if at_s >= 200 else 0.0}, length_s=300
    )
    found = first_incident(Guard(POLICY), live)
    assert found is not None
    assert 205.0 < found[0] <= 211.0
    assert found[1].is_hard


def test_three_seconds_of_outage_are_no_ten() -> None:
    live = stream(
        np.random.default_rng(1), {B: never, A: lambda at_s: 1.0 if 200 <= at_s < 203 else 0.0}, length_s=300
    )
    assert first_incident(Guard(POLICY), live) is None


def test_a_candidate_that_falls_silent_stops_the_load_after_ten_seconds() -> None:
    live = stream(
        np.random.default_rng(1), {B: never, A: never}, is_silent=lambda side, at_s: side is A and at_s >= 20
    )
    found = first_incident(Guard(POLICY), live)
    assert found is not None
    assert 29.0 <= found[0] <= 31.0
    assert found[1].code == ReasonCode.GUARD
    assert "answered nothing" in found[1].sentence


def test_the_guard_speaks_once() -> None:
    guard = Guard(POLICY)
    told = [guard.see(bin_) for _, bin_ in stream(np.random.default_rng(1), {B: never, A: always(0.5)})]
    assert len([incident for incident in told if incident is not None]) == 1


# --- a baseline in trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "errors",
    [{B: always(0.10), A: never}, {B: always(0.5), A: always(0.5)}, {B: always(1.0), A: always(1.0)}],
    ids=["the baseline alone", "both by half", "both refuse everybody"],
)
def test_trouble_of_the_baseline_stops_the_load_and_proves_nothing(errors: dict[Side, Rate]) -> None:
    found = first_incident(Guard(POLICY), stream(np.random.default_rng(2), errors))
    assert found is not None
    assert found[0] <= 12.0
    assert (found[1].code, found[1].is_hard, found[1].side) == (ReasonCode.BASELINE_UNHEALTHY, False, B)


def test_a_silent_baseline_is_unhealthy() -> None:
    live = stream(
        np.random.default_rng(1), {B: never, A: never}, is_silent=lambda side, at_s: side is B and at_s >= 20
    )
    found = first_incident(Guard(POLICY), live)
    assert found is not None
    assert found[1].code == ReasonCode.BASELINE_UNHEALTHY


def test_silence_of_both_sides_shows_by_the_clock_when_arrivals_are_due() -> None:
    guard, patient = Guard(POLICY, arrivals_per_s=50.0), Guard(POLICY)
    live = stream(
        np.random.default_rng(1), {B: never, A: never}, length_s=31, is_silent=lambda side, at_s: at_s >= 20
    )
    for _, bin_ in live:
        assert guard.see(bin_) is None
        assert patient.see(bin_) is None
    assert guard.see_time(28.0) is None
    incident = guard.see_time(31.0)
    assert incident is not None
    assert incident.code == ReasonCode.BASELINE_UNHEALTHY
    assert patient.see_time(31.0) is None


# --- a load generator in trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_a_load_generator_that_is_not_heard_is_lost_and_proves_nothing(side: Side) -> None:
    live = stream(
        np.random.default_rng(1), {B: never, A: never}, is_lost=lambda one, at_s: one is side and at_s >= 20
    )
    found = first_incident(Guard(POLICY, arrivals_per_s=50.0), live)
    assert found is not None
    assert 29.0 <= found[0] <= 31.0
    assert (found[1].code, found[1].is_hard, found[1].side) == (ReasonCode.WORKER_LOST, False, side)
    assert f"nothing was heard of the load generator of the {side}" in found[1].sentence


def test_load_generators_that_both_fall_silent_prove_nothing() -> None:
    guard = Guard(POLICY, arrivals_per_s=50.0)
    live = stream(np.random.default_rng(1), {B: never, A: never}, length_s=20)
    assert first_incident(guard, live) is None
    incident = guard.see_time(31.0)
    assert incident is not None
    assert (incident.code, incident.is_hard) == (ReasonCode.WORKER_LOST, False)


def test_one_sign_of_life_early_in_the_window_does_not_blame_the_candidate() -> None:
    """The candidate hangs from 20 s on, its load generator dies at 23 s: nobody saw ten seconds of silence."""
    live = stream(
        np.random.default_rng(1),
        {B: never, A: never},
        is_silent=lambda side, at_s: side is A and at_s >= 20,
        is_lost=lambda side, at_s: side is A and at_s >= 23,
    )
    found = first_incident(Guard(POLICY, arrivals_per_s=50.0), live)
    assert found is not None
    assert 32.0 <= found[0] <= 34.0
    assert (found[1].code, found[1].is_hard) == (ReasonCode.WORKER_LOST, False)


def test_a_candidate_that_never_answers_at_all_stops_the_load() -> None:
    live = stream(np.random.default_rng(1), {B: never, A: never}, is_silent=lambda side, _: side is A)
    found = first_incident(Guard(POLICY), live)
    assert found is not None
    assert found[0] <= 12.0
    assert (found[1].code, found[1].is_hard) == (ReasonCode.GUARD, True)


def test_a_slow_answer_of_one_side_after_the_last_arrival_blames_nobody() -> None:
    """One request of the baseline hangs for 20 s after the end; the candidate has nothing left to answer."""
    guard = Guard(POLICY, arrivals_per_s=50.0, arrivals_end_s=20.0)
    rng = np.random.default_rng(1)
    live = stream(rng, {B: never, A: never}, length_s=40, is_silent=lambda side, at_s: at_s >= 20)
    assert first_incident(guard, live) is None
    assert guard.see(LiveBin(B, 80, 1, 0, 1)) is None


# --- one side alone ---------------------------------------------------------------------------------------------


def test_a_candidate_alone_is_held_to_the_plain_limits_only() -> None:
    assert first_incident(Guard(POLICY), stream(np.random.default_rng(1), {A: always(0.10)})) is None
    found = first_incident(Guard(POLICY), stream(np.random.default_rng(1), {A: always(0.5)}))
    assert found is not None
    assert (found[1].code, found[1].is_hard) == (ReasonCode.GUARD, True)


def test_a_baseline_alone_is_never_the_candidates_fault() -> None:
    assert first_incident(Guard(POLICY), stream(np.random.default_rng(1), {B: never}, length_s=120)) is None
    found = first_incident(Guard(POLICY), stream(np.random.default_rng(1), {B: always(0.5)}))
    assert found is not None
    assert (found[1].code, found[1].is_hard) == (ReasonCode.BASELINE_UNHEALTHY, False)


# --- late, repeated and renumbered bins -------------------------------------------------------------------------


def test_errors_that_are_told_late_still_count() -> None:
    """Every request of the candidate hangs for 5 s; its error is booked to the bin in which it was sent."""
    rng = np.random.default_rng(3)
    events = list(stream(rng, {B: never}, length_s=40))
    for at_s, bin_ in list(stream(rng, {A: never}, length_s=40)):
        hung = round(bin_.requests * 0.15)
        events.append((at_s, LiveBin(A, bin_.bin, bin_.requests - hung, 0, bin_.requests - hung)))
        events.append((at_s + 5.0, LiveBin(A, bin_.bin, hung, hung, 0)))
    found = first_incident(Guard(POLICY), iter(sorted(events, key=lambda event: event[0])))
    assert found is not None
    assert found[0] <= 15.0
    assert found[1].is_hard


def test_reports_of_several_workers_for_one_bin_add_up() -> None:
    """Four workers, 2 bins a second: errors of one bin are one episode, however many workers tell of it."""
    guard = Guard(POLICY)
    for bin_ in range(10):
        for side, errors in ((B, 0), (A, 1)):
            for _ in range(4):
                assert guard.see(LiveBin(side, bin_, 6, errors, 6)) is None, bin_


def test_a_new_round_counts_its_bins_anew() -> None:
    guard = Guard(POLICY)
    rng = np.random.default_rng(4)
    assert first_incident(guard, stream(rng, {B: never, A: never}, length_s=60)) is None
    found = first_incident(guard, stream(rng, {B: never, A: always(0.6)}, round_number=1))
    assert found is not None
    assert found[0] <= 11.0


# --- false alarms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.0, 0.02, 0.10])
def test_the_same_errors_on_both_sides_hardly_ever_fire_the_guard(ratio: float) -> None:
    """60 runs of a minute for each ratio; the bound on the e-process itself is tested on 20,000 in test_stats."""
    hard = 0
    for seed in range(60):
        live = stream(np.random.default_rng(seed), {B: always(ratio), A: always(ratio)})
        found = first_incident(Guard(POLICY), live)
        hard += found is not None and found[1].is_hard
    assert hard <= 1
