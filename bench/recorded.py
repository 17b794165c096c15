"""Recorded mode on the real sample shop: 5 rounds of the baseline, then 3 of a candidate that is the same, 10 % or 50 %
slower (it waits; no core is busier), each round on the same data. Resumable: a line for each comparison.

    .venv/bin/python -m bench.recorded --runs 20            all of it, some 75 minutes
    .venv/bin/python -m bench.recorded --steps 1            only the next recording

Wanted: identical code is never ABORT, +50 % is always ABORT, and +10 % is mostly INCONCLUSIVE and says that so few
rounds cannot decide such a margin. Six comparisons share a baseline. Where the tool itself finds that the machine
was unfit, which says nothing of the rule, the comparison is shown, and made again. The evidence stays in a store
beside the lines: `--rejudge` judges it again with the code and the settings of now.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rehearse import rehearsal
from rehearse.config import Settings, policy_of
from rehearse.demo import KNOWN_GOOD, free_ports, shop_settings
from rehearse.errors import NotReady
from rehearse.histogram import Histogram
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import Judgement, Metric, RequestOutcome, Result, Scope, Side
from rehearse.progress import Silence
from rehearse.store.records import Store

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".rehearse" / "bench-recorded"
SEEDED = FOLDER / "seeded.db"
SLOWNESS = {"same": 1.0, "+10 %": 1.1, "+50 %": 1.5}
PER_BASELINE = 2 * len(SLOWNESS)
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One real comparison."""

    kind: str
    baseline: str
    run_id: str
    decision: str
    p50_change: float | None  # of the whole scenario, as measured
    took_s: float
    reasons: tuple[str, ...]
    is_unfit: bool = False  # the machine was, as the verdict says


