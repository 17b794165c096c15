"""Server-side series: memory, CPU, connections, whatever Prometheus knows of each side, against the baseline's.

Points of one series resemble their neighbours, so there is less in them than their number says. A level is judged like
latency: point by point beside the baseline's of the same moment, widened by the serial correlation, and with a variance
of process starts that only more rounds shrink. Growth is judged on the rises between the means of up to eight parts of
each round: rises of a random walk are independent of each other, and those of noise around a level cancel, so that the
test is honest for the one and careful for the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rehearse.judge.latency import relative_margin
from rehearse.judge.measurement import (
    Level,
    Measurement,
    NoiseOutlook,
    PairedCase,
    is_enough,
    usable,
    with_estimate,
)
from rehearse.judge.paired import environment_terms
from rehearse.judge.pairs import measured
from rehearse.judge.recorded import RecordedCase, between_rounds, drift_of, too_few_rounds
from rehearse.judge.stats import Component, Sample, combined, noise_of_mean, start_variance
from rehearse.model import (
    Cell,
    Evidence,
    Metric,
    ReasonCode,
    Reference,
    Role,
    Scope,
    SeriesWindow,
    ServerSeries,
    Side,
)

_ASSUMED_FREEDOM = 4  # what an assumed noise is worth, in rounds
_COVERED_RATIO = 0.8  # of the points of a round that must be there
_FEWEST_POINTS = 4  # in a round
_MOST_PARTS = 8  # of a round, for its growth
_FEWEST_RISES = 3
_MINUTE_S = 60.0

Windows = Mapping[int, SeriesWindow]  # by round


def series_cells(series: Iterable[ServerSeries]) -> tuple[Cell, ...]:
    """One for each thing that is asked of each series. All are certified, unless they are advisory."""
    return tuple(
        Cell(
            Scope.SERIES,
            one.name,
            objective.metric,
            Role.ADVISORY if objective.is_advisory else Role.CERTIFY,
            objective,
            one.unit,
        )
        for one in series
        for objective in one.objectives
    )


@dataclass(frozen=True, slots=True)
class SeriesSeen:
    """What one run holds of all series, and which rounds of each side it measured."""

    windows: Sequence[SeriesWindow]
    rounds: Mapping[Side, Sequence[int]]

    @classmethod
    def of(cls, source: Evidence | Reference | None) -> SeriesSeen:
        """What is recorded; nothing where nothing is."""
        if source is None:
            return cls((), {})
        rounds = {side: sorted({block.round for block in measured(source.blocks, side)}) for side in Side}
        return cls(source.series, rounds)


def measure_series(evidence: Evidence, case: PairedCase | RecordedCase) -> tuple[Measurement, ...]:
    """Every cell of the server-side series, measured."""
    if not evidence.policy.series:
        return ()
    reference = evidence.reference
    is_reference = reference is not None and not reference.other_rig
    return series_measured(case, SeriesSeen.of(evidence), SeriesSeen.of(reference if is_reference else None))


def series_measured(
    case: PairedCase | RecordedCase, now: SeriesSeen, stored: SeriesSeen
) -> tuple[Measurement, ...]:
    """The same of what was seen now, beside what is stored."""
    series = {one.name: one for one in case.policy.series}
    return tuple(
        _measure(case, cell, series[cell.name], now, stored) for cell in series_cells(series.values())
    )


def _measure(
    case: PairedCase | RecordedCase, cell: Cell, asked: ServerSeries, now: SeriesSeen, stored: SeriesSeen
) -> Measurement:
    is_paired = isinstance(case, PairedCase)
    sides = (
        _Recording.of(now if is_paired else stored, cell.name, Side.BASELINE),
        _Recording.of(now, cell.name, Side.CANDIDATE),
    )
    seen = Measurement(cell, baseline_count=sides[0].count, candidate_count=sides[1].count)
    trouble = _why_not(cell, asked, sides)
    if trouble:
        return replace(seen, shortage=trouble, shortage_code=ReasonCode.SERIES_MISSING)
    seen = replace(seen, level=_own_level(cell, sides[1], case))
    if _is_limited_only(cell):
        return replace(seen, baseline=sides[0].mean, candidate=sides[1].mean, pairs=sides[1].count)
    if isinstance(case, RecordedCase):
        return _against_recording(case, seen, asked, sides)
    earlier = (
        _Recording.of(stored, cell.name, Side.BASELINE),
        _Recording.of(stored, cell.name, Side.CANDIDATE),
    )
    is_known = not _why_not(cell, asked, earlier)
    return _side_by_side(case, seen, asked, sides, earlier if is_known else None)


def _why_not(cell: Cell, asked: ServerSeries, sides: tuple[_Recording, _Recording]) -> str:
    """Why nothing can be said of the cell; empty when something can."""
    missing = sides[0].trouble or sides[1].trouble or _other_query(sides, asked)
    if missing or _is_limited_only(cell):
        return missing
    if cell.metric is Metric.GROWTH:
        is_told = sides[0].mean > 0
        return "" if is_told else "the baseline's level is 0 or below: growth cannot be told as a part of it"
    return _not_positive(sides)


def _is_limited_only(cell: Cell) -> bool:
    """A level without a margin is compared with nothing, and may be 0."""
    return cell.metric is Metric.LEVEL and cell.objective.margin is None


# --- what there is of a series ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Recording:
    """One series of one side over the measured rounds."""

    windows: Windows
    trouble: str = ""  # why nothing can be said of it

    @classmethod
    def of(cls, seen: SeriesSeen, name: str, side: Side) -> _Recording:
        rounds = seen.rounds.get(side, ())
        found = {one.round: one for one in seen.windows if one.name == name and one.side is side}
        kept = {number: found[number] for number in rounds if number in found}
        troubles = [
            trouble for number in rounds if (trouble := _trouble(found.get(number), side, number)) is not None
        ]
        if not rounds:
            troubles = [f"no round of the {side} was measured"]
        return cls(kept, troubles[0] if troubles else "")

    @property
    def points(self) -> Sample:
        """All values, in the order of time."""
        values = [(value, number) for number, window in self.windows.items() for _, value in window.points]
        return Sample(tuple(value for value, _ in values), tuple(number for _, number in values))

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.points.count

    @property
    def mean(self) -> float:
        """Of all values."""
        return self.points.mean

    @property
    def round_means(self) -> list[float]:
        """The mean of each round."""
        return [_mean([value for _, value in window.points]) for window in self.windows.values()]

    def rises(self) -> Sample:
        """The rises between the parts of each round, a minute."""
        found = [(rise, number) for number, window in self.windows.items() for rise in _rises(window)]
        return Sample(tuple(rise for rise, _ in found), tuple(number for _, number in found))


def _trouble(window: SeriesWindow | None, side: Side, number: int) -> str | None:
    where = f"of the {side} in round {number + 1}"
    if window is None:
        return f"nothing was recorded of it {where}"
    if window.trouble:
        return f"{window.trouble} ({where})"
    expected = math.floor(window.length_s / window.step_s + 1e-9) if window.step_s > 0 else 0
    needed = max(_FEWEST_POINTS, math.ceil(_COVERED_RATIO * expected))
    if len(window.points) < needed:
        return (
            f"{len(window.points)} points {where}, {needed} are needed: a scrape interval that is longer than "
            f"prometheus.step ({window.step_s:g} s), a target that was not scraped, or a round that is too short"
        )
    return None


def _other_query(sides: Sequence[_Recording], asked: ServerSeries) -> str:
    is_same = all(
        window.query == query
        for side, query in zip(sides, asked.queries, strict=True)
        for window in side.windows.values()
    )
    return "" if is_same else "it was recorded with another query; record the baseline anew"


def _not_positive(sides: Sequence[_Recording]) -> str:
    if all(value > 0 for side in sides for value in side.points.values):
        return ""
    return "it is 0 or below at some moment, where a margin in per cent means nothing; give it a limit, such as '<80'"


def _rises(window: SeriesWindow) -> list[float]:
    """Between the means of up to eight parts of equal length."""
    parts = min(_MOST_PARTS, len(window.points) // 2)
    ends = [round(part * len(window.points) / parts) for part in range(parts + 1)]
    slices = [window.points[begin:end] for begin, end in pairwise(ends)]
    means = [(_mean([at for at, _ in part]), _mean([value for _, value in part])) for part in slices]
    return [
        (value - earlier) / (at - at_earlier) * _MINUTE_S
        for (at_earlier, earlier), (at, value) in pairwise(means)
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _own_level(cell: Cell, candidate: _Recording, case: PairedCase | RecordedCase) -> Level | None:
    """The candidate alone against the absolute limit, if there is one."""
    limit = cell.objective.limit
    if limit is None:
        return None
    sample = candidate.points if cell.metric is Metric.LEVEL else _divided(candidate.rises(), candidate.mean)
    if not is_enough(sample, _FEWEST_RISES):
        return None
    found = combined(sample.mean, [noise_of_mean(sample)])
    highest, lowest = found.upper(case.strictness.go_alpha), found.lower(case.strictness.limit_alpha)
    return Level(limit, found.value, highest, lowest > limit, highest < limit)


def _divided(sample: Sample, by: float) -> Sample:
    return Sample(tuple(value / by for value in sample.values), sample.rounds) if by else Sample((), ())


# --- both sides at the same moment ------------------------------------------------------------------------------


def _side_by_side(
    case: PairedCase,
    seen: Measurement,
    asked: ServerSeries,
    sides: tuple[_Recording, _Recording],
    earlier: tuple[_Recording, _Recording] | None,
) -> Measurement:
    is_level = seen.cell.metric is Metric.LEVEL
    sample = _log_ratios(sides) if is_level else _more_growth(sides)
    seen = _what_was_seen(seen, asked, sides, sample)
    least = case.policy.min_pairs if is_level else _FEWEST_RISES
    if not is_enough(sample, least):
        shortage = f"only {sample.count} moments with a value of both sides, {least} are needed: more load"
        return replace(seen, shortage=shortage, shortage_code=ReasonCode.SERIES_MISSING)
    before = (
        usable(_log_ratios(earlier) if is_level else _more_growth(earlier)) if earlier is not None else None
    )
    points = noise_of_mean(sample, before)
    samples = [sample] if before is None else [sample, before]
    noise = case.policy.noise
    assumed_sd = noise.series_sd if is_level else noise.growth_sd
    start = start_variance(samples, assumed_sd, _ASSUMED_FREEDOM, len(case.restarted))
    if is_level:
        taken_off, fixed = environment_terms(case, sample, before, start)
    else:  # a host makes nothing grow, and a process start may
        left = [sample.round_share if side in case.restarted else 1.0 for side in Side]
        taken_off, fixed = 0.0, [start.times(math.fsum(left))]
    change = combined(sample.mean - taken_off, [points, *fixed])
    fixed_variance = math.fsum(part.variance for part in fixed)
    outlook = NoiseOutlook(points.variance, fixed_variance, change.degrees_of_freedom, case.measured_s)
    return replace(with_estimate(seen, change, case.strictness), outlook=outlook)


def _log_ratios(sides: tuple[_Recording, _Recording]) -> Sample:
    """log(candidate / baseline) at each moment that both have a value of."""
    found = []
    for number, window in sides[0].windows.items():
        others = dict(sides[1].windows[number].points) if number in sides[1].windows else {}
        pairs = [(value, others[at]) for at, value in window.points if at in others]
        found += [(math.log(other / one), number) for one, other in pairs if one > 0 and other > 0]
    return Sample(tuple(value for value, _ in found), tuple(number for _, number in found))


def _more_growth(sides: tuple[_Recording, _Recording]) -> Sample:
    """How much more the candidate rose in each part of each round, a minute, as a part of the baseline's level."""
    found = []
    for number, window in sides[0].windows.items():
        if number in sides[1].windows:
            both = zip(_rises(window), _rises(sides[1].windows[number]), strict=False)
            found += [((other - one) / sides[0].mean, number) for one, other in both]
    return Sample(tuple(value for value, _ in found), tuple(number for _, number in found))


