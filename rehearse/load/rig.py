"""How well the rig itself is doing: read in the worker, from the operating system."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

from rehearse.load.recorder import RigWindow
from rehearse.load.stalls import STOOD_STILL

NO_CORE = "no core was free for it"
CGROUPS = Path("/sys/fs/cgroup")


def fingerprint() -> dict[str, str]:
    """What must be the same for two recordings to be comparable: machine, kernel, Python, engine versions."""
    packages = {
        f"rig.{name}": version(name) for name in ("locust", "gevent", "geventhttpclient", "httptools")
    }
    return {
        "rig.cpu": _cpu_model(),
        "rig.cores": str(_cores()),
        "rig.kernel": platform.release(),
        "rig.python": platform.python_version(),
        **packages,
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# --- what the operating system tells ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counters:
    """What the system says of this process and its machine at one moment; None where it does not tell."""

    at: float
    process_s: float
    clock_offset_s: float  # of the wall clock against the monotonic one
    steal_ticks: int | None
    total_ticks: int | None
    queue_wait_s: float | None
    throttled: int | None

    @classmethod
    def now(cls) -> Counters:
        """Read them all."""
        steal, total = _machine_ticks()
        offset_s = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        return cls(perf_counter(), process_time(), offset_s, steal, total, _queue_wait_s(), times_throttled())


def _machine_ticks() -> tuple[int | None, int | None]:
    """(steal, total) jiffies of all CPUs from /proc/stat; (None, None) where there is none."""
    fields = [int(field) for field in _text("/proc/stat").partition("\n")[0].split()[1:9] if field.isdigit()]
    return (fields[7], sum(fields)) if len(fields) == 8 else (None, None)


def _queue_wait_s() -> float | None:
    """How long the first thread, which is the event loop, could have run and had no core, since it began."""
    fields = _text("/proc/self/schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) == 3 else None


def times_throttled(root: Path = CGROUPS, own: str | None = None) -> int | None:
    """How often a CPU quota stopped this process's control group or one above it; None where nothing tells."""
    counts = [count for stat in _cpu_stats(root, own) if (count := _nr_throttled(stat)) is not None]
    return sum(counts) if counts else None


