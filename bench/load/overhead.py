"""What pacer and recorder add to a request, in CPU microseconds (process_time).

    .venv/bin/python -m bench.load.overhead --slices 40

First their own cost, without Locust and without a network: slices of journeys (schedule, hand-out, claim, one request
booked, finish) alternate with empty slices of the same loop. Then the whole, against nginx: FastHttpUser at a given
rate under `rehearse` (its schedule) and under plain Locust (constant_throughput), in alternating slices. Both say
the median with a 95 % interval (bootstrap). Takes about slices x 0.4 s, then rounds x 11 s (`--rounds 0` leaves it
out). Exit code 1 when pacer and recorder cost more than 5 us.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.load.servers import ROOT, nginx, pin
from bench.load.throughput import GENERATOR_CORE, SERVER_CORE, Rehearsed, child, interval

LIMIT_US = 5.0
SECONDS = 2  # of a slice against nginx


def main() -> int:
    """Measure, print, write the JSON; 0 when the limit is kept."""
    options = _options()
    pin(GENERATOR_CORE)
    own = _own_us(options.slices)
    print(_line(f"pacer and recorder, {options.slices} slices", own))
    whole = _whole_us(options.rounds, options.rate, options.users) if options.rounds else []
    if whole:
        print(_line(f"rehearse less plain Locust at {options.rate:.0f}/s, {options.rounds} slices", whole))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"own_us": own, "whole_us": whole}), encoding="utf-8")
    if median(own) > LIMIT_US:
        print(f"NOT MET: {median(own):.2f} us, demanded {LIMIT_US} us")
        return 1
    return 0


def _own_us(slices: int) -> list[float]:
    command = [sys.executable, "-m", "bench.load.journeys", str(slices)]
    found: list[float] = json.loads(
        subprocess.run(command, capture_output=True, check=True, timeout=600).stdout
    )
    return found


def _whole_us(rounds: int, rate: float, users: int) -> list[float]:
    """CPU per request under `rehearse` less that under plain Locust, per round; who comes first alternates."""
    found = []
    with nginx(SERVER_CORE) as (_, port), tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        url = f"http://127.0.0.1:{port}"
        ours = Rehearsed("locust", "FastHttpUser", url, users, SECONDS, Path(folder), rate)
        for number in range(rounds):
            cpu: dict[str, float] = {}
            for name in sorted(("ours", "plain"), reverse=bool(number % 2)):
                if name == "ours":
                    cpu[name] = ours.slice()[1]
                else:
                    cpu[name] = child("paced", url, users, SECONDS, str(rate / users))[1]
            found.append(cpu["ours"] - cpu["plain"])
    return found


def _line(what: str, values: Sequence[float]) -> str:
    low, high = interval(values)
    return f"{what}: {median(values):+.2f} us of CPU per request (95 %: {low:+.2f} to {high:+.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=3000.0)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-overhead.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
