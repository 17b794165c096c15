"""summary.md: the verdict on one screen of Markdown, for a pipeline's own page or a comment under a change.

What targets and scenarios say is text there too: no markup, no link, nobody mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rehearse.judge.checks import subject_of
from rehearse.model import CheckOutcome, CheckResult, ContractChange, EdgeOutcome, Result, SideSummary, Weight
from rehearse.report.contract import ShownChange
from rehearse.report.cutover import cutover_lines
from rehearse.report.headline import (
    cautions,
    cell_counts,
    check_counts,
    edge_counts,
    next_step,
    partial_note,
    requests_sent,
    some,
    top_reasons,
    waived,
    why,
)
from rehearse.report.ranking import Row, ranked, turned
from rehearse.report.signed import sign_off_sentence, stage_sentences
from rehearse.report.units import amount, brief, change, instant, interval
from rehearse.report.visible import printable, shortened

MOST_CHARACTERS = 60_000  # a comment on GitHub takes 65,536, a step's summary 1 MiB
MOST_ROWS = 50
_LONGEST = 300
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~:&$!^])")
_AT_ITS_START = re.compile(r"^([-+=]|\d+(?=[.)]))")
_JOINER = "\u2060"  # invisible; "@" with it mentions nobody


def summary_md(result: Result) -> str:
    """The summary of `result`; the same result gives the same text."""
    rows = ranked(result.verdict)
    sections = [
        _head(result, rows),
        _sides(result),
        _exit(result),
        _contract(result),
        _checks(result),
        _edges(result),
        _cells(result, rows),
        _rest(result),
    ]
    kept: list[str] = []
    room = MOST_CHARACTERS
    for section in sections:
        text = "\n".join(section)
        if len(text) > room:
            kept.append("There is more than fits here: see the report.")
            break
        kept.append(text)
        room -= len(text) + 2
    return "\n\n".join(text for text in kept if text) + "\n"


def escaped(text: str) -> str:
    """`text` on one line that Markdown shows as it is."""
    line = shortened(printable(text), _LONGEST)
    return _MARKUP.sub(r"\\\1", line).replace("@", f"@{_JOINER}").replace("www.", f"www{_JOINER}.")


def _paragraph(text: str) -> str:
    """The same at the start of a block, where a dash or a number would begin a list."""
    return _AT_ITS_START.sub(lambda found: f"{_JOINER}{found[0]}", escaped(text))


def _head(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    partial = " (partial run)" if partial_note(result) else ""
    yield f"## {result.verdict.decision}{partial}: {escaped(result.title)}"
    yield ""
    yield _paragraph(why(result))
    reasons = top_reasons(result, rows)
    if reasons:
        yield ""
    for position, reason in enumerate(reasons, start=1):
        yield f"{position}. {_paragraph(reason.sentence)}"
    more = len(result.verdict.reasons) - len(reasons)
    if more > 0:
        yield f"\nand {some(more, 'more reason')} in the report"
    for caution in cautions(result):
        yield f"\n**{escaped(caution.word)}:** {escaped(caution.sentence)}"
    for sign_off in result.sign_offs:
        yield f"\n**Signed:** {escaped(sign_off_sentence(sign_off, result.verdict))}"
    if result.stages:
        yield f"\n**Stages:** {escaped('; '.join(stage_sentences(result.stages)))}"
    yield f"\n**Next:** {escaped(next_step(result))}"


def _sides(result: Result) -> Iterator[str]:
    if result.sides:
        yield from _table(("side", "target", "requests"), (_side(side) for side in result.sides))


def _side(side: SideSummary) -> tuple[str, ...]:
    return (side.side, f"{side.target} {side.url}", requests_sent(side))


def _exit(result: Result) -> Iterator[str]:
    yield from (
        _paragraph(line) for line in (cutover_lines(result.cutover) if result.cutover is not None else ())
    )


def _contract(result: Result) -> Iterator[str]:
    changes = result.verdict.contract
    open_ = [change for change in changes if change.weight is not Weight.NOTE]
    if changes:
        notes = (
            f", {some(len(changes) - len(open_), 'note')} in the report" if len(open_) < len(changes) else ""
        )
        yield f"{some(len(open_), 'change')} of the answers{notes}"
    if open_:
        yield ""
        yield from _table(("answers", "leads to", "before", "after"), map(_change, open_))


def _change(change: ContractChange) -> tuple[str, ...]:
    who = f" by {change.waiver.person} until {change.waiver.until}" if change.waiver is not None else ""
    return (change.sentence, f"{ShownChange(change).word}{who}", change.before, change.after)


def _checks(result: Result) -> Iterator[str]:
    open_ = [check for check in result.checks if check.outcome is not CheckOutcome.PASSED]
    if result.checks:
        yield escaped(check_counts(result.checks))
    if open_:
        yield ""
        accepted = {finding.subject: finding.sentence for finding in waived(result)}
        rows = (_check(check, accepted.get(subject_of(check))) for check in open_)
        yield from _table(("check", "outcome", "why"), rows)


def _check(check: CheckResult, accepted: str | None) -> tuple[str, ...]:
    mark = f"{check.outcome} ({check.severity})"
    return (check.check_id, mark if accepted is None else f"{mark}, waived", accepted or check.sentence)


def _edges(result: Result) -> Iterator[str]:
    open_ = [edge for edge in result.edges if edge.outcome is not EdgeOutcome.PASS]
    if result.edges:
        yield escaped(edge_counts(result.edges))
    if open_:
        yield ""
        rows = ((edge.record.case_id, edge.outcome, edge.sentence) for edge in open_)
        yield from _table(("edge case", "outcome", "why"), rows)


def _cells(result: Result, rows: Sequence[Row]) -> Iterator[str]:
    counts = cell_counts(result)
    yield (
        f"{some(counts.total, 'cell')}: {counts.worse} worse, {counts.unknown} unknown, {counts.ok} ok, "
        f"{counts.watched} only watched"
    )
    if rows:
        yield ""
        header = ("cell", "outcome", "baseline", "candidate", "change", "95 % interval", "margin")
        yield from _table(header, map(_cell, rows))


def _cell(row: Row) -> tuple[str, ...]:
    judgement = row.judgement
    unit = judgement.cell.unit
    return (
        judgement.cell.label,
        judgement.outcome,
        amount(judgement.baseline, unit),
        amount(judgement.candidate, unit),
        change(judgement.change, unit),
        interval(judgement.low, judgement.high, unit),
        brief(change(turned(judgement, judgement.margin), unit)),
    )


def _rest(result: Result) -> Iterator[str]:
    compared = f"baseline {result.baseline_name}" if result.baseline_name else "no stored baseline"
    yield _paragraph(f"Run {result.run_id}, {result.mode}, {compared}, {instant(result.started_at)}")
    yield ""
    yield _paragraph(f"Repeat it with: {result.command}")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            yield f"| and more: see the report |{' |' * (len(header) - 1)}"
            return
        yield f"| {' | '.join(escaped(cell) for cell in row)} |"
