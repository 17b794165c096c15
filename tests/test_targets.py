"""Before load: a target is allowed, up, ready and staging, or there is no load."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearse.allowlist import AllowList
from rehearse.errors import NotReady, TargetRefused
from rehearse.model import Side
from rehearse.targets import ManagedTarget, TargetSpec
from tests.servers import serving

Make = Callable[..., ManagedTarget]


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
    monkeypatch.setattr("rehearse.targets.is_loopback", lambda _host: False)
    with serving(headers=headers) as site:
        if is_proved:
            target(site.url).bring_up()
        else:
            with pytest.raises(TargetRefused, match="does not prove that it is staging"):
                target(site.url).bring_up()
