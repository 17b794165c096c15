"""A small real project in a folder: a rehearse.toml, a scenario, and the `rehearse` command run as a child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
title = "test"

[targets.baseline]
url = "{baseline}"

[targets.candidate]
url = "{candidate}"

[safety]
allow = ["127.0.0.1"]

[load]
rate = 50
warm_up = "1s"
block = "1s"
budget = "8s"
timeout = "2s"

[load.rig]
max_rig_lag = "500ms"
max_stall = "2s"
max_cpu = "100%"

[[scenarios]]
name = "shop"
file = "visit.py"

[objectives]
p50 = "<=+60%"
p95 = "<=+300%"
p99 = {{ is = "<=+500%", advisory = true }}
error_ratio = "<=+5pp"

[judge]
floor = "40ms"
shared = ["host"]

[baseline]
rounds = 1
budget = "8s"
"""

SCENARIO = """
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
"""


@dataclass(frozen=True)
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Project:
    """One project folder."""

    root: Path

    def run(self, *args: str, env: Mapping[str, str] | None = None, timeout_s: float = 90) -> Done:
        """Run `rehearse ARGS` to its end."""
        process = self.start(*args, env=env)
        out, err = process.communicate(timeout=timeout_s)
        return Done(process.returncode, out, err)

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `rehearse ARGS`."""
        return subprocess.Popen(
            [sys.executable, "-m", "rehearse", *args],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def interrupt(
        self, *args: str, when: Callable[[], bool], with_signal: signal.Signals, timeout_s: float = 60
    ) -> tuple[Done, float]:
        """Run a command, send a signal once `when()` is true; the end, and how many seconds it took to end."""
        process = self.start(*args)
        deadline = time.monotonic() + timeout_s
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.02)
        process.send_signal(with_signal)
        sent = time.monotonic()
        out, err = process.communicate(timeout=30)
        return Done(process.returncode, out, err), time.monotonic() - sent

    def result(self) -> dict[str, object]:
        """The newest result.json."""
        newest = max(self.root.glob("reports/*/result.json"), key=lambda path: path.stat().st_mtime)
        loaded: dict[str, object] = json.loads(newest.read_text())
        return loaded

    def decision(self) -> str:
        """The newest verdict's word."""
        verdict = self.result()["verdict"]
        assert isinstance(verdict, dict)
        return str(verdict["decision"])

    def edit(self, old: str, new: str) -> None:
        """Change the configuration."""
        file = self.root / "rehearse.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def make_project(root: Path, baseline: str, candidate: str) -> Project:
    """A project with two targets in `root`."""
    (root / "rehearse.toml").write_text(CONFIG.format(baseline=baseline, candidate=candidate))
    (root / "visit.py").write_text(SCENARIO)
    return Project(root)
