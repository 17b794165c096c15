"""Does a rehearsal of a database upgrade name the statement that the upgrade made slow?

    .venv/bin/python -m bench.sql --postgres postgresql+psycopg://postgres@127.0.0.1:5432/postgres --runs 3

Two PostgreSQL databases on one server, `rehearse baseline` once, then N times `rehearse compare` with a candidate that
lost an index (it must be ABORT, for the statement that needs it) and with one that has it (it must never be ABORT, and
be GO at least once: a busy machine may leave one run inconclusive).
Without --postgres the variable REHEARSE_TEST_POSTGRES_URL is used; databases are made on that server, and dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url

ROOT = Path(__file__).resolve().parent.parent
NEEDS_INDEX, NEEDS_NONE = "SQL orders of a customer", "SQL order by id"
WITHOUT, SAME = "without the index", "the same"
BASELINE_ATTEMPTS = 3

CONFIG = """
title = "bench.sql"

[targets.baseline]
url = "{baseline}"

[targets.candidate]
url = "{candidate}"

[safety]
allow = ["127.0.0.1", "localhost"]

[load]
rate = 45
warm_up = "2s"
block = "1s"
budget = "24s"
timeout = "5s"
users = 10

[load.rig]
max_rig_lag = "50ms"
max_stall = "250ms"

[[scenarios]]
name = "orders"
file = "orders.py"

[objectives]
p50 = "<=+60%"
p95 = "<=+150%"
p99 = {{ is = "<=+300%", advisory = true }}
error_ratio = "<=+1pp"

[judge]
floor = "4ms"
shared = ["host"]

[judge.noise]
run_to_run_sd = "10%"

[baseline]
rounds = 1
budget = "16s"
"""

SCENARIO = """
from rehearse.load import SqlUser


class Shop(SqlUser):
    statements = "statements.toml"
"""

STATEMENTS = """
[[statements]]
name = "orders of a customer"
sql = "select id, placed_at from orders where customer = :customer order by placed_at desc limit 20"
parameters = "customers.csv"

