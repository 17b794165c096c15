"""Whole cutovers of a real shop with a real PostgreSQL that is stopped and started: is the outage as long as it was?

    .venv/bin/python -m bench.cutover --postgres postgresql+psycopg://USER@HOST/DATABASE [--runs 10]

The truth is the servers' own log: from "Shutting down" to "Uvicorn running". Each cutover has two outages, there and
back, and each of them four witnesses: probes that read, over kept and over fresh connections. A cutover is right when
both ends of both outages are within 0.3 s of the truth for every witness.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rehearse.errors import ExitCode
from tests.cutover.shops import shops
from tests.postgres import own_database

ACCURACY_S = 0.3
WITNESSES = ("read", "read, fresh", "orders", "orders, fresh")
Interval = tuple[float, float]


def main() -> int:
    """One line for each cutover; 0 when at least nine of ten are right."""
    options = _options()
    right = 0
    for number in range(1, options.runs + 1):
        worst_s = _worst_error_s(options.postgres)
        right += worst_s <= ACCURACY_S
        print(f"{number:>3}  largest error {worst_s:.3f} s", flush=True)
    print(
        f"{right} of {options.runs} cutovers have every outage within {ACCURACY_S:g} s of the servers' own log"
    )
    return 0 if right >= 0.9 * options.runs else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", required=True, help="a server on which it may make databases")
    parser.add_argument("--runs", type=int, default=10, help="cutovers")
    return parser.parse_args()


def _worst_error_s(server: str) -> float:
    """The largest error of one cutover; infinite where it ended otherwise, or saw another number of outages."""
    with (
        tempfile.TemporaryDirectory() as folder,
        own_database(server) as database,
        shops(Path(folder), database) as shop,
    ):
        shop.stop_and_start()
        done, result = shop.cutover()
        truth = shop.down_times(shop.blue)
    if done.code != ExitCode.GO or len(truth) != 2:
        print(f"{done.out[-1000:]}\n{len(truth)} outages in the servers' log", flush=True)
        return float("inf")
    return max(_errors_s(result, truth))


def _errors_s(result: dict[str, Any], truth: Sequence[Interval]) -> Iterator[float]:
    for seen in result["cutover"]["disruptions"]:
        if seen["probe"]["name"] not in WITNESSES:
            continue
        found = [(one["from_s"], one["to_s"]) for one in seen["outages"]]
        if len(found) != len(truth):
            yield float("inf")
        for (true_from_s, true_to_s), (from_s, to_s) in zip(truth, found, strict=False):
            yield abs(from_s - true_from_s)
            yield abs(to_s - true_to_s)


if __name__ == "__main__":
    raise SystemExit(main())
