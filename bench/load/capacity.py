"""Whether the capacity probe finds a known limit, end to end: `rehearse baseline`, then `rehearse compare`.

    .venv/bin/python -m bench.load.capacity --runs 3

Both sides are servers of known capacity (`bench/load/limited.py`): 20 workers of 100 ms are 200/s. An equal candidate
must never be ABORT; one with 17 workers, which is 15 % less and as quick at light load, must be ABORT by the capacity's
cell alone; and each estimate must be within 5 % of the truth. Prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearse.demo import free_ports

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "bench" / "load" / "limited.py"
WORKERS, FEWER_WORKERS, SERVICE_MS = 20, 17, 100
CELL = "all scenarios capacity"
NEAR = 0.05

# Laptop limits and margins: two load generators and two servers share this machine. The light load is 3 busy workers.
CONFIG = """
title = "A server of known capacity"

[targets.baseline]
url = "http://127.0.0.1:{ports[0]}"
start = ["{python}", "{server}", "{ports[0]}", "{workers}", "{service_ms}"]
ready = "/"

[targets.candidate]
url = "http://127.0.0.1:{ports[1]}"
start = ["{python}", "{server}", "{ports[1]}", "${{CANDIDATE_WORKERS:-{workers}}}", "{service_ms}"]
ready = "/"

[safety]
allow = ["127.0.0.1"]

[[scenarios]]
name = "visit"
file = "visit.py"

[load]
rate = 30
warm_up = "2s"
block = "2s"
budget = "32s"
timeout = "10s"

[load.rig]
max_rig_lag = "50ms"
max_stall = "500ms"

[load.capacity]
start_rate = 100
max_rate = 300
step_duration = "2s"

[objectives]
p50 = "<=+15%"
p95 = "<=+50%"
p99 = {{ is = "<=+100%", advisory = true }}
error_ratio = "<=+1pp"

[judge]
shared = ["host"]

[judge.noise]
run_to_run_sd = "10%"

[baseline]
rounds = 1
budget = "32s"
"""

SCENARIO = """
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/")
"""


@dataclass(frozen=True)
class Row:
    """One comparison."""

    candidate: str
    decision: str
    baseline_per_s: float | None
    candidate_per_s: float | None
    change: float | None
    low: float | None
    high: float | None
    p_value: float | None
    is_alone: bool  # no other reason for the verdict
    took_s: float
    reasons: tuple[str, ...]


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    options = _options()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="rehearse-capacity-") as folder:
        project = Path(folder)
        _write_project(project)
        started = time.monotonic()
        _rehearse(project, WORKERS, "baseline", expected=(0,))
        print(f"baseline recorded in {time.monotonic() - started:.0f} s", flush=True)
        for _ in range(options.runs):
            for name, workers in (("equal", WORKERS), ("15 % less", FEWER_WORKERS)):
                rows.append(_compare(project, name, workers))
                print(_line(rows[-1]), flush=True)
                options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    complaints = [complaint for row in rows for complaint in _complaints(row)]
    for complaint in complaints:
        print(f"NOT MET: {complaint}")
    print(f"{len(rows)} passed, 0 failed" if not complaints else f"{len(complaints)} demands were not met")
    return 1 if complaints else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="comparisons of each candidate")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-capacity.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def _write_project(project: Path) -> None:
    config = CONFIG.format(
        ports=free_ports(2),
        python=sys.executable,
        server=SERVER,
        workers=WORKERS,
        service_ms=SERVICE_MS,
    )
    (project / "rehearse.toml").write_text(config, encoding="utf-8")
    (project / "visit.py").write_text(SCENARIO, encoding="utf-8")


def _rehearse(project: Path, workers: int, *args: str, expected: tuple[int, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rehearse", *args, "--quiet"],
        cwd=project,
        env={**os.environ, "CANDIDATE_WORKERS": str(workers), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in expected, f"rehearse {args[0]}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _compare(project: Path, name: str, workers: int) -> Row:
    started = time.monotonic()
    result = json.loads(_rehearse(project, workers, "compare", "--json", expected=(0, 10, 11)))
    took_s = time.monotonic() - started
    verdict = result["verdict"]
    (cell,) = [one for one in verdict["judgements"] if one["cell"]["metric"] == "capacity"]
    return Row(
        candidate=name,
        decision=verdict["decision"],
        baseline_per_s=cell["baseline"],
        candidate_per_s=cell["candidate"],
        change=cell["change"],
        low=cell["low"],
        high=cell["high"],
        p_value=cell["p_value"],
        is_alone=[reason["subject"] for reason in verdict["reasons"]] == [CELL],
        took_s=round(took_s, 1),
        reasons=tuple(reason["sentence"] for reason in verdict["reasons"]),
    )


def _line(row: Row) -> str:
    first = row.reasons[0] if row.reasons else ""
    return f"{row.candidate:<10} {row.decision:<13} {row.took_s:>5.0f} s  {first[:150]}"


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "",
        f"{'candidate':<10} {'verdict':<13} {'baseline':>9} {'candidate':>9} {'change':>8}  {'interval':<20} {'p':>8}",
    ]
    for row in rows:
        numbers = (row.baseline_per_s, row.candidate_per_s, row.change, row.low, row.high, row.p_value)
        base, cand, change, low, high, p_value = (float("nan") if n is None else n for n in numbers)
        lines.append(
            f"{row.candidate:<10} {row.decision:<13} {base:>7.1f}/s {cand:>7.1f}/s {change:>+8.1%}"
            f"  {f'{low:+.1%} to {high:+.1%}':<20} {p_value:>8.1g}"
        )
    return "\n".join(lines)


def _complaints(row: Row) -> list[str]:
    workers = WORKERS if row.candidate == "equal" else FEWER_WORKERS
    truth = {"baseline": WORKERS * 1000 / SERVICE_MS, "candidate": workers * 1000 / SERVICE_MS}
    found = {"baseline": row.baseline_per_s, "candidate": row.candidate_per_s}
    complaints = [
        f"{row.candidate}: the {side}'s capacity was found at {found[side]}, it is {truth[side]:g}/s"
        for side in truth
        if abs((found[side] or 0.0) / truth[side] - 1) > NEAR
    ]
    if row.candidate == "equal" and row.decision == "ABORT":
        complaints.append(f"equal was ABORT: {row.reasons[0]}")
    if row.candidate != "equal" and not (row.decision == "ABORT" and row.is_alone):
        complaints.append(f"{row.candidate} was {row.decision}, because of {row.reasons}")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
