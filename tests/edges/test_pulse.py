"""A fault under load: what was seen of it becomes a record, and never a better one than the proof allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.codec import from_bytes, to_bytes
from rehearse.edges.pulse import PulseRule, PulseSeen, ruled, with_blocks
from rehearse.edges.recovery import RecoveryRule
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord, Side
from tests.edges.blocks import around

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


def test_retries_that_multiply_at_the_dependency_fail() -> None:
    calm, storm = replace(seen(), attempts=770), replace(seen(), attempts=2100)
    found = record(storm, calm)
    assert found.outcome is EdgeOutcome.FAIL
    assert "3.0 times for each arrival since the fault began, on the baseline 1.1" in found.sentence
    assert record(calm, calm).outcome is EdgeOutcome.PASS
    assert record(calm, replace(calm, attempts=None)).outcome is EdgeOutcome.INCONCLUSIVE


def test_what_was_seen_reads_back_for_a_comparison_of_another_day() -> None:
    assert from_bytes(PulseSeen, to_bytes(seen())) == seen()
