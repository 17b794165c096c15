"""How often the demonstration ends as it should: N comparisons of the broken and of the repaired shop, under real load.

    .venv/bin/python -m bench.demo --runs 20 --baselines 4

2.0 must be ABORT each time, for the slow endpoint and for the leap-day errors; 2.1 must never be ABORT, and GO in 85 %
of at least 20. With `--runs 1` (as CI does) GO is not demanded: one noisy run proves nothing about a rate. Every
finished comparison is in the JSON file at once, so that an interrupted benchmark loses none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rehearse import rehearsal
from rehearse.demo import BROKEN, KNOWN_GOOD, REPAIRED, compare_with, free_ports, shop_settings
from rehearse.errors import NotReady
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import Decision, Result
from rehearse.progress import Silence

ROOT = Path(__file__).resolve().parent.parent
SLOW_ENDPOINT = "GET /customers/[id]/orders"
LEAP_DAY_ENDPOINT = "GET /reports/sales"
NEEDED_GO_RATIO = 0.85
BASELINE_ATTEMPTS = 3


@dataclass(frozen=True)
class Row:
    """One comparison."""

    version: str
    baseline: int
    decision: str
    load_s: float
    took_s: float
    names_slow_endpoint: bool
    names_leap_day_errors: bool
    reasons: tuple[str, ...]


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    options = _options()
    rows: list[Row] = []
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    for number in range(options.runs):
        if number % max(1, options.runs // options.baselines) == 0:
            baseline_number = len({row.baseline for row in rows})
            _record_baseline(parts)
            print(f"baseline {baseline_number} recorded", flush=True)
        for version in (BROKEN, REPAIRED):
            started = time.monotonic()
            result = compare_with(ROOT, version, free_ports(2), parts).result
            rows.append(_row(version, baseline_number, result, time.monotonic() - started))
            print(_line(len(rows), rows[-1]), flush=True)
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    complaints = _complaints(rows)
    for complaint in complaints:
        print(f"NOT MET: {complaint}")
    print(f"{len(rows)} passed, 0 failed" if not complaints else f"0 passed, {len(complaints)} failed")
    return 1 if complaints else 0


def _record_baseline(parts: rehearsal.Parts) -> None:
    """A machine that is busy for a moment refuses to record; wait for a better one, but not for ever."""
    for attempt in range(BASELINE_ATTEMPTS):
        try:
            rehearsal.baseline(shop_settings(ROOT, KNOWN_GOOD, free_ports(2)), parts, None, "bench.demo")
        except NotReady as error:
            print(f"attempt {attempt + 1}: {error}", flush=True)
            if attempt + 1 == BASELINE_ATTEMPTS:
                raise
        else:
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="comparisons of each version")
    parser.add_argument("--baselines", type=int, default=4, help="how many baselines to spread them over")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-demo.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def _row(version: str, baseline_number: int, result: Result, took_s: float) -> Row:
    failed = [finding for finding in result.verdict.reasons if finding.outcome == "fail"]
    subjects = [finding.subject for finding in failed]
    return Row(
        version,
        baseline_number,
        str(result.verdict.decision),
        result.load_s,
        round(took_s, 1),
        any(subject.startswith(SLOW_ENDPOINT) and " p" in subject for subject in subjects),
        any(subject.startswith(LEAP_DAY_ENDPOINT) and "error" in subject for subject in subjects),
        tuple(finding.sentence for finding in result.verdict.reasons[:4]),
    )


def _line(number: int, row: Row) -> str:
    marks = f"slow {'yes' if row.names_slow_endpoint else 'no ':<3} leap {'yes' if row.names_leap_day_errors else 'no'}"
    first = row.reasons[0] if row.reasons else ""
    return (
        f"{number:>3}  {row.version}  {row.decision:<12}  {row.load_s:>5.0f} s load  {marks}  {first[:110]}"
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "",
        "version  runs  GO  ABORT  INCONCLUSIVE  names slow endpoint  names leap-day errors  median load",
    ]
    for version in (BROKEN, REPAIRED):
        mine = [row for row in rows if row.version == version]
        counts = Counter(row.decision for row in mine)
        load_s = sorted(row.load_s for row in mine)[len(mine) // 2]
        lines.append(
            f"{version:<7}  {len(mine):>4}  {counts[Decision.GO]:>2}  {counts[Decision.ABORT]:>5}"
            f"  {counts[Decision.INCONCLUSIVE]:>12}  {sum(row.names_slow_endpoint for row in mine):>19}"
            f"  {sum(row.names_leap_day_errors for row in mine):>21}  {load_s:>9.0f} s"
        )
    return "\n".join(lines)


def _complaints(rows: Sequence[Row]) -> list[str]:
    broken = [row for row in rows if row.version == BROKEN]
    repaired = [row for row in rows if row.version == REPAIRED]
    complaints = [f"{BROKEN} was {row.decision}" for row in broken if row.decision != Decision.ABORT]
    complaints += [
        f"{BROKEN}: the slow endpoint was not named" for row in broken if not row.names_slow_endpoint
    ]
    complaints += [
        f"{BROKEN}: the leap-day errors were not named" for row in broken if not row.names_leap_day_errors
    ]
    complaints += [
        f"{REPAIRED} was ABORT: {row.reasons[0]}" for row in repaired if row.decision == Decision.ABORT
    ]
    went = sum(row.decision == Decision.GO for row in repaired)
    if len(repaired) >= 20 and went < NEEDED_GO_RATIO * len(repaired):
        complaints.append(f"{REPAIRED} was GO {went} times of {len(repaired)}")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
