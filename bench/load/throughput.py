"""How many requests a second one core sends, as fast as it goes: plain Locust, `rehearse`, and other tools.

    apt-get install nginx-light wrk hey          # wrk and hey are optional
    .venv/bin/python -m bench.load.throughput --rounds 20 --seconds 3

nginx has one core, the generator another. In each round every generator has a slice in turn, the order reversed each
time; a ratio is of two slices of the same round. The table has the median of the ratios with a 95 % interval
(bootstrap), and the same by CPU time of the process per request where that is known: other programs on the machine take
from the first, hardly from the second. It takes rounds x generators x about
(seconds + 3) seconds. Exit code 1 when a demand is not met: FastHttpUser under `rehearse` >= 1.3 x plain Locust,
LeanHttpUser >= 3 x.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean, median

from bench.load.servers import ROOT, nginx, pin
from rehearse.load.engine import BlockClosed, LiveCounts, Tick, Trouble
from rehearse.load.locust_engine import LocustEngine
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.recorder import BINS_PER_S
from rehearse.load.schedule import Schedule
from rehearse.model import Side

GENERATOR_CORE, SERVER_CORE = 0, 1
WARM_UP_S = 1
SLICE_TIMEOUT_S = 60
PLAIN = "Locust, FastHttpUser"
DEMANDS = {"rehearse, FastHttpUser": 1.3, "rehearse, LeanHttpUser": 3.0}
SCENARIO = """
from {module} import {user}
from locust import task

class Visitor({user}):
    @task
    def look(self):
        self.client.get("/look")
"""


@dataclass(frozen=True)
class Slice:
    """What one generator did in one round."""

    generator: str
    round: int
    per_s: float
    cpu_us: float | None  # CPU of the generator's process per request


Generator = Callable[[], tuple[float, float | None]]


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    options = _options()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    pin(GENERATOR_CORE)
    with nginx(SERVER_CORE) as (_, port), tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        url = f"http://127.0.0.1:{port}"
        generators, absent = _generators(url, options.users, options.seconds, Path(folder), options.only)
        slices: list[Slice] = []
        for number in range(options.rounds):
            for name in sorted(generators, reverse=bool(number % 2)):
                slices.append(Slice(name, number, *generators[name]()))
                options.json.write_text(
                    json.dumps([asdict(one) for one in slices], indent=1), encoding="utf-8"
                )
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(_table(slices, absent))
    return _verdict(slices)


def _generators(
    url: str, users: int, seconds: int, folder: Path, only: Sequence[str]
) -> tuple[dict[str, Generator], list[str]]:
    """Those that can run here, by name; and the names of those that are not installed."""
    every: dict[str, Generator] = {
        PLAIN: lambda: child("fast", url, users, seconds),
        "Locust, LeanHttpUser": lambda: child("lean", url, users, seconds),
        "geventhttpclient alone": lambda: child("geventhttpclient", url, users, seconds),
        "gevent sockets and httptools": lambda: child("sockets", url, users, seconds),
        "rehearse, FastHttpUser": Rehearsed("locust", "FastHttpUser", url, users, seconds, folder),
        "rehearse, LeanHttpUser": Rehearsed("rehearse.load", "LeanHttpUser", url, users, seconds, folder),
        "wrk": lambda: _tool(["wrk", "-t1", f"-c{users}", f"-d{seconds}s", f"{url}/look"]),
        "hey": lambda: _tool(["hey", "-cpus", "1", "-c", str(users), "-z", f"{seconds}s", f"{url}/look"]),
    }
    absent = [name for name in ("wrk", "hey") if shutil.which(name) is None]
    chosen = {name: one for name, one in every.items() if name not in absent}
    return {name: one for name, one in chosen.items() if not only or name in {PLAIN, *only}}, absent


def child(kind: str, url: str, users: int, seconds: int, *more: str) -> tuple[float, float]:
    """(requests per second, CPU us per request) of one slice of bench/load/child.py."""
    command = [sys.executable, "-m", "bench.load.child", kind, url, str(users), str(WARM_UP_S), str(seconds)]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=SLICE_TIMEOUT_S)
    if done.returncode:
        raise SystemExit(f"{kind} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found["per_s"], found["cpu_us"]


def _tool(command: list[str]) -> tuple[float, None]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SLICE_TIMEOUT_S)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if found is None:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-500:]}{done.stderr[-500:]}")
    return float(found[1]), None


@dataclass
class Rehearsed:
    """A worker of `rehearse`, with a schedule that is a little more than it can do: its users always have work."""

    module: str
    user: str
    url: str
    users: int
    seconds: int
    folder: Path
    rate_per_s: float = 10_000.0

    def __call__(self) -> tuple[float, float]:
        per_s, cpu_us = self.slice()
        if not 0.5 < per_s / self.rate_per_s < 0.97:  # held back by the schedule, or busy with handing out
            self.rate_per_s = per_s * 1.2
            per_s, cpu_us = self.slice()
        self.rate_per_s = per_s * 1.2
        return per_s, cpu_us

    def slice(self) -> tuple[float, float]:
        """Completions by time from the live counts, CPU from the rig's own watch, warm-up left out."""
        first, last = WARM_UP_S * BINS_PER_S, (WARM_UP_S + self.seconds) * BINS_PER_S
        done, cpu = 0, []
        with LocustEngine().start(self._order()) as session:
            for event in session.events():
                if isinstance(event, LiveCounts) and first <= event.bin < last:
                    assert event.errors == 0, "nginx refused something"
                    done += event.requests
                elif (
                    isinstance(event, BlockClosed)
                    and WARM_UP_S <= event.block.index < WARM_UP_S + self.seconds
                ):
                    cpu.append(event.block.rig.cpu_ratio)
                elif isinstance(event, Tick) and event.at_s > WARM_UP_S + self.seconds + 0.5:
                    session.stop(0.0)
                elif isinstance(event, Trouble):
                    raise SystemExit(event.incident.sentence)
        return done / self.seconds, fmean(cpu) * self.seconds / max(done, 1) * 1e6

    def _order(self) -> LoadOrder:
        file = self.folder / f"{self.user}.py"
        file.write_text(SCENARIO.format(module=self.module, user=self.user), encoding="utf-8")
        return LoadOrder(
            sides=(SideOrder(Side.BASELINE, self.url),),
            schedule=Schedule(self.rate_per_s, "poisson", 1.0, WARM_UP_S, self.seconds + 1, seed=1),
            round=0,
            scenarios=(ScenarioOrder("look", str(file)),),
            allow=("127.0.0.1",),
            production=(),
            side_effects=False,
            users=self.users,
            workers=1,
            timeout_s=5.0,
            log_dir=str(self.folder / "logs"),
            working_dir=str(self.folder),
        )


