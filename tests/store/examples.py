"""Small recordings to store, and two ways to look at a store from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rehearse.histogram import Histogram
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    ErrorBin,
    Exhibit,
    Finding,
    Incident,
    Metric,
    Mode,
    Objective,
    Outcome,
    Policy,
    RequestOutcome,
    RigHealth,
    RunKind,
    RunRecord,
    RunState,
    Scope,
    Series,
    Side,
    TargetFacts,
    Verdict,
    WorkerFinal,
)
from rehearse.store import Store

ABORT = Verdict(
    decision=Decision.ABORT,
    reasons=(Finding(Outcome.FAIL, "worse", "GET /orders", "p95 rose", numbers={"pairs": 12, "p": 0.001}),),
    pairs_used=12,
)


def record(run_id: str = "run-1", kind: RunKind = RunKind.BASELINE, minute: int = 0) -> RunRecord:
    """A run that has just begun, with every field set to something."""
    return RunRecord(
        run_id=run_id,
        kind=kind,
        state=RunState.RUNNING,
        mode=Mode.PAIRED,
        started_at=f"2026-11-02T10:{minute:02}:00+00:00",
        ended_at=None,
        baseline_name="main",
        title="Django 5.2 → 6.0 \x00 “orders”",
        policy=Policy(
            (Objective(Metric.P95, 0.05), Objective(Metric.ERROR_RATIO, 0.001)), critical=("GET /x",)
        ),
        planned_blocks=12,
        expected_workers=1,
        rounds=2,
        looks=3,
        is_complete=False,
        restarted=frozenset(Side),
        targets=(
            TargetFacts(Side.BASELINE, "old", "http://127.0.0.1:8001", {"version": "5.2"}),
            TargetFacts(
                Side.CANDIDATE, "new", "http://127.0.0.1:8002", {"version": "6.0 \x00", "build": "7"}
            ),
        ),
        provenance={"seed": "7", "rehearse": "0.1"},
        effective_config='title = "orders"\n',
        exit_plan="roll back",
        command="rehearse baseline",
        incidents=(Incident("rig_unhealthy", "The rig was late.", Side.CANDIDATE),),
    )


def finished(run: RunRecord) -> RunRecord:
    """The same run, ended well."""
    return replace(run, state=RunState.FINISHED, ended_at="2026-11-02T10:59:00+00:00", is_complete=True)


def block(index: int = 0, side: Side = Side.BASELINE, round_: int = 0) -> Block:
    """A closed block whose content depends on its place."""
    durations = {RequestOutcome.OK: histogram(index), RequestOutcome.ERROR: Histogram()}
    return Block(
        side=side,
        round=round_,
        index=index,
        is_warm_up=index == 0,
        start_s=4.0 * index,
        length_s=4.0,
        arrivals=Arrivals(planned=50, dispatched=50, ok=50),
        series=(Series(Scope.ENDPOINT, "GET /orders", durations, (ErrorBin("HTTP 500", index, 1),)),),
        rig=RigHealth(histogram(1), Histogram(), stall_max_s=0.002, cpu_ratio=0.25),
    )


def histogram(shift: int) -> Histogram:
    """Fifty durations."""
    made = Histogram()
    for n in range(50):
        made.record(0.002 + shift * 0.001 + n * 0.0001)
    return made


def final(side: Side = Side.BASELINE, round_: int = 0, worker: int = 0) -> WorkerFinal:
    """A worker's closing account."""
    return WorkerFinal(side, round_, worker, Arrivals(50, 50, ok=50), 4, 0xDEADBEEF, 1, 0, 0)


def exhibit(name: str = "INC-231", body: bytes = b'{"outcome":"passed"}') -> Exhibit:
    """A check's result, as the store sees it."""
    return Exhibit("check", name, body)


def keep(store: Store, run: RunRecord, blocks: int = 3) -> RunRecord:
    """Record `run` from its beginning to its end; the finished record."""
    store.begin_run(run)
    for index in range(blocks):
        store.add_block(run.run_id, block(index))
    store.add_final(run.run_id, final())
    store.add_exhibit(run.run_id, exhibit())
    store.update_run(finished(run))
    return finished(run)


def sqlite_url(file: Path) -> str:
    """The url of a file."""
    return f"sqlite:///{file}"


def change(file: Path, statement: str, *values: object) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement, values)


def look(file: Path, query: str) -> list[tuple[object, ...]]:
    """Read the file behind the store's back."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()
