"""Four pictures as plain geometry: changes with their intervals, latency over time, percentile curves, capacity.

Templates turn the geometry into SVG; each picture is drawn twice, for wide pages and for phones, because text
inside an SVG does not reflow. Whatever a picture shows, a table beside it says in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from rehearse.judge.wording import quantity
from rehearse.model import CapacityStep, Curve, Outcome, SeriesCurve, Side, TimelinePoint
from rehearse.report.ranking import Row, turned
from rehearse.report.scales import Scale, linear_ticks, log_ticks
from rehearse.report.units import brief, change, duration, length, percentile, rate
from rehearse.report.visible import shortened

MAX_POINTS = 600
MAX_FOREST_ROWS = 30
_FEW_POINTS = 60  # up to here each point gets a mark of its own
_ARROW = 12  # pixels that an estimate keeps from the edge: there is the arrow of what does not fit
_KEY_SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a drawing and the edges of its plot area, in pixels."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, low: float, high: float, is_log: bool = False) -> Scale:
        """A scale from the left edge to the right edge."""
        return Scale(low, high, self.left, self.right, is_log)

    def y(self, low: float, high: float, is_log: bool = False) -> Scale:
        """A scale from the bottom edge up to the top edge."""
        return Scale(low, high, self.bottom, self.top, is_log)


WIDE = Frame("wide", 960, 330, 76, 820, 16, 280)
NARROW = Frame("narrow", 358, 260, 56, 334, 12, 212)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series: `path` is SVG path data, `marks` its points when they are few."""

    side: Side
    weight: str  # "thin" or "thick"
    path: str
    marks: tuple[tuple[float, float], ...]
    label: str
    label_y: float


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over two axes; `discarded` holds the positions of blocks that the rig spoiled."""

    frame: Frame
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    discarded: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One cell: its estimate, its interval and its margin. An end that does not fit gets an arrow."""

    y: float
    outcome: Outcome
    label: str
    numbers: str
    at: float
    low: float
    high: float
    margin: float | None
    is_low_cut: bool
    is_high_cut: bool


@dataclass(frozen=True, slots=True)
class Forest:
    """Changes of cells of one unit on a common axis; zero is "the same"."""

    frame: Frame
    ticks: tuple[Tick, ...]
    zero: float
    rows: tuple[ForestRow, ...]


# --- latency over time --------------------------------------------------------------------------------------------


