"""The registry: what there is, how it came out, what never fired, what expires, what is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from rehearse.checks.registry import PastRun, entries, lines_of
from rehearse.model import CheckOutcome, CheckResult, Severity

TODAY = date(2026, 11, 21)
PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED


def check(check_id: str, outcome: CheckOutcome = CheckOutcome.ERROR, expires: str = "") -> CheckResult:
    return CheckResult(check_id, "a.py::test", "It broke.", outcome, Severity.ABORT, expires=expires)


def run(day: int, *results: CheckResult) -> PastRun:
    return PastRun(f"2026-11-{day:02}T10:00:00+00:00", results)


def test_the_last_results_come_newest_first_and_a_failure_is_remembered() -> None:
    past = [run(20, check("a", PASSED)), run(19, check("a", FAILED)), run(18, check("a", PASSED))]
    (entry,) = entries([check("a")], past, TODAY)
    assert entry.last == (PASSED, FAILED, PASSED)
    assert (entry.asked, entry.failed, entry.last_failed_on) == (3, 1, "2026-11-19")
    assert not entry.never_fired


def test_what_never_failed_is_said_because_nobody_knows_that_it_can() -> None:
    never, new = entries([check("a"), check("b")], [run(20, check("a", PASSED))], TODAY)
    assert (never.never_fired, new.never_fired) == (True, False)
    text = "\n".join(lines_of([never, new]))
    assert "never failed in 1" in text
    assert "never asked in a stored run" in text


def test_what_was_broken_on_the_baseline_too_has_fired() -> None:
    (entry,) = entries([check("a")], [run(20, check("a", CheckOutcome.ALREADY_BROKEN))], TODAY)
    assert not entry.never_fired


def test_what_expires_within_a_month_is_said_and_what_has_expired_louder() -> None:
    found = entries([check("a", expires="2026-12-01"), check("b", expires="2026-11-20")], [], TODAY)
    text = lines_of(found)
    assert "expires on 2026-12-01, in 10 days" in text[1]
    assert "EXPIRED on 2026-11-20" in text[3]
    (later,) = entries([check("a", expires="2027-12-01")], [], TODAY)
    assert not later.expires_soon


def test_what_only_stored_runs_know_is_gone() -> None:
    past = [run(20, replace(check("old", PASSED), story="as last told")), run(19, check("old", PASSED))]
    found = entries([check("a")], past, TODAY)
    assert [(entry.check.check_id, entry.is_gone) for entry in found] == [("a", False), ("old", True)]
    assert found[1].check.story == "as last told"
    assert "GONE" in lines_of(found)[3]
