"""A candidate that leaks memory at equal latency is ABORT by that cell: real load, real servers, a real Prometheus."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from rehearse.demo import free_ports
from rehearse.errors import ExitCode
from tests.project import Project, make_project

SERVER = Path(__file__).with_name("leaky_server.py")
# By each request: 3 MB a second on some 25 MB, +700 % a minute. The margin is far below that, and far above what a
# first touch of one more page, in a window of two seconds, makes of a process that does not leak.
LEAKED_BYTES = 60_000
SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
- job_name: service
  static_configs:
  - {{targets: ['127.0.0.1:{baseline}'], labels: {{side: baseline}}}}
  - {{targets: ['127.0.0.1:{candidate}'], labels: {{side: candidate}}}}
"""
SERIES = """
[prometheus]
url = "http://127.0.0.1:{port}"
step = "1s"

[[series]]
name = "memory"
query = "process_resident_memory_bytes{{$side}}"
unit = "bytes"
growth = "<=+200%/min"

[[series]]
name = "open files"
query = "process_open_fds{{$side}}"
growth = {{ is = "<=+100%/min", advisory = true }}
"""


@contextmanager
def running(*command: str, cwd: Path) -> Iterator[None]:
    with (cwd / "servers.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def wait_until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    give_up_at_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < give_up_at_s, f"not so after {limit_s} s"
        time.sleep(0.1)


def scraped(port: int) -> bool:
    """Whether Prometheus has seen both sides."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": "up == 1"})
    except httpx.TransportError:
        return False
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # it listens before it is ready
        return False
    return len(answer.raise_for_status().json()["data"]["result"]) == 2


@contextmanager
def project(root: Path, prometheus: Path, candidate_leaks: int) -> Iterator[Project]:
    baseline, candidate, port = free_ports(3)
    (root / "prometheus.yml").write_text(SCRAPES.format(baseline=baseline, candidate=candidate))
    made = make_project(root, f"http://127.0.0.1:{baseline}", f"http://127.0.0.1:{candidate}")
    made.edit('budget = "8s"\ntimeout', 'budget = "16s"\nrounds = 2\ntimeout')
    with (root / "rehearse.toml").open("a") as file:
        file.write(SERIES.format(port=port))
    with ExitStack() as stack:
        for place, leaked in ((baseline, 0), (candidate, candidate_leaks)):
            stack.enter_context(running(sys.executable, str(SERVER), str(place), str(leaked), cwd=root))
        stack.enter_context(
            running(
                str(prometheus),
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}",
                cwd=root,
            )
        )
        wait_until(lambda: scraped(port))
        yield made


@pytest.mark.live
def test_a_leak_at_equal_latency_is_abort_by_that_cell(tmp_path: Path, prometheus_path: Path) -> None:
    with project(tmp_path, prometheus_path, LEAKED_BYTES) as leaking:
        done = leaking.run("compare", "--without-baseline")
    assert done.code == ExitCode.ABORT, done
    verdict = leaking.result()["verdict"]
    assert isinstance(verdict, dict)
    assert [reason["subject"] for reason in verdict["reasons"]] == ["memory growth"]
    assert "MB/min" in verdict["reasons"][0]["sentence"]
    assert {one["cell"]["name"] for one in verdict["judgements"]} >= {"memory", "open files"}


@pytest.mark.live
def test_without_a_leak_the_same_cell_does_not_blame_the_candidate(
    tmp_path: Path, prometheus_path: Path
) -> None:
    with project(tmp_path, prometheus_path, 0) as same:
        done = same.run("compare", "--without-baseline")
    assert done.code in (ExitCode.GO, ExitCode.INCONCLUSIVE), done
    verdict = same.result()["verdict"]
    assert isinstance(verdict, dict)
    found = {one["cell"]["name"]: one for one in verdict["judgements"] if one["cell"]["scope"] == "series"}
    assert found["memory"]["outcome"] == "pass"
    assert found["memory"]["baseline_count"] >= 12
