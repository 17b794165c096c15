"""Before load: a target is allowed, up, ready and staging, or there is no load."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from rehearse.allowlist import AllowList
from rehearse.errors import DiskFull, ExitCode, NotReady, RehearseError, TargetRefused
from rehearse.model import Side
from rehearse.targets import ManagedTarget, TargetSpec
from tests.presence import absent
from tests.project import Project, make_project
from tests.servers import free_port, serving

Make = Callable[..., ManagedTarget]

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def target(tmp_path: Path) -> Make:
    def make(url: str, **changes: Any) -> ManagedTarget:
        settings: dict[str, Any] = {
            "side": Side.CANDIDATE,
            "name": "candidate",
            "url": url,
            "headers": {},
            "ready": "/health",
            "facts": None,
            "state": None,
            "prepare": None,
            "reset": None,
            "restart": None,
            "start": None,
            "ready_timeout_s": 10.0,
            "verify": True,
            "proof_header": "X-Rehearse-Env",
            "proof_value": "staging",
            "working_dir": tmp_path,
            "log_dir": tmp_path / "logs",
        }
        return ManagedTarget(TargetSpec(**{**settings, **changes}), AllowList(("127.0.0.1",), ()))

    return make


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def shell(code: str) -> tuple[str, ...]:
    return ("sh", "-c", code)


def wait_for(condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.02)


def pid_in(file: Path) -> int:
    """The process id that a child writes there, once it is there."""
    wait_for(lambda: file.exists() and file.read_text())
    return int(file.read_text())


def has_ended(pid: int) -> bool:
    """True once it has, which takes a signal's moment; what has not is killed here."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        try:
            wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, timeout_s=5)
        except AssertionError:
            process.kill()
            return False
    return True


def test_any_http_answer_is_ready_because_judging_it_comes_later(target: Make) -> None:
    with serving(status=500) as site:
        target(site.url).bring_up()
        assert site.requests == ["GET /health"]


def test_facts_from_a_path_are_flattened_to_words(target: Make) -> None:
    with serving() as site:
        assert target(site.url, facts="/version").facts().facts == {"version": "1.0"}


def test_facts_from_a_command_are_read_from_its_stdout(target: Make) -> None:
    code = 'print(\'{"rows": {"orders": 5}, "version": "2.0", "tls": true}\')'
    facts = target("http://127.0.0.1:9", facts=python(code)).facts().facts
    assert facts == {"rows.orders": "5", "tls": "true", "version": "2.0"}


@pytest.mark.parametrize("printed", ["nonsense", "[1, 2]", ""], ids=["not JSON", "not an object", "nothing"])
def test_facts_that_cannot_be_read_are_not_ready(target: Make, printed: str) -> None:
    with pytest.raises(NotReady, match="facts"):
        target("http://127.0.0.1:9", facts=python(f"print({printed!r})")).facts()


@pytest.mark.parametrize("opening", [b'{"a":', b'{"a":['])
def test_facts_that_are_nested_too_deeply_are_not_ready(target: Make, opening: bytes) -> None:
    closing = b"}" if opening.endswith(b":") else b"]}"
    with (
        serving(body=opening * 5_000 + b"1" + closing * 5_000) as site,
        pytest.raises(NotReady, match="facts"),
    ):
        target(site.url, facts="/version").facts()


@pytest.mark.parametrize("step", ["prepare", "reset", "restart"])
def test_a_command_that_fails_stops_the_rehearsal_with_its_last_words(target: Make, step: str) -> None:
    code = "import sys; print('disk is full', file=sys.stderr); sys.exit(3)"
    with serving() as site, pytest.raises(NotReady, match=f"{step}.*exit code 3.*disk is full"):
        target(site.url, **{step: python(code)}).bring_up()


def test_a_command_that_does_not_exist_is_named(target: Make) -> None:
    with serving() as site, pytest.raises(NotReady, match="no-such-command"):
        target(site.url, prepare=("no-such-command",)).bring_up()