[[statements]]
name = "order by id"
sql = "select customer, placed_at, note from orders where id = :id"
parameters = [{ id = 7 }, { id = 1201 }, { id = 88012 }, { id = 4711 }]
"""

SCHEMA = (
    "create table orders (id int primary key, customer int not null, placed_at timestamptz not null, note text)",
    """
    insert into orders
    select n, mod(n, 5000), now() - n * interval '1 minute', repeat('x', 60) from generate_series(1, 200000) n
    """,
    "create index orders_customer on orders (customer)",  # without it a customer's orders take 20 ms, and not 0.3
    "vacuum analyze orders",
)


@dataclass(frozen=True)
class Row:
    """One comparison."""

    candidate: str
    decision: str
    exit_code: int
    took_s: float
    failed: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def names_the_right_statement(self) -> bool:
        """The statement that needs the index failed, and the other did not."""
        return any(one.startswith(NEEDS_INDEX) for one in self.failed) and not any(
            one.startswith(NEEDS_NONE) for one in self.failed
        )


@dataclass(frozen=True)
class Upgrade:
    """A project folder with two databases."""

    root: Path
    candidate: URL

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `rehearse ARGUMENTS` in the project."""
        command = [sys.executable, "-m", "rehearse", *arguments]
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, timeout=300
        )

    def record(self) -> None:
        """Record the baseline; a machine that is busy for a moment refuses to, but not for ever."""
        for _ in range(BASELINE_ATTEMPTS):
            done = self.run("baseline")
            if done.returncode != 13:
                break
        if done.returncode != 0:
            raise RuntimeError(f"no baseline: {done.stderr[-2000:]}")

    def compare(self, candidate: str) -> Row:
        """Give the candidate its index or take it, and compare."""
        change = (
            "drop index if exists orders_customer"
            if candidate == WITHOUT
            else "create index if not exists orders_customer on orders (customer)"
        )
        execute(self.candidate, change, "vacuum analyze orders")
        started = time.monotonic()
        done = self.run("compare")
        found = sorted(self.root.glob("reports/*/result.json"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise RuntimeError(f"no result: {done.stderr[-2000:]}")
        verdict = json.loads(found[-1].read_text(encoding="utf-8"))["verdict"]
        return _row(candidate, verdict, done.returncode, time.monotonic() - started)


def _row(candidate: str, verdict: dict[str, Any], exit_code: int, took_s: float) -> Row:
    reasons = verdict["reasons"]
    failed = tuple(one["subject"] for one in reasons if one["outcome"] == "fail")
    sentences = tuple(one["sentence"] for one in reasons[:4])
    return Row(candidate, verdict["decision"], exit_code, round(took_s, 1), failed, sentences)


def engine(url: URL) -> Engine:
    """Statements outside of transactions: databases are made and dropped."""
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def execute(url: URL, *statements: str) -> None:
    """Run statements one after the other."""
    with engine(url).connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@contextmanager
def upgrade(server: URL, root: Path) -> Iterator[Upgrade]:
    """Two filled databases on the server, and a project that compares them; dropped afterwards."""
    urls = [server.set(database=f"rehearse_bench_{side}_{uuid4().hex[:8]}") for side in ("old", "new")]
    try:
        for url in urls:
            # Without parallel workers, and without a compilation that would come and go with the planner's guess.
            execute(server, f'create database "{url.database}"')
            calm = f'alter database "{url.database}" set'
            execute(server, f"{calm} max_parallel_workers_per_gather = 0", f"{calm} jit = off")
            execute(url, *SCHEMA)
        old, new = (url.render_as_string(hide_password=False) for url in urls)
        (root / "rehearse.toml").write_text(CONFIG.format(baseline=old, candidate=new), encoding="utf-8")
        (root / "orders.py").write_text(SCENARIO, encoding="utf-8")
        (root / "statements.toml").write_text(STATEMENTS, encoding="utf-8")
        customers = "".join(f"{number}\n" for number in range(0, 5000, 7))
        (root / "customers.csv").write_text(f"customer\n{customers}", encoding="utf-8")
        yield Upgrade(root, urls[1])
    finally:
        for url in urls:
            execute(server, f'drop database if exists "{url.database}" with (force)')


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    options = _options()
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        upgrade(make_url(options.postgres), Path(folder)) as project,
    ):
        project.record()
        print("baseline recorded", flush=True)
        for _ in range(options.runs):
            for candidate in (WITHOUT, SAME):
                rows.append(project.compare(candidate))
                print(_line(len(rows), rows[-1]), flush=True)
                options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    complaints = _complaints(rows)
    for complaint in complaints:
        print(f"NOT MET: {complaint}")
    print(f"{len(rows)} passed, 0 failed" if not complaints else f"0 passed, {len(complaints)} failed")
    return 1 if complaints else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given = os.environ.get("REHEARSE_TEST_POSTGRES_URL")
    parser.add_argument("--postgres", default=given, required=not given, help="a server on loopback")
    parser.add_argument("--runs", type=int, default=3, help="comparisons of each candidate")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-sql.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def _line(number: int, row: Row) -> str:
    first = row.reasons[0] if row.reasons else ""
    return f"{number:>3}  {row.candidate:<17}  {row.decision:<12}  {row.took_s:>5.0f} s  {first[:110]}"


def _table(rows: Sequence[Row]) -> str:
    lines = ["", "candidate          runs  GO  ABORT  INCONCLUSIVE  names the right statement, and no other"]
    for candidate in (WITHOUT, SAME):
        mine = [row for row in rows if row.candidate == candidate]
        counts = Counter(row.decision for row in mine)
        named = sum(row.names_the_right_statement for row in mine)
        lines.append(
            f"{candidate:<17}  {len(mine):>4}  {counts['GO']:>2}  {counts['ABORT']:>5}"
            f"  {counts['INCONCLUSIVE']:>12}  {named:>39}"
        )
    return "\n".join(lines)


def _complaints(rows: Sequence[Row]) -> list[str]:
    slow = [row for row in rows if row.candidate == WITHOUT]
    same = [row for row in rows if row.candidate == SAME]
    complaints = [
        f"{WITHOUT}: {row.decision}, exit code {row.exit_code}" for row in slow if row.exit_code != 10
    ]
    complaints += [f"{WITHOUT}: named {row.failed}" for row in slow if not row.names_the_right_statement]
    complaints += [f"{SAME}: ABORT: {row.reasons[0]}" for row in same if row.decision == "ABORT"]
    if not any(row.decision == "GO" for row in same):
        complaints.append(f"{SAME}: never GO")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
