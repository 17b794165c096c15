"""What was measured of one cell, before it is judged. Worsening is positive on every scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from rehearse.judge.pairs import Column, JudgedBlocks, SeriesKey
from rehearse.judge.stats import Component, Estimate, Sample, share_p_value, t_quantile
from rehearse.model import Cell, Policy, ReasonCode, Side

END_SHARE = 0.5  # of the ABORT error rate, for the last of several looks
_TWO_SIDED_ALPHA = 0.025
_FEWEST_FREE = 2  # degrees of freedom
_FEWEST_STORED = 4  # pairs between identical versions, below which nothing is learned from them


@dataclass(frozen=True, slots=True)
class Strictness:
    """How sure the judge must be, fixed before anything is measured."""

    abort_alpha: float  # of the whole family of cells, at one look
    limit_alpha: float  # of one absolute limit, at one look
    go_alpha: float  # of one cell

    @classmethod
    def of(cls, policy: Policy, looks: int, limits: int, *, is_final: bool = True) -> Strictness:
        """The policy's error rates, shared out over the looks and the absolute limits.

        The end has half of it: what is large is seen early in any case, and what is small only then.
        """
        early = max(looks, 1) - 1
        abort_alpha = policy.abort_alpha if not early else policy.abort_alpha * END_SHARE
        if early and not is_final:
            abort_alpha = policy.abort_alpha * (1 - END_SHARE) / early
        return cls(abort_alpha, abort_alpha / max(limits, 1), policy.go_alpha)


@dataclass(frozen=True, slots=True)
class NoiseOutlook:
    """What more load of the same kind would change: `shrinking` variance falls with time, `fixed` does not."""

    shrinking: float
    fixed: float
    degrees_of_freedom: float
    measured_s: float

    def reach(self, alpha: float) -> float:
        """The distance of estimate and bound that no amount of such load gets below."""
        return t_quantile(alpha, self.degrees_of_freedom) * math.sqrt(self.fixed)

    def more_s(self, room: float, alpha: float) -> float | None:
        """Seconds of further load until the bound is within `room`; None when that never happens."""
        if room <= self.reach(alpha):
            return None
        wanted = (room / t_quantile(alpha, self.degrees_of_freedom)) ** 2 - self.fixed
        return max(0.0, self.measured_s * (self.shrinking / wanted - 1)) if wanted > 0 else None

    def smallest(self, alpha: float) -> float:
        """The smallest worsening that a test at `alpha` could have shown."""
        return t_quantile(alpha, self.degrees_of_freedom) * math.sqrt(self.shrinking + self.fixed)


@dataclass(frozen=True, slots=True)
class CountOutlook:
    """The same for rare failures: the number of requests is all that matters."""

    distance: float  # of the upper bound from the estimate
    baseline_episodes: float
    candidate_share: float  # of the requests
    per_request: float  # what one episode adds to the candidate's ratio
    measured_s: float

    def reach(self, alpha: float) -> float:  # noqa: ARG002  # the same shape as NoiseOutlook
        """Counts have no part that stays."""
        return 0.0

    def more_s(self, room: float, alpha: float) -> float | None:  # noqa: ARG002  # see above
        """Seconds of further load until the bound is within `room`, as bounds shrink with the root of the time."""
        if room <= 0:
            return None
        return max(0.0, self.measured_s * ((self.distance / room) ** 2 - 1))

    def smallest(self, alpha: float) -> float:
        """The smallest rise of the ratio that the exact test could have shown."""
        episodes = 1
        while share_p_value(episodes, episodes + self.baseline_episodes, self.candidate_share) > alpha:
            episodes += 1
        return max(0.0, episodes - self.baseline_episodes) * self.per_request


Outlook = NoiseOutlook | CountOutlook


@dataclass(frozen=True, slots=True)
class Level:
    """The candidate's own level against an absolute limit, in the unit of the cell."""

    limit: float
    value: float
    bound: float  # the far end of what the value may be, at the GO error rate
    is_broken: bool  # the near end is beyond the limit as well
    is_kept: bool  # the far end is inside


@dataclass(frozen=True, slots=True)
class Measurement:
    """One cell, measured. The scale is a log ratio for latency and a difference for ratios."""

    cell: Cell
    baseline: float | None = None
    candidate: float | None = None
    worsening: float | None = None
    low: float | None = None  # two-sided 95 %
    high: float | None = None
    upper: float | None = None  # one-sided, what GO is decided on
    p_value: float | None = None
    rig_slowdown: float = (
        0.0  # recorded mode: log ratio by which the machine itself was slower for the candidate
    )
    p_value_beside_rig: float | None = None  # of what is left of the worsening without that
    margin: float | None = None  # effective, on this scale
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    pairs: int = 0
    baseline_count: int = 0
    candidate_count: int = 0
    correlation: float = 0.0  # of neighbouring pairs
    outlook: Outlook | None = None
    level: Level | None = None
    detail: str = ""  # words for the sentence: what the numbers rest on
    shortage: str = ""  # why it could not be judged; empty when it could
    shortage_code: str = ""


@dataclass(frozen=True)
class PairedCase:
    """All that the cells of one paired comparison have in common."""

    policy: Policy
    strictness: Strictness
    judged: JudgedBlocks
    table: Mapping[SeriesKey, Column]
    stored: JudgedBlocks  # pairs between identical versions; empty without an A/A reference
    stored_table: Mapping[SeriesKey, Column]
    restarted: frozenset[Side]  # started anew for every round, here and in the reference
    start: Component | None = None  # what one process start puts on a side, as far as the totals tell

    @cached_property
    def measured_s(self) -> float:
        """Seconds of load that are judged."""
        return math.fsum(block.length_s for block in self.judged.candidate)


def usable(earlier: Sample | None) -> Sample | None:
    """What identical versions showed, when it is enough to learn from."""
    if earlier is None or earlier.count - earlier.round_count < _FEWEST_STORED - 1:
        return None
    return earlier


def with_estimate(
    seen: Measurement, change: Estimate, strictness: Strictness, rig_slowdown: float = 0.0
) -> Measurement:
    """What was seen, with the bounds and the p-value of `change`.

    By `rig_slowdown` the machine itself was slower, or faster where it is negative: the interval holds what the
    candidate would be like with that and without it, for either may be the candidate's own doing.
    """
    at_least = replace(change, value=change.value - max(rig_slowdown, 0.0))
    at_most = replace(change, value=change.value + max(-rig_slowdown, 0.0))
    return replace(
        seen,
        worsening=change.value,
        low=at_least.lower(_TWO_SIDED_ALPHA),
        high=at_most.upper(_TWO_SIDED_ALPHA),
        upper=at_most.upper(strictness.go_alpha),
        p_value=change.p_value,
        rig_slowdown=rig_slowdown,
        p_value_beside_rig=at_least.p_value,
        standard_error=change.standard_error,
        degrees_of_freedom=change.degrees_of_freedom,
    )


def is_enough(sample: Sample, least: int) -> bool:
    """True when the noise between pairs can be told: `least` of them, and not each in a round of its own."""
    return sample.count >= max(least, 1) and sample.count - sample.round_count >= _FEWEST_FREE


def too_few(seen: Measurement, needed: int, of_what: str = "") -> Measurement:
    """The cell cannot be judged: it has fewer pairs than the policy asks for."""
    shortage = f"only {in_pairs(seen.pairs)}{of_what}, {needed} are needed"
    return replace(seen, shortage=shortage, shortage_code=ReasonCode.TOO_FEW_PAIRS)


def in_pairs(count: int) -> str:
    """How many pairs, in words."""
    return f"{count} pair{'' if count == 1 else 's'}"
