"""The data that both sides worked on, as the page shows it: a row for each kind, and how it grew under load."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.model import DataState, Moment, Result, Side
from rehearse.report.units import MISSING, count, share


@dataclass(frozen=True, slots=True)
class Grown:
    """How many rows one side had of one kind, and how many more after the load."""

    before: str
    more: str


@dataclass(frozen=True, slots=True)
class DataRow:
    """One kind of rows on both sides, beside production's."""

    name: str
    baseline: Grown
    candidate: Grown
    of_production: str  # what part of production's the candidate has


@dataclass(frozen=True, slots=True)
class DataTable:
    """All of it."""

    sets: tuple[tuple[Side, str], ...]  # how each side's owner names the set
    rows: tuple[DataRow, ...]


def data_table(result: Result) -> DataTable | None:
    """None when no side said what data it has."""
    if not result.data:
        return None
    states = {(one.side, one.moment): one for one in result.data}
    names = sorted({name for one in result.data for name in one.rows})
    sets = tuple(
        (side, known.data_set)
        for side in Side
        if (known := states.get((side, Moment.BEFORE))) is not None and known.data_set
    )
    return DataTable(sets, tuple(_row(name, states, result.production_rows.get(name)) for name in names))


def _row(name: str, states: dict[tuple[Side, Moment], DataState], production: int | None) -> DataRow:
    baseline, candidate = (_grown(name, *(states.get((side, moment)) for moment in Moment)) for side in Side)
    known = states.get((Side.CANDIDATE, Moment.BEFORE))
    here = None if known is None else known.rows.get(name)
    part = MISSING if production is None or here is None else share(here / production)
    return DataRow(name, baseline, candidate, part)


def _grown(name: str, before: DataState | None, after: DataState | None) -> Grown:
    then = None if before is None else before.rows.get(name)
    now = None if after is None else after.rows.get(name)
    if then is None or now is None:
        return Grown(count(then), MISSING)
    return Grown(count(then), f"{'+' if now > then else ''}{count(now - then)}")