def test_a_started_process_is_awaited_and_ended(target: Make, tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    with serving() as probe:
        port = probe.port  # free again once this block ends
    code = (
        "import http.server, pathlib\n"
        f"server = http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler)\n"
        f"pathlib.Path({str(port_file)!r}).write_text('up')\n"
        "server.serve_forever()\n"
    )
    with target(f"http://127.0.0.1:{port}", start=python(code)) as managed:
        managed.bring_up()
        assert port_file.exists()
        first = managed._process
        managed.fresh_process()
        assert managed._process is not first
        last = managed._process
    assert last is not None
    assert last.poll() is not None


def test_a_started_process_that_ends_at_once_is_not_ready_with_its_last_words(target: Make) -> None:
    managed = target("http://127.0.0.1:9", start=python("raise SystemExit('no database')"))
    with pytest.raises(NotReady, match="no database"):
        managed.bring_up()


@pytest.mark.parametrize(
    "code",
    [
        "sleep 60 & echo $! > pid; wait",
        "sleep 60 & echo $! > pid",
        "trap '' TERM; sleep 60 & echo $! > pid; wait",
    ],
    ids=["a child", "a child that it left", "a child that ignores SIGTERM"],
)
def test_what_start_began_ends_with_all_its_children(
    target: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr("rehearse.process_groups.STOP_TIMEOUT_S", 0.5)
    with target(NOWHERE, start=shell(code), ready_timeout_s=0.2) as managed:
        with pytest.raises(NotReady):
            managed.bring_up()
        child = pid_in(tmp_path / "pid")
    assert has_ended(child)


def test_children_have_time_to_end_well_when_their_parent_is_gone_at_once(
    target: Make, tmp_path: Path
) -> None:
    (tmp_path / "child.py").write_text(
        "import os, pathlib, signal, sys\n"
        "def end(*_):\n"
        "    pathlib.Path('ended').write_text('well')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "signal.alarm(60)\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "signal.pause()\n"
    )
    start = shell(f"{shlex.quote(sys.executable)} child.py & wait")
    with target(NOWHERE, start=start, ready_timeout_s=0.2) as managed:
        with pytest.raises(NotReady):
            managed.bring_up()
        child = pid_in(tmp_path / "pid")
    assert has_ended(child)
    assert (tmp_path / "ended").read_text() == "well"


def test_a_process_whose_first_thread_has_ended_is_given_time_for_its_others(
    target: Make, tmp_path: Path
) -> None:
    """Linux calls it a zombie, although it still runs: a server that winds down its thread pool looks like that."""
    (tmp_path / "server.py").write_text(
        "import ctypes, os, pathlib, signal, threading, time\n"
        "def work():\n"
        "    pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "    signal.sigtimedwait([signal.SIGTERM], 60)\n"
        "    time.sleep(0.5)\n"
        "    pathlib.Path('ended').write_text('well')\n"
        "    os._exit(0)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "threading.Thread(target=work).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with target(NOWHERE, start=(sys.executable, "server.py"), ready_timeout_s=0.2) as managed:
        with pytest.raises(NotReady):
            managed.bring_up()
        server = psutil.Process(pid_in(tmp_path / "pid"))
        assert server.status() == psutil.STATUS_ZOMBIE
    assert (tmp_path / "ended").read_text() == "well"


@pytest.mark.parametrize("step", ["prepare", "reset", "restart"])
def test_a_daemon_that_a_command_leaves_is_not_waited_for_and_keeps_running(
    target: Make, tmp_path: Path, step: str
) -> None:
    with serving() as site:
        target(site.url, **{step: shell("sleep 20 & echo $! > pid; echo the daemon runs")}).bring_up()
    daemon = psutil.Process(pid_in(tmp_path / "pid"))
    daemon.kill()
    assert (tmp_path / "logs" / f"candidate-{step}.log").read_text() == "the daemon runs\n"


def test_a_daemon_that_the_facts_command_leaves_is_not_waited_for(target: Make, tmp_path: Path) -> None:
    code = 'echo grumble >&2; sleep 20 & echo $! > pid; echo \'{"version": "2.0"}\''
    assert target(NOWHERE, facts=shell(code)).facts().facts == {"version": "2.0"}
    psutil.Process(pid_in(tmp_path / "pid")).kill()
    assert (tmp_path / "logs" / "candidate-facts.log").read_text() == "grumble\n"


def test_a_command_that_takes_too_long_is_ended_with_its_children(
    target: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rehearse.targets.COMMAND_TIMEOUT_S", 2.0)
    slow = shell("sleep 60 & echo $! > pid; echo half of it; wait")
    with pytest.raises(NotReady, match=r"prepare.*took over 2 s.*half of it"):
        target(NOWHERE, prepare=slow).bring_up()
    assert has_ended(pid_in(tmp_path / "pid"))


@pytest.mark.parametrize("step", ["prepare", "start"])
def test_a_failure_quotes_no_words_of_an_earlier_round(target: Make, tmp_path: Path, step: str) -> None:
    log = tmp_path / "logs" / f"candidate-{step}.log"
    log.parent.mkdir()
    log.write_text("the disk was full last week\n")
    with pytest.raises(NotReady, match="It wrote nothing to") as raised:
        target(NOWHERE, **{step: shell("exit 3")}).bring_up()
    assert "last week" not in str(raised.value)
    assert str(log) in str(raised.value)


def test_a_failure_quotes_what_was_said_on_stdout_too(target: Make) -> None:
    with pytest.raises(NotReady, match=r"exit code 3.*no space left"):
        target(NOWHERE, prepare=shell("echo no space left; exit 3")).bring_up()


@pytest.mark.parametrize("step", ["prepare", "reset", "restart"])
def test_a_disk_without_room_for_what_a_command_says_is_one_message(
    target: Make, tmp_path: Path, step: str
) -> None:
    no_room_for(tmp_path / "logs" / f"candidate-{step}.log")
    with pytest.raises(DiskFull, match=f"candidate-{step}.log cannot be written: the disk is full"):
        target(NOWHERE, **{step: shell("echo done")}).bring_up()


def test_a_disk_without_room_for_what_a_started_process_said_still_ends_it(
    target: Make, tmp_path: Path
) -> None:
    no_room_for(tmp_path / "logs" / "candidate-start.log")
    port = free_port()
    serve = f"echo on my way; echo $$ > pid; exec {sys.executable} -m http.server {port} --bind 127.0.0.1"
    started = target(f"http://127.0.0.1:{port}", start=shell(serve), ready="/")
    started.bring_up()
    with pytest.raises(DiskFull, match="the disk is full"):
        started.stop()
    wait_for(lambda: has_ended(pid_in(tmp_path / "pid")))


def test_a_log_that_cannot_be_written_at_all_is_one_message(target: Make, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(RehearseError, match=r"candidate-prepare\.log cannot be written"):
        target(NOWHERE, prepare=shell("echo done")).bring_up()


def no_room_for(log: Path) -> None:
    """Whatever is written there, the disk is full."""
    if not Path("/dev/full").exists():
        absent("there is no /dev/full here")
    log.parent.mkdir()
    log.symlink_to("/dev/full")


def test_start_refuses_when_something_answers_there_already(target: Make) -> None:
    with serving() as site, pytest.raises(NotReady, match="answers there already"):
        target(site.url, start=python("pass")).bring_up()


def test_a_host_off_the_allow_list_is_refused_without_a_connection(target: Make) -> None:
    with serving("127.0.0.2") as site:
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.2"):
            target(site.url).check_allowed()
        assert site.connections == 0


@pytest.mark.parametrize(
    ("headers", "is_proved"),
    [({"X-Rehearse-Env": "staging"}, True), ({"X-Rehearse-Env": "production"}, False), ({}, False)],
    ids=["says staging", "says production", "says nothing"],
)
def test_off_loopback_a_target_must_prove_that_it_is_staging(
    target: Make, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], is_proved: bool
) -> None:
    monkeypatch.setattr("rehearse.inquiry.is_loopback", lambda _host: False)
    with serving(headers=headers) as site:
        if is_proved:
            target(site.url).bring_up()
        else:
            with pytest.raises(TargetRefused, match="does not prove that it is staging"):
                target(site.url).bring_up()


@pytest.fixture
def off_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as another machine."""
    monkeypatch.setattr("rehearse.inquiry.is_loopback", lambda _host: False)


NOTED = {step: shell(f"echo {step} >> order") for step in ("prepare", "reset", "restart")}


def order_of_commands(folder: Path) -> list[str]:
    file = folder / "order"
    return file.read_text().split() if file.exists() else []


@pytest.mark.usefixtures("off_loopback")
def test_no_command_runs_before_what_answers_has_proven_to_be_staging(target: Make, tmp_path: Path) -> None:
    with serving() as site, pytest.raises(TargetRefused, match="does not prove"):
        target(site.url, **NOTED).bring_up()
    assert order_of_commands(tmp_path) == []


@pytest.mark.usefixtures("off_loopback")
def test_what_has_proven_to_be_staging_is_prepared_reset_and_restarted(target: Make, tmp_path: Path) -> None:
    with serving(headers={"X-Rehearse-Env": "staging"}) as site:
        target(site.url, **NOTED).bring_up()
    assert order_of_commands(tmp_path) == ["prepare", "reset", "restart"]


@pytest.mark.usefixtures("off_loopback")
def test_what_does_not_answer_and_cannot_be_restarted_is_not_touched(target: Make, tmp_path: Path) -> None:
    commands = {step: NOTED[step] for step in ("prepare", "reset")}
    with pytest.raises(NotReady, match="does not answer"):
        target(NOWHERE, **commands, ready_timeout_s=0.2).bring_up()
    assert order_of_commands(tmp_path) == []


def test_what_start_begins_is_prepared_before_it_can_prove_anything(
    target: Make, tmp_path: Path, off_loopback: None
) -> None:
    with pytest.raises(NotReady, match="ended at once"):
        target(NOWHERE, prepare=NOTED["prepare"], start=shell("echo start >> order")).bring_up()
    assert order_of_commands(tmp_path) == ["prepare", "start"]


SERVER = """
import http.server, os, pathlib, signal, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Rehearse-Env", sys.argv[2])
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
signal.alarm(60)
pathlib.Path("server").write_text(str(os.getpid()))
server.serve_forever()
"""


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Callable[[int, str], tuple[str, ...]]]:
    """A restart command that brings up a server which says what it is, unless that runs already."""
    (tmp_path / "server.py").write_text(SERVER)

    def command(port: int, environment: str) -> tuple[str, ...]:
        server = shlex.join([sys.executable, "server.py", str(port), environment])
        return shell(f"echo restart >> order; test -e server || {server} &")

    yield command
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((tmp_path / "server").read_text()), signal.SIGKILL)


@pytest.mark.usefixtures("off_loopback")
@pytest.mark.parametrize(
    ("says", "expected"),
    [("staging", ["restart", "prepare", "reset", "restart"]), ("production", ["restart"])],
)
def test_what_does_not_answer_is_restarted_and_must_prove_to_be_staging_before_its_data_is_touched(
    target: Make,
    tmp_path: Path,
    restart: Callable[[int, str], tuple[str, ...]],
    says: str,
    expected: list[str],
) -> None:
    with serving() as probe:
        port = probe.port  # free again once this block ends
    managed = target(f"http://127.0.0.1:{port}", **{**NOTED, "restart": restart(port, says)})
    with suppress(TargetRefused):
        managed.bring_up()
    assert order_of_commands(tmp_path) == expected


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, NOWHERE, "http://127.0.0.1:10")


def run_in_baseline(project: Project, step: str, *command: str) -> None:
    """Make a command part of the baseline's table."""
    project.edit("[targets.baseline]\n", f"[targets.baseline]\n{step} = {json.dumps(command)}\n")


@pytest.mark.parametrize("step", ["prepare", "start"])
def test_a_signal_ends_what_a_targets_command_began(project: Project, step: str) -> None:
    run_in_baseline(project, step, "sh", "-c", "sleep 60 & echo $! > pid; wait")
    pid = project.root / "pid"
    done, _ = project.interrupt("baseline", when=pid.exists, with_signal=signal.SIGTERM)
    assert done.code == ExitCode.SIGTERM
    assert has_ended(pid_in(pid))


STUBBORN = """
import os, pathlib, signal

signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("asked").touch())
signal.alarm(60)
pathlib.Path("pid").write_text(str(os.getpid()))
while True:
    signal.pause()
"""


@pytest.mark.parametrize("step", ["prepare", "start"])
def test_a_second_signal_kills_what_would_not_end_before_it_ends_us(project: Project, step: str) -> None:
    (project.root / "stubborn.py").write_text(STUBBORN)
    run_in_baseline(project, step, sys.executable, "stubborn.py")
    process = project.start("baseline")
    stubborn = pid_in(project.root / "pid")
    process.send_signal(signal.SIGTERM)
    wait_for((project.root / "asked").exists)  # the first signal is being dealt with
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == ExitCode.SIGINT
    assert has_ended(stubborn)
