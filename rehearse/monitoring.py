"""Server-side series while load runs: after each round Prometheus is asked what it saw of both sides meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from rehearse.config import Settings
from rehearse.errors import NotReady
from rehearse.metrics.exhibits import series_exhibit
from rehearse.metrics.promql import Found, Prometheus, Window
from rehearse.model import SeriesWindow, ServerSeries, Side
from rehearse.sides import prometheus_of

if TYPE_CHECKING:
    from rehearse.journal import Journal
    from rehearse.load.schedule import Schedule
    from rehearse.progress import Listener


class RoundClock:
    """When a round was, by the wall clock: ticks say how long ago its common start is."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._began_s: float | None = None
        self._last_s = 0.0

    def sees(self, at_s: float) -> None:
        """Time passes: `at_s` since the common start."""
        if self._began_s is None and at_s >= 0:
            self._began_s = self._now().timestamp() - at_s
        self._last_s = max(self._last_s, at_s)

    def measured(self, schedule: Schedule, step_s: float) -> Window | None:
        """The part of the round that was measured, warm-up left out; None when there was none."""
        warm_up_s = schedule.warm_up_blocks * schedule.block_s
        length_s = min(self._last_s, schedule.length_s) - warm_up_s
        if self._began_s is None or length_s <= 0:
            return None
        return Window(self._began_s + warm_up_s, length_s, step_s)


def check_queries(settings: Settings, sides: Iterable[Side], listener: Listener) -> None:
    """Before load: raise ConfigError for a query that Prometheus does not understand, TargetRefused for its host.

    When it does not answer, the listener is told: the load can still show what is worse, and nothing will be GO.
    """
    source = prometheus_of(settings)
    if source is None:
        return
    source.check_allowed()
    try:
        for side in sides:
            for one in settings.series:
                source.check(one.query_of(side, settings.prometheus.sides))
    except NotReady as error:
        listener.phase(f"{error}; without server-side series nothing will be GO")


def keep_series(
    settings: Settings,
    journal: Journal,
    sides: Iterable[Side],
    number: int,
    window: Window | None,
    listener: Listener,
) -> None:
    """Ask for every series of a round, and store what was found, or why nothing was; the listener is told that."""
    source = prometheus_of(settings)
    if source is None or window is None:
        return
    ahead_s, trouble = _clock_of(source)
    shifted = Window(window.begin_s + ahead_s, window.length_s, window.step_s)
    for side in sides:
        for asked, known in zip(settings.series, journal.record.policy.series, strict=True):
            query = asked.query_of(side, settings.prometheus.sides)
            found = Found(trouble=trouble) if trouble else source.series(query, shifted)
            kept = _window(known, side, number, window, found, journal.clean)
            journal.add_exhibit(series_exhibit(kept))
            if kept.trouble:
                listener.phase(f"{kept.name} of the {side} is not known: {kept.trouble}")


def _clock_of(source: Prometheus) -> tuple[float, str]:
    try:
        return source.clock_ahead_s(), ""
    except NotReady as error:
        return 0.0, str(error)


def _window(
    known: ServerSeries, side: Side, number: int, window: Window, found: Found, clean: Callable[[str], str]
) -> SeriesWindow:
    return SeriesWindow(
        known.name,
        side,
        number,
        known.queries[tuple(Side).index(side)],
        round(window.length_s, 3),
        window.step_s,
        found.points,
        clean(found.trouble),
    )
