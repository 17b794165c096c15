"""Numbers and sentences of findings, in units that people use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rehearse.model import Cell, Metric

if TYPE_CHECKING:  # scipy, which takes a third of a second, is not for those who only want to say a number
    from rehearse.judge.measurement import Level, Measurement

LONGEST_UNIT = 12  # letters: more would make tables wider than a page
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))


def duration(seconds: float) -> str:
    """0.42 ms, 12.3 ms, 1.24 s."""
    return f"{_digits(seconds)} s" if abs(seconds) >= 0.9995 else f"{_digits(seconds * 1000)} ms"


def percent(ratio: float) -> str:
    """A relative change: +6.1 %."""
    return f"{_without_sign_of_zero(f'{ratio * 100:+.1f}')} %"


def points(ratio: float) -> str:
    """A difference of shares, in percentage points: +0.12 pp."""
    return f"{_without_sign_of_zero(f'{ratio * 100:+.2f}')} pp"


def share(ratio: float) -> str:
    """A part of a whole: 0.42 %."""
    if ratio in (0.0, 1.0):
        return f"{ratio * 100:.0f} %"
    return f"{ratio * 100:.{1 if 0.1 <= ratio < 0.9 else 2}f} %"


def machine_speed(rig_slowdown: float) -> str:
    """How fast the machine was beside the recording, from a log ratio of times: machine 12.5 % slower."""
    by_ratio = math.expm1(abs(rig_slowdown))
    return (
        f"machine {share(by_ratio)} {'slower' if rig_slowdown > 0 else 'faster'}" if by_ratio >= 0.01 else ""
    )


def of_the_machine(rig_slowdown: float) -> str:
    """Why what is worse is not held against the candidate."""
    by = share(math.expm1(rig_slowdown))
    return f"but the machine itself was {by} slower: keep other work off it, or rehearse both sides at once"


def per_second(rate: float) -> str:
    """A rate: 8.25/s, 201/s."""
    return f"{_digits(rate)}/s"


def quantity(value: float, unit: str) -> str:
    """A value of a server-side series: 47.5 MB, 1.2 cores, 12."""
    if unit != "bytes":
        rounded = float(f"{value:.3g}") + 0.0
        unit = unit if len(unit) <= LONGEST_UNIT else f"{unit[: LONGEST_UNIT - 3]}..."
        return f"{rounded:{',.0f' if abs(rounded) >= 1000 else 'g'}} {unit}".rstrip()
    size, name = next((one for one in _BYTES if abs(value) >= 0.9995 * one[0]), _BYTES[-1])
    return f"{float(f'{value / size:.3g}') + 0.0:g} {name}"


def level(metric: Metric, value: float, unit: str = "") -> str:
    """A value of a cell: a duration for latency, a rate for capacity, a series' own, else a share."""
    if metric is Metric.CAPACITY:
        return per_second(value)
    if metric is Metric.LEVEL:
        return quantity(value, unit)
    if metric is Metric.GROWTH:
        return f"{quantity(value, unit)}/min"
    return share(value) if metric.quantile is None else duration(value)


def change(metric: Metric, worsening: float) -> str:
    """A worsening on the scale of the test as people say it: +23.0 %, +0.12 pp; fewer completed is negative."""
    more = worsening if metric.lower_is_better else -worsening
    if metric is Metric.GROWTH:
        return f"{percent(more)}/min"
    return percent(math.expm1(more)) if metric.is_relative else points(more)


def margin(metric: Metric, size: float, digits: int = 3) -> str:
    """A margin, without digits that nobody asked for: "+10 %", "+0.1 pp"."""
    more = size if metric.lower_is_better else -size
    signed = (math.expm1(more) if metric.is_relative else more) + 0.0  # no negative zero
    unit = "%/min" if metric is Metric.GROWTH else "%" if metric.is_relative else "pp"
    return f"{float(f'{signed * 100:.{digits}g}'):+g} {unit}"


def minutes(seconds: float) -> str:
    """A rough length: "about 3 more minutes"."""
    whole = max(1, math.ceil(seconds / 60))
    return f"about {whole:,} more minute{'s' if whole > 1 else ''}"


def _without_sign_of_zero(text: str) -> str:
    return text if float(text) else "0"


def _digits(value: float) -> str:
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{decimals}f}"


def what_changed(measured: Measurement) -> str:
    """The first half of a sentence: what was measured, and on how much it rests."""
    if measured.worsening is None or measured.baseline is None or measured.candidate is None:
        return f"{measured.cell.label}: {measured.shortage}"
    metric = measured.cell.metric
    seen = f"changed by {change(metric, measured.worsening)}"
    unit = measured.cell.measured_in
    values = f"{level(metric, measured.baseline, unit)} to {level(metric, measured.candidate, unit)}"
    counts = f"{measured.baseline_count:,}/{measured.candidate_count:,} {_unit_of_count(metric)}"
    basis = ", ".join(part for part in (_spread(measured), measured.detail, counts) if part)
    return f"{measured.cell.label} {seen}, {values} ({basis})"


def _own(cell: Cell, value: float) -> str:
    """A level by itself: growth is told as a part of the series' own mean then."""
    return (
        change(cell.metric, value)
        if cell.metric is Metric.GROWTH
        else level(cell.metric, value, cell.measured_in)
    )


def _spread(measured: Measurement) -> str:
    if measured.low is None or measured.high is None:
        return ""
    metric = measured.cell.metric
    ends = sorted((measured.low, measured.high), reverse=not metric.lower_is_better)
    return f"{change(metric, ends[0])} to {change(metric, ends[1])}"


def _unit_of_count(metric: Metric) -> str:
    if metric is Metric.COMPLETED_RATIO:
        return "arrivals"
    if metric is Metric.CAPACITY:
        return "completed"
    if metric in (Metric.LEVEL, Metric.GROWTH):
        return "points"
    return "requests" if metric is Metric.ERROR_RATIO else "samples"


def against_limit(measured: Measurement, found: Level) -> str:
    """What is known of the candidate's own level."""
    metric = measured.cell.metric
    seen, bound, limit = (_own(measured.cell, value) for value in (found.value, found.bound, found.limit))
    far = f"at {'most' if metric.lower_is_better else 'least'} {bound}"
    ending = "beyond it, proven" if found.is_broken else "inside" if found.is_kept else "not proven inside"
    return f"the candidate's own {metric} is {seen} ({far}); limit {limit}: {ending}"
