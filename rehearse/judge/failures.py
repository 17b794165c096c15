"""Failure counts of one series on one side, and the exact comparison of two of them.

Failures come in bursts, so neighbouring ones are one episode: a run of adjacent 0.5 s bins with at least one failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rehearse.judge.measurement import CountOutlook, Measurement, Strictness
from rehearse.judge.pairs import Column, Slice
from rehearse.judge.stats import binomial_lower, binomial_upper, requests_to_certify, share_p_value
from rehearse.model import Cell

BINS_PER_S = 2
DENSE_RATIO = 0.20  # of the bins with a failure: from here on episodes grow together and count too little
_TWO_SIDED_ALPHA = 0.025


@dataclass(frozen=True, slots=True)
class Tally:
    """What failed on one side."""

    requests: float
    failures: float
    episodes: float
    hit_bins: int
    bins: float

    @property
    def ratio(self) -> float:
        """Failed / all; 0.0 without requests."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def is_dense(self) -> bool:
        """True when episodes no longer count what happens."""
        return self.bins > 0 and self.hit_bins >= DENSE_RATIO * self.bins

    @property
    def per_episode(self) -> float:
        """How many failures an episode holds, at least one."""
        return max(1.0, self.failures / self.episodes) if self.episodes else 1.0

    def upper(self, alpha: float, per_episode: float | None = None) -> float:
        """The upper bound of the ratio, widened by the failures per episode."""
        bound = binomial_upper(self.episodes, self.requests, alpha)
        return min(1.0, bound * (self.per_episode if per_episode is None else per_episode))

    def lower(self, alpha: float) -> float:
        """The lower bound of the ratio."""
        return min(self.ratio, binomial_lower(self.episodes, self.requests, alpha) * self.per_episode)

    def thinned(self, factor: float) -> Tally:
        """The same ratio, worth `factor` times fewer independent observations."""
        return replace(self, requests=self.requests / factor, failures=self.failures / factor,
                       episodes=self.episodes / factor)  # fmt: skip


def tally(slices: Iterable[Slice]) -> Tally:
    """Add up one side. A failure that no bin holds is an episode of its own."""
    slices = tuple(slices)
    failing = [part for part in slices if part.failed]  # most often few of many
    hit = {(part.round, error.bin) for part in failing for error in part.errors}
    runs = sum((number, bin_ - 1) not in hit for number, bin_ in hit)
    failures = sum(part.failed for part in failing)
    unplaced = sum(max(0, part.failed - sum(error.count for error in part.errors)) for part in failing)
    bins = math.fsum(part.length_s for part in slices) * BINS_PER_S
    return Tally(sum(part.requests for part in slices), failures, runs + unplaced, len(hit), bins)


def kinds(slices: Iterable[Slice]) -> dict[str, int]:
    """How often each kind of failure came, by name."""
    counts: dict[str, int] = {}
    for part in slices:
        for error in part.errors:
            counts[error.kind] = counts.get(error.kind, 0) + error.count
    return dict(sorted(counts.items()))


def only_kind(column: Column, kind: str) -> Column:
    """The same requests with nothing failed but in one way."""
    return Column(_only(column.baseline, kind), _only(column.candidate, kind))


def _only(slices: Sequence[Slice], kind: str) -> tuple[Slice, ...]:
    chosen = [tuple(error for error in part.errors if error.kind == kind) for part in slices]
    return tuple(
        replace(part, errors=errors, failed=sum(error.count for error in errors))
        for part, errors in zip(slices, chosen, strict=True)
    )


def candidate_share(baseline: Tally, candidate: Tally) -> float:
    """The candidate's part of all requests."""
    return candidate.requests / (baseline.requests + candidate.requests)


def episodes_p_value(baseline: Tally, candidate: Tally) -> float:
    """Exact, one-sided: of "the candidate fails no more often than the baseline"."""
    both = baseline.episodes + candidate.episodes
    return share_p_value(candidate.episodes, both, candidate_share(baseline, candidate))


def highest_rise(baseline: Tally, candidate: Tally, alpha: float) -> float:
    """The upper bound of candidate's minus baseline's ratio.

    A baseline without failures has the lower bound 0 at any confidence, so that all of `alpha` is the candidate's:
    no failure in 3,000 requests proves less than 0.1 %.
    """
    part = alpha / 2 if baseline.episodes else alpha
    per_episode = candidate.per_episode if candidate.episodes else baseline.per_episode
    return candidate.upper(part, per_episode) - baseline.lower(part)


def compare_counts(
    cell: Cell, baseline: Tally, candidate: Tally, strictness: Strictness, measured_s: float
) -> Measurement:
    """The exact comparison of two tallies with requests on both sides."""
    rise = candidate.ratio - baseline.ratio
    upper = highest_rise(baseline, candidate, strictness.go_alpha)
    return Measurement(
        cell=cell,
        baseline=baseline.ratio,
        candidate=candidate.ratio,
        worsening=rise,
        low=candidate.lower(_TWO_SIDED_ALPHA) - baseline.upper(_TWO_SIDED_ALPHA),
        high=candidate.upper(_TWO_SIDED_ALPHA) - baseline.lower(_TWO_SIDED_ALPHA),
        upper=upper,
        p_value=episodes_p_value(baseline, candidate),
        margin=cell.objective.margin,
        outlook=CountOutlook(
            distance=max(0.0, upper - rise),
            baseline_episodes=baseline.episodes,
            candidate_share=candidate_share(baseline, candidate),
            per_request=candidate.per_episode / candidate.requests,
            measured_s=measured_s,
        ),
        detail=f"{baseline.episodes:.0f} and {candidate.episodes:.0f} episodes{_too_few(cell, candidate, strictness)}",
    )


def _too_few(cell: Cell, candidate: Tally, strictness: Strictness) -> str:
    margin = cell.objective.margin
    needed = None if margin is None else requests_to_certify(margin, strictness.go_alpha)
    if needed is None or candidate.requests >= needed:
        return ""
    return f"; even without any failure {needed:,} requests are needed"
