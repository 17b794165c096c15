"""A project in a folder whose exit plan upgrades a real shop: blue and green behind a switch, on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from rehearse.shop.migration import migrate
from rehearse.shop.seeding import PASSWORD, seed
from rehearse.shop.tables import connect
from rehearse.shop.versions import BEHAVIOURS
from tests.project import Done, Project

FEW_ORDERS = 2_000
HERE = Path(__file__).parent
STEPS = str(HERE / "steps.py")

CONFIG = '''
title = "shop"

[targets.shop]
role = "in-place"
url = "http://127.0.0.1:{front}"
ready = "/health"
facts = ["{python}", "facts.py"]

[safety]
allow = ["127.0.0.1"]
side_effects = true

[load]
rate = 10
timeout = "2s"
warm_up = "1s"
block = "1s"
budget = "8s"

[load.rig]
max_rig_lag = "1s"
max_stall = "5s"
max_cpu = "100%"

[[scenarios]]
name = "shop"
file = "visit.py"

[objectives]
p50 = "<=+900%"
p95 = {{ is = "<=+900%", advisory = true }}
p99 = {{ is = "<=+900%", advisory = true }}
error_ratio = "<=+5pp"

[judge]
floor = "200ms"

[cutover]
settle = "2s"
budget = "{budget}"
window = "{window}"
timeout = "{timeout}"
version_header = "X-Shop-Version"
database = "{database}"

[[cutover.probes]]
name = "read"
path = "/products/7"

[[cutover.probes]]
name = "orders"
path = "/customers/7/orders"
headers = {{ Authorization = "Bearer {token}" }}

[[cutover.probes]]
name = "write"
path = "/orders"
method = "POST"
body = '{{"customer_id": 7, "product_id": 7, "quantity": 1}}'
headers = {{ Authorization = "Bearer {token}", Idempotency-Key = "probe-{{n}}", Content-Type = "application/json" }}
write = true

[cutover.survival]
every = "500ms"
write = {{ sql = "insert into marks (id) values (:row)" }}
read = {{ sql = "select 1 from marks where id = :row" }}

[[cutover.same]]
name = "the schema"
sql = """
select table_name, column_name, data_type from information_schema.columns
where table_name like 'shop_%' order by 1, 2"""

[exit_plan]
strategy = "roll-back"
decide_by = "T+10m"
decider = "whoever is on duty"

[[exit_plan.abort]]
when = "more requests fail than 5 pp above normal"
objective = "error_ratio"
'''

SCENARIO = """
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/products/7", name="/products/[id]")
"""

FACTS = """
import json, urllib.request
with urllib.request.urlopen("http://127.0.0.1:{front}/version", timeout=5) as answer:
    print(json.dumps({{"version": json.load(answer)["version"]}}))
"""

Step = dict[str, Any]


def deed(*words: str) -> list[str]:
    """A command of the exit plan."""
    return [sys.executable, STEPS, *words]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Shops:
    """The environment and its project."""

    project: Project
    front: int
    blue: int
    green: int
    third: int
    database: str

    def plan(self, *steps: Step, forward: tuple[Step, ...] = ()) -> None:
        """Write the exit plan's steps."""
        file = self.project.root / "rehearse.toml"
        text = file.read_text()
        for kind, chosen in (("steps", steps), ("forward", forward)):
            for step in chosen:
                text += f"\n[[exit_plan.{kind}]]\n"
                text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in step.items())
        file.write_text(text)

    def cutover(self, *options: str, timeout_s: float = 85) -> tuple[Done, dict[str, Any]]:
        """Run `rehearse cutover`; how it ended, and the newest result."""
        done = self.project.run("cutover", *options, timeout_s=timeout_s)
        return done, self.project.result() if list(self.project.root.glob("reports/*/result.json")) else {}

    def down_times(self, port: int) -> list[tuple[float, float]]:
        """From when to when no server took connections there, by the servers' own log; on the clock of the probes."""
        offset_s = time.monotonic() - time.time()
        lines = (self.project.root / f"shop-{port}.log").read_text().splitlines()
        moments = [
            (datetime.fromisoformat(line.split()[0]).timestamp() + offset_s, line)
            for line in lines
            if "Uvicorn running" in line or "Shutting down" in line
        ]
        return [(went, came) for (went, down), (came, _) in pairwise(moments) if "Shutting down" in down]

    def stop_and_start(self) -> None:
        """Plan an upgrade with an outage: one server on the same port after the other. An outage is accepted."""
        down = {
            "name": "stop 1.0",
            "run": deed("stop", str(self.blue)),
            "undo": deed("start", "1.0", str(self.blue)),
            "timeout": "40s",
        }
        up = {
            "name": "start 2.1",
            "run": deed("start", "2.1", str(self.blue)),
            "undo": deed("stop", str(self.blue)),
            "timeout": "40s",
        }
        self.plan(down, up)
        self.project.edit('budget = "5s"', 'budget = "5s"\nlongest_outage = "20s"\ntotal_outage = "60s"')

    def start_green(self, version: str) -> Step:
        """A second shop beside the first."""
        return {
            "name": f"start {version}",
            "run": deed("start", version, str(self.green)),
            "undo": deed("stop", str(self.green)),
            "timeout": "40s",
        }

    def switch(self) -> Step:
        """Let users in."""
        return {
            "name": "switch",
            "run": deed("switch", str(self.green)),
            "undo": deed("switch", str(self.blue)),
            "timeout": "10s",
        }

    def sql(self, name: str, run: str, undo: str, **more: str) -> Step:
        """A statement and the one that takes it back."""
        return {"name": name, "run": deed("sql", run), "undo": deed("sql", undo), "timeout": "30s", **more}


@contextmanager
def shops(
    root: Path, database: str, budget: str = "5s", window: str = "3s", timeout: str = "5s"
) -> Iterator[Shops]:
    """1.0 as blue behind a switch, on a seeded database with one more table, for rows that must survive."""
    engine = connect(database)
    seed(engine, FEW_ORDERS)
    migrate(engine, BEHAVIOURS["1.0"])
    engine.dispose()
    front, blue, green, third = (free_port() for _ in range(4))
    (root / "state.json").write_text(json.dumps({"database": database}))
    for words in (
        ("sql", "create table marks (id bigint primary key)"),
        ("start", "1.0", str(blue)),
        ("switch", str(blue)),
    ):
        subprocess.run(deed(*words), cwd=root, check=True)
    forwarder = subprocess.Popen(
        [sys.executable, str(HERE / "forwarder.py"), str(front), "upstream"], cwd=root
    )
    try:
        _wait_for(front)
        told: dict[str, object] = {
            "front": front,
            "python": sys.executable,
            "database": database,
            "token": _token(front),
        }
        (root / "rehearse.toml").write_text(
            CONFIG.format(**told, budget=budget, window=window, timeout=timeout)
        )
        (root / "visit.py").write_text(SCENARIO)
        (root / "facts.py").write_text(FACTS.format(front=front))
        yield Shops(Project(root), front, blue, green, third, database)
    finally:
        forwarder.kill()
        forwarder.wait()
        for file in root.glob("*.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("the switch does not listen")


def _token(front: int) -> str:
    import httpx

    answer = httpx.post(f"http://127.0.0.1:{front}/login", json={"user": "clerk-1", "password": PASSWORD})
    return str(answer.json()["token"])