def _what_was_seen(
    seen: Measurement, asked: ServerSeries, sides: tuple[_Recording, _Recording], sample: Sample
) -> Measurement:
    is_level = seen.cell.metric is Metric.LEVEL
    values = [side.mean if is_level else side.rises().mean for side in sides]
    rounds = len(sides[1].windows)
    margin = seen.cell.objective.margin
    if is_level and margin is not None:
        margin = relative_margin(margin, asked.floor, values[0])
    return replace(
        seen,
        baseline=values[0],
        candidate=values[1],
        worsening=sample.mean if sample.count else None,
        margin=margin,
        pairs=sample.count,
        correlation=sample.lag_one,
        detail=f"{rounds} round{'' if rounds == 1 else 's'}",
    )


# --- against a recording ----------------------------------------------------------------------------------------


def _against_recording(
    case: RecordedCase, seen: Measurement, asked: ServerSeries, sides: tuple[_Recording, _Recording]
) -> Measurement:
    """Rounds are the unit, as for everything else in recorded mode."""
    is_level = seen.cell.metric is Metric.LEVEL
    if is_level:
        rounds = [[math.log(value) if value > 0 else 0.0 for value in side.round_means] for side in sides]
    else:
        rounds = [
            [_mean(_rises(window)) / sides[0].mean for window in side.windows.values()] for side in sides
        ]
    means = [Sample(tuple(side), tuple(range(len(side)))) for side in rounds]
    change = Sample((means[1].mean - means[0].mean,), (0,))
    seen = replace(_what_was_seen(seen, asked, sides, change), pairs=len(rounds[1]))
    if too_few_rounds(case, rounds):
        shortage = f"the baseline has {len(rounds[0])} rounds, {case.policy.min_rounds} are needed"
        return replace(seen, shortage=shortage, shortage_code=ReasonCode.TOO_FEW_ROUNDS)
    noise = case.policy.noise
    assumed = Component((noise.series_sd if is_level else noise.growth_sd) ** 2, _ASSUMED_FREEDOM)
    seen = replace(seen, detail=f"{len(rounds[0])} + {len(rounds[1])} rounds")
    return between_rounds(case, seen, rounds, assumed, drift_of(case.policy) if is_level else None)