def main() -> int:
    """Go on where it stopped; the table at the end."""
    options = _options()
    file = FOLDER / "rows.jsonl"
    if options.rejudge:
        again = [_judged_again(row) for row in rows_in(file)]
        file.write_text("".join(map(_line, again)), encoding="utf-8")
        print(_table(again))
        print(
            f"correlation of p50 and CPU time for an arrival, between rounds of a kind: {_correlation(again):.2f}"
        )
        return 0
    for _ in range(options.steps or sys.maxsize):
        rows = rows_in(file)
        done = [row.kind for row in rows if not row.is_unfit]
        if len(done) >= options.runs * len(SLOWNESS):
            break
        if not _next(f"baseline-{len(rows) // PER_BASELINE}", min(SLOWNESS, key=done.count), file):
            print("this machine is too busy for live rehearsals; the same command goes on later")
            return 1
    print(_table(rows_in(file)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="comparisons of each kind")
    parser.add_argument("--steps", type=int, help="stop after so many recordings")
    parser.add_argument(
        "--rejudge",
        action="store_true",
        help="only judge what is stored, with the code and the settings of now; the lines are changed",
    )
    return parser.parse_args()


def rows_in(file: Path) -> list[Row]:
    """What was measured so far."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [Row(**{**row, "reasons": tuple(row["reasons"])}) for row in map(json.loads, lines)]


def _next(name: str, kind: str, file: Path) -> bool:
    """The next recording: of the baseline when it is its turn and it is not there yet, else of a candidate."""
    _seed()
    settings = _settings(name, SLOWNESS[kind])
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    if not _is_recorded(settings):
        return _recorded(settings, parts)
    began_s = time.monotonic()
    result = rehearsal.compare(settings, parts, rehearsal.CompareOptions(command="bench.recorded")).result
    row = _row(kind, name, result, round(time.monotonic() - began_s, 1))
    with file.open("a", encoding="utf-8") as lines:
        lines.write(_line(row))
    print(
        f"{kind:<6} {row.decision:<13} {_percent(row.p50_change):>8}  {' / '.join(row.reasons)[:150]}",
        flush=True,
    )
    return True


def _line(row: Row) -> str:
    return json.dumps(asdict(row)) + "\n"


def _seed() -> None:
    """The data that every round of either side begins with: a database that grew is slower than a fresh one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not SEEDED.exists():
        fresh = SEEDED.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        command = [sys.executable, "-m", "rehearse.shop", "seed", "--database", f"sqlite:///{fresh}"]
        subprocess.run(command, check=True, cwd=ROOT)
        fresh.rename(SEEDED)


def _database(side: Side) -> Path:
    return FOLDER / f"{side}.db"


def _reset(side: Side) -> list[str]:
    """Its data as seeded, and on the disk: what is still to be written would be written under load."""
    database = _database(side)
    script = 'rm -f "$1"* && cp "$0" "$1" && sync "$1"'
    return ["sh", "-c", script, str(SEEDED), str(database)]


def _settings(baseline: str, slowness: float) -> Settings:
    """The shop's own rehearse.toml with the defaults' margins and noise, and the candidate alone under load."""
    ports = free_ports(2)
    shop = [
        str(Path(sys.executable)),
        "-m",
        "rehearse.shop",
        "serve",
        "--version",
        KNOWN_GOOD,
        "--exit-with-parent",
    ]
    start = [*shop, "--port", str(ports[1]), "--database", f"sqlite:///{_database(Side.CANDIDATE)}"]
    return shop_settings(
        ROOT,
        KNOWN_GOOD,
        ports,
        {
            "mode": "recorded",
            "store.url": f"sqlite:///{FOLDER}/rehearse.db",
            "report.dir": str(FOLDER / "reports"),
            "targets.baseline.start": [
                *shop,
                "--port",
                str(ports[0]),
                "--database",
                f"sqlite:///{_database(Side.BASELINE)}",
            ],
            "targets.baseline.reset": _reset(Side.BASELINE),
            "targets.candidate.reset": _reset(Side.CANDIDATE),
            "targets.candidate.start": [*start, "--slowness", f"{slowness:g}"],
            "baseline.name": baseline,
            "baseline.rounds": 5,
            "baseline.budget": "12s",
            "load.rounds": 3,
            "load.budget": "36s",
            "objectives.p50": "<=+5%",
            "objectives.p95": "<=+10%",
            "objectives.p99": {"is": "<=+20%", "advisory": True},
            "objectives.error_ratio": "<=+1pp",
            "judge.noise.run_to_run_sd": "5%",
            "load.rig.max_steal": "10%",
            # These are asked in every real rehearsal; here they would only take their time.
            "checks.packs": [],
            "edges.dates": [],
            "edges.retries": [],
            "edges.faults": [],
        },
    )


def _is_recorded(settings: Settings) -> bool:
    with Store.open(settings.store_url) as store:
        try:
            store.baseline(settings.baseline.name)
        except NotReady:
            return False
        return True


def _recorded(settings: Settings, parts: rehearsal.Parts) -> bool:
    """A machine that is busy for a moment refuses to record; try again, but not for ever."""
    for attempt in range(ATTEMPTS):
        try:
            rehearsal.baseline(settings, parts, None, "bench.recorded")
        except NotReady as error:
            print(f"{settings.baseline.name}, attempt {attempt + 1}: {error}", flush=True)
        else:
            print(f"{settings.baseline.name} recorded", flush=True)
            return True
    return False


def _row(kind: str, baseline: str, result: Result, took_s: float) -> Row:
    judgement = _total_p50(result)
    reasons = tuple(finding.sentence for finding in result.verdict.reasons[:3])
    change = None if judgement is None else judgement.change
    is_unfit = any(finding.subject == "rig" for finding in result.verdict.reasons)
    return Row(kind, baseline, result.run_id, result.verdict.decision, change, took_s, reasons, is_unfit)


def _total_p50(result: Result) -> Judgement | None:
    cells = result.verdict.judgements
    return next((j for j in cells if j.cell.scope is Scope.SCENARIO and j.cell.metric is Metric.P50), None)


def _judged_again(row: Row) -> Row:
    with Store.open(f"sqlite:///{FOLDER}/rehearse.db") as store:
        policy = policy_of(_settings(row.baseline, SLOWNESS[row.kind]))
        result = rehearsal.rejudge(store, row.run_id, FOLDER / "reports" / row.run_id, policy).result
    again = _row(row.kind, row.baseline, result, row.took_s)
    print(f"{again.kind:<6} {again.decision:<13} {_percent(again.p50_change):>8}  {again.reasons[:1]}")
    return again


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| kind | runs | GO | ABORT | INCONCLUSIVE | measured p50, least to most | machine unfit |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in SLOWNESS:
        all_of_kind = [row for row in rows if row.kind == kind]
        of_kind = [row for row in all_of_kind if not row.is_unfit]
        counts = Counter(row.decision for row in of_kind)
        changes = sorted(row.p50_change for row in of_kind if row.p50_change is not None)
        numbers = [counts.total(), counts["GO"], counts["ABORT"], counts["INCONCLUSIVE"]]
        spread = f"{_percent(changes[0])} to {_percent(changes[-1])}" if changes else "-"
        unfit = len(all_of_kind) - len(of_kind)
        lines.append(f"| {kind} | {' | '.join(map(str, numbers))} | {spread} | {unfit} |")
    return "\n".join(lines)


def _correlation(rows: Sequence[Row]) -> float:
    """How far the shop's p50 goes with what the load generator itself needs, which is the same work in each round."""
    with Store.open(f"sqlite:///{FOLDER}/rehearse.db") as store:
        kinds = [
            [pair for row in rows if row.kind == kind for pair in _rounds(store, row)] for kind in SLOWNESS
        ]
    centred = np.concatenate([np.log(pairs) - np.log(pairs).mean(axis=0) for pairs in kinds])
    return float(np.corrcoef(centred.T)[0, 1])


def _rounds(store: Store, row: Row) -> list[tuple[float, float]]:
    """Of each round under load: p50 of what was answered, and CPU seconds of the worker for an arrival."""
    blocks = [block for block in store.blocks(row.run_id) if not block.is_warm_up]
    found = []
    for number in sorted({block.round for block in blocks}):
        members = [block for block in blocks if block.round == number]
        totals = [one for block in members for one in block.series if one.scope is Scope.SCENARIO]
        answered = Histogram.merged(one.durations[RequestOutcome.OK] for one in totals)
        cpu_s = sum(block.rig.cpu_ratio * block.length_s for block in members)
        arrivals = sum(block.arrivals.dispatched for block in members)
        found.append((answered.quantile_s(0.5) or math.nan, cpu_s / arrivals))
    return found


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


if __name__ == "__main__":
    sys.exit(main())
