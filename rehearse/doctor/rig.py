"""The machine that will make the load: cores, how busy it is, descriptors, how its clock of the CPU is governed."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rehearse.doctor.findings import Examined, Grade

RIG = "rig"
SPARE_FILES = 100  # of a worker beside its connections: pipes, libraries, logs
BUSY_RATIO = 0.5  # of the cores
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
STEADY = ("performance", "schedutil")


@dataclass(frozen=True, slots=True)
class Rig:
    """What the operating system says of this machine; None where it does not tell."""

    cores: int
    load_average: float | None  # processes that ran or wanted to, over the last minute
    open_files: int  # the limit of one process
    governor: str | None

    @classmethod
    def now(cls) -> Rig:
        """Read them all."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(cores, _load_average(), soft, _governor())


def rig_findings(rig: Rig, processes: int, users: int) -> Iterator[Examined]:
    """`processes` make load and serve on this machine; each of the former has up to `users` connections."""
    if rig.cores < processes:
        yield _note(
            f"{processes} processes share {rig.cores} cores (load generators, and services on this machine)",
            "use another machine, a lower rate or wider margins",
        )
    else:
        yield Examined(RIG, Grade.OK, f"{rig.cores} cores for {processes} processes")
    if rig.load_average is not None and rig.load_average > BUSY_RATIO * rig.cores:
        yield _note(
            f"the load average is {rig.load_average:.1f} on {rig.cores} cores: something else is running here",
            "stop it, or wait until it is done",
        )
    needed = users + SPARE_FILES
    if 0 <= rig.open_files < needed:
        yield Examined(
            RIG,
            Grade.FIX,
            f"a process may open {rig.open_files} files, and {users} users of one load process need {needed}",
            f"ulimit -n {max(1024, 2 * needed)}",
        )
    if rig.governor is not None and rig.governor not in STEADY:
        yield _note(
            f"the CPU governor is {rig.governor!r}: it changes speed under way",
            "cpupower frequency-set -g performance",
        )


def _note(sentence: str, remedy: str) -> Examined:
    return Examined(RIG, Grade.NOTE, sentence, remedy)


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _governor() -> str | None:
    try:
        return GOVERNOR.read_text(encoding="ascii").strip()
    except OSError:  # virtual machines have none
        return None
