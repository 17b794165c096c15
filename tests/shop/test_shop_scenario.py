"""The scenario is an ordinary Locust file, and the known-good shop answers all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

SCENARIO = Path(__file__).parents[2] / "scenarios" / "shop.py"


def test_plain_locust_runs_the_scenario_without_a_failure(good_shop: httpx.Client) -> None:
    options = ["--headless", "-u", "20", "-r", "20", "-t", "4s", "--json", "-H", str(good_shop.base_url)]
    arguments = [sys.executable, "-m", "locust", "-f", str(SCENARIO), *options]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)
    assert {f"{entry['method']} {entry['name']}" for entry in entries} >= {
        "POST /login",
        "GET /products",
        "GET /products/[id]",
        "GET /customers/[id]/orders",
    }
    assert sum(entry["num_failures"] for entry in entries) == 0
