"""Paired mode: both sides loaded at the same moment, so that what both feel cancels in each pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rehearse.judge.cells import cell_of_kind, cells_of
from rehearse.judge.failures import only_kind
from rehearse.judge.latency import (
    Group,
    log_ratios,
    pair_groups,
    relative_margin,
    samples_needed,
)
from rehearse.judge.levels import latency_level
from rehearse.judge.measurement import (
    Measurement,
    NoiseOutlook,
    PairedCase,
    in_pairs,
    is_enough,
    too_few,
    usable,
    with_estimate,
)
from rehearse.judge.pairs import Column
from rehearse.judge.ratios import kinds_worth_testing, measure_completed, measure_errors
from rehearse.judge.stats import (
    Component,
    Sample,
    combined,
    host_weight,
    noise_of_mean,
    start_of_cell,
    start_variance,
)
from rehearse.judge.wording import percent
from rehearse.model import Cell, Metric, Scope, Side


def measure_pairs(case: PairedCase) -> tuple[Measurement, ...]:
    """Every cell, measured."""
    cells = cells_of(case.policy, case.table)
    case = replace(case, start=_start_told(case))
    return tuple(measured for cell in cells for measured in _measure_series(case, cell))


def _measure_series(case: PairedCase, cell: Cell) -> list[Measurement]:
    if cell.metric is Metric.COMPLETED_RATIO:
        return [measure_completed(case, cell)]
    column, before = case.table[cell.scope, cell.name], case.stored_table.get((cell.scope, cell.name))
    if cell.metric is not Metric.ERROR_RATIO:
        return [measure_latency(case, cell, column, before)]
    found = [measure_errors(case, cell, column, before)]
    for kind in kinds_worth_testing(case, cell, column):
        of_kind = only_kind(before, kind) if before is not None else None
        found.append(measure_errors(case, cell_of_kind(cell, kind), only_kind(column, kind), of_kind))
    return found


# --- latency ----------------------------------------------------------------------------------------------------


def measure_latency(case: PairedCase, cell: Cell, column: Column, before: Column | None) -> Measurement:
    """The change of one quantile, from the log ratios of the pairs."""
    quantile = cell.metric.quantile or 0.5
    groups = pair_groups(column, quantile)
    sample = log_ratios(groups)
    seen = _what_was_seen(cell, groups, sample, column)
    if cell.objective.limit is not None:
        level = latency_level(
            column.candidate, quantile, cell.objective.limit, case.policy.min_pairs, case.strictness
        )
        seen = replace(seen, level=level)
    if not is_enough(sample, case.policy.min_pairs):
        return too_few(seen, case.policy.min_pairs, f" of {samples_needed(quantile)} samples")
    earlier = usable(log_ratios(pair_groups(before, quantile)) if before is not None else None)
    return _changed(case, seen, sample, earlier, case.measured_s)


def _what_was_seen(cell: Cell, groups: Sequence[Group], sample: Sample, column: Column) -> Measurement:
    counts = tuple(column.durations(side).until[-1] for side in Side)
    if not groups:
        return Measurement(cell, baseline_count=counts[0], candidate_count=counts[1])
    return Measurement(
        cell,
        baseline=math.exp(math.fsum(group.logs[0] for group in groups) / len(groups)),
        candidate=math.exp(math.fsum(group.logs[1] for group in groups) / len(groups)),
        worsening=sample.mean,
        pairs=len(groups),
        baseline_count=counts[0],
        candidate_count=counts[1],
        detail=in_pairs(len(groups)),
    )


def _changed(
    case: PairedCase, seen: Measurement, sample: Sample, earlier: Sample | None, measured_s: float
) -> Measurement:
    """The change of a log ratio with its whole uncertainty: blocks, starts of processes, hosts."""
    blocks = noise_of_mean(sample, earlier)
    samples = [sample] if earlier is None else [sample, earlier]
    start = start_of_cell(samples, case.start or _assumed_start(case), len(case.restarted))
    taken_off, fixed = environment_terms(case, sample, earlier, start)
    change = combined(sample.mean - taken_off, [blocks, *fixed])
    outlook = NoiseOutlook(
        blocks.variance, math.fsum(part.variance for part in fixed), change.degrees_of_freedom, measured_s
    )
    detail = (
        f"{seen.detail}, less {percent(math.expm1(taken_off))} between identical versions"
        if taken_off
        else ""
    )
    return replace(
        with_estimate(seen, change, case.strictness),
        margin=latency_margin(seen.cell, case.policy.floor_s, seen.baseline),
        correlation=sample.lag_one,
        outlook=outlook,
        detail=detail or seen.detail,
    )


def _start_told(case: PairedCase) -> Component:
    """What starts vary by, from the assumption and the p50 of the largest scenario.

    A start is of the process, and no cell sees it as well as this one: rare endpoints would not notice that starts
    vary more than is assumed.
    """
    totals = [key for key in case.table if key[0] is Scope.SCENARIO]
    if not totals:
        return _assumed_start(case)
    largest = max(totals, key=lambda key: (case.table[key].requests(Side.BASELINE), key))
    columns = (case.table[largest], case.stored_table.get(largest))
    samples = [log_ratios(pair_groups(column, 0.5)) for column in columns if column is not None]
    noise = case.policy.noise
    return start_variance(samples, noise.start_sd, noise.start_degrees_of_freedom, len(case.restarted))


def _assumed_start(case: PairedCase) -> Component:
    return Component(case.policy.noise.start_sd**2, case.policy.noise.start_degrees_of_freedom)


def environment_terms(
    case: PairedCase, sample: Sample, earlier: Sample | None, start: Component
) -> tuple[float, list[Component]]:
    """(what is taken off the change, the variances that more blocks do not shrink).

    Without an A/A reference: both sides' starts and the assumed difference of hosts. With one, the hosts' difference
    is measured, to within the noise of the A/A pairs and the starts that have been drawn anew since. A side that is
    still the process of the reference is as it was then: its start is a part of what the hosts differ by.
    """
    noise = case.policy.noise
    if earlier is None:
        starts = math.fsum(_starts_left(case, sample, side) for side in Side)
        return 0.0, [start.times(starts), Component(noise.host_sd**2)]
    fresh = case.restarted | {Side.CANDIDATE}  # it was upgraded since: another process in any case
    starts_now, starts_then = (
        math.fsum(_starts_left(case, part, side) for side in sorted(fresh)) for part in (sample, earlier)
    )
    then = noise_of_mean(earlier)
    lasting_sd = math.sqrt(noise.host_sd**2 + (len(Side) - len(fresh)) * noise.start_sd**2)
    weight = host_weight(earlier.mean, then.variance + starts_then * start.variance, lasting_sd)
    return weight * earlier.mean, [start.times(starts_now + weight * starts_then), then.times(weight)]


def _starts_left(case: PairedCase, sample: Sample, side: Side) -> float:
    """What part of the variance of one start is left in the mean: 1/R, and all of it where rounds share one start."""
    return sample.round_share if side in case.restarted else 1.0


def latency_margin(cell: Cell, floor_s: float, baseline_s: float | None) -> float | None:
    """The margin of a cell on the log scale, if it has one."""
    margin = cell.objective.margin
    return None if margin is None else relative_margin(margin, floor_s, baseline_s)
