"""How well the rig itself is doing: read in the worker, from the operating system."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

from rehearse.load.recorder import RigWindow


def fingerprint() -> dict[str, str]:
    """What must be the same for two recordings to be comparable: machine, kernel, Python, engine versions."""
    packages = {f"rig.{name}": version(name) for name in ("locust", "gevent", "geventhttpclient")}
    return {
        "rig.cpu": _cpu_model(),
        "rig.cores": str(_cores()),
        "rig.kernel": platform.release(),
        "rig.python": platform.python_version(),
        **packages,
    }


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU seconds at one moment: of this process, and of the whole machine where the system tells."""

    at: float
    process_s: float
    steal_ticks: int | None
    total_ticks: int | None

    @classmethod
    def now(cls) -> CpuTimes:
        """Read the clocks."""
        steal, total = _machine_ticks()
        return cls(perf_counter(), process_time(), steal, total)


def _machine_ticks() -> tuple[int | None, int | None]:
    """(steal, total) jiffies of all CPUs from /proc/stat; (None, None) where there is none."""
    if sys.platform != "linux":
        return None, None
    try:
        with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123  # read often: the shortest way
            fields = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None, None
    return (fields[7], sum(fields)) if len(fields) == 8 else (None, None)


class RigWatch:
    """Follows the worker's event loop and CPU, block by block. `tick` is called every TICK_S by a greenlet."""

    TICK_S = 0.05

    def __init__(self, start_at: float, block_s: float, blocks: int) -> None:
        self._start_at = start_at
        self._block_s = block_s
        self._blocks = blocks
        self._next_end = 0  # the block whose end comes next
        self._stalls_s: dict[int, float] = {}
        self._last_tick = start_at
        self._mark = CpuTimes.now()

    def tick(self) -> list[tuple[int, RigWindow]]:
        """Note how late this tick is; returns the blocks whose time is over, with their window."""
        now = perf_counter()
        late_s = max(0.0, now - self._last_tick - self.TICK_S)
        for block in {self._block_at(self._last_tick), self._block_at(now)}:
            self._stalls_s[block] = max(self._stalls_s.get(block, 0.0), late_s)
        self._last_tick = max(now, self._start_at)
        over = []
        while self._next_end < self._blocks and now >= self._start_at + (self._next_end + 1) * self._block_s:
            over.append((self._next_end, self._window(self._next_end)))
            self._next_end += 1
        return over

    def _block_at(self, moment: float) -> int:
        return int(max(0.0, moment - self._start_at) // self._block_s)

    def _window(self, block: int) -> RigWindow:
        before, after = self._mark, CpuTimes.now()
        self._mark = after
        wall_s = max(after.at - before.at, 1e-9)
        return RigWindow(
            self._stalls_s.get(block, 0.0),
            (after.process_s - before.process_s) / wall_s,
            _steal(before, after),
        )


def _steal(before: CpuTimes, after: CpuTimes) -> float | None:
    if (
        before.steal_ticks is None
        or after.steal_ticks is None
        or before.total_ticks is None
        or after.total_ticks is None
    ):
        return None
    total = after.total_ticks - before.total_ticks
    return (after.steal_ticks - before.steal_ticks) / total if total > 0 else None
