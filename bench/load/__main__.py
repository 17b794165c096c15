"""All measurements of the load generator, one after the other; about an hour on a quiet machine.

    .venv/bin/python -m bench.load

Each prints its table and writes its JSON to .rehearse/; see the modules for what each one shows.
"""

from __future__ import annotations

import subprocess
import sys

from bench.load.servers import ROOT

MODULES = ("ledger", "omission", "rig_truth", "overhead", "throughput", "capacity")


def main() -> int:
    """Run every module; 0 when all demands are met."""
    failed = [name for name in MODULES if not _is_met(name)]
    print(f"\nall of {', '.join(MODULES)} met" if not failed else f"\nNOT MET: {', '.join(failed)}")
    return 1 if failed else 0


def _is_met(name: str) -> bool:
    print(f"\n== bench.load.{name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"bench.load.{name}"], cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
