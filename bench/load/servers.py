"""Real servers on loopback for the load benchmarks: nginx, and a small one that stalls on purpose."""

from __future__ import annotations

import os
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
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  log_format times '$msec'; access_log {access_log};
  keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{{"version": "1.0", "items": [1, 2, 3]}}'; }}
  }}
}}
"""
START_S = 10.0


def pin(core: int | None) -> None:
    """Keep this process and its children on one core, where the system can; None is any core."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


@contextmanager
def nginx(
    core: int | None = None, access_log: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """nginx with one worker and its port; with `access_log`, it writes there the instant of each answer."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        raise SystemExit("nginx is not installed (Debian: apt-get install nginx-light)")
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        port = free_port()
        log = f"{access_log} times" if access_log else "off"
        conf = Path(folder, "nginx.conf")
        conf.write_text(NGINX.format(folder=folder, port=port, access_log=log), encoding="utf-8")
        with running([program, "-c", str(conf), "-p", folder], port, core) as process:
            yield process, port


@contextmanager
def small_server(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """bench.load.slow_server with these arguments, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.load.slow_server", str(port), *arguments]
    with running(command, port) as process:
        yield process, port


@contextmanager
def limited_server(workers: int, service_ms: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """bench.load.limited with that many workers, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.load.limited", str(port), str(workers), str(service_ms)]
    with running(command, port) as process:
        yield process, port


@contextmanager
def running(command: Sequence[str], port: int, core: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server process of its own group, from when its port answers until the block ends."""
    process = subprocess.Popen(
        list(command),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: pin(core),
    )
    try:
        deadline = time.monotonic() + START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
