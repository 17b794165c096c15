"""The candidate's own level against an absolute limit: a worst value that is never acceptable."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rehearse.judge.failures import tally
from rehearse.judge.latency import logs_of, side_groups
from rehearse.judge.measurement import Level, Strictness, is_enough
from rehearse.judge.pairs import Slice
from rehearse.judge.stats import Estimate, Sample, combined, noise_of_mean
from rehearse.model import Block


def latency_level(
    slices: Sequence[Slice], quantile: float, limit_s: float, least: int, strictness: Strictness
) -> Level | None:
    """The mean log quantile over the candidate's blocks; None with fewer than `least` of them."""
    sample = logs_of(side_groups(slices, quantile))
    if not is_enough(sample, least):
        return None
    found = combined(sample.mean, [noise_of_mean(sample)])
    highest, lowest = (
        math.exp(found.upper(strictness.go_alpha)),
        math.exp(found.lower(strictness.limit_alpha)),
    )
    return Level(limit_s, math.exp(found.value), highest, lowest > limit_s, highest < limit_s)


def error_level(slices: Sequence[Slice], limit: float, strictness: Strictness) -> Level | None:
    """The candidate's error ratio; None without requests."""
    seen = tally(slices)
    if not seen.requests:
        return None
    highest, lowest = seen.upper(strictness.go_alpha), seen.lower(strictness.limit_alpha)
    return Level(limit, seen.ratio, highest, lowest > limit, highest < limit)


def completed_level(sample: Sample, limit: float, least: int, strictness: Strictness) -> Level | None:
    """The candidate's completed ratio, of which the limit is the lowest acceptable value."""
    if not is_enough(sample, least):
        return None
    found: Estimate = combined(sample.mean, [noise_of_mean(sample)])
    lowest, highest = found.lower(strictness.go_alpha), found.upper(strictness.limit_alpha)
    return Level(limit, found.value, lowest, highest < limit, lowest > limit)


def completed_of(blocks: Sequence[Block]) -> Sample:
    """Answered / planned of each block that had something planned."""
    kept = [block for block in blocks if block.arrivals.planned]
    return Sample(tuple(completed(block) for block in kept), tuple(block.round for block in kept))


def completed(block: Block) -> float:
    """Which part of what was planned came to an answer, good or bad."""
    return (block.arrivals.ok + block.arrivals.error) / block.arrivals.planned
