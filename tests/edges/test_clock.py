"""A clock that passes a boundary: only answers that the target's own clock dates count, and only on both sides."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rehearse.codec import from_bytes, to_bytes
from rehearse.edges import clock
from rehearse.edges.clock import ClockSeen, read_instant, ruled, shifted_start, with_answer
from rehearse.edges.dates import EVERYTHING, Comparing, DateAnswer
from rehearse.edges.pulse import PulseSeen
from rehearse.errors import NotReady
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord

PLANNED = EdgeRecord("midnight", EdgeFamily.DATE, "It stopped at midnight.")
BOUNDARY = datetime(2028, 2, 29, tzinfo=UTC)
TODAY_PATH = "/report"
LOAD = PulseSeen(requests=100, failed=0, is_injected=True)


def answer(status: int = 200, day: str = "", path: str = TODAY_PATH) -> DateAnswer:
    values = {"$.day": day} if day else {}
    return DateAnswer(path, status, {"$": "object", "$.day": "text"} if status == 200 else {}, values)


def seen(after: DateAnswer | None = None, before: DateAnswer | None = None, **other: object) -> ClockSeen:
    """Three answers of each moment."""
    found = ClockSeen((answer(),) * 2, (before or answer(),) * 3, (after or answer(),) * 3, load=LOAD)
    return replace(found, **other)  # type: ignore[arg-type]  # fields of it


def record(candidate: ClockSeen, baseline: ClockSeen | None, comparing: Comparing = EVERYTHING) -> EdgeRecord:
    return ruled(PLANNED, "the clock was set", "2028-02-29T00:00:00Z", candidate, baseline, 0.1, comparing)


def test_what_answers_as_the_baseline_before_and_after_passes() -> None:
    assert record(seen(), seen()).outcome is EdgeOutcome.PASS


def test_what_breaks_only_after_the_boundary_fails_and_says_where() -> None:
    found = record(seen(after=answer(500)), seen())
    assert found.outcome is EdgeOutcome.FAIL
    assert found.sentence == (
        "the candidate answers after 2028-02-29T00:00:00Z as the baseline does: "
        "/report answered 500, on the baseline 200"
    )


def test_what_breaks_as_soon_as_the_clock_is_set_fails_too() -> None:
    assert "before 2028-02-29" in record(seen(before=answer(500)), seen()).sentence


def test_what_is_so_today_as_well_is_no_matter_of_the_clock() -> None:
    broken = seen(after=answer(500), before=answer(500), today=(answer(500),) * 2)
    assert record(broken, seen()).outcome is EdgeOutcome.PASS


FAR_AWAY = ("1 Jan 99999999999999999999 00:00:00 GMT", "9999-12-31T23:00:00-12:00")
OUTAGE = answer(500)
NO_TOTAL = replace(answer(), places={"$": "object", "$.day": "null"})


@pytest.mark.parametrize("broken", [OUTAGE, NO_TOTAL], ids=["status", "type"])
@pytest.mark.parametrize(
    ("of_baseline", "of_candidate", "of", "expected"),
    [
        (1, 10, 10, EdgeOutcome.FAIL),  # one flake of the baseline excuses nothing
        (3, 4, 10, EdgeOutcome.PASS),
        (4, 7, 10, EdgeOutcome.PASS),
        (9, 10, 10, EdgeOutcome.PASS),
        (1, 3, 3, EdgeOutcome.INCONCLUSIVE),  # it looks broken, and may be chance
        (0, 2, 10, EdgeOutcome.FAIL),  # what the baseline never does needs no shares
    ],
)
def test_what_the_baseline_does_at_times_as_well_is_alike_unless_the_candidate_does_it_more_often_than_by_chance(
    broken: DateAnswer, of_baseline: int, of_candidate: int, of: int, expected: EdgeOutcome
) -> None:
    def at_times(times: int) -> ClockSeen:
        return replace(seen(), before=(answer(),) * of, after=(broken,) * times + (answer(),) * (of - times))

    assert record(at_times(of_candidate), at_times(of_baseline)).outcome is expected


def test_who_fails_more_rarely_than_the_baseline_is_not_blamed_for_it() -> None:
    flaky = replace(seen(), after=(OUTAGE,) * 8 + (answer(),) * 2)
    assert record(replace(seen(), after=(answer(),) * 10), flaky).outcome is EdgeOutcome.PASS


def test_a_flake_of_the_baseline_does_not_hide_what_else_differs() -> None:
    mine, theirs = answer(day="mine"), answer(day="theirs")
    flaky = replace(seen(theirs, theirs), after=(answer(500), theirs, theirs), today=(theirs,) * 2)
    drifting = replace(seen(mine, mine), today=(theirs,) * 2)
    assert record(drifting, flaky).outcome is EdgeOutcome.PASS  # a value of the load's own data, as before


def test_one_answer_alone_may_be_the_loads_doing() -> None:
    once = replace(seen(), after=(answer(500), answer(), answer()))
    assert record(once, seen()).outcome is EdgeOutcome.PASS


def test_another_value_after_the_boundary_is_found_unless_it_moves_or_is_ignored() -> None:
    mine, theirs = seen(after=answer(day="2028-03-01")), seen(after=answer(day="2028-02-29"))
    assert "$.day is another value" in record(mine, theirs).sentence
    assert record(mine, theirs, Comparing(values=False)).outcome is EdgeOutcome.PASS
    assert record(mine, theirs, Comparing(ignored_places=("$.day",))).outcome is EdgeOutcome.PASS
    moving = replace(theirs, after=(answer(day="a"), answer(day="b"), answer(day="2028-02-29")))
    assert record(mine, moving).outcome is EdgeOutcome.PASS
    at_another_moment = replace(mine, before=(answer(day="a"), answer(day="b")))
    assert record(at_another_moment, theirs).outcome is EdgeOutcome.PASS


def test_a_value_that_differs_before_the_boundary_is_the_loads_own_data() -> None:
    mine, theirs = answer(day="mine"), answer(day="theirs")
    same = (answer(day="the same"),) * 2
    drifting = record(seen(mine, mine, today=same), seen(theirs, theirs, today=same))
    assert drifting.outcome is EdgeOutcome.PASS, drifting.sentence
    broken = record(seen(mine, theirs, today=same), seen(theirs, theirs, today=same))
    assert broken.outcome is EdgeOutcome.FAIL


def test_ordinary_load_that_fails_after_the_boundary_fails_the_case() -> None:
    broken = replace(seen(), load=replace(LOAD, failed=40))
    assert "40 % failed, on the baseline 0 %" in record(broken, seen()).sentence
    unknown = replace(seen(), load=PulseSeen())
    assert record(unknown, seen()).outcome is EdgeOutcome.INCONCLUSIVE


@pytest.mark.parametrize("missing", ["before", "after"])
@pytest.mark.parametrize("is_candidate", [True, False])
def test_without_the_targets_own_clock_as_a_witness_it_was_not_run(missing: str, is_candidate: bool) -> None:
    blind = replace(seen(), before=()) if missing == "before" else replace(seen(), after=())
    found = record(blind, seen()) if is_candidate else record(seen(), blind)
    assert found.outcome is EdgeOutcome.NOT_RUN
    assert "its own clock dates" in found.sentence


def test_what_the_baseline_never_answers_well_proves_nothing() -> None:
    nowhere = seen(answer(404), answer(404))
    assert record(nowhere, nowhere).outcome is EdgeOutcome.NOT_RUN


def test_an_unknown_baseline_or_a_problem_is_not_run_and_a_clock_that_stays_is_never_a_pass() -> None:
    assert record(seen(), None).outcome is EdgeOutcome.NOT_RUN
    assert "too late" in record(seen(problem="too late"), seen()).sentence
    stays = "the clock of the candidate still says 2028-02-29T00:00:30Z"
    found = record(seen(left_behind=stays), seen())
    assert (found.outcome, stays in found.sentence) == (EdgeOutcome.INCONCLUSIVE, True)
    assert record(seen(after=answer(500), left_behind=stays), seen()).outcome is EdgeOutcome.FAIL


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (BOUNDARY - timedelta(seconds=4), (1, 0, 0)),
        (BOUNDARY + timedelta(seconds=4), (0, 1, 0)),
        (BOUNDARY, (0, 1, 0)),
        (BOUNDARY - timedelta(seconds=1), (0, 0, 0)),  # on which of the two days it was answered is not known
        (datetime(2026, 11, 21, tzinfo=UTC), (0, 0, 1)),  # the shift was bypassed
        (None, (0, 0, 1)),
    ],
)
def test_an_answer_counts_for_the_moment_that_the_targets_clock_says(
    says: datetime | None, expected: tuple[int, int, int]
) -> None:
    now = says if says is not None and says.year == 2028 else BOUNDARY
    found = with_answer(ClockSeen(), answer(), says, now, BOUNDARY)
    assert (len(found.before), len(found.after), found.unshifted) == expected


def test_who_answers_no_more_after_the_boundary_fails_once_the_shift_was_seen() -> None:
    later = BOUNDARY + timedelta(seconds=3)
    gone = replace(seen(), after=())
    for _ in range(2):
        gone = with_answer(gone, DateAnswer(TODAY_PATH, None), None, later, BOUNDARY)
    assert "/report answered no answer, on the baseline 200" in record(gone, seen()).sentence
    never_seen = with_answer(ClockSeen(), DateAnswer(TODAY_PATH, None), None, later, BOUNDARY)
    assert (never_seen.after, never_seen.unshifted) == ((), 1)
    both = record(gone, gone)
    assert (both.outcome, "good answers of the baseline after" in both.sentence) == (
        EdgeOutcome.NOT_RUN,
        True,
    )


@pytest.mark.parametrize(
    "text", ["Tue, 29 Feb 2028 00:00:00 GMT", "2028-02-29T01:00:00+01:00", "2028-02-29T00:00:00Z", 1835395200]
)
def test_clocks_say_the_time_in_many_ways(text: object) -> None:
    assert read_instant(text) == BOUNDARY


@pytest.mark.parametrize("text", ["", "noon", "2028-02-29T00:00:00", None, True, 1e300, {}, *FAR_AWAY])
def test_what_is_no_time_is_none(text: object) -> None:
    assert read_instant(text) is None


def test_what_was_seen_can_be_stored() -> None:
    assert from_bytes(ClockSeen, to_bytes(seen())) == seen()


def test_without_libfaketime_it_says_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "FAKETIME", "faketime-that-is-not-there")
    with pytest.raises(NotReady, match="install the package `faketime`"):
        shifted_start(5)


def test_a_faketime_that_does_not_work_says_what_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "faketime"
    broken.write_text("#!/bin/sh\necho 'no library' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(clock, "FAKETIME", str(broken))
    with pytest.raises(NotReady, match="no library"):
        shifted_start(5)


def test_what_libfaketime_leaves_behind_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "SHARED_MEMORY", tmp_path)
    for name in ("faketime_shm_12", "sem.faketime_sem_12", "faketime_shm_123", "other"):
        (tmp_path / name).touch()
    clock.remove_traces([12, 99])
    assert {file.name for file in tmp_path.iterdir()} == {"faketime_shm_123", "other"}


@pytest.mark.faketime
def test_a_command_and_its_children_live_later_and_intervals_stay(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, threading, time\n"
        "a = time.monotonic(); threading.Event().wait(0.2); b = time.monotonic()\n"
        "child = subprocess.run([sys.executable, '-c', 'import time; print(time.time())'], capture_output=True)\n"
        "print(time.time(), child.stdout.decode().strip(), b - a, os.stat(sys.argv[1]).st_mtime)\n"
    )
    file = tmp_path / "file"
    file.write_text("")
    command = [*shifted_start(40_000_000), sys.executable, "-c", script, str(file)]
    before = datetime.now(UTC).timestamp()
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    own, childs, slept_s, mtime = map(float, out.split())
    assert own - before == pytest.approx(40_000_000, abs=5)
    assert childs - before == pytest.approx(40_000_000, abs=5)
    assert 0.15 < slept_s < 2
    assert mtime == pytest.approx(before, abs=5)  # else Python would write every module's cache anew
