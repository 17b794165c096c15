"""Does a rehearsal find what pydantic 2 changes for the clients of a service, without being told what to look for?

    .venv/bin/python -m bench.upgrades.pydantic

Makes two virtual environments with packages from the index, one with pydantic 1.10 and one with 2 (kept, and used
again), and runs `rehearse baseline`, then `rehearse compare` of 1.10 with itself and with 2, in the project
`pydantic_1_to_2`, which has no check. The upgrade must be ABORT: the contract must find the decimals that became text,
and the load the requests that are refused now. 1.10 against itself must show neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rehearse.demo import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = Path(__file__).resolve().parent / "pydantic_1_to_2"
REPORT = ROOT / ".rehearse" / "bench-upgrades.json"
KNOWN_GOOD, UPGRADED = "pydantic-1", "pydantic-2"  # a file of requirements, and the environment made from it
ATTEMPTS = 3  # a machine that is busy for a moment spoils a run, but not for ever
NOT_READY = 13
ENDPOINTS = ("GET /products", "GET /products/[number]", "POST /orders", "POST /reviews")
DECIMALS = (  # numbers under pydantic 1, text under 2
    ("GET /products", 200, "$[*].price"),
    ("GET /products/[number]", 200, "$.price"),
    ("POST /orders", 201, "$.total"),
)
REFUSED = {"POST /orders": "a number where text is meant", "POST /reviews": "an optional field left out"}

Result = Mapping[str, Any]  # result.json


@dataclass(frozen=True)
class Demand:
    """One thing that must be so, and what was seen."""

    run: str
    what: str
    is_met: bool
    seen: str


def main() -> int:
    """Prepare, rehearse, print the table, write the JSON; 0 when every demand is met."""
    started = time.monotonic()
    for name in (KNOWN_GOOD, UPGRADED):
        make_environment(name)
    ports = free_ports(2)
    record_baseline(ports)
    same, upgraded = compare(KNOWN_GOOD, ports), compare(UPGRADED, ports)
    demands = [*of_the_same(same), *of_the_upgrade(upgraded)]
    print(table(demands))
    write(demands, {"the same": same, "the upgrade": upgraded}, time.monotonic() - started)
    missed = sum(not one.is_met for one in demands)
    print(f"{len(demands) - missed} passed, {missed} failed")
    return 1 if missed else 0


# --- the rehearsal, as a user runs it -----------------------------------------------------------------------------


def make_environment(name: str) -> None:
    """A virtual environment with what the requirements say; left alone when it has that already."""
    requirements = PROJECT / f"{name}.txt"
    environment = PROJECT / ".rehearse" / name
    installed = environment / ".installed"
    wanted = f"{sys.version}\n{requirements.read_text(encoding='utf-8')}"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    print(f"making {environment.relative_to(ROOT)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-input", "--requirement", str(requirements)], check=True)
    installed.write_text(wanted, encoding="utf-8")


def record_baseline(ports: Sequence[int]) -> None:
    """pydantic 1 on both sides. Raises CalledProcessError when it cannot be recorded."""
    for attempt in range(1, ATTEMPTS + 1):
        done = rehearse(KNOWN_GOOD, ports, "baseline")
        if done.returncode != NOT_READY or attempt == ATTEMPTS:
            break
    done.check_returncode()


def compare(candidate: str, ports: Sequence[int]) -> Result:
    """`candidate` against pydantic 1, on a rig that was fit. Raises CalledProcessError when there is no verdict."""
    for attempt in range(1, ATTEMPTS + 1):
        done = rehearse(candidate, ports, "compare", "--json")
        if not done.stdout:
            done.check_returncode()
        result: Result = json.loads(done.stdout)
        if not _was_unfit(result) or attempt == ATTEMPTS:
            break
    return {**result, "exit_code": done.returncode}


def _was_unfit(result: Result) -> bool:
    """The machine was too busy for this run to prove anything by load."""
    findings = (*result["verdict"]["reasons"], *result["verdict"]["warnings"])
    return any(one["code"] == "rig_unhealthy" for one in findings)


def rehearse(candidate: str, ports: Sequence[int], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the project; what it says of its progress is seen."""
    chosen = {"CANDIDATE": candidate, "BASELINE_PORT": str(ports[0]), "CANDIDATE_PORT": str(ports[1])}
    print(f"$ CANDIDATE={candidate} rehearse {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "rehearse", *arguments]
    environment = {**os.environ, **chosen}
    # subprocess.run would kill it soon after Ctrl-C; it has to stop the services that it started.
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        said, _ = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode, said)


