"""How long, and in how much memory, a stored run is judged: one hour, 50 endpoints, 1e5 to 1e8 requests.

    python -m bench.verdict_speed

Each size runs in a child of its own: stored, then read, verified and judged after the imports, as `rehearse judge` does.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rehearse.histogram import Histogram
from rehearse.journal import evidence_of
from rehearse.judge.verdict import judge
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    Metric,
    Mode,
    Objective,
    Policy,
    RequestOutcome,
    RigHealth,
    RunKind,
    RunRecord,
    RunState,
    Scope,
    Series,
    Side,
    WorkerFinal,
)
from rehearse.store.records import Store
from rehearse.wiring import reference_of

ENDPOINTS = 50
BLOCK_S = 4.0
BLOCKS = 900  # one hour
SPREAD = 0.4  # log SD of one duration
POLICY = Policy(
    (
        Objective(Metric.P50, 0.05),
        Objective(Metric.P95, 0.10),
        Objective(Metric.P99, 0.20, is_advisory=True),
        Objective(Metric.ERROR_RATIO, 0.001),
        Objective(Metric.COMPLETED_RATIO, 0.03),
    )
)


# --- a run of that size -----------------------------------------------------------------------------------------


def blocks_of(requests: int, blocks: int, rng: np.random.Generator) -> Iterator[Block]:
    """Both sides' blocks of identical code, with Zipf traffic over the endpoints."""
    shares = 1 / np.arange(1, ENDPOINTS + 1)
    shares /= shares.sum()
    medians = 0.004 * np.exp(rng.normal(0, 0.6, ENDPOINTS))
    for index in range(blocks):
        level = rng.normal(0, 0.1)
        for side in Side:
            counts = rng.multinomial(requests // (2 * blocks), shares)
            yield _block(side, index, counts, medians * np.exp(level), rng)


def _block(
    side: Side, index: int, counts: Sequence[int], medians: Sequence[float], rng: np.random.Generator
) -> Block:
    total, series = Histogram(), []
    for number, (count, median) in enumerate(zip(counts, medians, strict=True)):
        if not count:
            continue
        ok = _durations(int(count), median, rng)
        total.merge(ok)
        name = f"GET /resource/{number}"
        series.append(Series(Scope.ENDPOINT, name, {RequestOutcome.OK: ok}))
        series.append(Series(Scope.TASK, f"Visitor.{number}", {RequestOutcome.OK: ok}))
    planned = int(sum(counts))
    whole = Series(Scope.SCENARIO, "shop", {RequestOutcome.OK: total}, ())
    return Block(
        side=side,
        round=0,
        index=index,
        is_warm_up=False,
        start_s=index * BLOCK_S,
        length_s=BLOCK_S,
        arrivals=Arrivals(planned, planned, 0, planned),
        series=(whole, *series),
        rig=RigHealth(Histogram(), Histogram(), 0.01, 0.3, 0.0),
        completed=planned,
    )


def _durations(count: int, median: float, rng: np.random.Generator) -> Histogram:
    """`count` lognormal durations; a large count is drawn bucket by bucket, so that its cost is that of its buckets."""
    histogram = Histogram()
    drawn = min(count, 4000)
    for value in median * np.exp(rng.normal(0, SPREAD, drawn)):
        histogram.record(float(value))
    if drawn == count:
        return histogram
    factor, rest = divmod(count, drawn)
    pairs = histogram.to_pairs()
    pairs[1::2] = [number * factor for number in pairs[1::2]]
    pairs[1] += rest
    return Histogram.from_pairs(pairs)


def record_of(blocks: int) -> RunRecord:
    """A comparison that came to its end."""
    return RunRecord(
        run_id="speed",
        kind=RunKind.COMPARISON,
        state=RunState.RUNNING,
        mode=Mode.PAIRED,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ended_at=None,
        baseline_name=None,
        title="speed",
        policy=POLICY,
        planned_blocks=blocks,
        expected_workers=1,
        rounds=1,
        looks=4,
        is_complete=True,
        restarted=frozenset(),
        targets=(),
        provenance={},
        effective_config="",
        exit_plan="",
        command="bench",
        scenarios=("shop",),
    )


def store_run(url: str, requests: int, blocks: int) -> None:
    """Record a run of that many requests."""
    rng = np.random.default_rng(7)
    with Store.open(url) as store:
        record = record_of(blocks)
        store.begin_run(record)
        sums, closed = {side: Arrivals() for side in Side}, dict.fromkeys(Side, 0)
        for block in blocks_of(requests, blocks, rng):
            store.add_block(record.run_id, block)
            sums[block.side] += block.arrivals
            closed[block.side] += 1
        for side in Side:
            store.add_final(record.run_id, WorkerFinal(side, 0, 0, sums[side], closed[side], 0, 0, 0, 0))
        store.update_run(replace(record, state=RunState.FINISHED, ended_at=record.started_at))


if __name__ == "__main__":
    n, blocks, path = int(float(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    if sys.argv[4] == "store":
        store_run(f"sqlite:///{path}", n, blocks)
    else:
        import rehearse.rehearsal

        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        t0 = time.perf_counter()
        c0 = time.process_time()
        with Store.open(f"sqlite:///{path}") as store:
            record = store.run("speed")
            store.verify("speed")
            t1 = time.perf_counter()
            bl = store.blocks("speed")
            fin = store.finals("speed")
            t2 = time.perf_counter()
            if sys.argv[4] == "profile":
                import cProfile, pstats

                pr = cProfile.Profile()
                pr.enable()
            v = judge(evidence_of(record, bl, fin, reference_of(store, record)))
            t3 = time.perf_counter()
            if sys.argv[4] == "profile":
                pr.disable()
                pstats.Stats(pr).sort_stats("tottime").print_stats(25)
        print(
            v.decision,
            v.reasons[0].sentence,
            "open+verify",
            t1 - t0,
            "blocks",
            t2 - t1,
            "judge",
            t3 - t2,
            "cpu",
            time.process_time() - c0,
            "MB",
            base,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )
