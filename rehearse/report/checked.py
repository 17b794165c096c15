"""The checks as the page shows them: failed ones first, and apart from them what was broken before the upgrade."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.model import CheckOutcome, CheckResult, Outcome, Result
from rehearse.report.headline import anchor_of, check_counts

_MARKS = {
    CheckOutcome.PASSED: Outcome.PASS,
    CheckOutcome.FAILED: Outcome.FAIL,
    CheckOutcome.ERROR: Outcome.ERROR,
    CheckOutcome.ALREADY_BROKEN: Outcome.INCONCLUSIVE,
    CheckOutcome.ACCEPTED: Outcome.INCONCLUSIVE,
    CheckOutcome.NOT_RUN: Outcome.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check with its place on the page, and the shape of its outcome."""

    anchor: str
    check: CheckResult
    mark: Outcome


@dataclass(frozen=True, slots=True)
class CheckTable:
    """All checks: what needs a reader, what was broken before, and what passed."""

    counts: str
    open: tuple[CheckRow, ...]
    already_broken: tuple[CheckRow, ...]
    passed: tuple[CheckRow, ...]


def check_table(result: Result) -> CheckTable | None:
    """None when the project has no checks."""
    if not result.checks:
        return None
    numbered = enumerate(result.checks, start=1)
    rows = [CheckRow(anchor_of(number), check, _MARKS[check.outcome]) for number, check in numbered]

    def of(*outcomes: CheckOutcome) -> tuple[CheckRow, ...]:
        return tuple(row for row in rows if row.check.outcome in outcomes)

    return CheckTable(
        check_counts(result.checks),
        of(CheckOutcome.FAILED, CheckOutcome.ERROR, CheckOutcome.ACCEPTED, CheckOutcome.NOT_RUN),
        of(CheckOutcome.ALREADY_BROKEN),
        of(CheckOutcome.PASSED),
    )
