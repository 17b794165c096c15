"""Recorded mode: only the candidate is loaded, and compared with a recording made at another time.

Blocks of one round are alike, so the unit is the round. What two rounds of the same code differ by is assumed until
enough rounds show it, and averages out over rounds. What drifted between the two recordings does neither: all rounds of
one recording share it, so that rounds that are alike say nothing of it, and more of them do not shrink it. What the
load generator itself felt of it, its own slowdown, makes the interval longer, and can keep a verdict open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rehearse.histogram import Histogram
from rehearse.judge.cells import cells_of
from rehearse.judge.failures import Tally, compare_counts, tally
from rehearse.judge.latency import log_quantile, quantile_noise, samples_needed
from rehearse.judge.levels import completed_level, completed_of, error_level, latency_level
from rehearse.judge.measurement import Measurement, NoiseOutlook, Strictness, with_estimate
from rehearse.judge.paired import latency_margin
from rehearse.judge.pairs import Column, JudgedBlocks, SeriesKey, Slice
from rehearse.judge.stats import Component, combined
from rehearse.judge.wording import machine_speed
from rehearse.model import Block, Cell, Metric, Policy, ReasonCode

_ASSUMED_FREEDOM = 4  # what the assumed run-to-run noise is worth, in rounds


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """All that the cells of one comparison with a recording have in common."""

    policy: Policy
    strictness: Strictness
    judged: JudgedBlocks
    table: Mapping[SeriesKey, Column]
    is_restarted: bool = (
        True  # every round has a fresh process; one environment, so of both recordings or neither
    )
    rig_slowdown: float = 0.0  # log ratio by which the machine itself was slower for the candidate


def measure_rounds(case: RecordedCase) -> tuple[Measurement, ...]:
    """Every cell, measured."""
    return tuple(_measure(case, cell) for cell in cells_of(case.policy, case.table))


def _measure(case: RecordedCase, cell: Cell) -> Measurement:
    if cell.metric is Metric.COMPLETED_RATIO:
        return measure_completed(case, cell)
    column = case.table[cell.scope, cell.name]
    if cell.metric is Metric.ERROR_RATIO:
        return measure_errors(case, cell, column)
    return measure_latency(case, cell, column)


# --- latency ----------------------------------------------------------------------------------------------------


def measure_latency(case: RecordedCase, cell: Cell, column: Column) -> Measurement:
    """The change of one quantile between the means over rounds."""
    quantile = cell.metric.quantile or 0.5
    stored, new = (usable_rounds(side, quantile) for side in (column.baseline, column.candidate))
    logs = tuple([log_quantile(histogram, quantile) for histogram in side] for side in (stored, new))
    seen = _seen(cell, logs, tuple(sum(h.count for h in side) for side in (stored, new)), case.rig_slowdown)
    if cell.objective.limit is not None:
        level = latency_level(
            column.candidate, quantile, cell.objective.limit, case.policy.min_pairs, case.strictness
        )
        seen = replace(seen, level=level)
    if seen.shortage or too_few_rounds(case, logs):
        return _short(case, seen, logs, f" of {samples_needed(quantile)} samples")
    sampling = [quantile_noise(histogram, quantile) ** 2 for histogram in (*stored, *new)]
    assumed = case.policy.noise.run_to_run_sd**2 + math.fsum(sampling) / len(sampling)
    margin = latency_margin(cell, case.policy.floor_s, seen.baseline)
    rounds = Component(assumed, _ASSUMED_FREEDOM)
    return between_rounds(
        case, replace(seen, margin=margin), logs, rounds, drift_of(case.policy), case.rig_slowdown
    )


def usable_rounds(slices: Sequence[Slice], quantile: float) -> list[Histogram]:
    """The merged durations of each round that has enough samples."""
    merged = [Histogram.merged(part.judged for part in members) for members in by_round(slices)]
    return [histogram for histogram in merged if histogram.count >= samples_needed(quantile)]


def by_round(slices: Sequence[Slice]) -> list[list[Slice]]:
    """The slices of each round, in order."""
    numbers = sorted({part.round for part in slices})
    return [[part for part in slices if part.round == number] for number in numbers]


def _seen(
    cell: Cell, logs: tuple[list[float], ...], counts: tuple[int, ...], rig_slowdown: float
) -> Measurement:
    seen = Measurement(cell, baseline_count=counts[0], candidate_count=counts[1], pairs=len(logs[1]))
    if not all(logs):
        return seen
    stored, new = (math.fsum(side) / len(side) for side in logs)
    return replace(
        seen,
        baseline=math.exp(stored),
        candidate=math.exp(new),
        worsening=new - stored,
        detail=", ".join(filter(None, (_rounds(logs), machine_speed(rig_slowdown)))),
    )


# --- ratios -----------------------------------------------------------------------------------------------------


def measure_errors(case: RecordedCase, cell: Cell, column: Column) -> Measurement:
    """The exact comparison of failures, thinned by how much more they vary between rounds than by chance."""
    stored, new = tally(column.baseline), tally(column.candidate)
    counts = (int(stored.requests), int(new.requests))
    seen = Measurement(cell, baseline_count=counts[0], candidate_count=counts[1])
    if cell.objective.limit is not None:
        seen = replace(seen, level=error_level(column.candidate, cell.objective.limit, case.strictness))
    rounds = tuple(
        by_round([part for part in side if part.requests]) for side in (column.baseline, column.candidate)
    )
    if too_few_rounds(case, rounds):
        return _short(case, replace(seen, pairs=len(rounds[1])), rounds, "")
    units = [
        [_as_units(tally(members), stored.is_dense or new.is_dense) for members in side] for side in rounds
    ]
    factor = overdispersion(units)
    totals = [_sum(side).thinned(factor) for side in units]
    compared = compare_counts(cell, totals[0], totals[1], case.strictness, _seconds(case.judged.candidate))
    return replace(
        compared, level=seen.level, baseline_count=counts[0], candidate_count=counts[1], pairs=len(rounds[1])
    )


def _as_units(counted: Tally, is_dense: bool) -> Tally:
    """Where failures are frequent, each counts: episodes would grow together."""
    return replace(counted, episodes=counted.failures) if is_dense else counted


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        sum(one.requests for one in tallies),
        sum(one.failures for one in tallies),
        sum(one.episodes for one in tallies),
        sum(one.hit_bins for one in tallies),
        sum(one.bins for one in tallies),
    )


def overdispersion(sides: Sequence[Sequence[Tally]]) -> float:
    """Pearson's chi-square over its degrees of freedom: how much more rounds differ than chance allows; >= 1."""
    squares, freedom = 0.0, 0
    for side in sides:
        total = _sum(side)
        if len(side) > 1 and total.episodes and total.requests:
            expected = [one.requests * total.episodes / total.requests for one in side]
            squares += sum(
                (one.episodes - mean) ** 2 / mean for one, mean in zip(side, expected, strict=True) if mean
            )
            freedom += len(side) - 1
    return max(1.0, squares / freedom) if freedom else 1.0


