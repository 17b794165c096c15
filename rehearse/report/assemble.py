"""From what a run recorded and how it was judged to the one model behind every report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rehearse.histogram import Histogram
from rehearse.judge.checks import settled
from rehearse.judge.pairs import judged_blocks, measured, scenario_total
from rehearse.judge.rig import not_measured
from rehearse.judge.staircase import completed_per_s, failed_ratio, offered_per_s, turns_of
from rehearse.model import (
    Arrivals,
    Block,
    CapacityStep,
    CheckEvidence,
    Curve,
    DataState,
    EdgeResult,
    ErrorKind,
    Mode,
    Phase,
    Reference,
    RequestOutcome,
    Result,
    RunRecord,
    RunState,
    Scope,
    Series,
    SeriesCurve,
    SeriesWindow,
    Side,
    SideSummary,
    TargetFacts,
    TimelinePoint,
    Verdict,
)

MAX_CURVE_POINTS = 60
MAX_SERIES_POINTS = 400
_CURVE_SCOPES = (Scope.SCENARIO, Scope.ENDPOINT)
_TOTAL = "whole scenario"
_WITHOUT_CHECKS = "No check was rehearsed: what broke before was not looked for."
_WITHOUT_BOTH = (
    "No check and no edge case was rehearsed: only latency, errors, throughput and answers under load."
)
_WITHOUT_EDGES = "No edge case was rehearsed: only load, and what broke before."
_OTHER_DATA = "The amount of data of production was not compared with the one of this rehearsal."
_NOT_REHEARSED = (
    "The mix of requests of production was not compared with the one of this rehearsal.",
    "What needs more time than this load took (leaks, nightly jobs, full disks) was not looked for.",
)  # fmt: skip


def assemble(
    record: RunRecord,
    blocks: Sequence[Block],
    verdict: Verdict,
    reference: Reference | None = None,
    checks: CheckEvidence | None = None,
    edges: tuple[EdgeResult, ...] = (),
    data: Sequence[DataState] = (),
    series: Sequence[SeriesWindow] = (),
) -> Result:
    """The result of one comparison. `reference` shows the baseline's own numbers when it was recorded earlier."""
    own = tuple(block for block in blocks if block.phase is Phase.ROUND)
    compared = (*own, *_stored(record, reference))
    return Result(
        run_id=record.run_id,
        title=record.title,
        mode=record.mode,
        baseline_name=record.baseline_name,
        started_at=record.started_at,
        ended_at=record.ended_at or "",
        load_s=_load_s(own),
        verdict=verdict,
        sides=_sides(record, compared),
        timeline=_timeline(record, compared),
        curves=_curves(compared),
        error_kinds=_error_kinds(compared),
        provenance=record.provenance,
        effective_config=record.effective_config,
        exit_plan=record.exit_plan,
        command=record.command,
        blind_spots=_blind_spots(record, compared, verdict, edges),
        capacity=_capacity(record, blocks, reference),
        checks=() if checks is None else settled(checks, () if reference is None else reference.checks),
        edges=edges,
        is_advisory=record.is_advisory,
        data=_data(record, data, reference),
        series=_series(record, series, reference),
        production_rows={} if record.policy.data is None else record.policy.data.production_rows,
    )


def _stored(record: RunRecord, reference: Reference | None) -> tuple[Block, ...]:
    """The stored baseline's blocks, where the run has none of its own."""
    if reference is None or record.mode is Mode.PAIRED:
        return ()
    return measured(reference.blocks, Side.BASELINE)


def _load_s(blocks: Iterable[Block]) -> float:
    return sum(
        {(block.round, block.index): block.length_s for block in blocks if not block.is_warm_up}.values()
    )


# --- sides --------------------------------------------------------------------------------------------------------


def _sides(record: RunRecord, blocks: Sequence[Block]) -> tuple[SideSummary, ...]:
    """A summary of each side that was named or recorded."""
    targets = {target.side: target for target in record.targets}
    return tuple(
        _summary(side, targets.get(side), measured(blocks, side))
        for side in Side
        if side in targets or measured(blocks, side)
    )


