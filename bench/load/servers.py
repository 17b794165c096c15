"""Real servers on loopback for the load benchmarks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    log_format times '$msec';
    access_log {access_log};
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 10000000;
    server {{ listen 127.0.0.1:{port} reuseport; location / {{ return 200 "ok"; }} }}
}}
"""


@contextmanager
def fast_server(access_log: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """nginx when it is there, with the instants of its answers in `access_log`; else the small server."""
    if shutil.which("nginx") is None:
        print("nginx is not installed: the small server takes its place, without an access log")
        with small_server("0", "0", "0") as started:
            yield started
        return
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder) / "nginx.conf"
        log = f"{access_log} times" if access_log else "off"
        config.write_text(NGINX.format(folder=folder, port=port, access_log=log), encoding="utf-8")
        with running(["nginx", "-c", str(config), "-p", folder], port) as process:
            yield process, port


@contextmanager
def small_server(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """bench.load.slow_server with these arguments, on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.load.slow_server", str(port), *arguments]
    with running(command, port) as process:
        yield process, port


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A server process of its own group, from when its port answers until the block ends."""
    process = subprocess.Popen(
        list(command), cwd=ROOT, text=True, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
