"""Outages from samples: found where they are, and never missed because nobody looked."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearse.disruptions import Probe, ProbeLog, SampleOutcome, Tolerance
from rehearse.judge.disruption import between, disruption_findings, disruptions, mixed_windows
from rehearse.model import Finding, Outcome
from tests.judge.probed import FRESH, READ, WRITE, State, System, down, held, log_of

NO_DOWNTIME = Tolerance()


def of_one(log: ProbeLog, tolerance: Tolerance = NO_DOWNTIME) -> Finding:
    (finding,) = disruption_findings(log, tolerance)
    return finding


# --- outages are where they are


@settings(max_examples=50, deadline=None)
@given(st.floats(0.5, 4.0), st.floats(0.15, 4.0), st.integers(0, 1000))
def test_an_outage_is_found_within_0_3_s_at_both_ends(from_s: float, length_s: float, seed: int) -> None:
    log = log_of(down(from_s, from_s + length_s), late=Random(seed))
    (found,) = disruptions(log)
    (stretch,) = found.stretches
    assert abs(stretch[0] - 100 - from_s) <= 0.15
    assert abs(stretch[1] - 100 - from_s - length_s) <= 0.15
    outage = found.outages[0]
    assert outage.served_s is not None
    assert outage.served_s <= 100 + from_s <= outage.from_s
    assert outage.failed_s <= 100 + from_s + length_s <= outage.to_s


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 4.0), st.floats(1.2, 4.0))
def test_a_lock_is_as_long_as_it_is_held_though_the_last_ones_who_wait_are_served(
    from_s: float, length_s: float
) -> None:
    (found,) = disruptions(log_of(held(from_s, from_s + length_s)))
    assert found.longest_s == pytest.approx(length_s, abs=0.15)
    assert {one.kind for one in found.outages} == {"no answer"}


def test_what_is_served_late_but_in_time_is_no_outage_and_its_slowest_is_told() -> None:
    (found,) = disruptions(log_of(held(2.0, 2.8)))
    assert found.outages == ()
    assert found.slowest_s == pytest.approx(0.8)


def test_another_kind_of_failure_is_another_outage_but_one_stretch_to_whoever_waits() -> None:
    kinds = {0: "reset", 1: "refused", 2: "status 503"}
    log = log_of(lambda _, at_s: State(kinds[int(at_s) - 2]) if 2 <= at_s < 5 else State())
    (found,) = disruptions(log)
    assert [one.kind for one in found.outages] == ["reset", "refused", "status 503"]
    assert [round(one.length_s, 2) for one in found.outages] == [1.0, 1.0, 1.0]
    assert [one.served_s is None for one in found.outages] == [False, True, True]
    assert found.longest_s == pytest.approx(3.0, abs=0.02)
    assert found.total_s == pytest.approx(3.0, abs=0.02)
    assert found.out_ratio == pytest.approx(0.3, abs=0.002)


def test_failures_that_alternate_with_answers_are_as_many_outages() -> None:
    log = log_of(lambda _, at_s: State("refused" if 2 <= at_s < 3 and round(at_s * 10) % 2 else ""))
    (found,) = disruptions(log)
    assert len(found.stretches) == 5
    assert found.longest_s == pytest.approx(0.105, abs=0.01)


def test_an_outage_at_the_end_is_not_over() -> None:
    (found,) = disruptions(log_of(down(8.0, 99.0)))
    assert [one.is_over for one in found.outages] == [False]
    assert found.total_s == pytest.approx(2.0, abs=0.01)


def test_probes_are_told_apart_a_lock_on_writes_leaves_reads_unharmed() -> None:
    locked = held(3.0, 6.0)
    log = log_of(lambda probe, at_s: locked(probe, at_s) if probe.is_write else State(), probes=(READ, WRITE))
    reads, writes = disruptions(log)
    assert reads.longest_s == 0.0
    assert writes.longest_s == pytest.approx(3.0, abs=0.1)


def test_a_phase_is_the_part_of_the_log_that_was_due_in_it() -> None:
    log = log_of(down(4.0, 6.0))
    parts = [between(log, 100.0 + begin, 105.0 + begin) for begin in (0, 5)]
    assert [round(disruptions(part)[0].total_s, 1) for part in parts] == [1.0, 1.0]
    assert sum(len(part.samples) for part in parts) == len(log.samples)
    assert all(not one.gaps for part in parts for one in disruptions(part))


def test_a_phase_reaches_no_further_than_the_log() -> None:
    part = between(log_of(down(4.0, 6.0)), 0.0, 1e9)
    assert (part.began_s, part.ended_s) == (100.0, 110.0)


# --- what nobody has seen


def without(log: ProbeLog, from_s: float, to_s: float) -> ProbeLog:
    kept = (one for one in log.samples if not from_s <= one.due_s - log.began_s < to_s)
    return replace(log, samples=tuple(kept))


def test_no_outage_passes_only_when_somebody_looked_all_the_time() -> None:
    assert of_one(log_of(down(0, 0))).outcome is Outcome.PASS


UNPROVEN = {
    "samples are missing": without(log_of(down(0, 0)), 4.0, 5.0),
    "the first ones are missing": without(log_of(down(0, 0)), 0.0, 1.0),
    "the last ones are missing": without(log_of(down(0, 0)), 9.0, 10.0),
    "all are missing": without(log_of(down(0, 0)), 0.0, 10.0),
    "the prober died": replace(log_of(down(0, 0)), is_whole=False, trouble="the prober ended by itself"),
    "its end is not known": replace(log_of(down(0, 0)), is_whole=False),
    "there was trouble": replace(log_of(down(0, 0)), trouble="3 samples were lost on the way"),
    "there is no probe": ProbeLog((), 0.1, 0.0, 10.0, is_whole=True),
    "the rig failed": log_of(
        lambda _, at_s: State("out of descriptors", is_rig=4 <= at_s < 5) if 4 <= at_s < 5 else State()
    ),
}


@pytest.mark.parametrize("log", UNPROVEN.values(), ids=UNPROVEN.keys())
def test_evidence_that_is_missing_is_inconclusive(log: ProbeLog) -> None:
    finding = of_one(log)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert not finding.is_hard
    assert finding.code == "disruption_unseen"


@pytest.mark.parametrize("field", ["due_s", "late_s", "took_s"])
def test_a_sample_that_is_no_number_is_no_evidence(field: str) -> None:
    log = log_of(down(0, 0))
    spoiled = [
        replace(one, **{field: math.nan}) if 4 <= one.due_s - 100 < 5 else one  # type: ignore[arg-type]
        for one in log.samples
    ]
    assert of_one(replace(log, samples=tuple(spoiled))).outcome is Outcome.INCONCLUSIVE


def test_a_gap_as_short_as_the_promised_accuracy_hides_nothing() -> None:
    assert of_one(without(log_of(down(0, 0)), 4.05, 4.25)).outcome is Outcome.PASS
    assert of_one(without(log_of(down(0, 0)), 4.05, 4.35)).outcome is Outcome.INCONCLUSIVE


def test_trouble_of_the_rig_neither_ends_an_outage_nor_is_one() -> None:
    def system(_: Probe, at_s: float) -> State:
        if 4.0 <= at_s < 4.2:
            return State("name not resolved", is_rig=True)
        return State("refused") if 3 <= at_s < 6 else State()

    (found,) = disruptions(log_of(system))
    assert [one.kind for one in found.outages] == ["refused"]
    assert found.longest_s == pytest.approx(3.0, abs=0.02)
    assert (found.rig_samples, found.gaps) == (2, ())


def test_a_gap_names_what_the_rig_did_most() -> None:
    (found,) = disruptions(UNPROVEN["the rig failed"])
    assert [(one.kind, round(one.length_s, 2)) for one in found.gaps] == [("out of descriptors", 1.1)]
    assert "out of descriptors" in of_one(UNPROVEN["the rig failed"]).sentence


def test_an_outage_that_was_seen_fails_though_the_rest_was_not() -> None:
    finding = of_one(replace(without(log_of(down(2.0, 4.0)), 6.0, 8.0), is_whole=False))
    assert (finding.outcome, finding.is_hard) == (Outcome.FAIL, True)


def test_a_probe_that_was_never_served_is_a_failure_of_zero_downtime_and_else_says_nothing() -> None:
    log = log_of(lambda *_: State("status 404"))
    assert of_one(log).outcome is Outcome.FAIL
    assert of_one(log, Tolerance(20.0, 20.0)).outcome is Outcome.INCONCLUSIVE


# --- tolerances


@pytest.mark.parametrize(
    ("tolerance", "outcome"),
    [
        (Tolerance(), Outcome.FAIL),
        (Tolerance(1.0, 10.0), Outcome.FAIL),
        (Tolerance(10.0, 2.0), Outcome.FAIL),
        (Tolerance(2.5, None), Outcome.PASS),
        (Tolerance(2.5, 4.5), Outcome.PASS),
        (Tolerance(None, None), Outcome.PASS),
    ],
    ids=["none", "longest", "total", "longest kept", "both kept", "not judged"],
)
def test_what_is_accepted_is_fixed_before(tolerance: Tolerance, outcome: Outcome) -> None:
    twice = log_of(lambda _, at_s: State("refused" if 1 <= at_s < 3 or 6 <= at_s < 8 else ""))
    assert of_one(twice, tolerance).outcome is outcome


def test_a_gap_in_which_too_much_could_hide_is_inconclusive_and_a_shorter_one_is_not() -> None:
    log = without(log_of(down(2.0, 4.0)), 6.0, 7.0)
    assert of_one(log, Tolerance(3.0, 3.0)).outcome is Outcome.INCONCLUSIVE
    assert of_one(log, Tolerance(3.5, 3.5)).outcome is Outcome.PASS


def test_an_outage_that_was_not_over_cannot_be_short_enough() -> None:
    assert of_one(log_of(down(8.0, 99.0)), Tolerance(5.0, 5.0)).outcome is Outcome.INCONCLUSIVE


def test_the_sentence_has_the_numbers_that_decided() -> None:
    twice = log_of(lambda _, at_s: State("refused" if 1 <= at_s < 3 or 6 <= at_s < 7 else ""))
    finding = of_one(twice, Tolerance(1.0, 5.0))
    assert finding.sentence == (
        "read: 2 outages, 3.01 s in all, the longest 2.00 s (refused; 30.1 % of the time);"
        " the longest outage may last 1.00 s"
    )
    assert finding.numbers["longest_outage_s"] == pytest.approx(2.005)
    assert finding.subject == "disruption: read"


# --- versions


def switch(at: float) -> System:
    return lambda _, at_s: State(version="1.0" if at_s < at else "2.0")


def test_a_switch_at_once_has_no_mixed_window_and_its_moment_is_known() -> None:
    (found,) = disruptions(log_of(switch(5.0)))
    assert [(one.version, round(one.last_s - 100, 1)) for one in found.versions] == [
        ("1.0", 4.9),
        ("2.0", 9.9),
    ]
    assert round(found.versions[1].first_s - 100, 1) == 5.0
    assert mixed_windows([found]) == ()


def test_a_rolling_restart_has_a_window_in_which_both_versions_answer() -> None:
    rng = Random(3)
    mixed = log_of(lambda _, at_s: State(version="2.0" if rng.random() < (at_s - 3) / 4 else "1.0"))
    (window,) = mixed_windows(disruptions(mixed))
    assert window.versions == ("1.0", "2.0")
    assert window.from_s == pytest.approx(103, abs=0.8)
    assert window.to_s == pytest.approx(107, abs=0.8)


def test_connections_that_are_kept_hold_the_baseline_longer_and_that_is_a_mixed_window() -> None:
    late, early = switch(7.0), switch(5.0)
    log = log_of(lambda probe, at_s: (early if probe.is_fresh else late)(probe, at_s), probes=(READ, FRESH))
    (window,) = mixed_windows(disruptions(log))
    assert (round(window.from_s - 100, 1), round(window.to_s - 100, 1)) == (5.0, 6.9)


def test_a_version_that_comes_back_was_away_in_between() -> None:
    log = log_of(lambda _, at_s: State(version="2.0" if 3 <= at_s < 7 else "1.0"))
    (found,) = disruptions(log)
    assert [one.version for one in found.versions] == ["1.0", "2.0", "1.0"]
    assert mixed_windows([found]) == ()


def test_a_failure_that_names_a_version_counts_as_that_version_seen() -> None:
    log = log_of(lambda _, at_s: State("status 500" if at_s > 8 else "", version="1.0"))
    (found,) = disruptions(log)
    assert [one.samples for one in found.versions] == [100]


def test_without_a_named_version_there_is_no_timeline() -> None:
    (found,) = disruptions(log_of(down(0, 0)))
    assert (found.versions, mixed_windows([found])) == ((), ())


def test_the_same_log_in_another_order_gives_the_same() -> None:
    log = log_of(down(2.0, 4.0), probes=(READ, WRITE))
    mixed = list(log.samples)
    Random(1).shuffle(mixed)
    assert disruptions(replace(log, samples=tuple(mixed))) == disruptions(log)
    assert all(one.outcome is not SampleOutcome.RIG for one in mixed)