def _ratios(slices: Sequence[Slice], name: str) -> list[float]:
    plain = {one.round: one.per_s for one in slices if one.generator == PLAIN}
    return [one.per_s / plain[one.round] for one in slices if one.generator == name and one.round in plain]


def _cpu_ratios(slices: Sequence[Slice], name: str) -> list[float]:
    plain = {one.round: one.cpu_us for one in slices if one.generator == PLAIN}
    own = [(plain.get(one.round), one.cpu_us) for one in slices if one.generator == name]
    return [theirs / ours for theirs, ours in own if theirs is not None and ours is not None]


def interval(values: Sequence[float], draws: int = 4000) -> tuple[float, float]:
    """95 % interval of the median, by bootstrap; the same values give the same interval."""
    rng = Random(1)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(draws * 0.025)], medians[int(draws * 0.975) - 1]


def _table(slices: Sequence[Slice], absent: Sequence[str]) -> str:
    lines = [
        "| generator | requests/s | of plain Locust (95 %) | CPU us/request | plain Locust's CPU / its own (95 %) |",
        "|---|---|---|---|---|",
    ]
    names = sorted({one.generator for one in slices}, key=lambda name: median(_ratios(slices, name)))
    for name in names:
        own = [one for one in slices if one.generator == name]
        cpu = [one.cpu_us for one in own if one.cpu_us is not None]
        lines.append(
            f"| {name} | {median(one.per_s for one in own):,.0f} | {_shown(_ratios(slices, name))} "
            f"| {f'{median(cpu):.1f}' if cpu else ''} | {_shown(_cpu_ratios(slices, name))} |"
        )
    return "\n".join([*lines, *(f"| {name} | not installed | | | |" for name in absent)])


def _shown(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    low, high = interval(ratios)
    return f"{median(ratios):.2f} x ({low:.2f} to {high:.2f})"


def _verdict(slices: Sequence[Slice]) -> int:
    misses = [
        f"{name} {median(_ratios(slices, name)):.2f} x, demanded {demand} x"
        for name, demand in DEMANDS.items()
        if _ratios(slices, name) and median(_ratios(slices, name)) < demand
    ]
    for miss in misses:
        print(f"NOT MET: {miss}")
    return 1 if misses else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=3, help="measured seconds of a slice")
    parser.add_argument("--users", type=int, default=50, help="connections")
    parser.add_argument("--only", nargs="*", default=[], help="generators beside plain Locust")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-throughput.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
