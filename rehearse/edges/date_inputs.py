"""Instants as texts: those at boundaries, and the ordinary ones that tell a break at a boundary from anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rehearse.instants import Format, Instant, boundary_instants

_ORDINARY = ((5, 12), (9, 18))  # month and day: no end, no beginning, and no clock is changed near them
_NEAR = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class DateInput:
    """One way to write one instant. `why` is empty for an ordinary one."""

    written: str
    why: str = ""
    is_now: bool = False  # now, or a year from now: what the load writes is dated so
    neighbours: tuple[str, ...] = ()  # a few days before and after, in the same format


def inputs_of(
    forms: Sequence[Format], instants: Iterable[Instant] | None = None, now: datetime | None = None
) -> tuple[DateInput, ...]:
    """Every boundary instant as text, each text once, ordinary days of the same years, and `now`."""
    chosen = tuple(boundary_instants() if instants is None else instants)
    years = sorted({instant.wall.year for instant in chosen})
    ordinary = [datetime(year, *day, 10, 20, 30, tzinfo=UTC) for year in years for day in _ORDINARY]
    found: dict[str, DateInput] = {}
    for form in forms:
        for instant in chosen:
            for text in _written(instant.wall, form):
                near = tuple(_near(instant.wall, form))
                found.setdefault(text, DateInput(text, instant.why, neighbours=near))
        for text in (text for wall in ordinary for text in _written(wall, form)):
            found.setdefault(text, DateInput(text))
        for text in (text for wall in _around(now) for text in _written(wall, form)):
            found[text] = replace(found.get(text, DateInput(text)), is_now=True)
    return tuple(found.values())


def _written(wall: datetime, form: Format) -> Iterator[str]:
    text = Instant("", "", wall).written(form)
    if text is not None:
        yield text


def _near(wall: datetime, form: Format) -> Iterator[str]:
    for days in (-_NEAR, _NEAR):
        try:
            shifted = wall + days
        except OverflowError:  # at the end of the calendar
            continue
        yield from _written(shifted, form)


def _around(now: datetime | None) -> Iterator[datetime]:
    """Now, and the same day of the years beside it: reports compare with the year before."""
    if now is None:
        return
    for years in (-1, 0, 1):
        try:
            yield now.replace(year=now.year + years)
        except ValueError:  # 29 February
            yield now + timedelta(days=365 * years)
