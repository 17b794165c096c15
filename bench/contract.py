"""What the response contract and the checks say of the sample shop: N short comparisons of each version, live.

    .venv/bin/python -m bench.contract --runs 10

2.0 must show number -> string (which gates) and 0 -> null (which gates or warns) each time, with an
example before and after, and fail its checks; 1.0 and 2.1 must show neither such a change nor a failed check. There is
no stored baseline, and load is short: what is asked here is no verdict about latency. Prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rehearse import rehearsal
from rehearse.demo import BROKEN, KNOWN_GOOD, REPAIRED, free_ports, shop_settings
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import CheckOutcome, Result, Weight
from rehearse.progress import Silence

ROOT = Path(__file__).resolve().parent.parent
SHORT = {"load.rate": "40", "load.warm_up": "2s", "load.block": "2s", "load.budget": "16s"}
SHOP_CHECKS = {f"SHOP-{number}" for number in range(1, 9)}


@dataclass(frozen=True)
class Row:
    """One comparison."""

    version: str
    changes: tuple[str, ...]  # those that gate or warn
    failed_checks: tuple[str, ...]
    finds_text: bool  # number -> string, with examples
    finds_null: bool  # 0 -> null, with examples
    is_met: bool


def main() -> int:
    """Run, print the table, write the JSON; 0 when every demand is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="comparisons of each version")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-contract.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for _ in range(options.runs):
        for version in (KNOWN_GOOD, BROKEN, REPAIRED):
            rows.append(_row(version, _compared(version)))
            print(_line(len(rows), rows[-1]), flush=True)
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    failed = sum(not row.is_met for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _compared(version: str) -> Result:
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    settings = shop_settings(ROOT, version, free_ports(2), SHORT)
    return rehearsal.compare(settings, parts, rehearsal.CompareOptions(without_baseline=True)).result


def _row(version: str, result: Result) -> Row:
    told = [change for change in result.verdict.contract if change.weight is not Weight.NOTE]
    gating = [change for change in told if change.weight is Weight.GATE]
    shown = [change for change in told if change.before and change.after]
    failed = {check.check_id for check in result.checks if check.outcome is CheckOutcome.FAILED}
    finds_text = any(change in gating and "became string" in change.sentence for change in shown)
    finds_null = any(change.what == "null" for change in shown)
    is_met = (
        finds_text and finds_null and failed >= SHOP_CHECKS
        if version == BROKEN
        else not told and not failed and bool(result.checks)
    )
    subjects = tuple(change.subject for change in told)
    return Row(version, subjects, tuple(sorted(failed)), finds_text, finds_null, is_met)


def _line(number: int, row: Row) -> str:
    found = f"{len(row.changes)} changes, {len(row.failed_checks)} checks failed"
    return f"{number:>3}  {row.version}  {found}{'' if row.is_met else '  NOT MET: '}{_why(row)}"


def _why(row: Row) -> str:
    return "" if row.is_met else "; ".join((*row.changes, *row.failed_checks))[:300]


def _table(rows: Sequence[Row]) -> str:
    lines = ["", "version  runs  number -> string  0 -> null  changes (median)  all as it should be"]
    for version in (KNOWN_GOOD, BROKEN, REPAIRED):
        mine = [row for row in rows if row.version == version]
        changes = sorted(len(row.changes) for row in mine)[len(mine) // 2]
        lines.append(
            f"{version:<7}  {len(mine):>4}  {sum(row.finds_text for row in mine):>16}"
            f"  {sum(row.finds_null for row in mine):>9}  {changes:>16}  {sum(row.is_met for row in mine):>19}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
