"""A fault under load: what was seen of it becomes a record, and never a better one than the proof allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.codec import from_bytes, to_bytes
from rehearse.edges.pulse import (
    Asked,
    PulseRule,
    PulseSeen,
    fails_by_times_alone,
    recovery_of,
    ruled,
    with_blocks,
)
from rehearse.edges.recovery import RecoveryRule, RecoveryState
from rehearse.histogram import Histogram
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord, Metric, Objective, Side
from tests.edges.blocks import BLOCK_S, PER_BLOCK, around

RULE = PulseRule(
    RecoveryRule(deadline_s=4.0, hold_s=1.5, latency_floor_s=0.25),
    attempts_ratio=1.0,
    slack_s=0.25,
    failed_ratio=0.10,
)
PLANNED = EdgeRecord("db-hangs", EdgeFamily.TIMEOUT, "In March it hung.")
FAULT = (6.0, 8.0)
INJECTED = PulseSeen(fault_from_s=FAULT[0], fault_to_s=FAULT[1], injected=12, is_injected=True)


def seen(back_s: float = 8.5, failed: int = 0, slow_s: float = 2.0, to_s: float = 20.0) -> PulseSeen:
    found = around(Side.CANDIDATE, fault=FAULT, back_s=back_s, to_s=to_s, failed=failed, slow_s=slow_s)
    return with_blocks(INJECTED, found)


def record(candidate: PulseSeen, baseline: PulseSeen | None) -> EdgeRecord:
    return ruled(PLANNED, "the database hangs for 2 s", candidate, baseline, RULE)


def test_what_comes_back_as_the_baseline_does_passes_and_says_when() -> None:
    found = record(seen(), seen())
    assert found.outcome is EdgeOutcome.PASS, found.sentence
    assert found.sentence == "back to normal 0.5 s after the fault"
    assert "the database hangs for 2 s: the baseline failed 0 %" in found.told


def test_what_never_comes_back_while_the_baseline_does_fails() -> None:
    found = record(seen(back_s=99), seen())
    assert found.outcome is EdgeOutcome.FAIL
    assert found.sentence.startswith("it recovers: never back to normal")
    assert "the baseline: back to normal 0.5 s" in found.sentence


def test_what_does_not_come_back_on_either_side_was_broken_before() -> None:
    assert record(seen(back_s=99), seen(back_s=99)).outcome is EdgeOutcome.ALREADY_BROKEN


def test_more_failures_in_the_fault_than_on_the_baseline_fail() -> None:
    found = record(seen(failed=20), seen())
    assert found.outcome is EdgeOutcome.FAIL
    assert "80 % failed, on the baseline 0 %" in found.sentence
    assert record(seen(failed=20), seen(failed=20)).outcome is EdgeOutcome.PASS
    assert record(seen(failed=1), seen()).outcome is EdgeOutcome.PASS  # less than is accepted


def test_a_recovery_case_does_not_look_at_failures_in_the_fault() -> None:
    planned = replace(PLANNED, family=EdgeFamily.RECOVERY)
    assert ruled(planned, "it is gone", seen(failed=20), seen(), RULE).outcome is EdgeOutcome.PASS


def test_who_waits_longer_for_any_answer_than_on_the_baseline_fails() -> None:
    found = record(seen(slow_s=5.0), seen(slow_s=1.0))
    assert found.outcome is EdgeOutcome.FAIL
    assert "on the baseline 1" in found.sentence


@pytest.mark.parametrize("side", ["candidate", "baseline"])
@pytest.mark.parametrize("spoilt", [{"injected": 0}, {"is_injected": False, "problem": "the proxy is gone"}])
def test_a_fault_that_nobody_can_show_is_not_run(side: str, spoilt: dict[str, object]) -> None:
    sides = {"candidate": seen(), "baseline": seen()}
    sides[side] = replace(sides[side], **spoilt)  # type: ignore[arg-type]
    assert record(sides["candidate"], sides["baseline"]).outcome is EdgeOutcome.NOT_RUN


def test_without_a_baseline_or_with_too_little_load_it_is_open() -> None:
    assert record(seen(), None).outcome is EdgeOutcome.INCONCLUSIVE
    assert record(with_blocks(INJECTED, ()), seen()).outcome is EdgeOutcome.INCONCLUSIVE
    assert record(seen(back_s=99, to_s=10), seen()).outcome is EdgeOutcome.INCONCLUSIVE  # watched too short


def test_a_fault_that_may_be_left_in_force_is_never_a_pass() -> None:
    assert record(replace(seen(), is_cleaned_up=False), seen()).outcome is EdgeOutcome.INCONCLUSIVE


def asking(in_fault: float, after: float = 1.0, before: float = 1.0, back_s: float = 8.5) -> PulseSeen:
    """What asks its dependency so many times for each arrival, looked at four times a second."""
    looks, times, to_s = [Asked(0.0, 0)], 0.0, 20.0
    for number in range(round(to_s * 4)):
        at_s = (number + 1) / 4
        ratio = before if at_s <= FAULT[0] else in_fault if at_s <= back_s else after
        times += ratio * PER_BLOCK / 4 / BLOCK_S
        looks.append(Asked(at_s, round(times)))
    found = around(Side.CANDIDATE, fault=FAULT, back_s=back_s, to_s=to_s)
    return with_blocks(replace(INJECTED, asked=tuple(looks)), found)


SOON, WELL = Objective(Metric.P95, 0.1, limit=0.8), Objective(Metric.ERROR_RATIO, 0.001, limit=0.02)


def limited(candidate: PulseSeen, baseline: PulseSeen | None, *objectives: Objective) -> EdgeRecord:
    return ruled(PLANNED, "the database hangs for 2 s", candidate, baseline, RULE, objectives=objectives)


def test_ordinary_traffic_keeps_its_absolute_limits_in_a_fault() -> None:
    near, beyond = (
        seen(slow_s=0.7),
        seen(slow_s=0.9),
    )  # no more than half and the slack above it: not worse in itself
    assert record(beyond, near).outcome is EdgeOutcome.PASS
    found = limited(beyond, near, SOON)
    assert found.outcome is EdgeOutcome.FAIL
    assert "ordinary traffic stays inside its objective in the fault: p95 < 0.8 s: " in found.sentence
    assert limited(near, near, SOON).outcome is EdgeOutcome.PASS
    assert limited(seen(failed=2), seen(), WELL).outcome is EdgeOutcome.FAIL
    assert record(seen(failed=2), seen()).outcome is EdgeOutcome.PASS


def test_only_how_long_users_waited_is_what_one_stall_of_the_rig_does_as_well() -> None:
    waited, late = (
        record(seen(slow_s=5.0), seen(slow_s=1.0)),
        limited(seen(slow_s=0.9), seen(slow_s=0.7), SOON),
    )
    assert fails_by_times_alone(waited, ())
    assert fails_by_times_alone(late, (SOON, WELL))
    failing = [
        limited(seen(failed=2), seen(), WELL),
        record(seen(failed=20, slow_s=5.0), seen(slow_s=1.0)),
        record(seen(back_s=99, slow_s=5.0), seen(slow_s=1.0)),
        record(asking(3.0), asking(1.1)),
    ]
    assert [one.outcome for one in failing] == [EdgeOutcome.FAIL] * 4
    assert [fails_by_times_alone(one, (SOON, WELL)) for one in failing] == [False] * 4
    assert not fails_by_times_alone(record(seen(), seen()), (SOON,))


def test_a_limit_that_the_baseline_breaks_as_well_is_told() -> None:
    found = limited(seen(slow_s=0.9), seen(slow_s=0.9), SOON)
    assert found.outcome is EdgeOutcome.PASS
    assert "broken on both sides: " in found.assertions[-1].sentence


def test_a_limit_decides_only_where_it_is_one_and_chance_does_not_explain_it() -> None:
    margin_only, advisory = replace(SOON, limit=None), replace(SOON, is_advisory=True)
    others = (margin_only, advisory, Objective(Metric.CAPACITY, None, limit=200.0))
    assert limited(seen(slow_s=0.9), seen(slow_s=0.7), *others).outcome is EdgeOutcome.PASS
    unlucky = around(Side.CANDIDATE, fault=FAULT, back_s=6.5, to_s=20)
    few = with_blocks(INJECTED, (replace(one, arrivals=replace(one.arrivals, ok=24)) for one in unlucky))
    assert limited(few, seen(), replace(WELL, limit=0.03)).outcome is not EdgeOutcome.FAIL  # 4 % of a hundred


def test_a_limit_is_not_kept_by_traffic_that_nobody_saw() -> None:
    assert limited(replace(seen(), waited=Histogram()), seen(), SOON).outcome is EdgeOutcome.INCONCLUSIVE
    assert limited(seen(), None, SOON).outcome is EdgeOutcome.INCONCLUSIVE


def test_retries_that_multiply_at_the_dependency_fail_however_long_it_is_watched_afterwards() -> None:
    calm, storm = asking(1.1), asking(3.0)
    found = record(storm, calm)
    assert found.outcome is EdgeOutcome.FAIL
    assert (
        "3.0 times for each arrival from the fault until it was back, on the baseline 1.1" in found.sentence
    )
    assert record(asking(2.0), calm).outcome is EdgeOutcome.PASS  # one retry
    assert record(calm, calm).outcome is EdgeOutcome.PASS
    assert record(calm, replace(calm, windows=())).outcome is EdgeOutcome.INCONCLUSIVE


def test_retries_that_go_on_when_the_answers_are_as_before_are_no_recovery() -> None:
    found = record(asking(1.0, after=1.99), asking(1.0))
    assert found.outcome is EdgeOutcome.FAIL
    assert "never back to normal" in found.sentence
    assert "asks the dependency 2.0 times for each arrival (normal is 1.2 at most)" in found.sentence
    assert record(asking(1.0, after=1.2), asking(1.0)).outcome is EdgeOutcome.PASS
    many = record(asking(10.0, before=10.0, after=11.0), asking(10.0, before=10.0, after=10.0))
    assert many.outcome is EdgeOutcome.PASS  # a tenth more is no storm
    pooled = record(asking(0.0, before=0.0, after=0.2), asking(0.0, before=0.0, after=0.0))
    assert pooled.outcome is EdgeOutcome.PASS  # a pool that renews its connections


def test_retries_that_die_down_are_getting_better_and_not_called_stuck() -> None:
    dying = asking(1.0, after=3.0)
    later = [replace(one, attempts=round(PER_BLOCK * max(1.5, 5 - one.start_s / 5))) for one in dying.windows]
    after = [new if new.start_s >= FAULT[1] else old for new, old in zip(later, dying.windows, strict=True)]
    assert recovery_of(replace(dying, windows=tuple(after)), RULE).state is RecoveryState.TOO_EARLY
    assert recovery_of(asking(1.0, after=3.0), RULE).state is RecoveryState.METASTABLE


def test_windows_that_nobody_counted_in_are_not_made_up() -> None:
    short = asking(1.0)
    cut = with_blocks(
        replace(short, asked=short.asked[:41]), around(Side.CANDIDATE, fault=FAULT, back_s=8.5, to_s=20)
    )
    assert [one.attempts for one in cut.windows if one.end_s > 10] == [None] * 20
    assert sum(one.attempts or 0 for one in cut.windows) == (cut.asked[-1].times - cut.asked[4].times)


def test_what_was_seen_reads_back_for_a_comparison_of_another_day() -> None:
    assert from_bytes(PulseSeen, to_bytes(asking(2.0))) == asking(2.0)
