"""The last lines that a person reads on the terminal: the verdict word first, then why, then what to do."""

from __future__ import annotations

from rehearse.model import CheckReport, Result
from rehearse.report.cutover import cutover_lines
from rehearse.report.headline import (
    cautions,
    cell_counts,
    check_counts,
    edge_counts,
    next_step,
    observed,
    partial_note,
    requests_sent,
    some,
    top_reasons,
    why,
)
from rehearse.report.ranking import ranked
from rehearse.report.signed import sign_off_sentence
from rehearse.report.visible import printable, shortened

_LONGEST = 300
_PLAIN = str.maketrans({"\N{MINUS SIGN}": "-", "–": "-", "→": "->", "…": "..."})


def summary_lines(result: Result, report_path: str | None) -> list[str]:
    """Plain lines without control characters; nothing in them can start a line of its own."""
    partial = " (partial run)" if partial_note(result) else ""
    reasons = top_reasons(result, ranked(result.verdict))
    lines = [
        f"{result.verdict.decision}{partial}: {why(result)}",
        *(f"{position}. {reason.sentence}" for position, reason in enumerate(reasons, start=1)),
        *_more(result, len(reasons)),
        *(f"{caution.word}: {caution.sentence}" for caution in cautions(result)),
        *(f"Signed: {sign_off_sentence(one, result.verdict)}" for one in result.sign_offs),
        *(cutover_lines(result.cutover) if result.cutover is not None else ()),
        _cells(result),
        *([check_counts(result.checks)] if result.checks else []),
        *([edge_counts(result.edges)] if result.edges else []),
        *(f"Requests, {side.side}: {requests_sent(side)}" for side in result.sides),
    ]
    place = report_path or f"`rehearse report {result.run_id}` writes it"
    return [*map(_plain, lines), printable(f"Report: {place}"), _plain(f"Next: {next_step(result)}")]


def _more(result: Result, told: int) -> list[str]:
    more = len(result.verdict.reasons) - told
    return [f"and {some(more, 'more reason')} in the report"] if more > 0 else []


def _cells(result: Result) -> str:
    counts, verdict = cell_counts(result), result.verdict
    return (
        f"{some(counts.total, 'cell')}: {counts.worse} worse, {counts.unknown} unknown, {counts.ok} ok,"
        f" {counts.watched} only watched;"
        f" {observed(result, verdict.pairs_used)} used, {verdict.pairs_discarded} discarded"
    )


def _plain(line: str) -> str:
    return shortened(printable(line), _LONGEST).translate(_PLAIN)


def check_lines(report: CheckReport) -> list[str]:
    """The same of checks alone: every one that did not pass, and how many did."""
    verdict = report.verdict
    told = [f"- {finding.sentence}" for finding in (*verdict.reasons, *verdict.warnings)]
    lines = [
        f"{verdict.decision} by the checks alone: {check_counts(report.checks)}",
        *told,
        f"Run: {report.run_id}. Only `rehearse compare` gives a verdict on the upgrade.",
    ]
    return [_plain(line) for line in lines]
