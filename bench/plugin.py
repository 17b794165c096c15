"""What the plugin adds to `pytest checks/`: the same session with it and without it, in turn.

    python -m bench.plugin

With it a check uses `candidate`, so that rehearse.toml is read and a client is made; without it an equal check asks the
same server over httpx by itself, or (second table) nothing at all.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scipy.stats import bootstrap

PAIRS = 11
CONFIG = """
[targets.baseline]
url = "http://127.0.0.1:9"

[targets.candidate]
url = "{url}"

[safety]
allow = ["127.0.0.1"]

[load]
rate = 50

[[scenarios]]
name = "shop"
file = "visit.py"
"""
WITH = """
import pytest


@pytest.mark.breakage(id="a")
def test_a(candidate):
    assert candidate.get("/").status_code == 200
"""
WITHOUT = {
    "asks over httpx": "import httpx\n\n\ndef test_a():\n    assert httpx.get('{url}/').status_code == 200\n",
    "asks nothing": "def test_a():\n    pass\n",
}


class Answer(BaseHTTPRequestHandler):
    """Nothing, quickly."""

    def do_GET(self) -> None:  # the name that http.server asks for
        """200."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def session(root: Path, *options: str) -> tuple[float, float]:
    """(CPU, wall) seconds of one session of pytest, whose modules were compiled by an earlier one."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, began = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "checks"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wall_s, after = time.perf_counter() - began, os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system, wall_s


def make(root: Path, url: str, check: str) -> Path:
    """A project with one check."""
    (root / "checks").mkdir(parents=True)
    (root / "checks" / "test_a.py").write_text(check.replace("{url}", url))
    (root / "visit.py").write_text("")
    (root / "rehearse.toml").write_text(CONFIG.format(url=url))
    return root


def shown(name: str, differences: Sequence[float]) -> str:
    """The median difference, and where it lies."""
    interval = bootstrap((differences,), statistics.median, vectorized=False, rng=1).confidence_interval
    return (
        f"{name}: +{statistics.median(differences):.3f} s (95 %: {interval.low:.3f} to {interval.high:.3f})"
    )


def main() -> None:
    """One table for each thing to compare with."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with_plugin = ("-p", "rehearse.pytest_plugin", "-p", "no:locust")
    without_plugins = ("-p", "no:rehearse.pytest_plugin", "-p", "no:locust")
    with tempfile.TemporaryDirectory() as folder:
        ours = make(Path(folder) / "with", url, WITH)
        for name, check in WITHOUT.items():
            other = make(Path(folder) / name, url, check)
            cpu, wall = [], []
            for pair in range(PAIRS + 1):
                if pair % 2:
                    mine = session(ours, *with_plugin)
                    theirs = session(other, *without_plugins)
                else:
                    theirs = session(other, *without_plugins)
                    mine = session(ours, *with_plugin)
                if pair:  # the first one warms the disk, and compiles
                    cpu.append(mine[0] - theirs[0])
                    wall.append(mine[1] - theirs[1])
            print(f"more than a check that {name}, median of {PAIRS} pairs")
            print(f"    {shown('CPU', cpu)}\n    {shown('wall', wall)}", flush=True)


if __name__ == "__main__":
    main()