def _cpu_stats(root: Path, own: str | None) -> Iterator[Path]:
    """The cpu.stat files of the own control group and of those above it, as far as they can be seen from here."""
    for line in (_text("/proc/self/cgroup") if own is None else own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 1 has a folder for each set of controllers, version 2 a single tree without a name.
        tree = root / controllers if controllers else root
        parts = [part for part in path.split("/") if part not in ("", "..")]
        yield from (tree.joinpath(*parts[:depth]) / "cpu.stat" for depth in range(len(parts), -1, -1))


def _nr_throttled(stat: Path) -> int | None:
    for line in _text(stat).splitlines():
        name, _, value = line.partition(" ")
        if name == "nr_throttled":
            return int(value)
    return None


def _text(path: str | Path) -> str:
    """A small file of the system; empty where there is none, or when no descriptor is left to open it with."""
    if sys.platform != "linux":
        return ""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123  # read often: the shortest way
            return file.read()
    except OSError:
        return ""


class CollectionTimes:
    """How long garbage collection held the process. Every thread waits for it."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._longest_s = 0.0
        self._began_at: float | None = None
        gc.callbacks.append(self._note)

    def take_longest(self) -> float:
        """The longest one since the last call."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    def end(self) -> None:
        """Look no longer."""
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began_at = perf_counter()
        elif self._began_at is not None:
            took_s = perf_counter() - self._began_at
            self.total_s += took_s
            self._longest_s = max(self._longest_s, took_s)


# --- block by block ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stall:
    """The event loop did not turn for `length_s`; `held_by` says what held it, where that is known."""

    length_s: float = 0.0
    held_by: str = ""


class RigWatch:
    """Follows the worker's event loop, its CPU and its clocks, block by block. `tick` is called every TICK_S by a
    greenlet; `what_held` says what the event loop was held by since it was last asked (see StallWatch)."""

    TICK_S = 0.05
    NO_CORE_RATIO = 0.75
    NAMED_FROM_S = 0.04  # nobody needs the reason of a shorter stall

    def __init__(self, start_at: float, block_s: float, blocks: int, what_held: Callable[[], str]) -> None:
        self._start_at = start_at
        self._block_s = block_s
        self._blocks = blocks
        self._what_held = what_held
        self._collections = CollectionTimes()
        self._next_end = 0  # the block whose end comes next
        self._stalls: dict[int, Stall] = {}
        self._last_tick = start_at
        self._last_cpu_s, self._last_wait_s = process_time(), _queue_wait_s()
        self._mark = Counters.now()
        self._collected_s = 0.0

    def tick(self) -> list[tuple[int, RigWindow]]:
        """Note how late this tick is; returns the blocks whose time is over, with their window."""
        now = perf_counter()
        stall = self._stall(max(0.0, now - self._last_tick - self.TICK_S))
        for block in {self._block_at(self._last_tick), self._block_at(now)}:
            if stall.length_s > self._stalls.get(block, Stall()).length_s:
                self._stalls[block] = stall
        self._last_tick = max(now, self._start_at)
        over = []
        while self._next_end < self._blocks and now >= self._start_at + (self._next_end + 1) * self._block_s:
            over.append((self._next_end, self._window(self._next_end)))
            self._next_end += 1
        return over

    def end(self) -> None:
        """The last block is over."""
        self._collections.end()

    def _stall(self, late_s: float) -> Stall:
        """A collection is measured exactly; a late tick misses up to TICK_S of what made it late."""
        held_by, pause_s = self._what_held(), self._collections.take_longest()
        cpu_s, wait_s = self._used()
        length_s = max(late_s, pause_s)
        if length_s < self.NAMED_FROM_S:
            return Stall(length_s)
        if pause_s > late_s / 2:
            return Stall(length_s, "garbage collection")
        # Whatever line it stood on, it could not run. On a busy machine code that does not yield waits as well: a part
        # of the time is no proof.
        if wait_s > self.NO_CORE_RATIO * late_s:
            return Stall(length_s, NO_CORE)
        # The thread that looks on may wake up after this one: without CPU there was nothing for it to see.
        return Stall(length_s, held_by or (STOOD_STILL if cpu_s < late_s / 2 else ""))

    def _used(self) -> tuple[float, float]:
        """CPU, and waiting for a core, since the last call."""
        cpu_s, wait_s = self._last_cpu_s, self._last_wait_s
        self._last_cpu_s, self._last_wait_s = process_time(), _queue_wait_s()
        return self._last_cpu_s - cpu_s, _difference(wait_s, self._last_wait_s) or 0.0

    def _block_at(self, moment: float) -> int:
        return int(max(0.0, moment - self._start_at) // self._block_s)

    def _window(self, block: int) -> RigWindow:
        before, after = self._mark, Counters.now()
        collected_s, self._collected_s = self._collected_s, self._collections.total_s
        self._mark = after
        wall_s = max(after.at - before.at, 1e-9)
        stall = self._stalls.get(block, Stall())
        waited_s = _difference(before.queue_wait_s, after.queue_wait_s)
        throttled = _difference(before.throttled, after.throttled)
        return RigWindow(
            stall_max_s=stall.length_s,
            cpu_ratio=(after.process_s - before.process_s) / wall_s,
            steal_ratio=_steal(before, after),
            stalled_in=stall.held_by,
            queue_wait_ratio=None if waited_s is None else waited_s / wall_s,
            throttled=None if throttled is None else int(throttled),
            clock_step_s=abs(after.clock_offset_s - before.clock_offset_s),
            gc_ratio=(self._collections.total_s - collected_s) / wall_s,
        )


def _difference(before: float | None, after: float | None) -> float | None:
    """None where either was not told; a counter that went back began anew."""
    return None if before is None or after is None else max(0.0, after - before)


def _steal(before: Counters, after: Counters) -> float | None:
    stolen = _difference(before.steal_ticks, after.steal_ticks)
    total = _difference(before.total_ticks, after.total_ticks)
    return stolen / total if stolen is not None and total else None
