"""Puts the parts of several workers together, and checks that nothing is missing or counted twice."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from rehearse.histogram import Histogram
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    RequestOutcome,
    RigHealth,
    Scope,
    Series,
    Side,
    WorkerFinal,
)
from rehearse.redaction import Clean

Number = TypeVar("Number", int, float)


class BlockLedger:
    """Collects each worker's part of a block; a block is whole when every worker has sent its part."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._parts: dict[tuple[Side, int], dict[int, Block]] = defaultdict(dict)
        self._crc32: dict[tuple[Side, int], int] = defaultdict(int)
        self._count: dict[tuple[Side, int], int] = defaultdict(int)
        self._arrivals: dict[tuple[Side, int], Arrivals] = defaultdict(Arrivals)
        self._taken: dict[tuple[Side, int], int] = defaultdict(int)

    def take(self, side: Side, worker: int, number: int) -> bool:
        """True for the report that is next in this worker's numbering: each is taken once and in order.

        One that came before is not taken again, and one that comes too early waits to be sent again.
        """
        is_next = number == self._taken[side, worker]
        self._taken[side, worker] += is_next
        return is_next

    def last_taken(self, side: Side, worker: int) -> int:
        """The number of the last report that was taken, -1 before the first."""
        return self._taken[side, worker] - 1

    def add(self, worker: int, block: Block, data: str) -> Block | None:
        """Take one worker's part; the merged block once it is whole. `data` is the text it came as."""
        key = (block.side, worker)
        self._crc32[key] = zlib.crc32(data.encode(), self._crc32[key])
        self._count[key] += 1
        self._arrivals[key] += block.arrivals
        parts = self._parts[block.side, block.index]
        parts[worker] = block
        if len(parts) < self._workers:
            return None
        return merge_blocks([parts[worker] for worker in sorted(parts)])

    def account(self, side: Side, worker: int) -> tuple[int, int]:
        """(blocks, planned arrivals) that are known of this worker."""
        return self._count[side, worker], self._arrivals[side, worker].planned

    def complaint(self, final: WorkerFinal) -> str | None:
        """What a worker's own closing account says that differs from what arrived here; None when they agree."""
        key = (final.side, final.worker)
        if final.blocks_closed != self._count[key]:
            return (
                f"sent {final.blocks_closed} blocks ({final.blocks_acknowledged} of them acknowledged), "
                f"{self._count[key]} arrived"
            )
        if final.blocks_sent_crc32 != self._crc32[key]:
            return "what arrived differs from what was sent (checksum)"
        return None


def merge_blocks(parts: Sequence[Block]) -> Block:
    """One block out of the parts of all workers of a side; exact, because histograms merge exactly."""
    first = parts[0]
    if len(parts) == 1:
        return first
    arrivals = Arrivals()
    for part in parts:
        arrivals += part.arrivals
    return Block(
        side=first.side,
        round=first.round,
        index=first.index,
        is_warm_up=first.is_warm_up,
        start_s=first.start_s,
        length_s=first.length_s,
        arrivals=arrivals,
        series=merge_series(series for part in parts for series in part.series),
        rig=_merge_rig([part.rig for part in parts]),
        completed=sum(part.completed for part in parts),
        phase=first.phase,
    )


def merge_series(all_series: Iterable[Series]) -> tuple[Series, ...]:
    """Series of equal scope and name become one."""
    groups: dict[tuple[Scope, str], list[Series]] = defaultdict(list)
    for series in all_series:
        groups[series.scope, series.name].append(series)
    return tuple(_merge_one(groups[key]) for key in sorted(groups))


def _merge_one(group: Sequence[Series]) -> Series:
    durations = {
        outcome: Histogram.merged(
            series.durations[outcome] for series in group if outcome in series.durations
        )
        for outcome in RequestOutcome
        if any(outcome in series.durations for series in group)
    }
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for series in group:
        for error in series.errors:
            counts[error.kind, error.bin] += error.count
    errors = tuple(ErrorBin(kind, bin_, count) for (kind, bin_), count in sorted(counts.items()))
    return Series(group[0].scope, group[0].name, durations, errors)


def _merge_rig(parts: Sequence[RigHealth]) -> RigHealth:
    """The worst worker counts: one that is late spoils the block. What one of them could not measure is not known."""
    most_stalled = max(parts, key=lambda part: part.stall_max_s)
    return RigHealth(
        rig_lag=Histogram.merged(part.rig_lag for part in parts),
        backlog_lag=Histogram.merged(part.backlog_lag for part in parts),
        stall_max_s=most_stalled.stall_max_s,
        cpu_ratio=max(part.cpu_ratio for part in parts),
        steal_ratio=_worst([part.steal_ratio for part in parts]),
        stalled_in=most_stalled.stalled_in,
        queue_wait_ratio=_worst([part.queue_wait_ratio for part in parts]),
        throttled=_worst([part.throttled for part in parts]),
        clock_step_s=_worst([part.clock_step_s for part in parts]),
        gc_ratio=_worst([part.gc_ratio for part in parts]),
        exhausted=sum(part.exhausted for part in parts),
    )


def _worst(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def without_secrets(block: Block, clean: Clean) -> Block:
    """The block with redacted names and kinds of errors; names that are equal then are one series."""
    texts = [text for one in block.series for text in (one.name, *(error.kind for error in one.errors))]
    if all(clean(text) == text for text in texts):
        return block
    cleaned = (
        replace(
            one,
            name=clean(one.name),
            errors=tuple(replace(error, kind=clean(error.kind)) for error in one.errors),
        )
        for one in block.series
    )
    return replace(block, series=merge_series(cleaned))
