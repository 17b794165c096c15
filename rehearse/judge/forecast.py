"""Before load: what a comparison will be able to certify, if nothing changed.

It is judged on paper: the pairs that are known already stand in for the ones to come, and the judge's own measurements
say how far bound and estimate would be apart. So there is one arithmetic of uncertainty, and not two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rehearse.histogram import Histogram
from rehearse.judge.latency import quantile_noise, quantile_range_s
from rehearse.judge.measurement import (
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
from rehearse.judge.prospects import Plan, Prospect, Unknown, prospect_of
from rehearse.judge.recorded import RecordedCase, measure_rounds
from rehearse.judge.series_forecast import series_on_paper
from rehearse.judge.server_series import series_cells
from rehearse.judge.wording import duration
from rehearse.model import (
    Arrivals,
    Block,
    Cell,
    Metric,
    Mode,
    Reference,
    RequestOutcome,
    RigHealth,
    Role,
    Scope,
    Series,
    Side,
)

_BINS_PER_S = 2
_IMAGINED_S = 1.0  # a duration where nothing is known of any
# What chance alone may put on a quantile, where its noise can still be told from requests.
_WIDE = math.log(1.4)
_NO_DOUBTS: Mapping[str, str] = {}

Table = Mapping[SeriesKey, Column]


@dataclass(frozen=True, slots=True)
class Forecast:
    """All certified cells, the hardest first."""

    plan: Plan
    source: str  # where the noise is taken from
    is_measured: bool  # between two sides of identical code; else a part of it is assumed
    prospects: tuple[Prospect, ...]
    unknown: tuple[Unknown, ...] = ()

    @property
    def refused(self) -> tuple[Prospect, ...]:
        """The cells for which load would be a waste. An assumption refuses nothing; a count of requests does.

        Server-side series refuse nothing either: longer rounds may tell more of them than the stored ones did.
        """
        return tuple(
            one
            for one in self.prospects
            if one.is_hopeless
            and one.cell.scope is not Scope.SERIES
            and (self.is_measured or one.cell.metric is Metric.ERROR_RATIO)
        )


def forecast(plan: Plan, reference: Reference | None) -> Forecast:
    """What `plan` can certify by the noise of the stored baseline, or by assumption where there is none."""
    if plan.mode is Mode.RECORDED:
        return _by_rounds(plan, reference)
    if reference is None:
        return _by_assumption(plan)
    if reference.tells_hosts:
        kept = judged_pairs(reference.blocks, plan.policy.rig)
        if kept.candidate:
            return _by_pairs(plan, reference, kept)
    known = judged_recordings(reference.blocks, (), plan.policy.rig).baseline
    where = "from another machine" if reference.other_rig else "of one side"
    source = f"baseline {reference.name!r} {where}; what pairs differ by beyond chance is not known"
    if not known:
        return _by_assumption(plan)
    return _without_series(_by_chance(plan, known, f"at best, by the requests of {source}"))


def forecast_from_warm_up(plan: Plan, blocks: Iterable[Block]) -> Forecast | None:
    """The same by the requests of the warm-up; None when it has none."""
    known = tuple(block for block in blocks if block.side is Side.BASELINE and block.series)
    if plan.mode is Mode.RECORDED or not known:
        return None
    source = "at best, by the requests of the warm-up; what pairs differ by beyond chance is not known"
    return _by_chance(plan, known, source)


# --- what stands in for the load to come ------------------------------------------------------------------------


def _by_pairs(plan: Plan, reference: Reference, kept: JudgedBlocks) -> Forecast:
    table = columns(kept)
    case = _on_paper_case(plan, kept, table, (kept, table))
    measured = (*measure_pairs(case), *_series(plan, case, reference))
    source = f"noise of {in_pairs(len(kept.candidate))} of identical versions in baseline {reference.name!r}"
    return _forecast(plan, source, measured, is_measured=True)


def _series(plan: Plan, case: PairedCase | RecordedCase, reference: Reference) -> tuple[Measurement, ...]:
    return series_on_paper(case, reference, plan.rounds, plan.block_s * plan.blocks)


def _by_chance(plan: Plan, known: Sequence[Block], source: str) -> Forecast:
    """Pairs of equal halves, and the spread that the number of requests alone gives their quantiles."""
    kept = JudgedBlocks(tuple(known), tuple(known))
    table = columns(kept)
    as_planned = plan.blocks * plan.rounds / len(known)
    measured = [
        _with_chance(one, table, as_planned)
        for one in measure_pairs(_on_paper_case(plan, kept, table, (JudgedBlocks((), ()), {})))
    ]
    doubts = {one.cell.label: why for one in measured if (why := _why_in_doubt(one, table))}
    return _forecast(plan, source, measured, is_measured=False, doubts=doubts)


def _with_chance(measured: Measurement, table: Table, as_planned: float) -> Measurement:
    quantile, whole = _known_of(measured, table)
    if not whole.count or not isinstance(measured.outlook, NoiseOutlook):
        return measured
    chance = len(Side) * quantile_noise(whole, quantile) ** 2 / as_planned
    return replace(measured, outlook=replace(measured.outlook, shrinking=chance))


def _why_in_doubt(measured: Measurement, table: Table) -> str:
    """A quantile between two humps is in the one or the other by chance, and what chance does to it later cannot be
    told from here; nor from a handful of requests."""
    quantile, whole = _known_of(measured, table)
    if not whole.count or quantile_noise(whole, quantile) < _WIDE:
        return ""
    low_s, high_s = quantile_range_s(whole, quantile)
    return (
        f"its {whole.count:,} durations so far leave anything from {duration(low_s)} to {duration(high_s)} open"
        " (they are few, or answers are of two kinds); only pairs of both sides can tell"
    )


def _known_of(measured: Measurement, table: Table) -> tuple[float, Histogram]:
    """A latency cell's quantile, and all durations that are known of it; none for other cells."""
    quantile, column = measured.cell.metric.quantile, table.get((measured.cell.scope, measured.cell.name))
    if quantile is None or column is None:
        return 0.5, Histogram()
    return quantile, Histogram.merged(part.judged for part in column.baseline)


