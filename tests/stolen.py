"""A live test that fails while the hypervisor gives this machine's CPU to others says nothing: it is run once more.

As `rehearse` itself says of a load generator: judged is who was fit. A test that fails on a machine of its own fails.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import psutil

TOO_MUCH = 0.1  # of all CPU time
_EVERY_S = 2.0
_SHORTEST_S = 1.0
_KEPT_S = 600.0  # longer than any test


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU time of all cores since this machine started."""

    at_s: float
    stolen_s: float
    all_s: float


def read() -> Reading:
    """Now. Systems that are not told of it have nothing stolen."""
    times = psutil.cpu_times()
    return Reading(time.monotonic(), getattr(times, "steal", 0.0), sum(times[:8]))


def most_stolen(readings: list[Reading]) -> float:
    """The largest share between two readings that follow each other."""
    shares = (
        (later.stolen_s - one.stolen_s) / (later.all_s - one.all_s)
        for one, later in pairwise(readings)
        if later.at_s - one.at_s >= _SHORTEST_S  # a tick of the clock alone would be half of a moment
    )
    return max(shares, default=0.0)


class Watch:
    """Reads every two seconds, for as long as the process lives."""

    def __init__(self) -> None:
        self._readings = deque([read()], maxlen=round(_KEPT_S / _EVERY_S))
        threading.Thread(target=self._keep, name="steal", daemon=True).start()

    def _keep(self) -> None:
        while True:
            time.sleep(_EVERY_S)
            self._readings.append(read())

    def since(self, from_s: float) -> float:
        """The most that was stolen since then."""
        return most_stolen([one for one in [*self._readings, read()] if one.at_s >= from_s - _EVERY_S])
