"""Credentials that a command tells: good ones reach the target, and nobody else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rehearse import tokens
from rehearse.errors import NotReady
from rehearse.load.engine import ScriptedEngine, ScriptedSession, Tick, Trouble
from rehearse.load.orders import SideOrder
from rehearse.model import Side
from rehearse.redaction import credentials_in
from rehearse.renewing import RenewingEngine
from rehearse.tokens import FreshHeaders, TokenCommand, TokenSource, read_token


def command(*argv: str, valid_for_s: float | None = None, root: Path = Path("/")) -> TokenCommand:
    return TokenCommand(argv or ("unused",), root, "Authorization", "Bearer", 10.0, valid_for_s)


def python(program: str, root: Path, valid_for_s: float | None = None) -> TokenCommand:
    return command(sys.executable, "-c", program, valid_for_s=valid_for_s, root=root)


class Clock:
    """A clock that somebody sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


COUNTING = """
import json, pathlib
file = pathlib.Path("count")
number = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(number))
print(json.dumps({"token": f"secret-{number}", "expires_in": 60}))
"""


@pytest.mark.parametrize(
    ("said", "value", "expires_at_s"),
    [
        (b"abcd1234\n", "abcd1234", None),
        (b'{"token": "abcd1234"}', "abcd1234", None),
        (b'{"access_token": "abcd1234", "token_type": "Bearer", "expires_in": 3600}', "abcd1234", 3605.0),
        (b'{"token": "abcd1234", "expires_in": 0.5}', "abcd1234", 5.5),
    ],
)
def test_what_a_command_may_say(said: bytes, value: str, expires_at_s: float | None) -> None:
    token = read_token(said, 5.0, command())
    assert (token.value, token.expires_at_s) == (value, expires_at_s)


def test_the_time_to_live_of_the_configuration_holds_when_the_command_says_none() -> None:
    assert read_token(b"abcd1234", 5.0, command(valid_for_s=60)).expires_at_s == 65
    assert read_token(b'{"token":"abcd1234","expires_in":9}', 5.0, command(valid_for_s=60)).expires_at_s == 14


WRONG = [
    b"",
    b"   \n",
    b"abc",
    b"one-token\nand-another",
    b"with\x00zero",
    "t\u00f6ken-token".encode(),
    b"x" * 20_000,
    b"{not json",
    b"{}",
    b'{"token": 7}',
    b'{"token": ""}',
    b'{"token": "abcd1234\\r\\nX-Evil: 1"}',
    b'{"token": "abcd1234", "expires_in": 0}',
    b'{"token": "abcd1234", "expires_in": -5}',
    b'{"token": "abcd1234", "expires_in": true}',
    b'{"token": "abcd1234", "expires_in": "soon"}',
    b'{"token": "abcd1234", "expires_in": NaN}',
    b'{"token": "abcd1234", "expires_in": 1' + b"0" * 400 + b"}",
    b'{"token":' + b"[" * 100_000,
]


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_token_is_refused_without_a_word_of_it(said: bytes) -> None:
    with pytest.raises(NotReady) as caught:
        read_token(said, 0.0, command())
    message = str(caught.value)
    assert message.startswith("the auth command 'unused'")
    assert "abcd1234" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; print('secret-token'); sys.exit('secret-token')", "ended with exit code 1"),
        ("pass", "did not print a token"),
    ],
)
def test_a_command_that_fails_is_not_ready_and_what_it_said_stays_unsaid(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], program: str, message: str
) -> None:
    with pytest.raises(NotReady, match=message) as caught:
        TokenSource(python(program, tmp_path)).header()
    assert "secret-token" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_command_that_is_not_there_or_hangs_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotReady, match="cannot be run"):
        TokenSource(command("/no/such/program", root=tmp_path)).header()
    monkeypatch.setattr(tokens, "TIMEOUT_S", 0.2)
    with pytest.raises(NotReady, match="took over"):
        TokenSource(python("import time; time.sleep(60)", tmp_path)).header()


def test_a_token_is_asked_for_once_and_again_before_it_expires(tmp_path: Path) -> None:
    clock = Clock()
    source = TokenSource(python(COUNTING, tmp_path), clock)
    assert source.header() == {"Authorization": "Bearer secret-1"}
    clock.now_s += 49
    assert source.header() == {"Authorization": "Bearer secret-1"}
    clock.now_s += 2
    assert source.is_due()
    assert source.header() == {"Authorization": "Bearer secret-2"}
    assert set(tokens.told()) >= {"secret-1", "secret-2"}, "an expired one is still a secret"


