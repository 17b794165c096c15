"""How often the verdict is wrong, and how often and how soon it decides: against known truth, and against the peers.

    .venv/bin/python -m bench.verdict                     # everything; about 50 minutes of CPU
    .venv/bin/python -m bench.verdict --quick             # a fifteenth of the rehearsals
    .venv/bin/python -m bench.verdict --only same/usual   # one row, or all rows that begin so
    .venv/bin/python -m bench.verdict --live 12           # real rehearsals of the shop; resumes where it stopped

Each rehearsal has its own seed, from the row's name and its number: the same command gives the same tables. What was
answered is kept as it comes, so that an interrupted benchmark goes on where it stopped; another judge begins anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.verdict import live
from bench.verdict.answers import Answers
from bench.verdict.missing import measured_answers
from bench.verdict.peers import Answer
from bench.verdict.pictures import operating_curve, time_to_abort
from bench.verdict.rehearsals import OURS
from bench.verdict.rows import Row, all_rows
from bench.verdict.tables import as_json, missing_table, tables
from bench.verdict.tally import Tally

ROOT = Path(__file__).resolve().parents[2]
MISSING = "missing"
_QUICK = 15  # times fewer
_PAGE = """# What the benchmark of the verdict measured

Written by `python -m bench.verdict`; [how a verdict is made](verdict.md) says what the rows are, and why some miss.
Shares come with Wilson's 95 % interval.
"""
_TIMED = {"worse/errors": "errors 0 to 0.5 %", "worse/+20": "+20 %", "worse/+10": "+10 %"}


def main() -> int:
    """Run the rows, print the tables, write JSON and the pages of docs; 1 when a target is not met."""
    options = _options()
    if options.live:
        return live.main(options.live, ROOT / ".rehearse" / "bench-verdict-live.jsonl")
    chosen = [row for row in all_rows() if row.name.startswith(options.only)]
    if not chosen and not MISSING.startswith(options.only):
        print(f"no row begins with {options.only!r}; known: {', '.join(row.name for row in all_rows())}")
        return 2
    kept = Answers(options.answers)
    tallies: dict[str, Mapping[str, Tally]] = {}
    for row in chosen:
        found = kept.tallies(row) if options.kept else _measured(row, _runs(row, options.quick), kept)
        tallies |= {row.name: found} if found else {}
        options.json.write_text(json.dumps(as_json(chosen, tallies), indent=1), encoding="utf-8")
    text = tables(chosen, tallies)
    if MISSING.startswith(options.only):
        text += missing_table(measured_answers())
    print(f"\n{text}")
    if not options.only and not options.quick:
        _publish(text, tallies)
    unmet = [row.name for row in chosen if row.name in tallies and not _is_met(row, tallies[row.name])]
    told = f"{len(tallies)} rows, {len(unmet)} not met: {', '.join(unmet) or 'none'}"
    print(f"{told}; {time.process_time():.0f} s of CPU")
    return 1 if unmet else 0


def _runs(row: Row, is_quick: bool) -> int:
    return max(10, row.runs // _QUICK) if is_quick else row.runs


def _is_met(row: Row, tallies: Mapping[str, Tally]) -> bool:
    return all(tallies[OURS].meets(target) for target in row.targets)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.verdict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="a fifteenth of the rehearsals; intervals are wide then"
    )
    parser.add_argument("--only", default="", metavar="ROW", help="rows whose name begins so")
    parser.add_argument(
        "--kept", action="store_true", help="no more rehearsals: tables of what was answered so far"
    )
    parser.add_argument("--answers", type=Path, default=ROOT / ".rehearse" / "bench-verdict.jsonl")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-verdict.json")
    parser.add_argument(
        "--live",
        type=int,
        default=0,
        metavar="N",
        help="N real rehearsals of identical code, N/2 of each kind",
    )
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def _measured(row: Row, runs: int, kept: Answers) -> Mapping[str, Tally]:
    began_s = time.process_time()
    tallies: dict[str, Tally] = {}
    for number in range(runs):
        for rule, answer in _answered(row, number, kept).items():
            tallies.setdefault(rule, Tally()).answers.append(answer)
    took_s = time.process_time() - began_s
    counts = ", ".join(f"{decision} {count}" for decision, count in sorted(tallies[OURS].counts.items()))
    print(f"{row.name:<24} {runs:>5} runs {took_s:>6.0f} s CPU  {counts}", flush=True)
    return tallies


def _answered(row: Row, number: int, kept: Answers) -> Mapping[str, Answer]:
    known = kept.of(row.name, number)
    if known is None:
        known = row.answer(np.random.default_rng([zlib.crc32(row.name.encode()), number]))
        kept.keep(row.name, number, known)
    return known


def _publish(text: str, tallies: Mapping[str, Mapping[str, Tally]]) -> None:
    """The page of tables and the two pictures beside docs/verdict.md."""
    docs = ROOT / "docs"
    (docs / "verdict-measured.md").write_text(f"{_PAGE}\n{text}", encoding="utf-8")
    curve = {
        float(name.split("/")[1]) / 100: found for name, found in tallies.items() if name.startswith("curve/")
    }
    (docs / "verdict-curve.svg").write_text(operating_curve(curve, OURS), encoding="utf-8")
    timed = {label: tallies[name][OURS] for name, label in _TIMED.items()}
    (docs / "verdict-time.svg").write_text(time_to_abort(timed, 300.0), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
