"""How long it takes to look at a full store: 1,000 runs of 50 endpoints each, on SQLite and on PostgreSQL.

    python -m bench.store [--postgres URL] [--runs 1000] [--endpoints 50] [--blocks 20]

Times are those of whole commands, from their start to their end, as a person waits for them; the median of five,
after a first one that is not counted. Python keeps what it compiled, as it does for a person.
`--postgres` names an empty database; its tables are dropped at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

from rehearse.histogram import Histogram
from rehearse.model import (
    Arrivals,
    Block,
    Cell,
    Decision,
    Judgement,
    Metric,
    Mode,
    Objective,
    Outcome,
    Policy,
    RequestOutcome,
    RigHealth,
    Role,
    RunKind,
    RunRecord,
    RunState,
    Scope,
    Series,
    Side,
    Verdict,
)
from rehearse.store import Store
from rehearse.store.rows import block_row, digest_of, fill
from rehearse.store.tables import Base, BlockRow, RunRow

ROOT = Path(__file__).resolve().parents[1]
METRICS = (Metric.P50, Metric.P95, Metric.P99, Metric.ERROR_RATIO, Metric.COMPLETED_RATIO)
LIMITS_S = {"list": 1.0, "show": 2.0}
REPEATS = 5

CONFIG = """
[targets.baseline]
url = "http://127.0.0.1:9"
[targets.candidate]
url = "http://127.0.0.1:10"
[safety]
allow = ["127.0.0.1"]
[load]
rate = 50
[[scenarios]]
name = "visit"
file = "visit.py"
[store]
url = "{url}"
"""


def record_of(number: int, endpoints: int) -> RunRecord:
    """A finished comparison with a judgement of every metric of every endpoint."""
    judgements = tuple(
        Judgement(
            Cell(Scope.ENDPOINT, f"GET /endpoint/{one}", metric, Role.CERTIFY, Objective(metric, 0.05)),
            Outcome.PASS,
            "changed by +1.2 % (-0.4 % to +2.8 %), margin 5 %: proven inside the margin",
            baseline=0.0123,
            candidate=0.0125,
            change=0.012,
            low=-0.004,
            high=0.028,
            upper_bound=0.026,
            margin=0.05,
            p_value=0.9,
            pairs=60,
            baseline_count=12000,
            candidate_count=12000,
        )
        for one in range(endpoints)
        for metric in METRICS
    )
    moment = f"2026-{number // 400 + 1:02}-{number // 20 % 20 + 1:02}T{number % 20:02}:00:00+00:00"
    return RunRecord(
        run_id=f"run-{number:05}",
        kind=RunKind.COMPARISON,
        state=RunState.FINISHED,
        mode=Mode.PAIRED,
        started_at=moment,
        ended_at=moment,
        baseline_name="default",
        title=f"Rehearsal {number}",
        policy=Policy((Objective(Metric.P95, 0.05),)),
        planned_blocks=60,
        expected_workers=1,
        rounds=1,
        looks=1,
        is_complete=True,
        restarted=frozenset(),
        targets=(),
        provenance={},
        effective_config="x" * 4000,
        exit_plan="",
        command="rehearse compare",
        verdict=Verdict(Decision.GO, judgements=judgements, pairs_used=60),
    )


def block_of(side: Side, index: int, endpoints: int) -> Block:
    """A block with sixty durations of every endpoint."""
    drawn = random.Random(index)
    series = []
    for one in range(endpoints):
        histogram = Histogram()
        for _ in range(60):
            histogram.record(0.01 * drawn.lognormvariate(0, 0.4))
        durations = {RequestOutcome.OK: histogram}
        series.append(Series(Scope.ENDPOINT, f"GET /endpoint/{one}", durations))
    arrivals = Arrivals(60, 60, ok=60)
    rig = RigHealth(Histogram(), Histogram(), 0.001, 0.2)
    return Block(side, 0, index, False, 5.0 * index, 5.0, arrivals, tuple(series), rig)


def fill_store(url: str, runs: int, endpoints: int, blocks: int) -> None:
    """Rows as `rehearse` would have written them, a run a transaction."""
    with Store.open(url) as store:
        engine = store._database.writers
        packed = [
            block_row(RunRow(run_id="x"), block_of(side, index, endpoints))
            for side in Side
            for index in range(blocks)
        ]
        for number in range(runs):
            with Session(engine) as session, session.begin():
                row = fill(RunRow(), record_of(number, endpoints))
                row.digest = digest_of(row, packed, (), ())
                session.add(row)
                session.flush()
                session.execute(
                    insert(BlockRow),
                    [
                        {
                            "run_number": row.number,
                            "side": one.side,
                            "round": one.round,
                            "index_in_round": one.index_in_round,
                            "body": one.body,
                        }
                        for one in packed
                    ],
                )


def timed(project: Path, *args: str) -> tuple[float, float]:
    """The median time of one whole command, and of the processor in it: a busy machine stretches only the first."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times, work = [], []
    for _ in range(1 + REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began_s = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "rehearse", *args],
            cwd=project,
            env=environment,
            check=True,
            capture_output=True,
        )
        times.append(time.perf_counter() - began_s)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        work.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times[1:]), statistics.median(work[1:])


def measured(name: str, url: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """What each command took on one database."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        url = url or f"sqlite:///{project}/rehearse.db"
        (project / "rehearse.toml").write_text(CONFIG.format(url=url), encoding="utf-8")
        (project / "visit.py").write_text("", encoding="utf-8")
        fill_store(url, options.runs, options.endpoints, options.blocks)
        middle = f"run-{options.runs // 2:05}"
        commands = {
            "list": ("runs", "list", "--limit", str(options.runs)),
            "show": ("runs", "show", middle),
            "verify": ("runs", "verify", middle),
            "nothing": ("baselines", "list"),
            "prune": ("runs", "prune", "--dry-run"),
        }
        for command, args in commands.items():
            took_s, cpu_s = timed(project, *args)
            yield {
                "database": name,
                "command": command,
                "took_s": round(took_s, 3),
                "cpu_s": round(cpu_s, 3),
                "limit_s": LIMITS_S.get(command),
            }


def drop(url: str) -> None:
    """Leave the database as it was found."""
    engine = create_engine(url)
    Base.metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rehearse_version")
    engine.dispose()


def main() -> None:
    """Print the table, and the same as JSON on the last line. Ends with 1 when a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", default="")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=20, help="of each side")
    options = parser.parse_args()
    rows = list(measured("SQLite", "", options))
    if options.postgres:
        try:
            rows += measured("PostgreSQL", options.postgres, options)
        finally:
            drop(options.postgres)
    print(f"{options.runs} runs, {options.endpoints} endpoints, {2 * options.blocks} blocks each")
    for row in rows:
        limit = f"limit {row['limit_s']} s" if row["limit_s"] else ""
        took = f"{row['took_s']:>7} s, {row['cpu_s']:>7} s of a core"
        print(f"{row['database']:<11} {row['command']:<10} {took}  {limit}".rstrip())
    print(json.dumps(rows))
    missed = [
        row for row in rows if row["limit_s"] and float(str(row["took_s"])) > float(str(row["limit_s"]))
    ]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
