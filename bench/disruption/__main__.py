"""How far the outages that the probes find are from the true ones, by the server's own log.

    .venv/bin/python -m bench.disruption --runs 10

Each run takes one real server down in one way for a random time, while probes read and write over kept and over fresh
connections. Printed are the error of both ends and of the length; the last line says how many are within 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.disruption.server import Controlled, controlled
from rehearse.disruptions import Disruption, Probe, ProbeLog
from rehearse.judge.disruption import disruptions
from rehearse.load.orders import SideOrder
from rehearse.model import Side
from rehearse.prober.orders import ProbeRequest, ProberOrder, VersionPlace
from rehearse.prober.probing import ChildProber

ACCURACY_S = 0.3
WAYS = {"down": "up", "reset": "up", "hang": "resume", "lock": "unlock", "status 503": "status 200"}
PROBES = (
    ProbeRequest(Probe("read, kept connection")),
    ProbeRequest(Probe("read, fresh connection", is_fresh=True)),
    ProbeRequest(Probe("write", "POST", "/rows", is_write=True), body='{"n": {n}}'),
)


@dataclass(frozen=True)
class Row:
    """One outage as one probe saw it."""

    way: str
    probe: str
    true_s: float
    seen_s: float
    from_error_s: float
    to_error_s: float
    outages: int
    is_expected: bool  # False: this probe must have seen nothing

    @property
    def is_right(self) -> bool:
        """Both ends and the length are near the truth; or there was nothing to see, and nothing was seen."""
        if not self.is_expected:
            return self.outages == 0
        errors = (self.from_error_s, self.to_error_s, self.seen_s - self.true_s)
        return self.outages == 1 and all(abs(one) <= ACCURACY_S for one in errors)


def order_for(server: Controlled) -> ProberOrder:
    """Probes of all kinds."""
    target = SideOrder(Side.CANDIDATE, server.url)
    return ProberOrder(target, PROBES, allow=("127.0.0.1",), version=VersionPlace("X-Version"))


def rehearsed(way: str, length_s: float, quiet_s: float = 0.7) -> tuple[float, float, ProbeLog]:
    """One outage: when it truly began and ended, and what the probes saw."""
    with controlled() as server, ChildProber().start(order_for(server)) as session:
        time.sleep(quiet_s)
        from_s = server.tell(way)
        time.sleep(length_s)
        to_s = server.tell(WAYS[way])
        time.sleep(quiet_s)
        return from_s, to_s, session.stop()


def row(way: str, from_s: float, to_s: float, found: Disruption) -> Row:
    """One line of the table."""
    stretch = found.stretches[0] if found.stretches else (from_s, from_s)
    return Row(
        way=way,
        probe=found.probe.name,
        true_s=to_s - from_s,
        seen_s=found.total_s,
        from_error_s=stretch[0] - from_s,
        to_error_s=stretch[1] - to_s,
        outages=len(found.stretches),
        is_expected=way != "lock" or found.probe.is_write,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="")
    options = parser.parse_args(arguments)
    rng, rows = random.Random(options.seed), list[Row]()
    for number in range(options.runs):
        way = list(WAYS)[number % len(WAYS)]
        from_s, to_s, log = rehearsed(way, rng.uniform(1.3, 3.0), rng.uniform(0.6, 0.8))
        for found in disruptions(log):
            rows.append(row(way, from_s, to_s, found))
            _print(rows[-1])
    right = sum(one.is_right for one in rows)
    print(f"{right} of {len(rows)} within {ACCURACY_S:g} s of the truth")
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(one) for one in rows], indent=1), encoding="utf-8")


def _print(one: Row) -> None:
    ends = f"ends {one.from_error_s:+.3f} {one.to_error_s:+.3f} s" if one.is_expected else "and rightly none"
    mark = "" if one.is_right else "  WRONG"
    print(
        f"{one.way:<11}{one.probe:<24}true {one.true_s:5.2f} s  seen {one.seen_s:5.2f} s  {ends}{mark}",
        flush=True,
    )


if __name__ == "__main__":
    main()
