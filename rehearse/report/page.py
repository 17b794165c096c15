"""What the page shows, in its order: a `Result` sorted, grouped and counted, but not yet formatted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearse.model import (
    Curve,
    ErrorKind,
    Finding,
    Metric,
    Mode,
    Outcome,
    Result,
    Scope,
    Side,
    TimelinePoint,
)
from rehearse.report.board import (
    DecisionBox,
    Labelled,
    Quality,
    Version,
    compared,
    decision_box,
    quality,
    versions,
)
from rehearse.report.charts import (
    NARROW,
    WIDE,
    Forest,
    LineChart,
    capacity_chart,
    downsampled,
    forest,
    latency_chart,
    percentile_chart,
)
from rehearse.report.checked import CheckTable, check_table
from rehearse.report.contract import ChangedAnswer, changed_answers
from rehearse.report.cutover import ExitPage, exit_page
from rehearse.report.data import DataTable, data_table
from rehearse.report.edges import EdgeTable, edge_table
from rehearse.report.headline import (
    Caution,
    CellCounts,
    TopReason,
    cautions,
    cell_counts,
    check_anchors,
    next_step,
    partial_note,
    some,
    top_reasons,
    why,
)
from rehearse.report.ranking import Row, Split, ranked, split
from rehearse.report.series import SeriesPicture, series_pictures
from rehearse.report.signed import Signed, signed_of, stage_sentences
from rehearse.report.units import duration, percentile

_CURVES_SHOWN = 13  # the whole scenario, and a dozen endpoints
_KINDS_OF_CHANGE = (
    ("Latency", {Metric.P50, Metric.P95, Metric.P99}, "faster than the baseline ← 0 → slower, worse"),
    ("Error ratio", {Metric.ERROR_RATIO}, "fewer errors than the baseline ← 0 → more, worse"),
    ("Completed ratio", {Metric.COMPLETED_RATIO}, "less completed than the baseline, worse ← 0 → more"),
    ("Capacity", {Metric.CAPACITY}, "less than the baseline can take, worse ← 0 → more"),
    ("Server-side level", {Metric.LEVEL}, "less than the baseline ← 0 → more, worse"),
    ("Server-side growth", {Metric.GROWTH}, "rises less than the baseline's ← 0 → more, worse"),
)


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its place on the page and, when it is about a cell or a check, the place of that."""

    anchor: str
    kind: str  # "reason" or "warning"
    finding: Finding
    cell_anchor: str | None

    @property
    def is_remark(self) -> bool:
        """A warning that something was not decided (only watched, assumed), not that something was found."""
        return self.kind == "warning" and self.finding.outcome is Outcome.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Moment:
    """What both sides did at one moment of the measured load."""

    at_s: float
    baseline: TimelinePoint | None
    candidate: TimelinePoint | None

    @property
    def is_discarded(self) -> bool:
        """True when the judge did not use it."""
        return any(point.is_discarded for point in (self.baseline, self.candidate) if point is not None)


@dataclass(frozen=True, slots=True)
class Picture:
    """The changes of the cells of one kind: drawn as far as they fit, and all of them as rows."""

    anchor: str
    name: str
    worse: str  # which direction is worse, in words
    charts: tuple[Forest, ...]
    left_out: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The percentile curves of one series, as pictures and as rows of (percentile, baseline, candidate)."""

    anchor: str
    name: str
    is_total: bool
    counts: tuple[Labelled, ...]
    charts: tuple[LineChart, ...]
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """Failures of one kind, and in a word which side has more of them."""

    kind: ErrorKind
    compared: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the templates print."""

    result: Result
    why: str
    reasons: tuple[TopReason, ...]
    more_reasons: int
    next_step: str
    partial_note: str | None
    cautions: tuple[Caution, ...]
    compared: tuple[Labelled, ...]
    versions: tuple[Version, ...]
    counts: CellCounts
    new_errors: int
    quality: tuple[Quality, ...]
    decision: DecisionBox
    signed: tuple[Signed, ...]
    stages: tuple[str, ...]
    checks: CheckTable | None
    edges: EdgeTable | None
    exit: ExitPage | None
    cells: Split
    changes: tuple[Picture, ...]
    latency: tuple[LineChart, ...]
    moments: tuple[Moment, ...]
    is_thinned: bool
    capacity: tuple[LineChart, ...]
    percentiles: tuple[Percentiles, ...]
    curves_shown: int  # of these; the rest is folded away
    errors: tuple[ErrorRow, ...]
    contract: tuple[ChangedAnswer, ...]
    data: DataTable | None
    series: tuple[SeriesPicture, ...]
    findings: tuple[FindingRow, ...]
    remarks: tuple[FindingRow, ...]
    blind_spots: tuple[str, ...]
    unit_of_n: str

    @property
    def warnings(self) -> int:
        """How many warnings say that something was found."""
        return sum(row.kind == "warning" for row in self.findings)