def _summary(side: Side, target: TargetFacts | None, blocks: Sequence[Block]) -> SideSummary:
    counted = [series for block in blocks for series in _requests_of(block)]
    most_stalled = max((block.rig for block in blocks), key=lambda rig: rig.stall_max_s, default=None)
    return SideSummary(
        side=side,
        target=target.name if target else "stored recording",
        url=target.url if target else "",
        facts=target.facts if target else {},
        arrivals=sum((block.arrivals for block in blocks), Arrivals()),
        requests=sum(series.count() for series in counted),
        failed=sum(series.failed for series in counted),
        rig_lag_p99_s=Histogram.merged(block.rig.rig_lag for block in blocks).quantile_s(0.99),
        worker_cpu_ratio=max((block.rig.cpu_ratio for block in blocks), default=None),
        stall_max_s=None if most_stalled is None else most_stalled.stall_max_s,
        stalled_in="" if most_stalled is None else most_stalled.stalled_in,
        queue_wait_ratio=_worst(block.rig.queue_wait_ratio for block in blocks),
        steal_ratio=_worst(block.rig.steal_ratio for block in blocks),
        gc_ratio=_worst(block.rig.gc_ratio for block in blocks),
    )


def _worst(values: Iterable[float | None]) -> float | None:
    """None where nothing was measured."""
    return max((value for value in values if value is not None), default=None)


def _requests_of(block: Block) -> list[Series]:
    """The endpoints of a block; its scenarios when it names no endpoint."""
    endpoints = [series for series in block.series if series.scope is Scope.ENDPOINT]
    return endpoints or [series for series in block.series if series.scope is Scope.SCENARIO]


def _data(record: RunRecord, data: Sequence[DataState], reference: Reference | None) -> tuple[DataState, ...]:
    """In recorded mode the baseline's is the stored one."""
    if reference is None or record.mode is Mode.PAIRED:
        return tuple(data)
    return (*(one for one in reference.data if one.side is Side.BASELINE), *data)


def _series(
    record: RunRecord, series: Sequence[SeriesWindow], reference: Reference | None
) -> tuple[SeriesCurve, ...]:
    """Each series of each side, rounds joined end to end; in recorded mode the baseline's is the stored one."""
    known = list(series)
    if reference is not None and record.mode is Mode.RECORDED:
        known += [one for one in reference.series if one.side is Side.BASELINE]
    return tuple(
        SeriesCurve(asked.name, asked.unit, side, points)
        for asked in record.policy.series
        for side in Side
        if (points := _joined_points([one for one in known if (one.name, one.side) == (asked.name, side)]))
    )