# --- what must be so ----------------------------------------------------------------------------------------------


def of_the_same(result: Result) -> list[Demand]:
    """1.10 against itself: every endpoint was compared, and nothing gates."""
    verdict = result["verdict"]
    gating = [one["sentence"] for one in verdict["contract"] if one["weight"] == "gate"]
    compared = verdict["contracts_compared"]
    failed = [f"{one['name']} {one['kind']}" for one in result["error_kinds"]]
    return [
        _versions(result, "1.10 to 1.10", "1.", "1."),
        Demand("1.10 to 1.10", "not ABORT", verdict["decision"] != "ABORT", _decision(result)),
        Demand(
            "1.10 to 1.10",
            "every endpoint compared",
            compared >= len(ENDPOINTS),
            f"{compared} kinds of answer",
        ),
        Demand("1.10 to 1.10", "no change of the contract gates", not gating, "; ".join(gating) or "none"),
        Demand("1.10 to 1.10", "no request fails", not failed, "; ".join(failed) or "none"),
    ]


def of_the_upgrade(result: Result) -> list[Demand]:
    """1.10 against 2: everything is found, by the contract or by the load, and by no check."""
    is_abort = result["verdict"]["decision"] == "ABORT" and result["exit_code"] == 10
    has_checks = bool(result["checks"]) or (PROJECT / "checks").exists()
    return [
        _versions(result, "1.10 to 2", "1.", "2."),
        Demand("1.10 to 2", "ABORT, exit code 10", is_abort, _decision(result)),
        Demand("1.10 to 2", "no check was written", not has_checks, f"{len(result['checks'])} checks"),
        *(_became_text(result, *place) for place in DECIMALS),
        *(_refused(result, endpoint, why) for endpoint, why in REFUSED.items()),
    ]


def _versions(result: Result, run: str, baseline: str, candidate: str) -> Demand:
    seen = {side["side"]: side["facts"].get("pydantic", "nothing") for side in result["sides"]}
    is_met = seen["baseline"].startswith(baseline) and seen["candidate"].startswith(candidate)
    return Demand(run, "the versions that were meant", is_met, f"{seen['baseline']} and {seen['candidate']}")


def _decision(result: Result) -> str:
    return f"{result['verdict']['decision']}, exit code {result['exit_code']}"


def _became_text(result: Result, endpoint: str, status: int, place: str) -> Demand:
    what = f"contract: {endpoint} {place}, number to string"
    for one in result["verdict"]["contract"]:
        if (one["endpoint"], one["status"], one["place"], one["what"]) == (endpoint, status, place, "type"):
            before, after = json.loads(one["before"]), json.loads(one["after"])
            is_met = one["weight"] == "gate" and isinstance(before, int | float) and isinstance(after, str)
            return Demand("1.10 to 2", what, is_met, f"{one['before']} became {one['after']}")
    return Demand("1.10 to 2", what, False, "not found")


def _refused(result: Result, endpoint: str, why: str) -> Demand:
    kinds = {(one["name"], one["kind"]): one for one in result["error_kinds"]}
    counted = kinds.get((endpoint, "HTTP 422"), {"baseline": 0, "candidate": 0})
    cell = f"{endpoint} error ratio"
    is_named = any(one["code"] == "worse" and one["subject"] == cell for one in result["verdict"]["reasons"])
    is_new = counted["baseline"] == 0 < counted["candidate"]
    seen = f"{counted['candidate']} × 422, {'' if is_named else 'not '}proven worse"
    return Demand("1.10 to 2", f"load: {endpoint} refuses {why}", is_named and is_new, seen)


# --- what is told -------------------------------------------------------------------------------------------------


def table(demands: Sequence[Demand]) -> str:
    """One line for each demand."""
    width = max(len(one.what) for one in demands)
    lines = [
        f"{one.run:<12}  {one.what:<{width}}  {'met    ' if one.is_met else 'NOT MET'}  {one.seen}"
        for one in demands
    ]
    return "\n".join(["", f"{'pydantic':<12}  {'what must be so':<{width}}  is it?   seen", *lines])


def write(demands: Sequence[Demand], results: Mapping[str, Result], took_s: float) -> None:
    """The demands, and the two results that they were read from."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    runs = {
        name: {"run_id": one["run_id"], "load_s": one["load_s"], "verdict": one["verdict"]}
        for name, one in results.items()
    }
    told = {"took_s": round(took_s, 1), "demands": [asdict(one) for one in demands], "runs": runs}
    REPORT.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
