"""What happened to every arrival and every request, block by block. Runs in the worker; knows nothing of gevent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rehearse.histogram import Histogram
from rehearse.load.ledger import merge_series
from rehearse.load.schedule import Schedule, Slot
from rehearse.model import Arrivals, Block, ErrorBin, RequestOutcome, RigHealth, Scope, Series, Side

MAX_SERIES = 1000  # names with ids in them would grow without bound
OTHER = "(all further names)"
MAX_KINDS = 50
BINS_PER_S = 2
# Bound once: to look a member up by its class costs ten times as much.
_OK, _ENDPOINT, _TASK = RequestOutcome.OK, Scope.ENDPOINT, Scope.TASK


@dataclass(frozen=True, slots=True)
class RigWindow:
    """What the rig did over one block, read at its end; the words are those of `RigHealth`."""

    stall_max_s: float
    cpu_ratio: float
    steal_ratio: float | None
    stalled_in: str = ""
    queue_wait_ratio: float | None = None
    throttled: int | None = None
    clock_step_s: float | None = None
    gc_ratio: float | None = None


class Ended(NamedTuple):  # made twice for every arrival, and three times as quickly as a frozen dataclass
    """How one request or one arrival ended, `at_s` after the common start."""

    outcome: RequestOutcome
    duration_s: float
    at_s: float
    kind: str = ""  # what kind of failure; empty for a success
    is_answered: bool = True  # the system said something, if only "500"
    is_rig_fault: bool = False  # the rig had nothing left to ask with: it says nothing of the system


class SeriesRecorder:
    """Counts one series in one block."""

    __slots__ = ("durations", "errors", "kinds", "name", "scenario", "scope")

    def __init__(self, scope: Scope, name: str, scenario: str = "") -> None:
        self.scope = scope
        self.name = name
        self.scenario = scenario  # that a task belongs to
        self.durations: dict[RequestOutcome, Histogram] = {}
        self.errors: dict[tuple[str, int], int] = {}
        self.kinds: set[str] = set()

    def record(self, ended: Ended) -> None:
        """Count one request or task."""
        histogram = self.durations.get(ended.outcome)
        if histogram is None:
            histogram = self.durations[ended.outcome] = Histogram()
        histogram.record(ended.duration_s)
        if ended.outcome is not _OK:
            kind = ended.kind if ended.kind in self.kinds or len(self.kinds) < MAX_KINDS else OTHER
            self.kinds.add(kind)
            key = (kind, max(0, int(ended.at_s * BINS_PER_S)))
            self.errors[key] = self.errors.get(key, 0) + 1

    def series(self) -> Iterator[Series]:
        """The frozen form; a task's is also its scenario's part."""
        errors = tuple(ErrorBin(kind, bin_, n) for (kind, bin_), n in sorted(self.errors.items()))
        yield Series(self.scope, self.name, dict(self.durations), errors)
        if self.scope is _TASK:
            yield Series(Scope.SCENARIO, self.scenario, dict(self.durations), errors)


@dataclass(slots=True)
class OpenBlock:
    """A block whose arrivals do not all have an outcome yet."""

    remaining: int
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    series: dict[tuple[Scope, str, str], SeriesRecorder] = field(default_factory=dict)
    rig_lag: Histogram = field(default_factory=Histogram)
    backlog_lag: Histogram = field(default_factory=Histogram)
    exhausted: int = 0

    def of(self, scope: Scope, name: str, scenario: str = "") -> SeriesRecorder:
        """The recorder of one series, made when first seen; beyond MAX_SERIES they share one."""
        key = (scope, name, scenario)
        found = self.series.get(key)
        if found is None:
            if len(self.series) >= MAX_SERIES:
                key = (scope, OTHER, scenario)
            found = self.series.setdefault(key, SeriesRecorder(*key))
        return found


class Recorder:
    """Books arrivals and requests into blocks and hands each block over when it is closed.

    A block closes when its time is over and each of its arrivals has an outcome (`close_ready`).
    """

    def __init__(
        self,
        side: Side,
        round_number: int,
        schedule: Schedule,
        planned: list[int],
        on_block: Callable[[Block], None],
    ) -> None:
        self._side = side
        self._round = round_number
        self._schedule = schedule
        self._planned = planned
        self._on_block = on_block
        self._open = {index: OpenBlock(remaining=count) for index, count in enumerate(planned)}
        self._rig: dict[int, RigWindow] = {}
        self._live: dict[int, list[int]] = {}  # bin: requests, errors, answered
        self._completed: dict[int, int] = defaultdict(int)
        self.closed = Arrivals()
        self.blocks_closed = 0
        self.unscheduled_requests = 0
        self.unscheduled_errors = 0
        self.shortage = ""  # what the rig itself ran out of, the first time that it did

    def dispatch(self, slot: Slot, lag_s: float, from_backlog: bool) -> None:
        """An arrival was taken by a user, `lag_s` late: the rig's lateness, or the system's (backlog)."""
        block = self._open[slot.block]
        block.counts["dispatched"] += 1
        if from_backlog:
            block.counts["concurrency_limited"] += 1
            block.backlog_lag.record(lag_s)
        else:
            block.rig_lag.record(lag_s)

    def request(self, slot: Slot | None, name: str, ended: Ended) -> None:
        """One request ended; without a slot (a login in on_start) it is counted but not judged."""
        if ended.is_rig_fault:
            self._note_shortage(slot, ended)
        else:
            self._count_live(ended)
        if slot is None or slot.block not in self._open:
            self.unscheduled_requests += 1
            self.unscheduled_errors += ended.outcome is not _OK
            return
        self._open[slot.block].of(_ENDPOINT, name).record(ended)

    def finish(self, slot: Slot, scenario: str, task: str, ended: Ended) -> None:
        """An arrival has its outcome; its duration is the response time: from the intended start, the rig's own
        lag left out."""
        if ended.is_rig_fault:
            self._note_shortage(slot, ended)
        if ended.outcome is RequestOutcome.OK:
            self._completed[int(ended.at_s // self._schedule.block_s)] += 1
        block = self._open[slot.block]
        block.counts[ended.outcome] += 1
        block.remaining -= 1
        block.of(_TASK, task, scenario).record(ended)  # the scenario's series is the sum of its tasks'

    def unsent(self, slot: Slot) -> None:
        """No user ever took this arrival."""
        block = self._open[slot.block]
        block.counts["unsent"] += 1
        block.remaining -= 1

    def rig_window(self, block: int, window: RigWindow) -> None:
        """How the rig did over `block`, known once its time is over."""
        self._rig[block] = window

    def close_ready(self) -> None:
        """Hand over each block whose time is over and whose arrivals all have an outcome."""
        for index in [
            index for index in self._rig if index in self._open and self._open[index].remaining == 0
        ]:
            block = self._frozen(index, self._open.pop(index))
            self.closed += block.arrivals
            self.blocks_closed += 1
            self._on_block(block)

    @property
    def open_blocks(self) -> int:
        """How many blocks are not closed yet."""
        return len(self._open)

    def abandoned(self) -> int:
        """Arrivals that were dispatched or due in blocks that never closed (the load was stopped early)."""
        return sum(block.counts["dispatched"] + block.counts["unsent"] for block in self._open.values())

    def take_live(self) -> list[tuple[int, int, int, int]]:
        """(bin, requests, errors, answered) per 0.5 s bin of completions since the last call."""
        live, self._live = self._live, {}
        return [(bin_, *counts) for bin_, counts in sorted(live.items())]  # type: ignore[misc]  # always three

    def _note_shortage(self, slot: Slot | None, ended: Ended) -> None:
        """The block is spoiled, and the guard is not told: it would take the rig's failures for the system's."""
        self.shortage = self.shortage or ended.kind
        if slot is not None and slot.block in self._open:
            self._open[slot.block].exhausted += 1

    def _count_live(self, ended: Ended) -> None:
        bin_ = int(ended.at_s * BINS_PER_S) if ended.at_s > 0 else 0
        counts = self._live.get(bin_)
        if counts is None:
            counts = self._live[bin_] = [0, 0, 0]
        counts[0] += 1
        counts[1] += ended.outcome is not _OK
        counts[2] += ended.is_answered

    def _frozen(self, index: int, block: OpenBlock) -> Block:
        rig = self._rig.pop(index)
        counts = {name: block.counts[name] for name in Arrivals.__slots__ if name != "planned"}
        return Block(
            side=self._side,
            round=self._round,
            index=index,
            is_warm_up=self._schedule.is_warm_up(index),
            start_s=index * self._schedule.block_s,
            length_s=self._schedule.block_s,
            arrivals=Arrivals(planned=self._planned[index], **counts),
            series=merge_series(part for recorder in block.series.values() for part in recorder.series()),
            rig=RigHealth(
                rig_lag=block.rig_lag,
                backlog_lag=block.backlog_lag,
                stall_max_s=rig.stall_max_s,
                cpu_ratio=rig.cpu_ratio,
                steal_ratio=rig.steal_ratio,
                stalled_in=rig.stalled_in,
                queue_wait_ratio=rig.queue_wait_ratio,
                throttled=rig.throttled,
                clock_step_s=rig.clock_step_s,
                gc_ratio=rig.gc_ratio,
                exhausted=block.exhausted,
            ),
            completed=self._completed[index],
            phase=self._schedule.phase,
        )
