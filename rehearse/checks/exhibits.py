"""Results of checks as the store keeps them: one exhibit each, and one for the closing account."""

from __future__ import annotations

from collections.abc import Iterable

from rehearse.codec import from_bytes, to_bytes
from rehearse.model import CheckEvidence, CheckResult, ChecksEnd, Exhibit, Side

END = "checks"


def exhibit_of(result: CheckResult, side: Side) -> Exhibit:
    """How one check came out with `side` under test."""
    return Exhibit(f"check.{side}", result.check_id, to_bytes(result))


def end_exhibit(end: ChecksEnd) -> Exhibit:
    """The closing account."""
    return Exhibit(END, "end", to_bytes(end))


def check_evidence(exhibits: Iterable[Exhibit]) -> CheckEvidence:
    """All that a run holds of checks. Raises CodecError when it holds something else."""
    found = list(exhibits)
    ends = [from_bytes(ChecksEnd, exhibit.body) for exhibit in found if exhibit.kind == END]
    return CheckEvidence(
        _results(found, Side.CANDIDATE), _results(found, Side.BASELINE), ends[0] if ends else None
    )


def _results(exhibits: Iterable[Exhibit], side: Side) -> tuple[CheckResult, ...]:
    return tuple(
        from_bytes(CheckResult, exhibit.body) for exhibit in exhibits if exhibit.kind == f"check.{side}"
    )
