"""What the rig measures of itself is true, and what cannot be measured is None and no guess."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rehearse.load import rig
from rehearse.load.rig import NO_CORE, CollectionTimes, Counters, RigWatch, times_throttled
from rehearse.load.stalls import STOOD_STILL, StallWatch


@contextmanager
def watch_over(what_held: str = "") -> Iterator[RigWatch]:
    watch = RigWatch(time.perf_counter(), 0.2, 5, lambda: what_held)
    try:
        yield watch
    finally:
        watch.end()


def spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def watched_by(stalls: StallWatch) -> threading.Thread:
    thread = threading.Thread(target=stalls.watch)
    thread.start()
    return thread


# --- what holds the event loop ----------------------------------------------------------------------------------


def test_code_that_does_not_yield_is_named_by_its_line() -> None:
    stalls = StallWatch(threading.get_ident(), time.sleep, lambda _: None)
    thread = watched_by(stalls)
    spin(0.4)
    held_by = stalls.beat()
    stalls.end()
    thread.join()
    assert held_by.startswith("test_rig.py:")
    assert held_by.endswith(" spin()")


def test_a_loop_that_turns_is_held_by_nothing() -> None:
    stalls = StallWatch(threading.get_ident(), time.sleep, lambda _: None)
    stalls.look(0.0, 0.0)
    assert stalls.beat() == ""


def test_a_thread_that_was_late_itself_without_any_cpu_saw_the_whole_process_stand_still() -> None:
    stalls = StallWatch(threading.get_ident(), time.sleep, lambda _: None)
    spin(0.1)
    stalls.look(own_delay_s=0.3, cpu_s=0.001)
    assert stalls.beat() == STOOD_STILL


def test_a_thread_that_was_late_while_the_process_worked_saw_code_that_keeps_the_interpreter() -> None:
    stalls = StallWatch(threading.get_ident(), time.sleep, lambda _: None)
    spin(0.1)
    stalls.look(own_delay_s=0.3, cpu_s=0.29)
    assert "test_rig.py" in stalls.beat()


def test_a_long_stall_is_told_once_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StallWatch, "LONG_S", 0.1)
    told: list[str] = []
    stalls = StallWatch(threading.get_ident(), time.sleep, told.append)
    spin(0.15)
    stalls.look(0.0, 0.0)
    stalls.look(0.0, 0.0)
    assert len(told) == 1


# --- block by block ---------------------------------------------------------------------------------------------


def test_a_late_tick_is_a_stall_of_its_block_and_keeps_its_reason() -> None:
    with watch_over("visit.py:7 look()") as watch:
        spin(0.3)
        ((block, window),) = watch.tick()
    assert block == 0
    assert window.stall_max_s >= 0.2
    assert window.stalled_in == "visit.py:7 look()"


def test_a_stall_without_any_cpu_that_nobody_saw_is_the_whole_process_standing_still() -> None:
    with watch_over() as watch:
        time.sleep(0.3)
        ((_, window),) = watch.tick()
    assert window.stalled_in == STOOD_STILL


def test_a_worker_without_a_core_is_not_held_by_the_line_it_stood_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = iter((10.0, 10.0, 10.28, 10.28))
    monkeypatch.setattr(rig, "_queue_wait_s", lambda: next(waited))
    with watch_over("visit.py:7 look()") as watch:
        spin(0.3)
        ((_, window),) = watch.tick()
    assert window.stalled_in == NO_CORE
    assert window.queue_wait_ratio == pytest.approx(0.28 / 0.3, abs=0.1)


def test_a_short_delay_needs_no_reason() -> None:
    with watch_over("visit.py:7 look()") as watch:
        watch.tick()
        spin(0.06)
        watch.tick()
        assert watch._stalls[0].held_by == ""


def test_garbage_collection_is_told_from_the_scenarios_own_code() -> None:
    with watch_over("visit.py:7 look()") as watch:
        watch._collections._note("start", {})
        spin(0.3)
        watch._collections._note("stop", {})
        ((_, window),) = watch.tick()
    assert window.stalled_in == "garbage collection"
    assert window.stall_max_s >= 0.3
    assert window.gc_ratio is not None
    assert window.gc_ratio > 0.9


def test_collections_are_timed_and_no_longer_when_the_watch_ends() -> None:
    times = CollectionTimes()
    gc.collect()
    longest_s = times.take_longest()
    assert 0 < longest_s <= times.total_s
    assert times.take_longest() == 0
    times.end()
    total_s = times.total_s
    gc.collect()
    assert times.total_s == total_s


def test_what_the_system_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "_text", lambda _: "")
    with watch_over() as watch:
        spin(0.25)
        ((_, window),) = watch.tick()
    assert (window.steal_ratio, window.queue_wait_ratio, window.throttled) == (None, None, None)
    assert window.clock_step_s is not None


def test_a_step_of_the_wall_clock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Counters.now()
    with watch_over() as watch:
        spin(0.25)
        real = time.clock_gettime
        shift = {time.CLOCK_REALTIME: -30.0}
        monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + shift.get(clock, 0.0))
        ((_, window),) = watch.tick()
    assert now.clock_offset_s > 0
    assert window.clock_step_s == pytest.approx(30.0, abs=0.05)


# --- control groups ---------------------------------------------------------------------------------------------


def stat(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.stat").write_text(text)


def test_throttling_is_counted_in_the_own_group_and_in_those_above(tmp_path: Path) -> None:
    stat(tmp_path, "usage_usec 5\n")
    stat(tmp_path / "pod", "usage_usec 5\nnr_periods 9\nnr_throttled 4\n")
    stat(tmp_path / "pod" / "container", "usage_usec 5\nnr_periods 9\nnr_throttled 3\n")
    assert times_throttled(tmp_path, "0::/pod/container\n") == 7


def test_throttling_is_found_in_version_one_and_from_inside_a_container(tmp_path: Path) -> None:
    stat(tmp_path / "cpu,cpuacct", "nr_periods 9\nnr_throttled 2\n")
    assert times_throttled(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/docker/0123\n0::/x\n") == 2


def test_without_any_control_group_throttling_is_not_known(tmp_path: Path) -> None:
    assert times_throttled(tmp_path, "0::/\n") is None
    assert times_throttled(tmp_path, "") is None
