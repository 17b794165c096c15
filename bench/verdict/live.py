"""Real rehearsals of the sample shop: a check that the simulator does not flatter. Resumable: a line for each.

A fresh A/A baseline is recorded for every four comparisons: of the known-good version with itself, with the broken
upgrade and with the repaired one. Edge cases are left out: they are not what is simulated.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rehearse import rehearsal
from rehearse.demo import BROKEN, KNOWN_GOOD, REPAIRED, free_ports, shop_settings
from rehearse.errors import NotReady
from rehearse.load.locust_engine import LocustEngine
from rehearse.progress import Silence

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"same": KNOWN_GOOD, "broken": BROKEN, "repaired": REPAIRED}
WITHOUT_EDGES: Mapping[str, object] = {
    f"edges.{family}": [] for family in ("dates", "retries", "faults", "clients")
}
_PER_BASELINE = 4
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One real comparison."""

    kind: str
    decision: str
    load_s: float
    took_s: float
    reasons: tuple[str, ...]


def main(runs: int, file: Path) -> int:
    """`runs` comparisons of identical code and half as many of each other kind, less those already in `file`."""
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    file.parent.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(still_to_do(runs, rows_in(file))):
        if number % _PER_BASELINE == 0 and not _record_baseline(parts):
            print("this machine is too busy for live rehearsals; the same command goes on later")
            return 1
        row = _compared(kind, parts)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(row)) + "\n")
        print(
            f"{kind:<10} {row.decision:<12} {row.load_s:>5.0f} s  {row.reasons[0][:100] if row.reasons else ''}",
            flush=True,
        )
    print(_table(rows_in(file)))
    return 0


def rows_in(file: Path) -> tuple[LiveRow, ...]:
    """What was measured so far."""
    if not file.exists():
        return ()
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(LiveRow(**{**row, "reasons": tuple(row["reasons"])}) for row in map(json.loads, lines))


def still_to_do(runs: int, done: Sequence[LiveRow]) -> list[str]:
    """Kinds in turn, so that an interrupted benchmark has some of each."""
    counts = Counter(row.kind for row in done)
    wanted = {kind: (runs if kind == "same" else (runs + 1) // 2) - counts[kind] for kind in KINDS}
    order = sorted((place / wanted[kind], kind) for kind in KINDS for place in range(max(wanted[kind], 0)))
    return [kind for _, kind in order]


def _record_baseline(parts: rehearsal.Parts) -> bool:
    """A machine that is busy for a moment refuses to record; try again, but not for ever."""
    for attempt in range(_ATTEMPTS):
        settings = shop_settings(ROOT, KNOWN_GOOD, free_ports(2))
        try:
            rehearsal.baseline(settings, parts, None, "bench.verdict --live")
        except NotReady as error:
            print(f"baseline, attempt {attempt + 1}: {error}", flush=True)
        else:
            return True
    return False


def _compared(kind: str, parts: rehearsal.Parts) -> LiveRow:
    began_s = time.monotonic()
    settings = shop_settings(ROOT, KINDS[kind], free_ports(2), WITHOUT_EDGES)
    options = rehearsal.CompareOptions(command="bench.verdict --live")
    result = rehearsal.compare(settings, parts, options).result
    reasons = tuple(finding.sentence for finding in result.verdict.reasons[:3])
    return LiveRow(
        kind, result.verdict.decision, result.load_s, round(time.monotonic() - began_s, 1), reasons
    )


def _table(rows: Sequence[LiveRow]) -> str:
    lines = ["| kind | runs | GO | ABORT | INCONCLUSIVE |", "|---|---|---|---|---|"]
    for kind in KINDS:
        counts = Counter(row.decision for row in rows if row.kind == kind)
        numbers = [counts.total(), counts["GO"], counts["ABORT"], counts["INCONCLUSIVE"]]
        lines.append(f"| {kind} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)
