"""What the steps of a test's exit plan do: statements, servers that start and stop, a switch.

python tests/cutover/steps.py ACTION ARGUMENTS..., in a folder with `state.json` ({"database": URL}).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0


def sql(*statements: str) -> None:
    """Each in a transaction of its own."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    engine = create_engine(json.loads(Path("state.json").read_text())["database"], poolclass=NullPool)
    for statement in statements:
        with engine.begin() as connection:
            connection.execute(text(statement))


def start(version: str, port: str) -> None:
    """Start a shop and leave it running; returns when it answers."""
    database = json.loads(Path("state.json").read_text())["database"]
    command = [sys.executable, "-m", "rehearse.shop", "serve", "--version", version, "--port", port]
    with Path(f"shop-{port}.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--database", database], stdout=log, stderr=log, start_new_session=True
        )
    Path(f"{port}.pid").write_text(str(process.pid))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"the shop {version} did not start: {Path(f'shop-{port}.log').read_text()[-500:]}")


def stop(port: str) -> None:
    """End a server; returns when it is gone."""
    file = Path(f"{port}.pid")
    pid = int(file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.02)
    file.unlink()


def is_running(pid: int) -> bool:
    """Zombies do not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def switch(port: str) -> None:
    """From now on requests go there."""
    Path("upstream.new").write_text(port)
    Path("upstream.new").replace("upstream")


def sleep(seconds: str) -> None:
    """Take a while."""
    time.sleep(float(seconds))


if __name__ == "__main__":
    ACTIONS: dict[str, Callable[..., None]] = {one.__name__: one for one in (sql, start, stop, switch, sleep)}
    ACTIONS[sys.argv[1]](*sys.argv[2:])
