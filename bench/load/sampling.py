"""What sampling answers for the response contract costs a worker, and `rehearse` itself. No server, no network.

python -m bench.load.sampling [--json FILE]

CPU time (`process_time`) of the two things that happen: every request asks whether a sample is due; a sample is taken,
written into a pipe as the worker does it, and learnt from at the other end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from rehearse.checks.contract import ContractLearner
from rehearse.load.orders import SamplingOrder
from rehearse.load.outbox import Outbox
from rehearse.load.sampling import FIRST, PAUSE_S, Sampler, sample_of
from rehearse.model import Sample, Side

RATE_PER_S = 1_000
SLICES = 20


class Read:
    """A whole answer of about 10 kB."""

    def __init__(self) -> None:
        items = [
            {"id": n, "price": n / 7, "state": "paid", "note": None, "at": "2026-11-21T10:00:00Z"}
            for n in range(120)
        ]
        self.status_code = 200
        self.content = json.dumps({"items": items}).encode()
        self.headers = {
            "Content-Type": "application/json",
            "ETag": '"1"',
            "Vary": "Accept",
            "Date": "x",
            "Server": "y",
        }
        self.request = type("Request", (), {"url": "http://127.0.0.1:8101/items?page=1"})()


def median_us(calls: int, slices: int, once: Callable[[], object]) -> float:
    """CPU of one call, in microseconds: the median of `slices` measurements."""
    found = []
    for _ in range(slices):
        before = process_time()
        for _ in range(calls):
            once()
        found.append((process_time() - before) / calls * 1e6)
    return statistics.median(found)


def drained(reads: int) -> None:
    """What reads the other end of the pipe: in real runs that is another process."""
    while os.read(reads, 1 << 20):
        pass


def taking_us(answer: Read) -> float:
    """A sample taken and written; the reading thread's CPU is in it too, so this is more than a worker pays."""
    reads, writes = os.pipe()
    threading.Thread(target=drained, args=(reads,), daemon=True).start()
    with os.fdopen(writes, "wb", buffering=0) as stream:
        outbox = Outbox(stream, threading.Lock())
        clock = iter(range(10**9))
        sampler = Sampler(
            SamplingOrder(10**6, 65_536), "http://127.0.0.1:8101", 1.0, partial(outbox.offer, "sample"),
            lambda: float(next(clock)),
        )  # fmt: skip
        return median_us(50, SLICES, lambda: sampler.see("GET /items", answer))


def learning_us(answer: Read) -> float:
    """One sample taken into the contract, in the process of `rehearse`."""
    kept: list[Sample] = []

    def keep(message: Mapping[str, object]) -> bool:
        kept.append(sample_of(Side.BASELINE, message))
        return True

    Sampler(SamplingOrder(10, 65_536), "http://127.0.0.1:8101", 1.0, keep).see("GET /items", answer)
    learner = ContractLearner()
    return median_us(10, SLICES, lambda: learner.take(kept[0]))


def held_bytes(kinds: int) -> int:
    """What a sampler of a long run holds for that many endpoints."""
    tracemalloc.start()
    clock = iter(range(10**9))
    sampler = Sampler(SamplingOrder(100, 65_536), "", 10.0, lambda _: True, lambda: float(next(clock)))
    answer = Read()
    for index in range(kinds * 3):
        sampler.see(f"GET /{index % kinds}", answer)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    answer = Read()
    quiet = Sampler(SamplingOrder(FIRST, 65_536), "", 1e9, lambda _: True)
    until = perf_counter() + 10 * FIRST * PAUSE_S
    while perf_counter() < until:  # the first few are taken: from here on none is due
        quiet.see("GET /items", answer)
    asking = median_us(50_000, SLICES, lambda: quiet.see("GET /items", answer))
    empty = median_us(50_000, SLICES, lambda: None)
    taking, learning = taking_us(answer), learning_us(answer)
    most = 1 / PAUSE_S
    rows = {
        "body of an answer, bytes": len(answer.content),
        "asking, per request, us": round(asking - empty, 3),
        "taking one sample, us": round(taking, 1),
        "learning from one sample (in rehearse), us": round(learning, 1),
        f"worker at {RATE_PER_S}/s and the most samples ({most:.0f}/s), % of a core": round(
            (RATE_PER_S * (asking - empty) + most * taking) / 1e4, 2
        ),
        "rehearse at the most samples of one worker, % of a core": round(most * learning / 1e4, 2),
        "held by a sampler for 500 endpoints, kB": round(held_bytes(500) / 1000),
    }
    for name, value in rows.items():
        print(f"{name:75} {value:>10}")
    assert rows[f"worker at {RATE_PER_S}/s and the most samples ({most:.0f}/s), % of a core"] < 5
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
