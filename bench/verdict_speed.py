"""How long, and in how much memory, a stored run is judged: one hour, 50 endpoints, 1e5 to 1e8 requests.

    python -m bench.verdict_speed

Each size runs in a child of its own: read, verified and judged after the imports, as `rehearse judge` does it.
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
from rehearse.store.blocks import many_objects
from rehearse.store.records import Store

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
            yield _block(side, index, counts.tolist(), (medians * np.exp(level)).tolist(), rng)


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
    whole = Series(Scope.SCENARIO, "shop", {RequestOutcome.OK: total})
    return Block(
        side=side,
        round=0,
        index=index,
        is_warm_up=False,
        start_s=index * BLOCK_S,
        length_s=BLOCK_S,
        arrivals=Arrivals(planned, planned, 0, planned),
        series=(whole, *series),
        rig=RigHealth(_durations(min(planned, 400), 0.0004, rng), Histogram(), 0.01, 0.3, 0.0),
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


# --- measuring --------------------------------------------------------------------------------------------------


def judge_run(url: str) -> dict[str, float]:
    """Read, verify and judge, after the imports; seconds of wall and CPU, and the most memory in MB."""
    started, cpu = time.perf_counter(), time.process_time()
    with many_objects(), Store.open(url) as store:
        record = store.run("speed")
        store.verify("speed")
        evidence = evidence_of(record, store.blocks("speed"), store.finals("speed"), None)
        read = time.process_time()
        verdict = judge(evidence)
    return {
        "cells": len(verdict.judgements),
        "wall_s": time.perf_counter() - started,
        "read_cpu_s": read - cpu,
        "judge_cpu_s": time.process_time() - read,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured(requests: int, blocks: int, folder: Path) -> dict[str, float]:
    """One size: stored by a child, and judged by another one."""
    url = f"sqlite:///{folder}/{requests}-{blocks}.db"
    this = [sys.executable, "-m", "bench.verdict_speed"]
    subprocess.run([*this, "store", url, str(requests), str(blocks)], check=True)
    told = subprocess.run([*this, "judge", url], check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(told)
    size_mb = Path(url.removeprefix("sqlite:///")).stat().st_size / 1e6
    return {"requests": requests, "blocks": blocks, "stored_mb": size_mb, **found}


def main() -> None:
    """The hour, and then the same blocks and cells with more and more requests in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here too")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for requests, blocks in ((720_000, 900), *((10**power, 50) for power in range(5, 9))):
            rows.append(measured(requests, blocks, Path(folder)))
            print("  ".join(f"{name} {value:,.5g}" for name, value in rows[-1].items()), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["store"]:
        store_run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["judge"]:
        print(json.dumps(judge_run(sys.argv[2])))
    else:
        main()
