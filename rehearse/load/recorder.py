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

    __slots__ = ("errors", "failed", "kinds", "name", "ok", "scenario", "scope")

    def __init__(self, scope: Scope, name: str, scenario: str = "") -> None:
        self.scope = scope
        self.name = name
        self.scenario = scenario  # that a task belongs to
        self.ok = Histogram()
        self.failed: dict[RequestOutcome, Histogram] = {}
        self.errors: dict[tuple[str, int], int] = {}
        self.kinds: set[str] = set()

    def record(self, ended: Ended) -> None:
        """Count one request or task."""
        if ended.outcome is _OK:
            self.ok.record(ended.duration_s)
        else:
            self._record_failure(ended)

    def _record_failure(self, ended: Ended) -> None:
        self.failed.setdefault(ended.outcome, Histogram()).record(ended.duration_s)
        kind = ended.kind if ended.kind in self.kinds or len(self.kinds) < MAX_KINDS else OTHER
        self.kinds.add(kind)
        key = (kind, max(0, int(ended.at_s * BINS_PER_S)))
        self.errors[key] = self.errors.get(key, 0) + 1

    def series(self) -> Iterator[Series]:
        """The frozen form; a task's is also its scenario's part."""
        errors = tuple(ErrorBin(kind, bin_, n) for (kind, bin_), n in sorted(self.errors.items()))
        durations = {_OK: self.ok, **self.failed} if self.ok.count else self.failed
        yield Series(self.scope, self.name, dict(durations), errors)
        if self.scope is _TASK:
            yield Series(Scope.SCENARIO, self.scenario, dict(durations), errors)


@dataclass(slots=True)
class OpenBlock:
    """A block whose arrivals do not all have an outcome yet."""

    remaining: int
    dispatched: int = 0
    concurrency_limited: int = 0
    unsent: int = 0
    ok: int = 0
    failed: dict[RequestOutcome, int] = field(default_factory=lambda: defaultdict(int))
    endpoints: dict[str, SeriesRecorder] = field(default_factory=dict)
    tasks: dict[tuple[str, str], SeriesRecorder] = field(default_factory=dict)  # by scenario and name
    rig_lag: Histogram = field(default_factory=Histogram)
    backlog_lag: Histogram = field(default_factory=Histogram)
    exhausted: int = 0

    def endpoint(self, name: str) -> SeriesRecorder:
        """The recorder of one endpoint, made when first seen; beyond MAX_SERIES they share one."""
        found = self.endpoints.get(name)
        if found is None:
            name = self._name_of_new(name)
            found = self.endpoints.setdefault(name, SeriesRecorder(_ENDPOINT, name))
        return found

    def task(self, scenario: str, name: str) -> SeriesRecorder:
        """The recorder of one task, as `endpoint`."""
        found = self.tasks.get((scenario, name))
        if found is None:
            name = self._name_of_new(name)
            found = self.tasks.setdefault((scenario, name), SeriesRecorder(_TASK, name, scenario))
        return found

    def _name_of_new(self, name: str) -> str:
        return name if len(self.endpoints) + len(self.tasks) < MAX_SERIES else OTHER

    def recorders(self) -> Iterator[SeriesRecorder]:
        """All of them."""
        yield from self.endpoints.values()
        yield from self.tasks.values()

    def arrivals(self, planned: int) -> Arrivals:
        """The account, as it is now."""
        failed = {str(outcome): self.failed[outcome] for outcome in RequestOutcome if outcome is not _OK}
        return Arrivals(
            planned,
            self.dispatched,
            self.unsent,
            self.ok,
            concurrency_limited=self.concurrency_limited,
            **failed,
        )


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
        self._block_s = schedule.block_s
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
        block.dispatched += 1
        if from_backlog:
            block.concurrency_limited += 1
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
        self._open[slot.block].endpoint(name).record(ended)

    def finish(self, slot: Slot, scenario: str, task: str, ended: Ended) -> None:
        """An arrival has its outcome; its duration is the response time: from the intended start, the rig's own
        lag left out."""
        if ended.is_rig_fault:
            self._note_shortage(slot, ended)
        block = self._open[slot.block]
        if ended.outcome is _OK:
            block.ok += 1
            self._completed[int(ended.at_s / self._block_s)] += 1
        else:
            block.failed[ended.outcome] += 1
        block.remaining -= 1
        block.task(scenario, task).record(ended)  # the scenario's series is the sum of its tasks'

    def unsent(self, slot: Slot) -> None:
        """No user ever took this arrival."""
        block = self._open[slot.block]
        block.unsent += 1
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
        return sum(block.dispatched + block.unsent for block in self._open.values())

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
        return Block(
            side=self._side,
            round=self._round,
            index=index,
            is_warm_up=self._schedule.is_warm_up(index),
            start_s=index * self._block_s,
            length_s=self._block_s,
            arrivals=block.arrivals(self._planned[index]),
            series=merge_series(part for recorder in block.recorders() for part in recorder.series()),
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