def page_of(result: Result) -> Page:
    """The page of `result`: everything is there, the worst first."""
    rows = ranked(result.verdict)
    reasons, findings = top_reasons(result, rows), _findings(result, rows)
    points = tuple(
        point for side in Side for point in downsampled([p for p in result.timeline if p.side is side])
    )
    return Page(
        result=result,
        why=why(result),
        reasons=reasons,
        more_reasons=max(0, len(result.verdict.reasons) - len(reasons)),
        next_step=next_step(result),
        partial_note=partial_note(result),
        cautions=cautions(result),
        compared=compared(result),
        versions=versions(result.sides),
        counts=cell_counts(result),
        new_errors=sum(kind.baseline == 0 < kind.candidate for kind in result.error_kinds),
        quality=quality(result),
        decision=decision_box(result.exit_plan),
        signed=signed_of(result.sign_offs, result.verdict),
        stages=stage_sentences(result.stages),
        checks=check_table(result),
        edges=edge_table(result),
        exit=exit_page(result),
        cells=split(rows, result.verdict.decision),
        changes=_changes(rows),
        latency=_both(latency_chart(points, frame) for frame in (WIDE, NARROW)),
        moments=_moments(points),
        is_thinned=len(points) < len(result.timeline),
        capacity=_both(capacity_chart(result.capacity, frame) for frame in (WIDE, NARROW)),
        percentiles=_percentiles(result.curves),
        curves_shown=_CURVES_SHOWN,
        errors=_errors(result.error_kinds),
        contract=changed_answers(result.verdict.contract),
        data=data_table(result),
        series=series_pictures(result),
        findings=tuple(finding for finding in findings if not finding.is_remark),
        remarks=tuple(finding for finding in findings if finding.is_remark),
        blind_spots=_blind_spots(result),
        unit_of_n="pairs of blocks" if result.mode is Mode.PAIRED else "blocks",
    )


def _both(charts: Iterable[LineChart | None]) -> tuple[LineChart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _changes(rows: Sequence[Row]) -> tuple[Picture, ...]:
    """One picture for each kind of metric that was judged: their scales have nothing in common."""
    found: list[Picture] = []
    for name, metrics, worse in _KINDS_OF_CHANGE:
        cells = tuple(row for row in rows if row.judgement.cell.metric in metrics)
        charts = tuple(chart for frame in (WIDE, NARROW) if (chart := forest(cells, frame)) is not None)
        left_out = len(cells) - len(charts[0].rows) if charts else 0
        if cells:
            found.append(Picture(f"change-{len(found) + 1}", name, worse, charts, left_out, cells))
    return tuple(found)


def _moments(points: Sequence[TimelinePoint]) -> tuple[Moment, ...]:
    """The points of both sides, side by side, in the order of time."""
    sides = {side: {point.at_s: point for point in points if point.side is side} for side in Side}
    times = sorted({point.at_s for point in points})
    return tuple(Moment(at, sides[Side.BASELINE].get(at), sides[Side.CANDIDATE].get(at)) for at in times)


def _percentiles(curves: Sequence[Curve]) -> tuple[Percentiles, ...]:
    """The scenario total first, then the series in the order they came in."""
    grouped: dict[tuple[Scope, str], list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: curve.scope is not Scope.SCENARIO):
        grouped.setdefault((curve.scope, curve.name), []).append(curve)
    return tuple(
        Percentiles(
            anchor=f"curve-{position}",
            name=name,
            is_total=scope is Scope.SCENARIO,
            counts=tuple(Labelled(curve.side, some(curve.count, "answer")) for curve in group),
            charts=_both(percentile_chart(group, frame) for frame in (WIDE, NARROW)),
            rows=_percentile_rows(group),
        )
        for position, ((scope, name), group) in enumerate(grouped.items(), start=1)
    )


def _percentile_rows(group: Sequence[Curve]) -> tuple[tuple[str, str, str], ...]:
    values = {curve.side: dict(curve.points) for curve in group}
    baseline, candidate = values.get(Side.BASELINE, {}), values.get(Side.CANDIDATE, {})
    shares = sorted({*baseline, *candidate})
    return tuple((percentile(at), duration(baseline.get(at)), duration(candidate.get(at))) for at in shares)


def _errors(kinds: Iterable[ErrorKind]) -> tuple[ErrorRow, ...]:
    ordered = sorted(kinds, key=lambda kind: (kind.baseline - kind.candidate, kind.name, kind.kind))
    return tuple(ErrorRow(kind, _more_on(kind)) for kind in ordered)


def _more_on(kind: ErrorKind) -> str:
    if kind.baseline == kind.candidate:
        return "the same"
    side, other = (
        ("candidate", kind.baseline) if kind.candidate > kind.baseline else ("baseline", kind.candidate)
    )
    return f"{'more' if other else 'only'} on the {side}"


def _findings(result: Result, rows: Sequence[Row]) -> tuple[FindingRow, ...]:
    cells = {row.judgement.cell.label: row.anchor for row in reversed(rows)} | check_anchors(result)
    reasons, warnings = result.verdict.reasons, result.verdict.warnings
    kinds = ["reason"] * len(reasons) + ["warning"] * len(warnings)
    return tuple(
        FindingRow(f"finding-{position}", kind, finding, cells.get(finding.subject))
        for position, (kind, finding) in enumerate(zip(kinds, reasons + warnings, strict=True), start=1)
    )


def _blind_spots(result: Result) -> tuple[str, ...]:
    """What the report cannot tell, without the assumptions: the page lists those by themselves."""
    assumed = result.verdict.assumptions
    return tuple(spot for spot in result.blind_spots if not any(spot.endswith(term) for term in assumed))