def measure_completed(case: RecordedCase, cell: Cell) -> Measurement:
    """The change of answered / planned between the means over rounds; positive = fewer answers."""
    sides = (case.judged.baseline, case.judged.candidate)
    lost = tuple(_lost_by_round(side) for side in sides)
    planned = [sum(block.arrivals.planned for block in side) for side in sides]
    seen = Measurement(cell, baseline_count=planned[0], candidate_count=planned[1], pairs=len(lost[1]))
    if cell.objective.limit is not None:
        own = completed_of(case.judged.candidate)
        level = completed_level(own, cell.objective.limit, case.policy.min_pairs, case.strictness)
        seen = replace(seen, level=level)
    if too_few_rounds(case, lost) or len(lost[0]) + len(lost[1]) <= 2:  # one round a side shows no noise
        return _short(case, seen, lost, "")
    means = [math.fsum(side) / len(side) for side in lost]
    seen = replace(
        seen,
        baseline=1 - means[0],
        candidate=1 - means[1],
        worsening=means[1] - means[0],
        margin=cell.objective.margin,
        detail=_rounds(lost),
    )
    return between_rounds(case, seen, lost, Component(0.0, 0.0))


def _lost_by_round(blocks: Sequence[Block]) -> list[float]:
    """1 - answered / planned of each round."""
    sample = completed_of(blocks)
    values: dict[int, list[float]] = {}
    for number, value in zip(sample.rounds, sample.values, strict=True):
        values.setdefault(number, []).append(value)
    return [1 - math.fsum(members) / len(members) for members in values.values()]


# --- between rounds ---------------------------------------------------------------------------------------------


def round_variance(sides: Sequence[Sequence[float]], assumed: Component) -> Component:
    """What one round of the same code differs by: the assumption and the rounds of both sides, in one formula."""
    squares = math.fsum((value - math.fsum(side) / len(side)) ** 2 for side in sides for value in side)
    freedom = assumed.degrees_of_freedom + sum(len(side) - 1 for side in sides)
    if freedom <= 0:
        return assumed
    return Component((assumed.degrees_of_freedom * assumed.variance + squares) / freedom, freedom)


def drift_of(policy: Policy) -> Component:
    """What two recordings of the same code differ by as a whole: assumed, for nothing here measures it."""
    return Component(policy.noise.run_to_run_sd**2)


def between_rounds(
    case: RecordedCase,
    seen: Measurement,
    sides: Sequence[Sequence[float]],
    assumed: Component,
    drift: Component | None = None,
    rig_slowdown: float = 0.0,
) -> Measurement:
    """The judged change; more load in the same rounds would not make it surer, so all variance is fixed.

    `rig_slowdown` is that of `with_estimate`.

    Rounds that share one process are one start: being alike they cannot lower what is assumed, and being many they
    do not average it.
    """
    noise = round_variance(sides, assumed)
    if not case.is_restarted and noise.variance < assumed.variance:
        noise = assumed
    noise = noise.times(math.fsum(1 / len(side) if case.is_restarted else 1.0 for side in sides))
    parts = [noise] if drift is None else [noise, drift]
    change = combined(seen.worsening or 0.0, parts)
    fixed = math.fsum(part.variance for part in parts)
    outlook = NoiseOutlook(0.0, fixed, change.degrees_of_freedom, _seconds(case.judged.candidate))
    return replace(with_estimate(seen, change, case.strictness, rig_slowdown), outlook=outlook)


def too_few_rounds(case: RecordedCase, sides: Sequence[Sequence[object]]) -> bool:
    """Whether the baseline (the first side) has too few to show how rounds differ, or the candidate none."""
    return len(sides[0]) < case.policy.min_rounds or len(sides[1]) < 1


def _short(
    case: RecordedCase, seen: Measurement, sides: Sequence[Sequence[object]], of_what: str
) -> Measurement:
    shortage = (
        f"the baseline has {len(sides[0])} rounds{of_what} and the candidate {len(sides[1])}; "
        f"{case.policy.min_rounds} and 1 are needed"
    )
    return replace(seen, shortage=shortage, shortage_code=ReasonCode.TOO_FEW_ROUNDS)


def _rounds(sides: Sequence[Sequence[object]]) -> str:
    return f"{len(sides[0])} + {len(sides[1])} rounds"


def _seconds(blocks: Sequence[Block]) -> float:
    return math.fsum(block.length_s for block in blocks)
