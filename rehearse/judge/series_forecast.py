"""Server-side series in the forecast: what a baseline recorded of them stands in for what will be.

Stored rounds stand in for those to come, cut to their length and never repeated: a series that is repeated jumps where
one copy ends, and a jump is growth. Where the rounds to come are longer, growth is told as if they were not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rehearse.judge.measurement import Measurement, NoiseOutlook, PairedCase
from rehearse.judge.recorded import RecordedCase
from rehearse.judge.server_series import SeriesSeen, series_measured
from rehearse.model import Metric, Reference, SeriesWindow, Side


def series_on_paper(
    case: PairedCase | RecordedCase, reference: Reference, rounds: int, round_s: float
) -> tuple[Measurement, ...]:
    """Every cell of the series as unchanged sides would have it; with a shortage, what is not known of it."""
    stored = SeriesSeen.of(reference)
    windows = tuple(_windows_to_come(case, stored, rounds, round_s))
    now = SeriesSeen(windows, dict.fromkeys(Side, range(rounds)))
    told_s = min((one.length_s for one in windows), default=round_s)
    return tuple(_for_longer(one, told_s / round_s) for one in series_measured(case, now, stored))


def _windows_to_come(
    case: PairedCase | RecordedCase, stored: SeriesSeen, rounds: int, round_s: float
) -> Iterator[SeriesWindow]:
    """In recorded mode the stored side stands in for the other one too, by the query that will be sent for it."""
    queries = {one.name: one.queries for one in case.policy.series}
    for window in stored.windows:
        known = list(stored.rounds.get(window.side, ()))
        if window.round not in known:
            continue
        to_come = range(known.index(window.round), rounds, len(known))
        yield from (_cut(replace(window, round=number), round_s) for number in to_come)
        if isinstance(case, RecordedCase) and window.name in queries:
            other = replace(window, side=Side.CANDIDATE, query=queries[window.name][1])
            yield from (_cut(replace(other, round=number), round_s) for number in to_come)


def _cut(window: SeriesWindow, length_s: float) -> SeriesWindow:
    if window.length_s <= length_s:
        return window
    points = tuple((at_s, value) for at_s, value in window.points if at_s < length_s)
    return replace(window, length_s=length_s, points=points)


def _for_longer(one: Measurement, share: float) -> Measurement:
    """More points of the same rounds tell a level better, as far as points go; what starts differ by stays."""
    if one.cell.metric is not Metric.LEVEL or not isinstance(one.outlook, NoiseOutlook):
        return one
    return replace(one, outlook=replace(one.outlook, shrinking=one.outlook.shrinking * share))
