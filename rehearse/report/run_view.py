"""One stored run as a person looks at it: what it was, how it ended, what it recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rehearse.histogram import Histogram
from rehearse.model import STAGE_KEY, Block, RunRecord, Scope, Series, Side, SignOff
from rehearse.report.signed import sign_off_sentence
from rehearse.report.units import count, duration, instant, share
from rehearse.report.visible import printable, shortened

_LONGEST = 300
_WIDEST = 48
_TOP = 5


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One series of one side over all measured blocks of its rounds and of the probe."""

    side: Side
    scope: Scope
    name: str
    requests: int
    failed: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, whether it still is what was recorded, and its numbers. Neither says how it compares: the report does."""

    record: RunRecord
    digest: str | None  # None: it cannot be verified, for the reason in `trouble`
    trouble: str
    blocks: int
    series: tuple[SeriesView, ...]
    sign_offs: tuple[SignOff, ...] = ()
    schema_version: int = 1


def view_of(
    record: RunRecord,
    blocks: Sequence[Block],
    digest: str | None,
    trouble: str,
    sign_offs: tuple[SignOff, ...] = (),
) -> RunView:
    """What `rehearse runs show` shows."""
    merged: dict[tuple[Side, Scope, str], list[Series]] = {}
    for block in blocks:
        for series in block.series if not block.is_warm_up else ():
            if series.scope is not Scope.TASK:
                merged.setdefault((block.side, series.scope, series.name), []).append(series)
    views = tuple(_series_view(*key, merged[key]) for key in sorted(merged))
    return RunView(record, digest, trouble, len(blocks), views, sign_offs)


def _series_view(side: Side, scope: Scope, name: str, parts: Sequence[Series]) -> SeriesView:
    judged = Histogram.merged(part.judged for part in parts)
    return SeriesView(
        side=side,
        scope=scope,
        name=name,
        requests=sum(part.count() for part in parts),
        failed=sum(part.failed for part in parts),
        p50_s=judged.quantile_s(0.50),
        p95_s=judged.quantile_s(0.95),
        p99_s=judged.quantile_s(0.99),
    )


def run_lines(view: RunView) -> list[str]:
    """Plain lines without control characters."""
    lines = (*_head(view), *_verdict(view), *_signed(view))
    return [shortened(printable(line), _LONGEST) for line in lines] + _table(view)


def _head(view: RunView) -> Iterator[str]:
    record = view.record
    yield f"{record.run_id}: {record.title}"
    yield f"what: {record.kind}, {record.mode}, {record.state}; {some_blocks(view.blocks)} of {record.rounds} rounds"
    yield f"when: {instant(record.started_at)} to {instant(record.ended_at or '')}"
    if STAGE_KEY in record.provenance:
        yield f"stage: {record.provenance[STAGE_KEY]}"
    yield f"baseline: {record.baseline_name or 'none'}" + (
        f", run {record.baseline_run_id}" if record.baseline_run_id else ""
    )
    for target in record.targets:
        facts = ", ".join(f"{key} {value}" for key, value in target.facts.items())
        yield f"{target.side}: {target.name} at {target.url}" + (f" ({facts})" if facts else "")
    yield f"command: {record.command}"
    yield f"digest: {view.digest}" if view.digest else f"not verified: {view.trouble}"


def _verdict(view: RunView) -> Iterator[str]:
    verdict = view.record.verdict
    if verdict is None:
        return
    yield f"verdict: {verdict.decision}"
    for position, reason in enumerate(verdict.reasons[:_TOP], start=1):
        yield f"{position}. {reason.sentence}"
    more = len(verdict.reasons) - _TOP
    if more > 0:
        yield f"and {more} more in the report: rehearse report {view.record.run_id}"


def _signed(view: RunView) -> Iterator[str]:
    for sign_off in view.sign_offs:
        yield f"signed: {sign_off_sentence(sign_off, view.record.verdict)}"


def some_blocks(number: int) -> str:
    """A count of blocks: "1 block"."""
    return f"{count(number)} block{'' if number == 1 else 's'}"


def _table(view: RunView) -> list[str]:
    if not view.series:
        return []
    header = ("side", "series", "requests", "failed", "p50", "p95", "p99")
    rows = [header, *(_row(series) for series in view.series)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return ["", *(_laid_out(row, widths) for row in rows)]


def _row(series: SeriesView) -> tuple[str, ...]:
    name = series.name if series.scope is Scope.ENDPOINT else f"{series.scope} {series.name}"
    failed = share(series.failed / series.requests) if series.requests else "-"
    values = (failed, duration(series.p50_s), duration(series.p95_s), duration(series.p99_s))
    plain = (value.replace("\N{NO-BREAK SPACE}", " ") for value in values)
    return (series.side, shortened(printable(name), _WIDEST), count(series.requests), *plain)


def _laid_out(row: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    cells = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
