"""The example reports in reports/example-*: real rehearsals of the sample shop, one for each verdict.

    python -m bench.examples [abort] [go] [inconclusive] [--keep-baseline]

About five minutes, on a machine that does nothing else. A rehearsal that ends in another verdict than its example is
repeated twice at most; the old example stays if that does not help, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rehearse import rehearsal
from rehearse.demo import BROKEN, KNOWN_GOOD, REPAIRED, free_ports, shop_settings
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import Decision
from rehearse.progress import Silence

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("report.html", "result.json")
ATTEMPTS = 3


@dataclass(frozen=True)
class Example:
    """What is rehearsed to get it."""

    decision: Decision
    version: str
    overrides: Mapping[str, object] = field(default_factory=dict)


EXAMPLES = {
    "abort": Example(Decision.ABORT, BROKEN),
    "go": Example(Decision.GO, REPAIRED),
    # No failure in half a minute of requests does not prove that there are so few.
    "inconclusive": Example(
        Decision.INCONCLUSIVE, REPAIRED, {"load.budget": "32s", "objectives.error_ratio": "<=+0.15pp"}
    ),
}


def folder_of(name: str) -> Path:
    """Where an example is kept."""
    return ROOT / "reports" / f"example-{name}"


def renewed(name: str, parts: rehearsal.Parts) -> bool:
    """Rehearse until the verdict is the example's, and keep that report."""
    example = EXAMPLES[name]
    for _ in range(ATTEMPTS):
        settings = shop_settings(ROOT, example.version, free_ports(2), example.overrides)
        options = rehearsal.CompareOptions(command="python -m bench.examples")
        comparison = rehearsal.compare(settings, parts, options)
        decision = comparison.result.verdict.decision
        print(f"{name}: {decision} ({comparison.result.run_id})", flush=True)
        if decision is example.decision:
            folder_of(name).mkdir(exist_ok=True)
            for report in comparison.reports:
                if report.name in KEPT:
                    shutil.copyfile(report, folder_of(name) / report.name)
            return True
    return False


def main() -> int:
    """Record a baseline, then each example in turn; 0 when all have been renewed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="EXAMPLE", help=f"of {', '.join(EXAMPLES)}; all by default"
    )
    parser.add_argument("--keep-baseline", action="store_true", help="compare with the one that is stored")
    options = parser.parse_args()
    names = options.names or list(EXAMPLES)
    if unknown := set(names) - set(EXAMPLES):
        parser.error(f"no such example: {', '.join(sorted(unknown))}")
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    if not options.keep_baseline:
        settings = shop_settings(ROOT, KNOWN_GOOD, free_ports(2))
        rehearsal.baseline(settings, parts, None, "python -m bench.examples")
    missed = [name for name in names if not renewed(name, parts)]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