def _joined_points(windows: Sequence[SeriesWindow]) -> tuple[tuple[float, float], ...]:
    points: list[tuple[float, float]] = []
    offset_s = 0.0
    for window in sorted(windows, key=lambda window: window.round):
        points += [(round(offset_s + at_s, 3), value) for at_s, value in window.points]
        offset_s += window.length_s
    return tuple(points[:: max(1, -(-len(points) // MAX_SERIES_POINTS))])


# --- over time ----------------------------------------------------------------------------------------------------


def _timeline(record: RunRecord, blocks: Sequence[Block]) -> tuple[TimelinePoint, ...]:
    """The scenario total of each block and side, rounds joined end to end."""
    kept = _kept(record, blocks)
    return tuple(
        _point(block, at_s, (block.side, block.round, block.index) in kept)
        for side in Side
        for block, at_s in _joined(measured(blocks, side))
    )


def _kept(record: RunRecord, blocks: Sequence[Block]) -> set[tuple[Side, int, int]]:
    """The blocks that the judge used."""
    judged = judged_blocks(record.mode, blocks, blocks, record.policy.rig)
    return {(block.side, block.round, block.index) for block in (*judged.baseline, *judged.candidate)}


def _joined(blocks: Sequence[Block]) -> list[tuple[Block, float]]:
    """Each block with the time since the first one, as if one round began when the round before it ended."""
    first_s: dict[int, float] = {}
    end_s: dict[int, float] = {}
    for block in blocks:
        first_s[block.round] = min(block.start_s, first_s.get(block.round, block.start_s))
        end_s[block.round] = max(block.start_s + block.length_s, end_s.get(block.round, 0.0))
    offsets, offset = {}, 0.0
    for round_number in sorted(first_s):
        offsets[round_number] = offset - first_s[round_number]
        offset += end_s[round_number] - first_s[round_number]
    return [(block, round(block.start_s + offsets[block.round], 6)) for block in blocks]


def _point(block: Block, at_s: float, is_kept: bool) -> TimelinePoint:
    total = scenario_total([block])
    scenarios = [series for series in block.series if series.scope is Scope.SCENARIO]
    ended = sum(series.count() for series in scenarios)
    return TimelinePoint(
        side=block.side,
        at_s=at_s,
        p50_s=total.quantile_s(0.50),
        p95_s=total.quantile_s(0.95),
        error_ratio=sum(series.failed for series in scenarios) / ended if ended else 0.0,
        is_discarded=not is_kept,
    )


# --- percentile curves --------------------------------------------------------------------------------------------


def _curves(blocks: Sequence[Block]) -> tuple[Curve, ...]:
    """The whole scenario first, then the endpoints by name; baseline before candidate."""
    merged: dict[tuple[Scope, str, Side], Histogram] = {}
    for block in blocks:
        for series in block.series if not block.is_warm_up else ():
            if series.scope in _CURVE_SCOPES:
                name = _TOTAL if series.scope is Scope.SCENARIO else series.name
                merged.setdefault((series.scope, name, block.side), Histogram()).merge(series.judged)
    ordered = sorted(merged, key=lambda key: (_CURVE_SCOPES.index(key[0]), key[1], key[2]))
    return tuple(
        Curve(*key, merged[key].count, curve_points(merged[key])) for key in ordered if merged[key].count
    )


def curve_points(histogram: Histogram) -> tuple[tuple[float, float], ...]:
    """(share, seconds), denser towards the tail, and not beyond what this many durations can show."""
    in_order = Histogram.of_checked(histogram.packed, histogram.count)  # sorted once, and asked fifty times
    shares = [share for share in _shares() if share <= 1 - 1 / max(in_order.count, 1)] or [0.5]
    values = ((share, in_order.quantile_s(share)) for share in shares)
    return tuple((share, value) for share, value in values if value is not None)


def _shares() -> list[float]:
    """Each distance to 1 is about 0.79 of the one before; the usual percentiles are among them."""
    spaced = [round(1 - 10 ** (-step / 10), 7) for step in range(51)]
    return sorted({*spaced, 0.25, 0.5, 0.75, 0.95, 0.999, 0.9999})[:MAX_CURVE_POINTS]


# --- capacity -----------------------------------------------------------------------------------------------------


def _capacity(
    record: RunRecord, blocks: Sequence[Block], reference: Reference | None
) -> tuple[CapacityStep, ...]:
    """Every rate that a side was offered by the probe; in recorded mode the baseline's are the stored ones."""
    probe = [block for block in blocks if block.phase is not Phase.ROUND]
    if probe and reference is not None and record.mode is Mode.RECORDED:
        probe += [block for block in reference.probe if block.side is Side.BASELINE]
    return tuple(
        _capacity_step(block, turn)
        for side in Side
        for turn, steps in enumerate(turns_of(probe, side))
        for block in steps
    )


def _capacity_step(block: Block, turn: int) -> CapacityStep:
    return CapacityStep(
        side=block.side,
        turn=turn,
        phase=block.phase,
        offered_per_s=offered_per_s(block),
        completed_per_s=completed_per_s(block),
        p95_s=scenario_total([block]).quantile_s(0.95),
        failed_ratio=failed_ratio(block),
        is_judged=turn > 0 and not block.is_warm_up,
    )


# --- errors -------------------------------------------------------------------------------------------------------


def _error_kinds(blocks: Sequence[Block]) -> tuple[ErrorKind, ...]:
    """Failures of requests by kind; of tasks only the kinds that no request had, such as an exception in a script."""
    of_endpoints, of_tasks = _errors_of(blocks, Scope.ENDPOINT), _errors_of(blocks, Scope.TASK)
    known = {kind for _, kind, _ in of_endpoints}
    counts = of_endpoints + Counter({key: number for key, number in of_tasks.items() if key[1] not in known})
    names = sorted({(name, kind) for name, kind, _ in counts})
    return tuple(
        ErrorKind(name, kind, counts[name, kind, Side.BASELINE], counts[name, kind, Side.CANDIDATE])
        for name, kind in names
    )


def _errors_of(blocks: Iterable[Block], scope: Scope) -> Counter[tuple[str, str, Side]]:
    counts: Counter[tuple[str, str, Side]] = Counter()
    for block in blocks:
        for series in block.series if not block.is_warm_up else ():
            if series.scope is scope:
                for error in series.errors:
                    counts[series.name, error.kind, block.side] += error.count
    return counts


# --- what the report cannot tell ----------------------------------------------------------------------------------


def _blind_spots(
    record: RunRecord, blocks: Sequence[Block], verdict: Verdict, edges: Sequence[EdgeResult]
) -> tuple[str, ...]:
    return (
        *_of_the_run(record),
        *_of_the_cells(verdict),
        *_of_the_sides(record, blocks),
        *_without(record.has_checks, bool(edges)),
        *_NOT_REHEARSED,
        *(() if record.policy.data is not None and record.policy.data.production_rows else (_OTHER_DATA,)),
        *(f"This was assumed, not measured: {assumption}" for assumption in verdict.assumptions),
    )


def _without(has_checks: bool, has_edges: bool) -> Iterable[str]:
    if not has_edges:
        yield _WITHOUT_EDGES if has_checks else _WITHOUT_BOTH
    elif not has_checks:
        yield _WITHOUT_CHECKS


def _of_the_run(record: RunRecord) -> Iterable[str]:
    if not record.is_complete or record.state is not RunState.FINISHED:
        yield f"The run did not come to its end (it is {record.state}): what would have followed is not known."
    if record.policy.contract is None:
        yield "What the answers say was not compared: the response contract is switched off, or this is a database."
    if record.mode is Mode.RECORDED:
        yield (
            "The baseline was recorded at another time: what changed since on hosts, networks and data"
            " cannot be told from what the candidate changed."
        )


def _of_the_cells(verdict: Verdict) -> Iterable[str]:
    if not verdict.judgements:
        yield "No cell was judged."
    unmeasured = [judgement.cell.label for judgement in verdict.judgements if judgement.change is None]
    if unmeasured:
        yield f"No change could be estimated for {len(unmeasured)} cells: {_listed(unmeasured)}."


def _of_the_sides(record: RunRecord, blocks: Sequence[Block]) -> Iterable[str]:
    if record.policy.shares_host:
        yield "Both sides shared a host: a candidate that uses more of it slows the baseline as well."
    if not any(target.facts for target in record.targets):
        yield "The targets told nothing of themselves: which versions were compared is only known from their addresses."
    judged = [block for block in blocks if not block.is_warm_up]
    unknown = not_measured(judged)
    if unknown:
        yield f"This could not be measured on the host of the load generator: {'; '.join(unknown)}."
    missing = [side for side in Side if not any(block.side is side for block in judged)]
    yield from (f"Nothing was recorded of the {side}." for side in missing)
    series = [series for block in judged for series in block.series]
    if any(series.count(RequestOutcome.CENSORED) for series in series):
        yield "Some requests were cut off before they ended: their durations are lower bounds."


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