def test_while_the_last_token_is_good_a_command_that_fails_hinders_nobody(tmp_path: Path) -> None:
    clock = Clock()
    program = COUNTING + "\nif number in (2, 3): raise SystemExit(1)"
    source = TokenSource(python(program, tmp_path), clock)
    headers = FreshHeaders({}, source)
    assert headers["Authorization"] == "Bearer secret-1"
    clock.now_s += 51
    assert headers["Authorization"] == "Bearer secret-1"
    clock.now_s += 9
    with pytest.raises(NotReady, match="exit code 1"):
        _ = headers["Authorization"]
    assert headers["Authorization"] == "Bearer secret-4", "also when it was asked a moment ago"


def test_a_renewal_that_fails_is_tried_again_and_is_an_error_once_the_token_has_expired(
    tmp_path: Path,
) -> None:
    clock = Clock()
    program = COUNTING + "\nif number > 1: raise SystemExit(1)"
    source = TokenSource(python(program, tmp_path), clock)
    source.header()
    clock.now_s += 51
    source.renew()
    assert not source.is_due(), "not at once again"
    clock.now_s += 6
    assert source.is_due()
    clock.now_s += 10
    with pytest.raises(NotReady):
        source.renew()


def test_headers_are_asked_for_when_they_are_read_and_not_before(tmp_path: Path) -> None:
    headers = FreshHeaders({"X-Team": "shop"}, TokenSource(python(COUNTING, tmp_path), Clock()))
    assert not (tmp_path / "count").exists()
    assert dict(headers) == {"X-Team": "shop", "Authorization": "Bearer secret-1"}
    assert (tmp_path / "count").read_text() == "1"


# under load


def session_of(
    tmp_path: Path, program: str, clock: Clock, ticks: int = 20
) -> tuple[list[object], ScriptedSession]:
    """A round of ticks, eight seconds apart, with a token for the candidate; each renewal is waited for."""
    source = TokenSource(python(program, tmp_path), clock)
    source.header()
    engine = RenewingEngine(
        ScriptedEngine([[Tick(float(n)) for n in range(ticks)]]), {Side.CANDIDATE: source}
    )
    order = SimpleNamespace(sides=[SideOrder(side, "http://127.0.0.1:9") for side in Side], round=0)
    with engine.start(order) as session:  # type: ignore[arg-type]  # all that a script reads of it
        events: list[object] = []
        for event in session.events():
            events.append(event)
            clock.now_s += 8
            for thread in session._renewals.values():  # type: ignore[attr-defined]
                thread.join()
        inner = session.session  # type: ignore[attr-defined]
    return events, inner


def test_a_new_token_reaches_the_load_before_the_old_one_expires(tmp_path: Path) -> None:
    events, session = session_of(tmp_path, COUNTING, Clock())
    assert [side for side, _ in session.headers_told] == [Side.CANDIDATE] * len(session.headers_told)
    assert session.headers_told[0][1] == {"Authorization": "Bearer secret-2"}
    assert not any(isinstance(event, Trouble) for event in events)


def test_a_token_that_cannot_be_renewed_is_trouble_once(tmp_path: Path) -> None:
    program = COUNTING + "\nif number > 1: raise SystemExit(1)"
    events, session = session_of(tmp_path, program, Clock())
    [trouble] = [event for event in events if isinstance(event, Trouble)]
    assert "the token of the candidate has expired" in trouble.incident.sentence
    assert session.headers_told == []


def test_a_target_s_token_is_taken_out_of_every_text(tmp_path: Path) -> None:
    from rehearse import sides
    from rehearse.config import load_settings
    from tests.project import make_project

    make_project(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:10")
    program = json.dumps([sys.executable, "-c", "print('canary-token-77')"])
    file = tmp_path / "rehearse.toml"
    file.write_text(file.read_text() + f"\n[targets.candidate.auth]\ncommand = {program}\n")
    settings = load_settings(file, {}, {})
    clean = sides.cleaner(settings)
    [target] = sides.allowed_targets(settings, (Side.CANDIDATE,))
    assert dict(target.spec.headers) == {"Authorization": "Bearer canary-token-77"}
    assert "canary-token-77" not in repr(target.spec)
    assert clean("it said canary-token-77!") == "it said ***!"


def test_checks_ask_with_the_token_too(tmp_path: Path) -> None:
    from rehearse.checking import order_of
    from rehearse.config import load_settings
    from tests.project import make_project

    make_project(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:10")
    program = json.dumps([sys.executable, "-c", "print('canary-token-78')"])
    file = tmp_path / "rehearse.toml"
    file.write_text(file.read_text() + f"\n[targets.candidate.auth]\ncommand = {program}\n")
    order = order_of(load_settings(file, {}, {}), Side.CANDIDATE, {side: {} for side in Side}, "2026-11-21")
    assert order.context.candidate is not None
    assert order.context.candidate.headers == {"Authorization": "Bearer canary-token-78"}
    assert order.context.baseline is not None
    assert order.context.baseline.headers == {}


def test_a_renewed_token_is_known_as_a_secret_with_and_without_its_scheme() -> None:
    assert credentials_in({"Authorization": "Bearer canary-79"}) == ("Bearer canary-79", "canary-79")
