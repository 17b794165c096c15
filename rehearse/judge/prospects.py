"""The nouns of a forecast: the load that is planned, and what can be proven of one cell with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rehearse.judge.horizon import distance, first_times
from rehearse.judge.measurement import CountOutlook, Measurement, NoiseOutlook
from rehearse.judge.stats import requests_to_certify, t_quantile
from rehearse.model import Cell, Mode, Policy, Side

MISSED_SHARE = 0.20  # of unchanged candidates may miss a margin that is called certifiable
HOPELESS = 2.0  # times its margin: where a bound is expected that far out, nobody should wait for it


@dataclass(frozen=True, slots=True)
class Plan:
    """The load that is about to be measured."""

    mode: Mode
    policy: Policy
    block_s: float
    blocks: int  # measured, of each round
    rounds: int
    looks: int
    restarted: frozenset[Side]
    arrivals: Mapping[str, float]  # of each scenario, per block and side

    @property
    def measured_s(self) -> float:
        """Seconds of load that will be judged."""
        return self.block_s * self.blocks * self.rounds


@dataclass(frozen=True, slots=True)
class Prospect:
    """What can be proven of one certified cell, on the scale of the test (a log ratio for latency and capacity)."""

    cell: Cell
    margin: float
    expected: float  # where the bound of an unchanged candidate is expected
    reach: float  # the margin that four of five unchanged candidates are proven inside of; infinite: none
    needed_s: float | None  # measured load that brings the reach to the margin; None when none does
    visible: float  # the smallest worsening that would be ABORT in every second run
    shortage: str = ""  # what there is too little of

    @property
    def can_be_certified(self) -> bool:
        """Whether the planned load is enough."""
        return self.reach <= self.margin

    @property
    def is_hopeless(self) -> bool:
        """Out of reach by so much that no luck brings it back."""
        return self.expected >= HOPELESS * self.margin

    @property
    def part_of_margin(self) -> float:
        """How much of the margin the reach is; more than 1.0 is out of reach."""
        return self.reach / self.margin if self.margin > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Unknown:
    """A certified cell of which nothing can be foretold."""

    cell: Cell
    why: str


def prospect_of(measured: Measurement, plan: Plan, abort_alpha: float) -> Prospect:
    """What a measurement on paper says of the load to come."""
    margin = measured.margin or measured.cell.objective.margin or 0.0
    if isinstance(measured.outlook, CountOutlook):
        return _by_count(measured, measured.outlook, plan, margin, abort_alpha)
    if not isinstance(measured.outlook, NoiseOutlook):
        return _too_little(measured, plan, margin)
    outlook, alphas = measured.outlook, (plan.policy.go_alpha, MISSED_SHARE)
    expected, luck = (t_quantile(alpha, outlook.degrees_of_freedom) for alpha in alphas)
    spread, freedom = math.sqrt(outlook.shrinking + outlook.fixed), measured.pairs - plan.rounds
    times = first_times(lambda times: distance(outlook, freedom, times, alphas) <= margin)
    return Prospect(
        cell=measured.cell,
        margin=margin,
        expected=expected * spread,
        reach=(expected + luck) * spread,
        needed_s=None if times is None else plan.measured_s * times,
        visible=max(margin, outlook.smallest(abort_alpha)),
    )


def _too_little(measured: Measurement, plan: Plan, margin: float) -> Prospect:
    """Too few pairs hold enough requests: a longer run has more of them."""
    needed_s = plan.measured_s * plan.policy.min_pairs / measured.pairs if measured.pairs else None
    is_far = needed_s is None or needed_s >= HOPELESS * plan.measured_s
    expected = math.inf if is_far and plan.mode is Mode.PAIRED else margin
    return Prospect(measured.cell, margin, expected, math.inf, needed_s, math.inf, measured.shortage)


def _by_count(
    measured: Measurement, outlook: CountOutlook, plan: Plan, margin: float, abort_alpha: float
) -> Prospect:
    """Without any failure the bound is certain; with some, their number varies by chance."""
    ratios = [ratio for ratio in (measured.baseline, measured.candidate) if ratio]
    failures = math.sqrt(sum(ratios) * outlook.per_request) if ratios else 0.0
    reach = outlook.distance + t_quantile(MISSED_SHARE, math.inf) * failures
    needed = requests_to_certify(margin, plan.policy.go_alpha)
    if ratios or needed is None or not measured.candidate_count:
        needed_s = plan.measured_s * (reach / margin) ** 2 if margin > 0 else None
    else:
        needed_s = plan.measured_s * needed / measured.candidate_count
    visible = max(margin, outlook.smallest(abort_alpha))
    return Prospect(measured.cell, margin, outlook.distance, reach, needed_s, visible)
