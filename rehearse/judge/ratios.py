"""Ratios in paired mode: failures, counted exactly while they are rare, and what was completed."""

from __future__ import annotations

from dataclasses import replace

from rehearse.judge.failures import compare_counts, kinds, only_kind, tally
from rehearse.judge.levels import completed, completed_level, completed_of, error_level
from rehearse.judge.measurement import (
    Measurement,
    NoiseOutlook,
    PairedCase,
    Strictness,
    in_pairs,
    is_enough,
    too_few,
    usable,
    with_estimate,
)
from rehearse.judge.pairs import Column, JudgedBlocks
from rehearse.judge.stats import Sample, combined, noise_of_mean, share_p_value
from rehearse.model import Cell, ReasonCode, Role, Scope, Side

_REQUESTS_PER_PAIR = 10  # below that a block's error ratio is too coarse


def measure_errors(case: PairedCase, cell: Cell, column: Column, before: Column | None) -> Measurement:
    """Rare failures are counted exactly, frequent ones compared pair by pair."""
    baseline, candidate = tally(column.baseline), tally(column.candidate)
    counts = (int(baseline.requests), int(candidate.requests))
    seen = Measurement(cell, baseline_count=counts[0], candidate_count=counts[1])
    if cell.objective.limit is not None:
        seen = replace(seen, level=error_level(column.candidate, cell.objective.limit, case.strictness))
    if not all(counts):
        return replace(seen, shortage="no requests on one side", shortage_code=ReasonCode.TOO_FEW_PAIRS)
    if baseline.is_dense or candidate.is_dense:
        seen = replace(seen, baseline=baseline.ratio, candidate=candidate.ratio)
        earlier = usable(error_differences(before) if before is not None else None)
        return _difference(case, seen, error_differences(column), earlier)
    compared = compare_counts(cell, baseline, candidate, case.strictness, case.measured_s)
    return replace(
        compared,
        level=seen.level,
        baseline_count=counts[0],
        candidate_count=counts[1],
        pairs=len(column.candidate),
        detail=compared.detail + _mostly(column),
    )


def _mostly(column: Column) -> str:
    """The most frequent kind of failure on the candidate, in words."""
    found = kinds(column.candidate)
    return f", mostly {max(found, key=lambda kind: found[kind])}" if found else ""


def error_differences(column: Column) -> Sample:
    """Candidate's less baseline's error ratio of each pair with enough requests."""
    rows = [
        (second.round, second.failed / second.requests - first.failed / first.requests)
        for first, second in zip(column.baseline, column.candidate, strict=True)
        if min(first.requests, second.requests) >= _REQUESTS_PER_PAIR
    ]
    return Sample(tuple(value for _, value in rows), tuple(number for number, _ in rows))


def kinds_worth_testing(case: PairedCase, cell: Cell, column: Column) -> list[str]:
    """The kinds of failure on the candidate that get a cell of their own.

    Left out: the only kind of a series (it is the series' own cell), and kinds so rare that no split between the
    sides could ever be proven; how rare depends on both sides together only, so leaving them out is no peeking.
    """
    everywhere = kinds((*column.baseline, *column.candidate))
    is_judged = (
        cell.scope is Scope.ENDPOINT and cell.role is not Role.ADVISORY and cell.objective.margin is not None
    )
    if not is_judged or len(everywhere) < 2:
        return []
    return [
        kind for kind in kinds(column.candidate) if _could_be_proven(only_kind(column, kind), case.strictness)
    ]


def _could_be_proven(column: Column, strictness: Strictness) -> bool:
    episodes = tally(column.baseline).episodes + tally(column.candidate).episodes
    share = column.requests(Side.CANDIDATE) / max(
        column.requests(Side.BASELINE) + column.requests(Side.CANDIDATE), 1
    )
    return share_p_value(episodes, episodes, share) <= strictness.abort_alpha


# --- ratios, pair by pair ---------------------------------------------------------------------------------------


def measure_completed(case: PairedCase, cell: Cell) -> Measurement:
    """The change of answered / planned; positive = fewer answers."""
    judged = case.judged
    own = completed_of(judged.candidate)
    planned = [
        sum(block.arrivals.planned for block in blocks) for blocks in (judged.baseline, judged.candidate)
    ]
    seen = Measurement(cell, baseline_count=planned[0], candidate_count=planned[1])
    if cell.objective.limit is not None:
        level = completed_level(own, cell.objective.limit, case.policy.min_pairs, case.strictness)
        seen = replace(seen, level=level)
    seen = replace(seen, baseline=completed_of(judged.baseline).mean, candidate=own.mean)
    return _difference(case, seen, completed_differences(judged), usable(completed_differences(case.stored)))


def completed_differences(judged: JudgedBlocks) -> Sample:
    """Baseline's less candidate's completed ratio of each pair."""
    rows = [
        (second.round, completed(first) - completed(second))
        for first, second in zip(judged.baseline, judged.candidate, strict=True)
        if first.arrivals.planned and second.arrivals.planned
    ]
    return Sample(tuple(value for _, value in rows), tuple(number for number, _ in rows))


def _difference(case: PairedCase, seen: Measurement, sample: Sample, earlier: Sample | None) -> Measurement:
    seen = replace(seen, pairs=sample.count, worsening=sample.mean, detail=in_pairs(sample.count))
    if not is_enough(sample, case.policy.min_pairs):
        return too_few(seen, case.policy.min_pairs)
    noise = noise_of_mean(sample, earlier)
    change = combined(sample.mean, [noise])
    outlook = NoiseOutlook(noise.variance, 0.0, change.degrees_of_freedom, case.measured_s)
    return replace(
        with_estimate(seen, change, case.strictness), margin=seen.cell.objective.margin, outlook=outlook
    )
