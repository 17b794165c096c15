"""What edge cases say of the candidate. One speaks for it only when its condition was proven to be there."""

from __future__ import annotations

from collections.abc import Iterable

from rehearse.judge.faults import Fault, fault
from rehearse.model import EdgeOutcome, EdgeRecord, EdgeResult, Finding, Outcome, ReasonCode

SUBJECT = "edge: "  # before the id: a waiver names a finding that way
WARNED, ALREADY_BROKEN = "edge_warned", "edge_already_broken"
_ORDER = (
    EdgeOutcome.FAIL,
    EdgeOutcome.NOT_RUN,
    EdgeOutcome.INCONCLUSIVE,
    EdgeOutcome.ALREADY_BROKEN,
    EdgeOutcome.PASS,
)


def edge_results(planned: Iterable[EdgeRecord], found: Iterable[EdgeRecord]) -> tuple[EdgeResult, ...]:
    """Every case that was due, failed ones first; without a record it was not run."""
    records = {record.case_id: record for record in (*planned, *found)}
    results = [EdgeResult(*record.ruling, record) for record in records.values()]
    return tuple(sorted(results, key=lambda one: (_ORDER.index(one.outcome), one.record.case_id)))


def edge_faults(planned: Iterable[EdgeRecord], found: Iterable[EdgeRecord]) -> list[Fault]:
    """What forbids GO: a required case that failed is beyond doubt, one that nobody can tell of is a gap."""
    blocking = [one for one in edge_results(planned, found) if one.record.blocks_go]
    return [
        Fault(_failed(one, ReasonCode.EDGE_FAILED, is_hard=True))
        if one.outcome is EdgeOutcome.FAIL
        else fault(ReasonCode.EDGES_INCOMPLETE, subject_of(one.record), _told(one), allows_abort=True)
        for one in blocking
    ]


def edge_warnings(planned: Iterable[EdgeRecord], found: Iterable[EdgeRecord]) -> list[Finding]:
    """What a reader must know, and what decides nothing."""
    rest = [one for one in edge_results(planned, found) if not one.record.blocks_go]
    return [_warning(one) for one in rest if one.outcome is not EdgeOutcome.PASS]


def subject_of(record: EdgeRecord) -> str:
    """How findings and waivers name a case: "edge: leap-days"."""
    return f"{SUBJECT}{record.case_id}"


def _warning(one: EdgeResult) -> Finding:
    if one.outcome is EdgeOutcome.FAIL:
        return _failed(one, WARNED, is_hard=False)
    if one.outcome is EdgeOutcome.ALREADY_BROKEN:
        sentence = f"{_told(one)}; it is so on both sides: broken before, or the case itself is wrong"
        return Finding(Outcome.FAIL, ALREADY_BROKEN, subject_of(one.record), sentence)
    return Finding(Outcome.INCONCLUSIVE, WARNED, subject_of(one.record), _told(one))


def _failed(one: EdgeResult, code: str, *, is_hard: bool) -> Finding:
    return Finding(Outcome.FAIL, code, subject_of(one.record), _told(one), is_hard)


def _told(one: EdgeResult) -> str:
    """ "edge case leap-days (date) failed: ..."."""
    word = {EdgeOutcome.FAIL: "failed", EdgeOutcome.NOT_RUN: "was not run"}.get(
        one.outcome, f"is {one.outcome}"
    )
    return f"edge case {one.record.case_id} ({one.record.family}) {word}: {one.sentence}"
