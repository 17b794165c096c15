"""The shop as a process: it starts, tells little, and ends when it should."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STARTS_A_CHILD = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def command(seeded_file: Path, port: int) -> list[str]:
    """Serves 1.0 on the seeded file."""
    options = ["--version", "1.0", "--port", str(port), "--database", f"sqlite:///{seeded_file}"]
    return [sys.executable, "-m", "rehearse.shop", "serve", *options]


@pytest.fixture
def process(command: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as shop:
        wait_until(lambda: answers(port))
        yield shop
        shop.kill()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    give_up_at_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < give_up_at_s, f"not so after {limit_s} s"
        time.sleep(0.05)


def test_sigterm_ends_the_shop_at_once_and_it_tells_when(process: subprocess.Popen[str], port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as kept_alive:
        kept_alive.get("/products")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=15)
    assert process.returncode in {0, -signal.SIGTERM}
    moments, lines = zip(*(line.split(maxsplit=1) for line in said.splitlines()), strict=True)
    assert [re.sub(r"[\d.:]{4,}|\[\d+\]", "*", line) for line in lines] == [
        "INFO Started server process *",
        "INFO Uvicorn running on http://* (Press CTRL+C to quit)",
        "INFO Shutting down",
        "INFO Finished server process *",
    ]
    assert list(moments) == sorted(moments)
    assert all(datetime.fromisoformat(one).tzinfo is not None for one in moments)


def test_unexpected_error_is_one_line_of_log(process: subprocess.Popen[str], port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/boom").status_code == 500
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=15)
    errors = [line.partition(" ")[2] for line in said.splitlines() if " INFO " not in line]
    assert errors == ["ERROR GET /boom: RuntimeError('boom, as asked for')"]


def test_shop_ends_with_its_parent_when_told_so(command: list[str], port: int) -> None:
    arguments = [sys.executable, "-c", STARTS_A_CHILD, *command, "--exit-with-parent"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as parent:
        wait_until(lambda: answers(port))
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not answers(port), limit_s=20)


@pytest.mark.parametrize("database", ["sqlite:////proc/none/shop.db", "no url"])
def test_database_that_cannot_be_used_is_named_in_one_line(database: str) -> None:
    arguments = [sys.executable, "-m", "rehearse.shop", "seed", "--database", database]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("--database: ")
    assert len(done.stderr.splitlines()) == 1
