"""Boundary instants: hand-known ones are there and right, and what is said of each can be computed back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearse import instants
from rehearse.errors import ConfigError
from rehearse.instants import Format, Instant, boundary_instants, clock_changes, zone_named

INSTANTS = {instant.key: instant for instant in boundary_instants()}
HOUR = timedelta(hours=1)

# From the calendar, RFC 868 and 5905, and the announcements of the time zones; none from this program.
KNOWN_EPOCHS = {
    "1970-01-01T00:00:00 UTC": 0,
    "1969-12-31T23:59:59 UTC": -1,
    "2024-02-29T00:00:00 UTC": 1_709_164_800,
    "2028-02-29T00:00:00 UTC": 1_835_395_200,
    "2036-02-07T06:28:16 UTC": 2_085_978_496,
    "2038-01-19T03:14:07 UTC": 2_147_483_647,
    "2038-01-19T03:14:08 UTC": 2_147_483_648,
    "2100-03-01T00:00:00 UTC": 4_107_542_400,
    "2106-02-07T06:28:15 UTC": 4_294_967_295,
    "2028-01-01T00:00:00 Pacific/Kiritimati": 1_830_247_200,
    "2028-01-01T00:00:00 UTC-12:00": 1_830_340_800,
    "2027-11-07T01:30:00 America/New_York": 1_825_565_400,
    "2027-11-07T01:30:00 America/New_York (the second time)": 1_825_569_000,
}
KNOWN_GAPS = [
    "2027-03-14T02:00:00 America/New_York",
    "2027-03-28T02:30:00 Europe/Berlin",
    "2027-10-03T02:15:00 Australia/Lord_Howe",
    "2024-04-26T00:00:00 Africa/Cairo",
    "2024-03-31T00:30:00 Asia/Beirut",
    "2018-11-04T00:00:00 America/Sao_Paulo",
    "2011-12-30T12:00:00 Pacific/Apia",
]
KNOWN_WEEKS = {
    "2026-12-31": "2026-W53",
    "2027-01-01": "2026-W53",
    "2029-12-31": "2030-W01",
    "2024-12-31": "2025-W01",
}


@pytest.mark.parametrize(("key", "epoch_s"), KNOWN_EPOCHS.items())
def test_a_known_moment_is_there_with_its_count_of_seconds(key: str, epoch_s: int) -> None:
    assert INSTANTS[key].written(Format.EPOCH_S) == str(epoch_s)


@pytest.mark.parametrize("key", KNOWN_GAPS)
def test_what_clocks_skip_does_not_exist_and_is_written_as_a_wall_clock_only(key: str) -> None:
    skipped = INSTANTS[key]
    assert (skipped.exists, skipped.moment) == (False, None)
    assert set(skipped.forms()) == {Format.DATE, Format.NAIVE}
    assert skipped.why.startswith("it does not exist: ")


@pytest.mark.parametrize(("day", "week"), KNOWN_WEEKS.items())
def test_a_day_of_another_years_week_says_which(day: str, week: str) -> None:
    assert INSTANTS[f"{day}T00:00:00 UTC"].why == f"in the ISO calendar it is in {week}"


def test_no_year_that_is_not_a_leap_year_has_its_29_february() -> None:
    leap_days = {
        instant.wall.year
        for instant in INSTANTS.values()
        if instant.wall.month == 2 and instant.wall.day == 29
    }
    assert leap_days == {2000, 2024, 2028}
    assert {"2100-02-28T23:59:59 UTC", "2027-02-28T23:59:59 UTC"} <= set(INSTANTS)


def test_every_month_of_a_year_ends() -> None:
    ends = {
        i.wall.month: i.wall.day
        for i in INSTANTS.values()
        if "last second of" in i.why or "is no leap" in i.why
    }
    assert ends | {2: 28} == {
        1: 31,
        2: 28,
        3: 31,
        4: 30,
        5: 31,
        6: 30,
        7: 31,
        8: 31,
        9: 30,
        10: 31,
        11: 30,
        12: 31,
    }


def test_offsets_go_from_12_hours_west_to_14_hours_east() -> None:
    hours = {(instant.wall.utcoffset() or timedelta(0)) / HOUR for instant in INSTANTS.values()}
    assert set(range(-12, 15)) <= hours
    assert {-3.5, 5.5, 5.75, 8.75, 13.75} <= hours


def test_clocks_that_change_by_half_an_hour_two_hours_at_midnight_and_by_a_day_are_there() -> None:
    shifts = {
        name: {change.shift / HOUR for change in clock_changes(name, year)}
        for name, year in instants.ZONES_WITH_CHANGES
    }
    assert shifts["Australia/Lord_Howe"] == {-0.5, 0.5}
    assert shifts["Antarctica/Troll"] == {-2, 2}
    assert 24 in shifts["Pacific/Apia"]
    at_midnight = {i.zone for i in INSTANTS.values() if not i.exists and i.wall.hour == i.wall.minute == 0}
    assert {
        "Africa/Cairo",
        "Asia/Beirut",
        "America/Havana",
        "America/Santiago",
        "America/Sao_Paulo",
    } <= at_midnight


def test_an_instant_is_written_in_every_format() -> None:
    instant = Instant(
        "k", "why", datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=ZoneInfo("Europe/Berlin"))
    )
    assert instant.forms() == {
        Format.DATE: "2028-02-29",
        Format.NAIVE: "2028-02-29T23:59:59.999999",
        Format.OFFSET: "2028-02-29T23:59:59.999999+01:00",
        Format.ZULU: "2028-02-29T22:59:59.999999Z",
        Format.RFC_3339: "2028-02-29T22:59:59.999Z",
        Format.HTTP: "Tue, 29 Feb 2028 22:59:59 GMT",
        Format.EPOCH_S: "1835477999",
        Format.EPOCH_MS: "1835477999999",
    }


def test_a_moment_before_1970_is_counted_downwards() -> None:
    half_before = Instant("k", "why", datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC))
    assert (half_before.written(Format.EPOCH_S), half_before.written(Format.EPOCH_MS)) == ("-1", "-500")


def test_the_same_instants_come_in_the_same_order() -> None:
    assert boundary_instants() == tuple(INSTANTS.values())


@pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS)
def test_every_format_of_a_moment_reads_back_as_that_moment(instant: Instant) -> None:
    assert instant.why
    assert "\n" not in instant.why
    if (moment := instant.moment) is None:
        return
    written = instant.forms()
    whole = moment.replace(microsecond=0)
    assert set(written) == set(Format)
    assert datetime.fromisoformat(written[Format.OFFSET]) == moment
    assert datetime.fromisoformat(written[Format.ZULU]) == moment
    if moment.year > 99:  # the parser reads year 1 as 2001, as old mail programs wrote it
        assert parsedate_to_datetime(written[Format.HTTP]) == whole
    assert instants.EPOCH + timedelta(seconds=int(written[Format.EPOCH_S])) == whole
    assert instants.EPOCH + timedelta(milliseconds=int(written[Format.EPOCH_MS])) <= moment
    assert (
        datetime.fromisoformat(written[Format.NAIVE]).replace(
            tzinfo=instant.wall.tzinfo, fold=instant.wall.fold
        )
        == instant.wall
    )


@given(zone=st.sampled_from(sorted(available_timezones())), year=st.integers(1975, 2037))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_change_is_where_the_offset_changes_and_its_instants_say_what_happens(zone: str, year: int) -> None:
    for change in clock_changes(zone, year):
        seconds = (change.at - timedelta(seconds=1), change.at)
        assert [moment.astimezone(change.zone).utcoffset() for moment in seconds] == [
            change.before,
            change.after,
        ]
        found = list(change.instants())
        if change.shift > timedelta(0):
            assert [instant.exists for instant in found] == [True, False, False, True]
            assert (found[0].moment, found[3].moment) == seconds
        else:
            first, second, before, after = found
            assert all(instant.exists for instant in found)
            assert first.written(Format.NAIVE) == second.written(Format.NAIVE)
            assert second.moment is not None
            assert first.moment is not None
            assert second.moment - first.moment == -change.shift
            assert (before.moment, after.moment) == seconds


def test_a_zone_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"no 'Europe/Nowhere'\. Install it: `pip install tzdata`"):
        clock_changes("Europe/Nowhere", 2027)
    with pytest.raises(ConfigError, match="Install it"):
        zone_named("../etc/passwd")


def test_without_a_time_zone_database_there_are_no_instants(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(f"No time zone found with key {name}")

    monkeypatch.setattr(instants, "ZoneInfo", missing)
    with pytest.raises(ConfigError, match="pip install tzdata"):
        boundary_instants()