def _by_assumption(plan: Plan) -> Forecast:
    """Nothing is recorded: the number of arrivals is known, and what starts and hosts are assumed to differ by."""
    alike = tuple(_imagined(plan, index) for index in range(plan.blocks))
    kept = JudgedBlocks(alike, alike)
    measured = measure_pairs(_on_paper_case(plan, kept, columns(kept), (JudgedBlocks((), ()), {})))
    source = "no recording tells the noise: at best, by the assumed differences of hosts and starts alone"
    return _without_series(_forecast(plan, source, measured, is_measured=False))


def _without_series(told: Forecast) -> Forecast:
    why = "no recording of two equal sides tells by how much it differs"
    cells = (cell for cell in series_cells(told.plan.policy.series) if _is_foretold(cell))
    return replace(told, unknown=(*told.unknown, *(Unknown(cell, why) for cell in cells)))


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
    measured = (*measure_rounds(case), *_series(plan, case, reference))
    return _forecast(plan, source, measured, is_measured=False)


def _on_paper_case(
    plan: Plan, kept: JudgedBlocks, table: Table, stored: tuple[JudgedBlocks, Table]
) -> PairedCase:
    now = (_blocks_on_paper(plan, kept), _on_paper(plan, table, kept))
    return PairedCase(plan.policy, _strictness(plan), *now, *stored, plan.restarted)


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


def _forecast(
    plan: Plan,
    source: str,
    measured: Sequence[Measurement],
    *,
    is_measured: bool,
    doubts: Mapping[str, str] = _NO_DOUBTS,
) -> Forecast:
    """A cell in doubt that seems out of reach is not: nothing is known of it."""
    tested = sum(one.cell.role is not Role.ADVISORY for one in measured)
    certified = [one for one in measured if _is_foretold(one.cell)]
    unknown = [Unknown(one.cell, one.shortage) for one in certified if _is_unknown(one)]
    alpha = _strictness(plan).abort_alpha / max(tested, 1)
    found = [prospect_of(one, plan, alpha) for one in certified if not _is_unknown(one)]
    in_doubt = [one for one in found if one.cell.label in doubts and not one.can_be_certified]
    unknown += [Unknown(one.cell, doubts[one.cell.label]) for one in in_doubt]
    known = [one for one in found if one not in in_doubt]
    hardest = sorted(known, key=lambda one: (-one.part_of_margin, one.cell.label))
    return Forecast(plan, source, is_measured, tuple(hardest), tuple(unknown))


def _is_foretold(cell: Cell) -> bool:
    return cell.role is Role.CERTIFY and cell.objective.margin is not None


def _is_unknown(one: Measurement) -> bool:
    """What is not stored of a series is no sign of what will be."""
    return one.cell.scope is Scope.SERIES and bool(one.shortage)
