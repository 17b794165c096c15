"""The registry of codified breaks: every check there is, and how it came out lately. Pure: today is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from rehearse.model import CheckOutcome, CheckResult

LAST = 5  # results that are shown
SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class PastRun:
    """The results of one stored run."""

    started_at: str  # ISO 8601
    results: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One check, or one that only stored runs know."""

    check: CheckResult
    last: tuple[CheckOutcome, ...]  # newest first
    asked: int  # how often, in the stored runs
    failed: int
    last_failed_on: str  # ISO 8601 date, or empty
    expires_in_days: int | None
    is_gone: bool = False  # no file has it any more

    @property
    def never_fired(self) -> bool:
        """It was asked, and has never failed anywhere: nobody has seen that it can."""
        return self.asked > 0 and self.failed == 0

    @property
    def expires_soon(self) -> bool:
        """Within SOON_DAYS, or already over."""
        return self.expires_in_days is not None and self.expires_in_days <= SOON_DAYS


def entries(planned: Sequence[CheckResult], past: Sequence[PastRun], today: date) -> tuple[Entry, ...]:
    """Every check by id; `past` is newest first. Those that are gone come last."""
    known = {check.check_id for check in planned}
    gone = {one.check_id: one for run in reversed(past) for one in run.results if one.check_id not in known}
    return (
        *(_entry(check, past, today, is_gone=False) for check in sorted(planned, key=_by_id)),
        *(_entry(check, past, today, is_gone=True) for check in sorted(gone.values(), key=_by_id)),
    )


def _by_id(check: CheckResult) -> str:
    return check.check_id


def _entry(check: CheckResult, past: Sequence[PastRun], today: date, *, is_gone: bool) -> Entry:
    seen = [
        (run.started_at, one.outcome) for run in past for one in run.results if one.check_id == check.check_id
    ]
    failed = [at for at, outcome in seen if outcome in (CheckOutcome.FAILED, CheckOutcome.ALREADY_BROKEN)]
    days = (date.fromisoformat(check.expires) - today).days if check.expires else None
    return Entry(
        check=check,
        last=tuple(outcome for _, outcome in seen[:LAST]),
        asked=len(seen),
        failed=len(failed),
        last_failed_on=failed[0][:10] if failed else "",
        expires_in_days=days,
        is_gone=is_gone,
    )


def lines_of(found: Iterable[Entry]) -> list[str]:
    """As people read it: two lines for each check."""
    return [line for entry in found for line in (_head(entry), f"    {'; '.join(_remarks(entry))}")]


def _head(entry: Entry) -> str:
    check = entry.check
    component = f"  [{check.component}]" if check.component else ""
    return f"{check.check_id}  {check.severity}{component}  {check.story}"


def _remarks(entry: Entry) -> Iterable[str]:
    if entry.is_gone:
        yield "GONE: no file has it any more"
    yield f"last: {', '.join(entry.last)}" if entry.last else "never asked in a stored run"
    if entry.never_fired:
        yield f"never failed in {entry.asked}"
    if entry.last_failed_on:
        yield f"failed {entry.failed} of {entry.asked}, last on {entry.last_failed_on}"
    if entry.expires_in_days is not None and entry.expires_in_days < 0:
        yield f"EXPIRED on {entry.check.expires}"
    elif entry.expires_soon:
        yield f"expires on {entry.check.expires}, in {entry.expires_in_days} days"
