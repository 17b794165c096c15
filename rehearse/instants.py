"""Moments at which programs that calculate with dates go wrong, computed from the calendar and the time zone database.

No clock is read: the same time zone database gives the same instants, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rehearse.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

# What each zone shows. Governments change future rules at short notice, so the odd ones are years of the past.
ZONES_WITH_CHANGES = (
    ("America/New_York", 2027),
    ("Europe/Berlin", 2027),
    ("Australia/Lord_Howe", 2027),  # by half an hour
    ("Antarctica/Troll", 2027),  # by two hours
    ("Africa/Cairo", 2024),  # at midnight
    ("Asia/Beirut", 2024),  # at midnight
    ("America/Havana", 2024),  # at midnight
    ("America/Santiago", 2024),  # at midnight
    ("America/Sao_Paulo", 2018),  # at midnight
    ("Pacific/Apia", 2011),  # by a whole day
)
ODD_ZONES = (
    ("America/St_Johns", "-03:30"),
    ("Asia/Kolkata", "+05:30"),
    ("Asia/Kathmandu", "+05:45"),
    ("Australia/Eucla", "+08:45"),
    ("Pacific/Chatham", "+13:45"),
    ("Pacific/Kiritimati", "+14:00"),
)
WHOLE_HOUR_OFFSETS = range(-12, 15)


class Format(StrEnum):
    """How an instant can be written."""

    DATE = "date"  # 2028-02-29
    NAIVE = "naive"  # 2028-02-29T23:59:59, of whichever zone the reader thinks
    OFFSET = "offset"  # 2028-02-29T23:59:59+01:00
    ZULU = "zulu"  # 2028-02-29T22:59:59Z
    RFC_3339 = "rfc 3339"  # 2028-02-29T22:59:59.000Z, as JavaScript writes it
    HTTP = "http"  # Tue, 29 Feb 2028 22:59:59 GMT
    EPOCH_S = "epoch s"  # 1835477999
    EPOCH_MS = "epoch ms"  # 1835477999000


_OF_A_WALL_CLOCK = {Format.DATE, Format.NAIVE}


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment, as a clock on a wall of its zone shows it (`wall`, aware, `fold` 1 when it shows it again)."""

    key: str  # "2028-02-29T00:00:00 UTC": unique, and the same in every run
    why: str  # why it is special, in one sentence
    wall: datetime

    @property
    def zone(self) -> str:
        """ "Europe/Berlin", "UTC", "UTC+14:00"."""
        return str(self.wall.tzinfo)

    @property
    def exists(self) -> bool:
        """False when clocks skip it: then no moment is shown so."""
        return _exists(self.wall)

    @property
    def moment(self) -> datetime | None:
        """In UTC; None when it does not exist."""
        return self.wall.astimezone(UTC) if self.exists else None

    def written(self, form: Format) -> str | None:
        """In one format; None in those that name a moment, when there is none."""
        if form in _OF_A_WALL_CLOCK:
            naive = self.wall.replace(tzinfo=None, fold=0)
            return str(naive.date()) if form is Format.DATE else naive.isoformat()
        moment = self.moment
        return None if moment is None else _written(form, moment, self.wall)

    def forms(self) -> dict[Format, str]:
        """Every format in which it can be written."""
        return {form: text for form in Format if (text := self.written(form)) is not None}


