"""What checks found, and how each of them came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a check that fails on the candidate alone leads to."""

    ABORT = "abort"
    WARN = "warn"


class CheckOutcome(StrEnum):
    """How one check came out. Only `passed` speaks for the candidate, and only `failed` against it."""

    PASSED = "passed"
    FAILED = "failed"  # on the candidate, and not on the baseline
    ALREADY_BROKEN = "already broken"  # on the baseline too: not the upgrade's doing
    ACCEPTED = "accepted"  # an expected failure (xfail) whose date is not over
    NOT_RUN = "not run"  # skipped, with a reason
    ERROR = "error"  # crashed, timed out, failed in its set-up, skipped without a reason, or expired


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One codified breakage, and how it came out."""

    check_id: str  # "INC-231", or "http/security-headers" of a pack
    source: str  # "checks/test_orders.py::test_totals[2028-02-29]"
    story: str  # what broke, in the words of whoever wrote it down
    outcome: CheckOutcome
    severity: Severity
    sentence: str = ""  # why it came out so; empty when it passed
    component: str = ""
    broke_on: str = ""  # ISO 8601 date
    ref: str = ""
    expires: str = ""  # ISO 8601 date
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChecksEnd:
    """The closing account of a run of checks; without one, it never came to its end."""

    planned: int  # how many were collected
    troubles: tuple[str, ...] = ()  # nothing collected, errors of collection, a crash: never GO


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """What checks found: each side as it was asked, and the closing account."""

    on_candidate: tuple[CheckResult, ...] = ()
    on_baseline: tuple[CheckResult, ...] = ()  # of a comparison: only of what failed on the candidate
    end: ChecksEnd | None = None
