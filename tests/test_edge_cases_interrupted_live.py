"""Ctrl-C in the middle of each kind of edge case: nothing is left running or listening, and the evidence is kept."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from rehearse.demo import free_ports
from rehearse.errors import ExitCode
from rehearse.store.records import Store
from tests.project import Project, make_project
from tests.servers import serving

SERVICE = Path(__file__).parent / "edges" / "dated_service.py"
EFFECTS = 'allow = ["127.0.0.1"]\nside_effects = true'
CASES = {
    "dates": '[[edges.dates]]\npath = "/sales?day={instant}"\n',
    "retries": '[[edges.retries]]\npath = "/orders"\nbody = "{}"\ncount = { path = "/count" }\n',
    "rate_limits": '[[edges.rate_limits]]\npath = "/look"\nrequests = 2000\n',
    "clients": '[[edges.clients]]\nmanner = "slow-header"\npath = "/look"\nlasts = "20s"\n',
    "faults": '[[edges.faults]]\ntoxic = "timeout"\nlasts = "20s"\n',
    "clocks": '[[edges.clocks]]\nacross = 2028-02-29T00:00:00Z\npaths = ["/look"]\n',
}
IN_THE_MIDDLE_S = {"clients": 7.5, "faults": 7.5}  # four seconds of ordinary load come first; 2.5 s elsewhere

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class Left:
    """What was there when the signal came."""

    processes: tuple[psutil.Process, ...]
    listening: tuple[tuple[str, int], ...]


def look(process: psutil.Process) -> Left:
    """All that a rehearsal has started, and where it listens."""
    children = process.children(recursive=True)
    listening = [
        (one.laddr.ip, one.laddr.port)
        for child in children
        for one in child.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    return Left(tuple(children), tuple(listening))


@contextmanager
def project_with(root: Path, family: str) -> Iterator[Project]:
    """Two targets and one case; slow enough for it to be under way when the signal comes."""
    case = CASES[family].replace("]]\n", ']]\nid = "case"\nwhy = "it broke"\n', 1)
    with serving(delay_s=0.05) as left, serving(delay_s=0.05) as right:
        ports = free_ports(2)
        urls = [f"http://127.0.0.1:{port}" for port in ports] if family == "clocks" else [left.url, right.url]
        project = make_project(root, *urls)
        project.edit('allow = ["127.0.0.1"]', EFFECTS)
        if family == "clocks":
            for url, port in zip(urls, ports, strict=True):
                start = [sys.executable, str(SERVICE), str(port)]
                project.edit(f'url = "{url}"', f'url = "{url}"\nstart = {start!r}')
        file = root / "rehearse.toml"
        file.write_text(f"{file.read_text()}\n{case}")
        yield project


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=pytest.mark.faketime if name == "clocks" else ()) for name in CASES],
)
def test_ctrl_c_in_the_middle_of_a_case_leaves_nothing_but_the_evidence(tmp_path: Path, family: str) -> None:
    with project_with(tmp_path, family) as project:
        process = project.start("compare", "--without-baseline", "--advisory", "--set", "load.rounds=1")
        wait_until_under_way(tmp_path, process)
        time.sleep(IN_THE_MIDDLE_S.get(family, 2.5))
        left = look(psutil.Process(process.pid))
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.SIGINT, err
    assert left.processes  # load at least
    assert (family in ("faults", "clocks")) == bool(left.listening), left
    assert [one for one in left.processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    for address in left.listening:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5).close()
    assert project.decision() == "INCONCLUSIVE"
    edges = project.result()["edges"]
    assert isinstance(edges, list)
    assert [edge["outcome"] for edge in edges] == ["not run"]
    with Store.open(f"sqlite:///{tmp_path}/.rehearse/rehearse.db") as store:
        (run,) = store.runs(5)
        assert store.blocks(run.run_id)


def wait_until_under_way(root: Path, process: subprocess.Popen[str]) -> None:
    """The load of the case has begun: it has logs of its own."""
    deadline = time.monotonic() + 60
    while not list((root / ".rehearse" / "logs").glob("*/*round1000*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the case never began"
        time.sleep(0.05)