def downsampled(points: Sequence[TimelinePoint], limit: int = MAX_POINTS) -> tuple[TimelinePoint, ...]:
    """At most `limit` points; each stands for its neighbours with the highest values among them."""
    if len(points) <= limit:
        return tuple(points)
    edges = [position * len(points) // limit for position in range(limit + 1)]
    return tuple(_highest(points[start:end]) for start, end in pairwise(edges))


def _highest(points: Sequence[TimelinePoint]) -> TimelinePoint:
    first = points[0]
    return TimelinePoint(
        side=first.side,
        at_s=first.at_s,
        p50_s=max((point.p50_s for point in points if point.p50_s is not None), default=None),
        p95_s=max((point.p95_s for point in points if point.p95_s is not None), default=None),
        error_ratio=max(point.error_ratio for point in points),
        is_discarded=any(point.is_discarded for point in points),
    )


def latency_chart(timeline: Sequence[TimelinePoint], frame: Frame) -> LineChart | None:
    """p50 and p95 of both sides over the measured load; None when nothing was answered."""
    values = [value for point in timeline for value in (point.p50_s, point.p95_s) if _is_drawable(value)]
    if not values:
        return None
    x = frame.x(0, max(max(point.at_s for point in timeline), 1))
    y = frame.y(0, max(value for value in values if value is not None) * 1.08 or 1)
    sides = {side: [point for point in timeline if point.side is side] for side in Side}
    lines = [
        _line(side, weight, name, [(x(point.at_s), _placed(y, pick(point))) for point in sides[side]])
        for side in Side
        for weight, name, pick in (("thin", "p50", _p50), ("thick", "p95", _p95))
    ]
    return LineChart(
        frame,
        x_ticks=_ticks(x, linear_ticks(x.low, x.high, 6 if frame is WIDE else 3), length),
        y_ticks=_ticks(y, linear_ticks(y.low, y.high, 5), duration),
        lines=_spread(line for line in lines if line is not None),
        discarded=tuple(sorted({x(point.at_s) for point in timeline if point.is_discarded})),
    )


def _p50(point: TimelinePoint) -> float | None:
    return point.p50_s


def _p95(point: TimelinePoint) -> float | None:
    return point.p95_s


# --- percentile curves --------------------------------------------------------------------------------------------


def percentile_chart(curves: Sequence[Curve], frame: Frame) -> LineChart | None:
    """Latency against the share of requests, both logarithmic: towards the tail there is more room."""
    drawn = {curve.side: [point for point in curve.points if _is_drawable(point[1])] for curve in curves}
    points = [point for some_points in drawn.values() for point in some_points]
    if not points:
        return None
    x = frame.x(1, max(_nines(max(share for share, _ in points)), 10), is_log=True)
    lowest, highest = min(value for _, value in points), max(value for _, value in points)
    y = frame.y(max(lowest * 0.8, 1e-6), max(highest * 1.25, 1e-5), is_log=True)
    lines = [
        _line(side, "thick", "", [(x(_nines(share)), y(value)) for share, value in drawn[side]])
        for side in Side
        if side in drawn
    ]
    return LineChart(
        frame,
        x_ticks=_percentile_ticks(x, frame),
        y_ticks=_ticks(y, log_ticks(y.low, y.high), duration),
        lines=_spread(line for line in lines if line is not None),
    )


def _percentile_ticks(x: Scale, frame: Frame) -> tuple[Tick, ...]:
    shares = _KEY_SHARES if frame is WIDE else _KEY_SHARES[1:]
    return tuple(Tick(x(_nines(share)), percentile(share)) for share in shares if _nines(share) <= x.high)


def _nines(share: float) -> float:
    """1 / (1 - share): the axis of a percentile curve, 10 at p90 and 100 at p99."""
    return 1 / max(1 - share, 1e-7)


# --- capacity -----------------------------------------------------------------------------------------------------


def capacity_chart(steps: Sequence[CapacityStep], frame: Frame) -> LineChart | None:
    """What each side completed of what its staircase offered: the line that bends shows how much it can take."""
    staircases = [step for step in steps if step.turn == 0]
    most = max((step.completed_per_s for step in staircases), default=0.0)
    if not most:
        return None
    x, y = frame.x(0, max(step.offered_per_s for step in staircases) * 1.02), frame.y(0, most * 1.2)
    lines = [
        _line(
            side,
            "thick",
            "",
            [(x(step.offered_per_s), y(step.completed_per_s)) for step in staircases if step.side is side],
        )
        for side in Side
    ]
    return LineChart(
        frame,
        x_ticks=_ticks(x, linear_ticks(x.low, x.high, 6 if frame is WIDE else 3), rate),
        y_ticks=_ticks(y, linear_ticks(y.low, y.high, 5), rate),
        lines=_spread(line for line in lines if line is not None),
    )


# --- server-side series -------------------------------------------------------------------------------------------


def series_chart(curves: Sequence[SeriesCurve], frame: Frame) -> LineChart | None:
    """One server-side series of both sides over the measured load, from zero: a leak is a line that rises."""
    values = [value for curve in curves for _, value in curve.points if _is_drawable(value)]
    if not values:
        return None
    x = frame.x(0, max(max(at_s for curve in curves for at_s, _ in curve.points), 1))
    y = frame.y(min(0.0, *values), max(values) * 1.08 or 1)
    lines = [
        _line(curve.side, "thick", "", [(x(at_s), _placed(y, value)) for at_s, value in curve.points])
        for curve in curves
    ]
    return LineChart(
        frame,
        x_ticks=_ticks(x, linear_ticks(x.low, x.high, 6 if frame is WIDE else 3), length),
        y_ticks=_ticks(y, linear_ticks(y.low, y.high, 5), lambda value: quantity(value, curves[0].unit)),
        lines=_spread(line for line in lines if line is not None),
    )


# --- all line charts ---------------------------------------------------------------------------------------------


def _is_drawable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _placed(scale: Scale, value: float | None) -> float | None:
    return scale(value) if value is not None and math.isfinite(value) else None


def _ticks(scale: Scale, values: Iterable[float], say: Callable[[float], str]) -> tuple[Tick, ...]:
    return tuple(Tick(scale(value), brief(say(value))) for value in values)


def _line(side: Side, weight: str, name: str, points: Sequence[tuple[float, float | None]]) -> Line | None:
    """A line with gaps where there is no value; None when there is not one value."""
    placed = [(x, y) for x, y in points if y is not None]
    if not placed:
        return None
    marks = tuple(placed) if len(placed) <= _FEW_POINTS else ()
    return Line(side, weight, _path(points), marks, f"{side} {name}".rstrip(), placed[-1][1])


def _path(points: Iterable[tuple[float, float | None]]) -> str:
    """SVG path data. A lone point becomes a line of no length, which round caps turn into a dot."""
    parts: list[str] = []
    is_pen_down = False
    for x, y in points:
        if y is not None:
            parts.append(f"L{x:g} {y:g}" if is_pen_down else f"M{x:g} {y:g}h0")
        is_pen_down = y is not None
    return "".join(parts)


def _spread(lines: Iterable[Line], gap: float = 15) -> tuple[Line, ...]:
    """The same lines with labels moved apart so that none covers another."""
    placed: list[Line] = []
    for line in sorted(lines, key=lambda line: line.label_y):
        lowest = placed[-1].label_y + gap if placed else line.label_y
        placed.append(replace(line, label_y=max(line.label_y, lowest)))
    return tuple(placed)


# --- forest plot --------------------------------------------------------------------------------------------------


def forest(rows: Sequence[Row], frame: Frame) -> Forest | None:
    """The worst cells of one kind; None when no change could be estimated."""
    drawn = [row for row in rows if _is_drawable(row.judgement.change)][:MAX_FOREST_ROWS]
    if not drawn:
        return None
    sized, pitch = _forest_frame(frame, len(drawn))
    x = sized.x(*_extent(drawn))
    unit, wanted = drawn[0].judgement.cell.unit, 6 if frame is WIDE else 5
    return Forest(
        sized,
        ticks=_ticks(x, linear_ticks(x.low, x.high, wanted), lambda value: change(value, unit)),
        zero=x(0),
        rows=tuple(
            _forest_row(row, x, sized.top + pitch * (position + 0.5), frame is WIDE)
            for position, row in enumerate(drawn)
        ),
    )


def _forest_frame(frame: Frame, rows: int) -> tuple[Frame, int]:
    """A frame that is as high as its rows need, and the height of a row; on phones names stand above intervals."""
    pitch, left, right = (28, 330, 720) if frame is WIDE else (46, 14, 344)
    bottom = frame.top + pitch * rows
    return Frame(frame.name, frame.width, bottom + 48, left, right, frame.top, bottom), pitch


def _extent(rows: Sequence[Row]) -> tuple[float, float]:
    """The axis: every margin, and as much of estimates and intervals as does not squeeze the rest."""
    changes = _finite(row.judgement.change for row in rows)
    margins = _finite(turned(row.judgement, row.judgement.margin) for row in rows)
    ends = _finite(value for row in rows for value in (row.judgement.low, row.judgement.high))
    size = _usual_size([abs(value) for value in changes], [abs(value) for value in margins])
    low = max(min([*ends, *changes, *margins, -0.25 * size]), -2 * size)
    high = min(max([*ends, *changes, *margins, 0.25 * size]), 2 * size)
    return low * 1.06, high * 1.06


def _usual_size(changes: Sequence[float], margins: Sequence[float]) -> float:
    """The largest change, unless it would make margins and most other changes too small to see."""
    largest_margin = max(margins, default=0.0)
    usual = max(4 * largest_margin, 2 * median(changes))
    return max(min(max(changes), usual), largest_margin) or 0.01


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _forest_row(row: Row, x: Scale, y: float, is_wide: bool) -> ForestRow:
    judgement = row.judgement
    unit, estimate = judgement.cell.unit, judgement.change or 0.0
    low = estimate if judgement.low is None else judgement.low
    high = estimate if judgement.high is None else judgement.high
    margin = turned(judgement, judgement.margin)
    return ForestRow(
        y=y,
        outcome=judgement.outcome,
        label=shortened(judgement.cell.label, 40 if is_wide else 32),
        numbers=_forest_numbers(judgement.change, margin, unit, is_wide),
        at=min(max(x(estimate), x.start + _ARROW), x.end - _ARROW),
        low=x(low),
        high=x(high),
        margin=None if margin is None else x(margin),
        is_low_cut=low < x.low,
        is_high_cut=high > x.high,
    )


def _forest_numbers(estimate: float | None, margin: float | None, unit: str, is_wide: bool) -> str:
    text = change(estimate, unit)
    return f"{text}, margin {brief(change(margin, unit))}" if is_wide and margin is not None else text
