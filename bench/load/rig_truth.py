"""Is the rig's trouble called the rig's? Real runs in which only the load generator is in trouble, and calm ones.

    .venv/bin/python -m bench.load.rig_truth --calm 10

Both sides are the same small server. In each case something is done to the candidate's worker alone: whatever then
looks worse on the candidate is the rig's fault. Each case must end INCONCLUSIVE, name what was done, and blame nothing
on the system; a calm run must not call the rig unhealthy, and never be ABORT. A machine that does something else is not
calm, so that is measured: calm runs beside others that use more than 10 % of the CPU are shown and prove nothing. A run
takes about 25 s; the JSON file holds every run as soon as it is over. Linux only: it stops, pins and starves processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
MEASURED = (
    "rig_lag_p99_s",
    "stall_max_s",
    "stalled_in",
    "worker_cpu_ratio",
    "queue_wait_ratio",
    "steal_ratio",
    "gc_ratio",
)
CALM_RATIO = 0.10
HOGS = 2
WORK_S = 0.05  # what a request costs, so that the limits of rig lag mean what they say
CONFIG = """
[targets.baseline]
url = "http://127.0.0.1:{ports[0]}"

[targets.candidate]
url = "http://127.0.0.1:{ports[1]}"

[safety]
allow = ["127.0.0.1"]

[load]
rate = 50
warm_up = "2s"
block = "1s"
budget = "12s"
timeout = "3s"

[[scenarios]]
name = "visit"
file = "visit.py"

[objectives]
error_ratio = "<=+1pp"  # 600 requests cannot show less

[judge]
shared = ["host"]
"""
SCENARIO = """
import gc
import time

from locust import FastHttpUser, task

HEAP = []
LAST = [0.0]

def once_in(seconds):
    is_due = time.perf_counter() - LAST[0] > seconds
    if is_due:
        LAST[0] = time.perf_counter()
    return is_due

def think_hard(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass

def make_garbage():
    while len(HEAP) < 2_000_000:
        HEAP.append([])
    gc.collect()

class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
        if self.host.endswith(":{candidate}"):
            {trouble}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to trouble the candidate's worker, and what the verdict must say of it."""

    name: str
    says: str  # a pattern that one of the reasons must match
    trouble: str = "pass"  # a statement of the scenario
    meanwhile: Callable[[psutil.Process], None] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    case: str
    decision: str
    exit_code: int
    took_s: float
    discarded: int
    used: int
    reasons: tuple[str, ...]
    rig: Mapping[str, Mapping[str, float | str | None]]  # by side: what the rig measured of itself, at worst
    others_ratio: float  # CPU of the machine that went to processes which are not of this run
    complaint: str  # empty: as it should be

    @property
    def is_disturbed(self) -> bool:
        """A calm run that was not."""
        return self.case == CALM.name and self.others_ratio > CALM_RATIO


# --- the troubles -----------------------------------------------------------------------------------------------


def hog(worker: psutil.Process) -> None:
    """Others want the same core for the rest of the run, and the scheduler prefers them.

    Beside equals it does not suffer: a worker sleeps most of the time, and gets its turn when it wakes up.
    """
    core = os.cpu_count() or 1
    worker.nice(10)
    autogroup = Path(
        f"/proc/{worker.pid}/autogroup"
    )  # where there are such, a session is scheduled as a whole
    if autogroup.exists():
        autogroup.write_text("10")
    worker.cpu_affinity([core - 1])
    spin = f"import os\nos.sched_setaffinity(0, [{core - 1}])\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(HOGS)]
    try:
        worker.wait(60)
    finally:
        for other in others:
            other.kill()
            other.wait()


def stop_often(worker: psutil.Process) -> None:
    """Stopped for 0.3 s, again and again."""
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        stop_for(worker, 0.3)
        time.sleep(1.0)


def stop_for(worker: psutil.Process, seconds: float) -> None:
    """SIGSTOP, and SIGCONT later."""
    worker.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    worker.send_signal(signal.SIGCONT)


def starve_of_descriptors(worker: psutil.Process) -> None:
    """No descriptor more than it has; the server closes each connection, so that it needs new ones."""
    few = worker.num_fds()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (few, few))


CASES = (
    Case("CPU hog on its core", r"waited for a core \d\d.*of the time|no core was free", meanwhile=hog),
    Case("busy loop in a task", r"visit\.py:\d+ think_hard\(\)", "once_in(1.0) and think_hard(0.3)"),
    Case("garbage collection storm", "garbage collection", "once_in(1.0) and make_garbage()"),
    Case("stopped for 0.3 s, often", "the whole process was stopped", meanwhile=stop_often),
    Case("stopped for 6 s", "told nothing for 4 s", meanwhile=lambda worker: stop_for(worker, 6.0)),
    Case("no descriptors left", "no file descriptor left", meanwhile=starve_of_descriptors),
)
CALM = Case("calm", "")


# --- one run ----------------------------------------------------------------------------------------------------


