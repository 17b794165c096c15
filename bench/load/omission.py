"""Coordinated omission, on real servers: what users waited for a system that stalled, and what a closed loop says.

    .venv/bin/python -m bench.load.omission

(a) nginx at 2,000 requests/s, stopped once for 1.4 s inside 30 s:
    at least 1 % of the arrivals waited S - 0.01 T = 1.10 s or more (Gil Tene's arithmetic, wrk2's README).
(b) A single-threaded server, 1 ms a request and 200 ms each 500th, at 450/s: the queue behind each stall is p99.
(c) A calm server at a fifth of its capacity: service time as `wrk` and `hey` see it, independent of ours.

Plain closed Locust of the same nominal rate stands beside (a) and (b). Loopback only; about three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bench.load.servers import ROOT, limited_server, nginx, small_server
from rehearse.histogram import Histogram
from rehearse.load.engine import BlockClosed, Trouble
from rehearse.load.locust_engine import LocustEngine
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Scope, Side

STALL_S, WINDOW_S = 1.4, 30.0
LEAST_P99_S = STALL_S - 0.01 * WINDOW_S
CALM_WORKERS, CALM_MS = 8, 5
CALM_RATE = 0.2 * CALM_WORKERS / (CALM_MS / 1000)  # a fifth of its capacity

OPEN = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/")
"""
CLOSED = """
from locust import FastHttpUser, constant_throughput, task

class Visitor(FastHttpUser):
    wait_time = constant_throughput({each})

    @task
    def look(self):
        self.client.get("/")
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `needed` says what it must be, in the column's own words."""

    case: str
    tool: str
    time: str  # "service" | "response"
    requests: int
    p50_ms: float | None
    p99_ms: float | None
    needed: str = ""
    is_met: bool = True


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-omission.json")
    parser.add_argument("--seconds", type=float, default=WINDOW_S, help="length of (b) and (c)")
    parser.add_argument("--only", choices="abc", default="abc", help="one of the three")
    options = parser.parse_args()
    cases: dict[str, Callable[[], Iterator[Row]]] = {
        "a": _stopped,
        "b": lambda: _stalling(options.seconds),
        "c": lambda: _calm(options.seconds),
    }
    rows = [row for name in options.only for row in cases[name]()]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    failed = [row for row in rows if not row.is_met]
    print(f"{len(rows) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


# --- (a) a server that is stopped once --------------------------------------------------------------------------


def _stopped() -> Iterator[Row]:
    case = f"(a) stopped for {STALL_S} s"
    with nginx() as (process, port):
        with _stopping(process, after_s=12.0):
            service, response = _open_load(port, 2000.0, WINDOW_S)
        met = (_p(response, 0.99) or 0.0) >= LEAST_P99_S * 1000
        yield _row(case, "rehearse", "response", response, f"p99 >= {LEAST_P99_S:.2f} s", met)
        yield _row(case, "rehearse", "service", service)
        with _stopping(process, after_s=12.0):
            yield _closed_row(case, port, users=20, each=100, needed="p99 in milliseconds", most_p99_ms=100)


@contextmanager
def _stopping(process: subprocess.Popen[bytes], after_s: float) -> Iterator[None]:
    """Stop a process and its children once, for STALL_S."""

    def stop() -> None:
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.killpg(process.pid, signal.SIGCONT)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# --- (b) a server that stalls by itself -------------------------------------------------------------------------


def _stalling(seconds: float) -> Iterator[Row]:
    case = "(b) 200 ms each 500th"
    with small_server("1", "500", "200") as (_, port):
        service, response = _open_load(port, 450.0, seconds)
        met = (_p(response, 0.99) or 0.0) >= 190
        yield _row(case, "rehearse", "response", response, "p99 >= 190 ms", met)
        yield _row(case, "rehearse", "service", service)
    with small_server("1", "500", "200") as (_, port):
        yield _closed_row(case, port, users=1, each=450, needed="p99 about 1 ms", most_p99_ms=20)


# --- (c) a calm server, and witnesses ---------------------------------------------------------------------------


def _calm(seconds: float) -> Iterator[Row]:
    case = "(c) calm, 5 ms"
    with limited_server(CALM_WORKERS, CALM_MS) as (_, port):
        # Evenly spaced, as the witnesses ask: bursts of Poisson arrivals are another load for this server.
        service, response = _open_load(port, CALM_RATE, seconds, "uniform")
        yield _row(case, "rehearse", "service", service)
        yield _row(case, "rehearse", "response", response)
        for witness in (_wrk(port, seconds), _hey(port, seconds)):
            if witness is None:
                continue
            tool, count, p50_ms, p99_ms = witness
            near = (
                abs((_p(service, 0.5) or 0) - p50_ms) <= 0.2 and abs((_p(service, 0.99) or 0) - p99_ms) <= 1.0
            )
            yield Row(case, tool, "service", count, p50_ms, p99_ms, "ours within 0.2 / 1 ms", near)


def _wrk(port: int, seconds: float) -> tuple[str, int, float, float] | None:
    said = _said("wrk", "-t1", "-c2", f"-d{seconds:.0f}s", "--latency", f"http://127.0.0.1:{port}/")
    if said is None:
        return None
    quantiles = dict(re.findall(r"^\s+(\d+)%\s+([\d.]+m?u?s)$", said, re.MULTILINE))
    requests = re.search(r"(\d+) requests in", said)
    return "wrk", int(requests[1]) if requests else 0, _ms(quantiles["50"]), _ms(quantiles["99"])


def _hey(port: int, seconds: float) -> tuple[str, int, float, float] | None:
    said = _said(
        "hey", "-c", "2", "-q", f"{CALM_RATE / 2:.0f}", "-z", f"{seconds:.0f}s", f"http://127.0.0.1:{port}/"
    )
    if said is None:
        return None
    quantiles = dict(re.findall(r"(\d+)%+ in ([\d.]+) secs", said))
    responses = re.search(r"\[200\]\s+(\d+) responses", said)
    count = int(responses[1]) if responses else 0
    return "hey", count, float(quantiles["50"]) * 1000, float(quantiles["99"]) * 1000


def _said(tool: str, *arguments: str) -> str | None:
    if shutil.which(tool) is None:
        print(f"{tool} is not installed: this witness is missing")
        return None
    return subprocess.run([tool, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


def _ms(text: str) -> float:
    factor = {"us": 0.001, "ms": 1.0}.get(text[-2:], 1000.0)
    return float(text.rstrip("mus")) * factor


# --- load -------------------------------------------------------------------------------------------------------


def _open_load(
    port: int, rate: float, seconds: float, arrivals: Literal["poisson", "uniform"] = "poisson"
) -> tuple[Histogram, Histogram]:
    """Service and response time as `rehearse` measures them, warm-up left out."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "open.py"
        file.write_text(OPEN, encoding="utf-8")
        order = LoadOrder(
            sides=(SideOrder(Side.CANDIDATE, f"http://127.0.0.1:{port}"),),
            schedule=Schedule(rate, arrivals, 2.0, 1, int(seconds / 2), seed=11),
            round=0,
            scenarios=(ScenarioOrder("open", str(file)),),
            allow=("127.0.0.1",),
            production=(),
            side_effects=False,
            users=200,
            workers=1,
            timeout_s=10.0,
            log_dir=folder,
            working_dir=folder,
        )
        with LocustEngine().start(order) as session:
            events = list(session.events())
    trouble = [event.incident.sentence for event in events if isinstance(event, Trouble)]
    if trouble:
        raise SystemExit(f"the load broke: {trouble[0]}")
    blocks = [
        event.block for event in events if isinstance(event, BlockClosed) and not event.block.is_warm_up
    ]
    scopes = (Scope.ENDPOINT, Scope.SCENARIO)
    service, response = (
        Histogram.merged(
            series.judged for block in blocks for series in block.series if series.scope is scope
        )
        for scope in scopes
    )
    return service, response


def _closed_row(case: str, port: int, users: int, each: int, needed: str, most_p99_ms: float) -> Row:
    """Plain Locust, as it is, at the same nominal rate."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "closed.py"
        file.write_text(CLOSED.format(each=each), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(file),
            "--headless",
            "-u",
            str(users),
            "-r",
            "200",
        ]
        command += [
            "-t",
            f"{WINDOW_S:.0f}s",
            "-H",
            f"http://127.0.0.1:{port}",
            "--csv",
            f"{folder}/out",
            "--only-summary",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        header, *_, total = (Path(folder) / "out_stats.csv").read_text(encoding="utf-8").splitlines()
    values = dict(zip(header.split(","), total.split(","), strict=True))
    p99_ms = float(values["99%"])
    return Row(
        case, "plain closed Locust", "service", int(values["Request Count"]), float(values["50%"]), p99_ms,
        needed, p99_ms <= most_p99_ms,
    )  # fmt: skip


# --- the table --------------------------------------------------------------------------------------------------


def _p(histogram: Histogram, quantile: float) -> float | None:
    value_s = histogram.quantile_s(quantile)
    return None if value_s is None else value_s * 1000


def _row(case: str, tool: str, kind: str, histogram: Histogram, needed: str = "", is_met: bool = True) -> Row:
    return Row(case, tool, kind, histogram.count, _p(histogram, 0.5), _p(histogram, 0.99), needed, is_met)


def _table(rows: Sequence[Row]) -> str:
    lines = ["", f"{'case':<24} {'tool':<20} {'time':<9} {'requests':>9} {'p50 ms':>9} {'p99 ms':>9}  needed"]
    for row in rows:
        p50, p99 = ("-" if value is None else f"{value:.2f}" for value in (row.p50_ms, row.p99_ms))
        mark = "" if not row.needed else ("yes: " if row.is_met else "NOT MET: ")
        lines.append(
            f"{row.case:<24} {row.tool:<20} {row.time:<9} {row.requests:>9,} {p50:>9} {p99:>9}  {mark}{row.needed}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
