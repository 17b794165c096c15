"""Server-side series as the page shows them: a picture of each, and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.judge.wording import quantity
from rehearse.model import Result, SeriesCurve, Side
from rehearse.report.charts import NARROW, WIDE, LineChart, series_chart


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One side in numbers."""

    side: Side
    points: int
    first: str
    last: str
    lowest: str
    highest: str


@dataclass(frozen=True, slots=True)
class SeriesPicture:
    """One series of both sides."""

    name: str
    charts: tuple[LineChart, ...]
    rows: tuple[SeriesRow, ...]


def series_pictures(result: Result) -> tuple[SeriesPicture, ...]:
    """In the order of the configuration."""
    names = dict.fromkeys(curve.name for curve in result.series)
    return tuple(_picture(name, [curve for curve in result.series if curve.name == name]) for name in names)


def _picture(name: str, curves: list[SeriesCurve]) -> SeriesPicture:
    charts = tuple(chart for frame in (WIDE, NARROW) if (chart := series_chart(curves, frame)) is not None)
    return SeriesPicture(name, charts, tuple(map(_row, curves)))


def _row(curve: SeriesCurve) -> SeriesRow:
    values = [value for _, value in curve.points]
    told = [quantity(value, curve.unit) for value in (values[0], values[-1], min(values), max(values))]
    return SeriesRow(curve.side, len(values), *told)