def run(case: Case) -> Row:
    """A comparison in a folder of its own, with the trouble in its middle."""
    machine = Machine()
    with tempfile.TemporaryDirectory() as folder, servers() as ports:
        root = Path(folder)
        (root / "rehearse.toml").write_text(CONFIG.format(ports=ports))
        (root / "visit.py").write_text(SCENARIO.format(candidate=ports[1], trouble=case.trouble))
        started = time.monotonic()
        command = [sys.executable, "-m", "rehearse", "compare", "--without-baseline"]
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if case.meanwhile is not None:
            threading.Thread(target=trouble, args=(case.meanwhile, process.pid, root), daemon=True).start()
        output, _ = process.communicate(timeout=120)
        took_s = round(time.monotonic() - started, 1)
        results = list(root.glob("reports/*/result.json"))
        if not results:
            words = output.decode(errors="replace").splitlines()[-1:]
            nothing = "there is no verdict"
            return Row(case.name, "none", process.returncode, took_s, 0, 0, tuple(words), {}, 0.0, nothing)
        result = json.loads(results[0].read_text())
    verdict = result["verdict"]
    decision = str(verdict["decision"])
    reasons = [f"{reason['code']}: {reason['sentence']}" for reason in verdict["reasons"]]
    return Row(
        case=case.name,
        decision=decision,
        exit_code=process.returncode,
        took_s=took_s,
        discarded=verdict["pairs_discarded"],
        used=verdict["pairs_used"],
        reasons=tuple(reasons),
        rig={side["side"]: {name: side[name] for name in MEASURED} for side in result["sides"]},
        others_ratio=round(machine.others_ratio(), 3),
        complaint=complaint_about(case, decision, reasons),
    )


class Machine:
    """What the processors did since it was made."""

    def __init__(self) -> None:
        self._busy_s, self._own_s, self._at = self._busy(), self._own(), time.monotonic()

    def others_ratio(self) -> float:
        """The part of all processors that went to others. What this bench started must have ended."""
        busy_s, own_s = self._busy() - self._busy_s, self._own() - self._own_s
        return max(0.0, busy_s - own_s) / ((time.monotonic() - self._at) * (os.cpu_count() or 1))

    @staticmethod
    def _busy() -> float:
        times = psutil.cpu_times()
        return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)

    @staticmethod
    def _own() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def complaint_about(case: Case, decision: str, reasons: Sequence[str]) -> str:
    """What is wrong with the verdict of one run; empty when nothing is."""
    blamed = [one for one in reasons if one.startswith(("worse:", "guard:", "limit:"))]
    of_the_rig = [one for one in reasons if one.startswith(("rig_unhealthy:", "worker_lost:"))]
    if decision == "ABORT" or blamed:
        return f"the system was blamed: {(blamed or reasons)[0]}"
    if case is CALM:
        return f"it cried wolf: {of_the_rig[0]}" if of_the_rig else ""
    if decision != "INCONCLUSIVE":
        return f"it was {decision}"
    return "" if any(re.search(case.says, one) for one in of_the_rig) else f"not named: {reasons[:1]}"


def trouble(meanwhile: Callable[[psutil.Process], None], rehearse: int, root: Path) -> None:
    """Do it to the candidate's worker once its first block is there."""
    spool = "candidate-round0-worker0.spool"
    deadline = time.monotonic() + 60
    while not any(one.stat().st_size for one in root.glob(f".rehearse/logs/*/{spool}")):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    for child in psutil.Process(rehearse).children():
        if any(file.path.endswith(spool) for file in child.open_files()):
            meanwhile(child)


@contextmanager
def servers() -> Iterator[tuple[int, int]]:
    """Two processes that answer after WORK_S."""
    command = [sys.executable, "-m", "bench.load.rig_truth", "--serve"]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        ports = [int(one.stdout.readline()) for one in both if one.stdout is not None]
        yield ports[0], ports[1]
    finally:
        for one in both:
            one.kill()
            one.communicate()


async def serve() -> None:
    """Answer each request after WORK_S and close the connection; the port is the first line of output."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(WORK_S)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- all of them ------------------------------------------------------------------------------------------------


def main() -> int:
    """Run every case, print the table, write the JSON; 0 when every run was judged as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calm", type=int, default=10, help="how many runs without any trouble")
    parser.add_argument("--times", type=int, default=1, help="how often each trouble")
    parser.add_argument("--only", default="", help="a part of the name of the cases to run")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-rig-truth.json")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    options.json.parent.mkdir(parents=True, exist_ok=True)
    wanted = [*CASES * options.times, *[CALM] * options.calm]
    rows: list[Row] = []
    for case in wanted:
        if options.only in case.name:
            rows.append(run(case))
            print(line(rows[-1]), flush=True)
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return summary(rows)


def summary(rows: Sequence[Row]) -> int:
    """What is not met; calm runs on a machine that was not calm are left out, and told."""
    counted = [row for row in rows if not row.is_disturbed]
    wrong = [row for row in counted if row.complaint]
    for row in wrong:
        print(f"NOT MET: {row.case}: {row.complaint}")
    if len(counted) < len(rows):
        print(f"{len(rows) - len(counted)} calm runs prove nothing: the machine was busy with something else")
    print(f"{len(counted) - len(wrong)} of {len(counted)} runs were judged as they should be")
    return 1 if wrong or not counted else 0


def line(row: Row) -> str:
    """One row of the table."""
    first = row.reasons[0] if row.reasons else ""
    blocks = f"{row.discarded:>2} of {row.discarded + row.used:>2} discarded"
    others = f"others {row.others_ratio:>4.0%}"
    return f"{row.case:<26} {row.decision:<12} {row.took_s:>5.1f} s  {others}  {blocks}  {first[:200]}"


if __name__ == "__main__":
    sys.exit(main())
