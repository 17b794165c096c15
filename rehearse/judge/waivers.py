"""Waivers: a named person accepts one finding until a date. A waived finding does not decide, and stays visible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime

from rehearse.errors import nearest
from rehearse.model import ContractChange, Finding, Outcome, Waiver

EXPIRED, UNUSED, WAIVED = "waiver_expired", "waiver_unused", "waived"


def holds(waiver: Waiver, started_at: str) -> bool:
    """Whether it still holds on the day the run began; a run without a known beginning has no waivers."""
    if not started_at:
        return False
    return datetime.fromisoformat(started_at).date() <= date.fromisoformat(waiver.until)


def waived_changes(
    changes: Iterable[ContractChange], waivers: Sequence[Waiver], started_at: str
) -> tuple[ContractChange, ...]:
    """The same changes; those that somebody accepted say who."""
    holding = {one.finding: one for one in waivers if holds(one, started_at)}
    return tuple(replace(change, waiver=holding.get(change.subject)) for change in changes)


def waive(
    findings: Iterable[Finding], waivers: Sequence[Waiver], started_at: str
) -> tuple[list[Finding], list[Finding]]:
    """(the findings that still count, those that are waived). Only for findings of contract and checks."""
    holding = {one.finding: one for one in waivers if holds(one, started_at)}
    kept, waived = [], []
    for finding in findings:
        waiver = holding.get(finding.subject)
        if waiver is None:
            kept.append(finding)
        else:
            waived.append(waived_finding(finding, waiver))
    return kept, waived


def waived_finding(finding: Finding, waiver: Waiver) -> Finding:
    """What remains of it: a warning with a name."""
    sentence = f"waived by {waiver.person} until {waiver.until} ({waiver.reason}): {finding.sentence}"
    return replace(finding, code=WAIVED, sentence=sentence, is_hard=False)


def waiver_warnings(waivers: Sequence[Waiver], subjects: Iterable[str], started_at: str) -> list[Finding]:
    """Waivers that are over, and those that no finding of this run needs."""
    known = set(subjects)
    found = []
    for one in waivers:
        if not holds(one, started_at):
            sentence = f"the waiver of {one.person} for {one.finding!r} ended on {one.until} and is ignored"
            found.append(Finding(Outcome.FAIL, EXPIRED, one.finding, sentence))
        elif one.finding not in known:
            hint = f" {nearest(one.finding, known)}" if known else ""
            sentence = f"the waiver of {one.person} for {one.finding!r} fits no finding of this run.{hint}"
            found.append(Finding(Outcome.FAIL, UNUSED, one.finding, sentence))
    return found
