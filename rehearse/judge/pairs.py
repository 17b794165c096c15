"""From blocks to pairs: which blocks are judged, and what each series did in them, side by side.

A pair is the baseline's and the candidate's block of the same moment. A block in which the rig was late, stalled or
busy is taken out on both sides: keeping the other half would compare different moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from rehearse.histogram import Histogram
from rehearse.judge.fitness import Complaint, complaint_about
from rehearse.judge.quantiles import Durations
from rehearse.model import Block, ErrorBin, Mode, RequestOutcome, RigLimits, Scope, Series, Side

SeriesKey = tuple[Scope, str]

_SCOPE_ORDER = {scope: position for position, scope in enumerate(Scope)}


@dataclass(
    slots=True
)  # not frozen: an hour of 50 endpoints has 200,000 of them, and that would take twice as long
class Slice:
    """What one series did in one block; all zero when nothing asked for it. Nobody changes it."""

    round: int
    length_s: float
    requests: int
    answered: int
    failed: int
    errors: tuple[ErrorBin, ...]
    judged: Histogram


@dataclass(frozen=True)
class Column:
    """One series over all judged blocks. In paired mode position i of both sides is the same moment."""

    baseline: tuple[Slice, ...]
    candidate: tuple[Slice, ...]

    def requests(self, side: Side) -> int:
        """How many requests one side had."""
        return self._requests[side]

    @cached_property
    def _requests(self) -> dict[Side, int]:
        return {side: sum(part.requests for part in self.of(side)) for side in Side}

    def durations(self, side: Side) -> Durations:
        """What one side's latency is judged on."""
        return self._durations[side]

    @cached_property
    def _durations(self) -> dict[Side, Durations]:
        return {side: Durations(part.judged for part in self.of(side)) for side in Side}

    def of(self, side: Side) -> tuple[Slice, ...]:
        """The slices of one side."""
        return self.baseline if side is Side.BASELINE else self.candidate


@dataclass(frozen=True, slots=True)
class JudgedBlocks:
    """The measured blocks that are left once the unhealthy ones are out; in paired mode two of a kind."""

    baseline: tuple[Block, ...]
    candidate: tuple[Block, ...]
    discarded: int = 0  # pairs; in recorded mode blocks of either side
    complaints: tuple[Complaint, ...] = ()  # why, one for each that was discarded

    @property
    def offered(self) -> int:
        """How many there were before any was discarded."""
        return self.discarded + len(self.candidate)


def measured(blocks: Iterable[Block], side: Side) -> tuple[Block, ...]:
    """The blocks of one side without warm-up, in the order of time."""
    chosen = (block for block in blocks if block.side is side and not block.is_warm_up)
    return tuple(sorted(chosen, key=lambda block: (block.round, block.index)))


def judged_pairs(blocks: Iterable[Block], limits: RigLimits) -> JudgedBlocks:
    """Baseline and candidate blocks of the same moment, healthy on both sides."""
    blocks = tuple(blocks)
    baseline, candidate = measured(blocks, Side.BASELINE), measured(blocks, Side.CANDIDATE)
    partners = {(block.round, block.index): block for block in candidate}
    largest_lag_s = _largest_lag_s(baseline, limits)
    kept: list[tuple[Block, Block]] = []
    complaints: list[Complaint] = []
    for block in baseline:
        partner = partners.get((block.round, block.index))
        if partner is None:
            continue
        found = [complaint_about(one, limits, largest_lag_s) for one in (block, partner)]
        complaint = next((one for one in found if one is not None), None)
        if complaint is None:
            kept.append((block, partner))
        else:
            complaints.append(complaint)
    return JudgedBlocks(
        tuple(b for b, _ in kept), tuple(c for _, c in kept), len(complaints), tuple(complaints)
    )


def judged_recordings(
    baseline: Iterable[Block], candidate: Iterable[Block], limits: RigLimits
) -> JudgedBlocks:
    """A stored recording and a new one, each without the blocks in which its rig was unhealthy."""
    stored, new = measured(baseline, Side.BASELINE), measured(candidate, Side.CANDIDATE)
    largest_lag_s = _largest_lag_s(stored, limits)
    checked = [(block, complaint_about(block, limits, largest_lag_s)) for block in (*stored, *new)]
    healthy = tuple(block for block, complaint in checked if complaint is None)
    complaints = tuple(complaint for _, complaint in checked if complaint is not None)
    return JudgedBlocks(
        measured(healthy, Side.BASELINE), measured(healthy, Side.CANDIDATE), len(complaints), complaints
    )


def judged_blocks(
    mode: Mode, blocks: Iterable[Block], stored: Iterable[Block], limits: RigLimits
) -> JudgedBlocks:
    """What is compared in `mode`: pairs, or the stored baseline against the new recording."""
    if mode is Mode.PAIRED:
        return judged_pairs(blocks, limits)
    return judged_recordings(stored, blocks, limits)


def _largest_lag_s(baseline: Iterable[Block], limits: RigLimits) -> float:
    p50_s = scenario_total(baseline).quantile_s(0.5) or 0.0
    return max(limits.max_rig_lag_p99_s, limits.max_rig_lag_of_baseline_p50_ratio * p50_s)


def scenario_total(blocks: Iterable[Block]) -> Histogram:
    """The judged response times of all scenarios together."""
    return Histogram.merged(
        series.judged for block in blocks for series in block.series if series.scope is Scope.SCENARIO
    )


def columns(judged: JudgedBlocks) -> Mapping[SeriesKey, Column]:
    """Every series that either side has, scenarios first, then tasks and endpoints, by name."""
    sides = [[_by_key(block) for block in blocks] for blocks in (judged.baseline, judged.candidate)]
    keys = sorted({key for side in sides for table in side for key in table}, key=_reading_order)
    return {
        key: Column(_slices(key, judged.baseline, sides[0]), _slices(key, judged.candidate, sides[1]))
        for key in keys
    }


def _reading_order(key: SeriesKey) -> tuple[int, str]:
    return _SCOPE_ORDER[key[0]], key[1]


def _by_key(block: Block) -> dict[SeriesKey, Series]:
    return {(series.scope, series.name): series for series in block.series}


def _slices(
    key: SeriesKey, blocks: tuple[Block, ...], tables: list[dict[SeriesKey, Series]]
) -> tuple[Slice, ...]:
    return tuple(_slice(block, table.get(key)) for block, table in zip(blocks, tables, strict=True))


def _slice(block: Block, series: Series | None) -> Slice:
    if series is None:
        return Slice(block.round, block.length_s, 0, 0, 0, (), Histogram())
    ok = series.durations.get(RequestOutcome.OK)
    if ok is not None and len(series.durations) == 1:  # as nearly all are: nothing failed
        count = ok.count
        return Slice(block.round, block.length_s, count, count, 0, series.errors, ok)
    counts = {outcome: histogram.count for outcome, histogram in series.durations.items()}
    requests = sum(counts.values())
    answered = counts.get(RequestOutcome.OK, 0) + counts.get(RequestOutcome.ERROR, 0)
    return Slice(block.round, block.length_s, requests, answered, series.failed, series.errors, series.judged)
