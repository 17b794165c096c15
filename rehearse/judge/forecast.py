"""Before load: what a comparison will be able to certify, if nothing changed.

It is judged on paper: the pairs that are known already stand in for the ones to come, and the judge's own measurements
say how far bound and estimate would be apart. So there is one arithmetic of uncertainty, and not two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rehearse.histogram import Histogram
from rehearse.judge.horizon import distance, first_times
from rehearse.judge.latency import quantile_noise
from rehearse.judge.measurement import (
    CountOutlook,
    Measurement,
    NoiseOutlook,
    PairedCase,
    Strictness,
    in_pairs,
)
from rehearse.judge.paired import measure_pairs
from rehearse.judge.pairs import (
    Column,
    JudgedBlocks,
    SeriesKey,
    Slice,
    columns,
    judged_pairs,
    judged_recordings,
)
from rehearse.judge.recorded import RecordedCase, measure_rounds
from rehearse.judge.stats import requests_to_certify, t_quantile
from rehearse.model import (
    Arrivals,
    Block,
    Cell,
    Metric,
    Mode,
    Policy,
    Reference,
    RequestOutcome,
    RigHealth,
    Role,
    Scope,
    Series,
    Side,
)

MISSED_SHARE = 0.20  # of unchanged candidates may miss a margin that is called certifiable
HOPELESS = 2.0  # times its margin: where a bound is expected that far out, nobody should wait for it
_BINS_PER_S = 2
_IMAGINED_S = 1.0  # a duration where nothing is known of any

Table = Mapping[SeriesKey, Column]


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
class Forecast:
    """All certified cells, the hardest first."""

    plan: Plan
    source: str  # where the noise is taken from
    is_measured: bool  # between two sides of identical code; else a part of it is assumed
    prospects: tuple[Prospect, ...]

    @property
    def refused(self) -> tuple[Prospect, ...]:
        """The cells for which load would be a waste. An assumption refuses nothing; a count of requests does."""
        return tuple(
            one
            for one in self.prospects
            if one.is_hopeless and (self.is_measured or one.cell.metric is Metric.ERROR_RATIO)
        )


def forecast(plan: Plan, reference: Reference | None) -> Forecast:
    """What `plan` can certify by the noise of the stored baseline, or by assumption where there is none."""
    if plan.mode is Mode.RECORDED:
        return _by_rounds(plan, reference)
    if reference is None:
        return _by_assumption(plan)
    if reference.is_calibrated:
        kept = judged_pairs(reference.blocks, plan.policy.rig)
        if kept.candidate:
            return _by_pairs(plan, reference.name, kept)
    known = judged_recordings(reference.blocks, (), plan.policy.rig).baseline
    source = f"baseline {reference.name!r} of one side; what pairs differ by beyond chance is not known"
    return _by_chance(plan, known, f"at best, by the requests of {source}") if known else _by_assumption(plan)


def forecast_from_warm_up(plan: Plan, blocks: Iterable[Block]) -> Forecast | None:
    """The same by the requests of the warm-up; None when it has none."""
    known = tuple(block for block in blocks if block.side is Side.BASELINE and block.series)
    if plan.mode is Mode.RECORDED or not known:
        return None
    source = "at best, by the requests of the warm-up; what pairs differ by beyond chance is not known"
    return _by_chance(plan, known, source)


# --- what stands in for the load to come ------------------------------------------------------------------------


def _by_pairs(plan: Plan, name: str, kept: JudgedBlocks) -> Forecast:
    table = columns(kept)
    measured = _measured_on_paper(plan, kept, table, (kept, table))
    source = f"noise of {in_pairs(len(kept.candidate))} of identical versions in baseline {name!r}"
    return _forecast(plan, source, measured, is_measured=True)


def _by_chance(plan: Plan, known: Sequence[Block], source: str) -> Forecast:
    """Pairs of equal halves, and the spread that the number of requests alone gives their quantiles."""
    kept = JudgedBlocks(tuple(known), tuple(known))
    table = columns(kept)
    measured = [
        _with_chance(one, table, plan, len(known))
        for one in _measured_on_paper(plan, kept, table, (JudgedBlocks((), ()), {}))
    ]
    return _forecast(plan, source, measured, is_measured=False)


def _with_chance(measured: Measurement, table: Table, plan: Plan, blocks: int) -> Measurement:
    quantile, column = measured.cell.metric.quantile, table.get((measured.cell.scope, measured.cell.name))
    if quantile is None or column is None or not isinstance(measured.outlook, NoiseOutlook):
        return measured
    whole = Histogram.merged(part.judged for part in column.baseline)
    as_planned = plan.blocks * plan.rounds / blocks
    chance = len(Side) * quantile_noise(whole, quantile) ** 2 / as_planned
    return replace(measured, outlook=replace(measured.outlook, shrinking=chance))


def _by_assumption(plan: Plan) -> Forecast:
    """Nothing is recorded: the number of arrivals is known, and what starts and hosts are assumed to differ by."""
    alike = tuple(_imagined(plan, index) for index in range(plan.blocks))
    kept = JudgedBlocks(alike, alike)
    measured = _measured_on_paper(plan, kept, columns(kept), (JudgedBlocks((), ()), {}))
    source = "no recording tells the noise: at best, by the assumed differences of hosts and starts alone"
    return _forecast(plan, source, measured, is_measured=False)


def _imagined(plan: Plan, index: int) -> Block:
    counts = {name: max(1, round(number)) for name, number in plan.arrivals.items()}
    total, empty = sum(counts.values()), Histogram()
    series = tuple(
        Series(Scope.SCENARIO, name, {RequestOutcome.OK: _equal_durations(count)})
        for name, count in sorted(counts.items())
    )
    ledger = Arrivals(planned=total, dispatched=total, ok=total)
    rig = RigHealth(empty, empty, stall_max_s=0.0, cpu_ratio=0.0)
    return Block(
        Side.BASELINE, 0, index, is_warm_up=False, start_s=index * plan.block_s, length_s=plan.block_s,
        arrivals=ledger, series=series, rig=rig,
    )  # fmt: skip


def _equal_durations(count: int) -> Histogram:
    one = Histogram()
    one.record(_IMAGINED_S)
    return Histogram.from_pairs([one.to_pairs()[0], count])


def _by_rounds(plan: Plan, reference: Reference | None) -> Forecast:
    stored = judged_recordings(reference.blocks if reference else (), (), plan.policy.rig).baseline
    if reference is None or not stored:
        return Forecast(plan, "no baseline is recorded", is_measured=False, prospects=())
    alike = JudgedBlocks(stored, stored)
    new = _on_paper(plan, columns(alike), alike)
    table = {key: Column(column.baseline, new[key].candidate) for key, column in columns(alike).items()}
    judged = JudgedBlocks(stored, _blocks_on_paper(plan, alike).candidate)
    is_restarted = Side.CANDIDATE in plan.restarted
    case = RecordedCase(plan.policy, _strictness(plan), judged, table, is_restarted)
    source = f"rounds of baseline {reference.name!r}, beside what two runs are assumed to differ by"
    return _forecast(plan, source, measure_rounds(case), is_measured=False)


def _measured_on_paper(
    plan: Plan, kept: JudgedBlocks, table: Table, stored: tuple[JudgedBlocks, Table]
) -> tuple[Measurement, ...]:
    now = (_blocks_on_paper(plan, kept), _on_paper(plan, table, kept))
    return measure_pairs(PairedCase(plan.policy, _strictness(plan), *now, *stored, plan.restarted))


def _strictness(plan: Plan) -> Strictness:
    return Strictness.of(plan.policy, plan.looks, 1)


def _order(plan: Plan, kept: JudgedBlocks) -> list[tuple[int, int, int]]:
    """(round, index, position in what is known) of each block to come."""
    rounds: dict[int, list[int]] = {}
    for position, block in enumerate(kept.baseline):
        rounds.setdefault(block.round, []).append(position)
    sources = list(rounds.values())
    return [
        (number, index, source[index % len(source)])
        for number in range(plan.rounds)
        for source in (sources[number % len(sources)],)
        for index in range(plan.blocks)
    ]


def _blocks_on_paper(plan: Plan, kept: JudgedBlocks) -> JudgedBlocks:
    order = _order(plan, kept)
    sides = [
        tuple(replace(side[position], round=number, index=index) for number, index, position in order)
        for side in (kept.baseline, kept.candidate)
    ]
    return JudgedBlocks(sides[0], sides[1])


def _on_paper(plan: Plan, table: Table, kept: JudgedBlocks) -> Table:
    order = _order(plan, kept)
    starts_s = [block.start_s for block in kept.baseline]
    return {
        key: Column(*(_slices(plan, order, starts_s, side) for side in (column.baseline, column.candidate)))
        for key, column in table.items()
    }


def _slices(
    plan: Plan, order: Sequence[tuple[int, int, int]], starts_s: Sequence[float], known: Sequence[Slice]
) -> tuple[Slice, ...]:
    """Failures move to the bins of the block they stand in for: episodes are counted by bins."""
    return tuple(
        _moved(known[position], number, math.floor((index * plan.block_s - starts_s[position]) * _BINS_PER_S))
        for number, index, position in order
    )


def _moved(part: Slice, number: int, bins: int) -> Slice:
    errors = tuple(replace(error, bin=error.bin + bins) for error in part.errors) if part.errors else ()
    return replace(part, round=number, errors=errors)


# --- what it comes to -------------------------------------------------------------------------------------------


def _forecast(plan: Plan, source: str, measured: Sequence[Measurement], *, is_measured: bool) -> Forecast:
    tested = sum(one.cell.role is not Role.ADVISORY for one in measured)
    found = [
        _prospect(one, plan, _strictness(plan).abort_alpha / max(tested, 1))
        for one in measured
        if one.cell.role is Role.CERTIFY and one.cell.objective.margin is not None
    ]
    hardest = sorted(found, key=lambda one: (-one.part_of_margin, one.cell.label))
    return Forecast(plan, source, is_measured, tuple(hardest))


def _prospect(measured: Measurement, plan: Plan, abort_alpha: float) -> Prospect:
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