def _written(form: Format, moment: datetime, wall: datetime) -> str:
    whole_ms = (moment - EPOCH) // timedelta(milliseconds=1)
    utc = moment.replace(tzinfo=None)
    match form:
        case Format.OFFSET:
            return wall.isoformat()
        case Format.ZULU:
            return f"{utc.isoformat()}Z"
        case Format.RFC_3339:
            return f"{utc.isoformat(timespec='milliseconds')}Z"
        case Format.HTTP:
            return format_datetime(moment.replace(microsecond=0), usegmt=True)
        case Format.EPOCH_S:
            return str(whole_ms // 1_000)
        case _:
            return str(whole_ms)


def _exists(wall: datetime) -> bool:
    there_and_back = wall.astimezone(UTC).astimezone(wall.tzinfo)
    return there_and_back.replace(tzinfo=None) == wall.replace(tzinfo=None)


def boundary_instants() -> tuple[Instant, ...]:
    """All of them, each once. Raises ConfigError where the time zone database is missing."""
    found: dict[str, Instant] = {}
    for instant in (*_of_the_calendar(), *_of_counters(), *_of_offsets(), *_of_clock_changes()):
        found.setdefault(instant.key, instant)
    return tuple(found.values())


def _instant(wall: datetime, why: str) -> Instant:
    again = " (the second time)" if wall.fold else ""
    return Instant(f"{wall.replace(tzinfo=None, fold=0).isoformat()} {wall.tzinfo}{again}", why, wall)


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day, ...


# --- the calendar -----------------------------------------------------------------------------------------------


def _of_the_calendar() -> Iterator[Instant]:
    yield from _leap_days()
    yield from _year_ends(2027)
    yield from _month_ends(2027)
    yield from _week_years(range(2024, 2031))


def _leap_days() -> Iterator[Instant]:
    leap_day = "29 February is a day that the year before and the year after do not have"
    yield _instant(_utc(2028, 2, 28, 23, 59, 59), "the next second is 29 February: 2028 is a leap year")
    for clock in ((), (12,), (23, 59, 59)):
        yield _instant(_utc(2028, 2, 29, *clock or (0,)), leap_day)
    yield _instant(_utc(2024, 2, 29), leap_day)
    yield _instant(_utc(2000, 2, 29), "2000 is a leap year, though it is a whole century: 400 divides it")
    yield _instant(_utc(2028, 3, 1), "a year after 1 March 2027 is 366 days later")
    yield _instant(_utc(2028, 12, 31), "day 366 of the year")
    for year in (2027, 2100):
        rule = (
            "is no leap year"
            if year == 2027
            else "is no leap year, though 4 divides it: it is a whole century"
        )
        yield _instant(_utc(year, 2, 28, 23, 59, 59), f"the next second is 1 March: {year} {rule}")
        yield _instant(_utc(year, 3, 1), f"the day before is 28 February: {year} {rule}")


def _year_ends(year: int) -> Iterator[Instant]:
    yield _instant(_utc(year, 12, 31, 23, 59, 59), "the last second of a year")
    yield _instant(_utc(year, 12, 31, 23, 59, 59, 999_999), "rounded to a second, it is in the next year")
    yield _instant(_utc(year + 1, 1, 1), "the first moment of a year")


def _month_ends(year: int) -> Iterator[Instant]:
    for month in range(1, 13):
        last = (_utc(year, month, 28) + 4 * DAY).replace(day=1) - SECOND
        yield _instant(last, f"the last second of a month of {last.day} days")
    for month in (1, 3, 5, 8, 10):
        yield _instant(_utc(year, month, 31), "the next month has no day 31")


def _week_years(years: range) -> Iterator[Instant]:
    """Days whose week belongs to another year: formatted with %G or YYYY, they are a year off."""
    for year in years:
        for day in (date(year, 12, 31), date(year + 1, 1, 1)):
            week_year, week, _ = day.isocalendar()
            if week_year != day.year or week == 53:
                yield _instant(
                    _utc(day.year, day.month, day.day), f"in the ISO calendar it is in {week_year}-W{week:02}"
                )


# --- counters that overflow -------------------------------------------------------------------------------------


def _of_counters() -> Iterator[Instant]:
    yield _instant(EPOCH - SECOND, "the second before a count of seconds begins: it is -1")
    yield _instant(EPOCH, "a count of seconds is 0, which many programs take for no date")
    yield from _overflow(EPOCH + timedelta(seconds=10**9), "a count of seconds gets its tenth digit")
    yield from _overflow(EPOCH + timedelta(seconds=2**31), "a signed 32-bit count of seconds overflows")
    yield from _overflow(EPOCH + timedelta(seconds=2**32), "an unsigned 32-bit count of seconds overflows")
    yield from _overflow(_utc(1900, 1, 1) + timedelta(seconds=2**32), "the first era of NTP ends")
    yield _instant(_utc(1900, 2, 28), "Excel has a 29 February after it, which never was")
    yield _instant(_utc(9999, 12, 31, 23, 59, 59), "the last second that four digits of a year can name")
    yield _instant(
        _utc(1, 1, 1), "the first day that Python and .NET can name, and what .NET takes for no date"
    )


def _overflow(at: datetime, why: str) -> Iterator[Instant]:
    yield _instant(at - SECOND, f"in the next second {why}")
    yield _instant(at, why)


# --- offsets ----------------------------------------------------------------------------------------------------


def _of_offsets() -> Iterator[Instant]:
    """New Year as each zone has it: far from Greenwich it is still, or already, another year in UTC."""
    for hours in WHOLE_HOUR_OFFSETS:
        if hours:
            yield _new_year(timezone(timedelta(hours=hours)))
    for name, offset in ODD_ZONES:
        yield _new_year(zone_named(name), f" ({offset})")


def _new_year(zone: tzinfo, offset: str = "") -> Instant:
    wall = datetime(2028, 1, 1, tzinfo=zone)
    utc = wall.astimezone(UTC)
    why = f"New Year in {zone}{offset}: in UTC it is {utc:%Y-%m-%d %H:%M}"
    return _instant(wall, why)


# --- clocks that are changed ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A moment at which a zone's clocks are put forward (a gap) or back (a fold)."""

    zone: ZoneInfo
    at: datetime  # UTC: the first moment of the new offset
    before: timedelta  # offsets from UTC
    after: timedelta

    @property
    def shift(self) -> timedelta:
        """How far forward; negative when back."""
        return self.after - self.before

    def instants(self) -> Iterator[Instant]:
        """The last second before, what is skipped or shown twice, and the first moment after."""
        old, new = (self.at.replace(tzinfo=None) + offset for offset in (self.before, self.after))
        size = f"{abs(self.shift) / timedelta(hours=1):g} h"
        if self.shift > timedelta(0):
            yield self._at(old - SECOND, f"the next second the clocks are put forward by {size}")
            yield self._at(old, f"it does not exist: clocks are put forward by {size} at this moment")
            yield self._at(old + self.shift / 2, f"it does not exist: clocks skip {size} around it")
            yield self._at(new, f"the first moment after the clocks were put forward by {size}")
        else:
            twice = f"clocks show it twice: they are put back by {size}"
            middle = new - self.shift / 2
            yield self._at(middle, f"{twice}; this is the first time")
            yield self._at(middle, f"{twice}; this is the second time", fold=1)
            yield self._at(old - SECOND, f"the next second the clocks are put back by {size}")
            yield self._at(new, f"the first moment after the clocks were put back by {size}", fold=1)

    def _at(self, naive: datetime, why: str, fold: int = 0) -> Instant:
        return _instant(naive.replace(tzinfo=self.zone, fold=fold), why)


def clock_changes(zone_name: str, year: int) -> tuple[ClockChange, ...]:
    """Every change of a zone's offset in a year (of UTC), in order. Raises ConfigError for an unknown zone."""
    zone = zone_named(zone_name)
    days = [_utc(year, 1, 1) + number * DAY for number in range(367)]
    return tuple(
        _change_between(zone, *neighbours)
        for neighbours in pairwise(days)
        if _offset(zone, neighbours[0]) != _offset(zone, neighbours[1])
    )


def _change_between(zone: ZoneInfo, old: datetime, new: datetime) -> ClockChange:
    """Halves until the second: no zone changes twice in a day."""
    before, after = _offset(zone, old), _offset(zone, new)
    while new - old > SECOND:
        middle = old + (new - old) // 2 // SECOND * SECOND
        if _offset(zone, middle) == before:
            old = middle
        else:
            new = middle
    return ClockChange(zone, new, before, after)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _of_clock_changes() -> Iterator[Instant]:
    for name, year in ZONES_WITH_CHANGES:
        for change in clock_changes(name, year):
            yield from change.instants()


def zone_named(name: str) -> ZoneInfo:
    """A zone of the time zone database. Raises ConfigError with what to do where it is missing."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"the time zone database has no {name!r}. Install it: `pip install tzdata`, or your system's tzdata"
        ) from error
