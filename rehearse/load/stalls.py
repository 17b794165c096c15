"""Sees from outside when the event loop of a worker stands still, and what holds it.

Everything in a worker runs in one thread (gevent): code that does not yield stops the schedule, the answers and the
clockwork that would notice. So a thread of the operating system looks on. It knows nothing of gevent: the worker hands
in a `sleep` that is not patched.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from types import FrameType

import rehearse

STOOD_STILL = "the whole process was stopped, or had no core to run on"
NATIVE_CODE = "native code that does not let other threads run"
_LONGEST_TEXT = 160
_OUR_OWN = str(Path(rehearse.__file__).parent)
_LIBRARIES = tuple(
    path.rstrip(os.sep) + os.sep
    for path in (
        _OUR_OWN,
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)


class StallWatch:
    """Samples what the event loop is doing whenever it has not turned for a while.

    The loop calls `beat` each time it turns. `on_long` is told, once for each stall, what holds the loop when it has
    stood still for LONG_S: the loop itself can say nothing then.
    """

    PERIOD_S = 0.02
    SUSPICIOUS_S = 0.075  # the loop beats every 50 ms
    LONG_S = 2.0

    def __init__(
        self, loop_thread: int, sleep: Callable[[float], None], on_long: Callable[[str], None]
    ) -> None:
        self._loop_thread = loop_thread
        self._sleep = sleep
        self._on_long = on_long
        self._beat_at = perf_counter()
        self._seen: dict[str, float] = {}  # seconds, by what was seen
        self._is_told = False
        self._is_over = False

    def end(self) -> None:
        """The loop beats no longer."""
        self._is_over = True

    def beat(self) -> str:
        """The loop turns. What held it for most of the time since the last beat; empty when that is not known."""
        seen, self._seen = self._seen, {}
        self._beat_at, self._is_told = perf_counter(), False
        return max(seen, key=lambda what: seen[what], default="")

    def watch(self) -> None:
        """Look on until the end."""
        while not self._is_over:
            slept_at, cpu_s = perf_counter(), process_time()
            self._sleep(self.PERIOD_S)
            self.look(perf_counter() - slept_at - self.PERIOD_S, process_time() - cpu_s)

    def look(self, own_delay_s: float, cpu_s: float) -> None:
        """One look. This thread was late itself by `own_delay_s`, while the process used `cpu_s` of CPU."""
        stalled_s = perf_counter() - self._beat_at
        if stalled_s < self.SUSPICIOUS_S:
            return
        what = held_by(sys._current_frames().get(self._loop_thread))
        if own_delay_s > self.SUSPICIOUS_S:
            # Late without any CPU: nothing of the process ran. Late with it: native code kept the interpreter, and
            # the line that called it is, most often, still the one that runs.
            is_native = cpu_s > own_delay_s / 2
            self._note((what or NATIVE_CODE) if is_native else STOOD_STILL, own_delay_s)
        self._note(what, self.PERIOD_S)
        if stalled_s > self.LONG_S and what and not self._is_told:
            self._is_told = True
            self._on_long(what)

    def _note(self, what: str, seconds: float) -> None:
        if what:
            self._seen[what] = self._seen.get(what, 0.0) + seconds


def held_by(frame: FrameType | None) -> str:
    """Where a thread is: the innermost line of the scenario's own code, else the innermost line of all.

    Empty when the thread waits in gevent's hub, which holds up nobody.
    """
    if frame is None or frame.f_globals.get("__name__") == "gevent.hub":
        return ""
    own: FrameType | None = frame
    while own is not None and own.f_code.co_filename.startswith(_LIBRARIES):
        own = own.f_back
    return _place(own or frame)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}()"[:_LONGEST_TEXT]
