"""A LeanHttpUser whose server closes, resets, lies or hangs: each has a name, and none spoils the next request."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.load.test_lean import HELLO, Script, Visit, answer, chunked, get, post, visitor
from tests.servers import Act, Early, playing

STRAY = answer(b"too late", "408 Request Timeout")


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    with visitor() as visit:
        yield visit


@pytest.fixture(scope="module")
def visit_with_savings() -> Iterator[Visit]:
    with visitor("savings") as visit:
        yield visit


def test_a_get_is_sent_once_more_when_the_server_closes_a_kept_connection_at_that_moment(
    visit: Visit,
) -> None:
    for act in (Act.CLOSE, Act.RESET):
        with playing([HELLO, act], [HELLO]) as stage:
            found = visit("lean", stage.url, get(), get())
            assert [call["status"] for call in found["calls"]] == [200, 200]
            assert (stage.connections, len(stage.requests), len(found["events"])) == (2, 3, 2)


def test_a_post_is_never_sent_twice(visit: Visit) -> None:
    with playing([HELLO, Act.CLOSE], [HELLO]) as stage:
        found = visit("lean", stage.url, get(), post(data="x"))
        assert found["calls"][1]["error"] == "ConnectionClosed"
        assert (stage.connections, len(stage.requests)) == (1, 2)


def test_a_get_on_a_fresh_connection_is_not_repeated(visit: Visit) -> None:
    with playing([Act.CLOSE], [HELLO]) as stage:
        found = visit("lean", stage.url, get())
        assert found["calls"][0]["error"] == "ConnectionClosed"
        assert stage.connections == 1


def test_a_get_is_repeated_only_once(visit: Visit) -> None:
    with playing([HELLO, Act.CLOSE], [Act.CLOSE], [HELLO]) as stage:
        found = visit("lean", stage.url, get(), get())
        assert found["calls"][1]["error"] == "ConnectionClosed"
        assert stage.connections == 2


@pytest.mark.parametrize("second", [get(sleep=0.1), post(data="x", sleep=0.1)], ids=["get", "post"])
def test_a_connection_that_was_closed_while_idle_is_not_used(visit: Visit, second: dict[str, Any]) -> None:
    with playing([HELLO, Act.CLOSE_AT_ONCE], [HELLO]) as stage:
        found = visit("lean", stage.url, get(), second)
        assert [call["status"] for call in found["calls"]] == [200, 200]
        assert (stage.connections, len(stage.requests)) == (2, 2)


@pytest.mark.parametrize("extra", [STRAY, b"HTTP/1.", b"garbage"], ids=["an answer", "a part", "garbage"])
def test_what_nobody_asked_for_is_nobodys_answer(visit: Visit, extra: bytes) -> None:
    with playing([HELLO + extra], [HELLO]) as stage:
        found = visit("lean", stage.url, get(), get(sleep=0.05))
        assert [call["content"] for call in found["calls"]] == ["hello", "hello"]
        assert stage.connections == 2


BROKEN: dict[str, tuple[list[Script], str]] = {
    "cut off in the body": ([[answer(b"hello")[:-2], Act.CLOSE_AT_ONCE]], "TruncatedAnswer"),
    "cut off in the head": ([[b"HTTP/1.1 200 OK\r\nContent-", Act.CLOSE_AT_ONCE]], "TruncatedAnswer"),
    "cut off in the chunks": ([[chunked(b"hello")[:-5], Act.CLOSE_AT_ONCE]], "TruncatedAnswer"),
    "cut off after 100": ([[b"HTTP/1.1 100 Continue\r\n\r\n", Act.CLOSE_AT_ONCE]], "TruncatedAnswer"),
    "reset before an answer": ([[Act.RESET]], "ConnectionClosed"),
    "no HTTP": ([[b"SSH-2.0-OpenSSH_9.2\r\n"]], "HttpParserError"),
    "a length twice": ([[answer(b"hello", "200 OK", "Content-Length: 6")]], "HttpParserError"),
    "an upgrade": ([[b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"]], "HttpParserUpgrade"),
    "no gzip": ([[answer(b"hello", "200 OK", "Content-Encoding: gzip"), HELLO]], "error"),
    "an unknown encoding": ([[answer(b"hello", "200 OK", "Content-Encoding: zstd"), HELLO]], "OSError"),
    "in circles": ([[answer(b"", "302 Found", "Location: /look")] * 4 + [HELLO]], "BadRedirect"),
    "off the web": ([[answer(b"", "302 Found", "Location: file:///etc/passwd"), HELLO]], "BadRedirect"),
    "silence": ([[Act.SILENCE]], "TimeoutError"),
    "silence in the body": ([[answer(b"hello")[:-2], Act.SILENCE]], "TimeoutError"),
}


@pytest.mark.parametrize(("scripts", "error"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("caught", [{}, {"catch_response": True}], ids=["", "in a with-block"])
def test_a_broken_answer_is_a_failure_with_a_name_and_the_next_request_is_not_spoiled(
    visit: Visit, scripts: list[Script], error: str, caught: dict[str, Any]
) -> None:
    with playing(*scripts, [HELLO]) as stage:
        found = visit("lean", stage.url, get(**caught), get(), network_timeout=0.3, max_redirects=3)
        assert found["calls"][0]["error"] == error
        assert (found["calls"][0]["status"], found["calls"][0]["content"]) == (0, None)
        assert [event["error"] for event in found["events"]] == [error, None]
        assert found["calls"][1]["content"] == "hello"


# These two end otherwise than with geventhttpclient's sockets, and better: it keeps a connection that has become
# something else, and it books a server that falls silent in the middle of an answer as an error, not as a timeout.
OTHERWISE = {"an upgrade", "silence in the body"}


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - OTHERWISE))
def test_a_broken_answer_is_the_same_failure_for_fast_http_user_with_and_without_savings(
    visit: Visit, visit_with_savings: Visit, name: str
) -> None:
    found = []
    for one in (visit, visit_with_savings):
        with playing(*BROKEN[name][0], [HELLO]) as stage:
            seen = one("fast", stage.url, get(), get(), network_timeout=0.3, max_redirects=3)
            found.append(json.dumps([seen, stage.connections]).replace(str(stage.port), "PORT"))
    assert found[0] == found[1]


def test_a_slow_server_is_waited_for_as_long_as_it_says_something(visit: Visit) -> None:
    """Many waits on one connection share a timer: it must follow the last of them."""
    with playing([HELLO] * 10) as stage:
        found = visit("lean", stage.url, *[get(sleep=0.05) for _ in range(10)], network_timeout=0.2)
        assert [call["status"] for call in found["calls"]] == [200] * 10
        assert stage.connections == 1


def test_a_timeout_is_not_early_and_hardly_late(visit: Visit) -> None:
    with playing([HELLO, Act.SILENCE]) as stage:
        started = time.monotonic()
        visit("lean", stage.url, get(), get(sleep=0.25), network_timeout=0.5)
        assert 0.74 <= time.monotonic() - started < 1.5


def test_a_request_that_the_scenario_gives_up_does_not_leave_its_answer_to_the_next(visit: Visit) -> None:
    with playing([HELLO, Act.SILENCE], [answer(b"second")]) as stage:
        found = visit("lean", stage.url, get(), get(give_up=0.1), get())
        assert found["calls"][1] == {"raised": "given up"}
        assert found["calls"][2]["content"] == "second"


def test_nobody_listens_there(visit: Visit) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen
        found = visit("lean", f"http://127.0.0.1:{sock.getsockname()[1]}", get())
    assert found["calls"][0]["error"] == "ConnectionRefusedError"


def test_a_large_upload_and_a_large_answer_arrive_whole(visit: Visit) -> None:
    large = "0123456789" * 500_000
    with playing([answer(large.encode()), answer()]) as stage:
        found = visit("lean", stage.url, post(data=large), get())
        assert found["calls"][0]["content"] == large
        assert stage.requests[0].endswith(large.encode())
        assert len(stage.requests) == 2


def test_an_answer_before_the_whole_request_was_sent_is_heard(visit: Visit) -> None:
    with playing([Early(answer(b"too large", "413 Content Too Large")), HELLO]) as stage:
        found = visit("lean", stage.url, post(data="0123456789" * 500_000), get())
        assert [call["status"] for call in found["calls"]] == [413, 200]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (get(stream=True), "TypeError"),
        (post(files={"a": "b"}), "TypeError"),
        (post(data=["a", "b"]), "TypeError"),
        ({"do": "iter_lines", "url": "/"}, "TypeError"),
        (get(headers={"Transfer-Encoding": "chunked"}), "TypeError"),
        (get(headers={"Upgrade": "websocket"}), "TypeError"),
        (get(headers={"X-A": "1\r\nX-B: 2"}), "ValueError"),
        (get(headers={"X A": "1"}), "ValueError"),
    ],
)
def test_what_is_not_supported_is_refused_before_anything_is_sent(
    visit: Visit, call: dict[str, Any], error: str
) -> None:
    with playing([HELLO]) as stage:
        assert visit("lean", stage.url, call)["calls"] == [{"raised": error}]
        assert stage.requests == []


@pytest.mark.parametrize("setting", ["proxy_host", "client_pool", "max_retries"])
def test_a_setting_that_is_not_supported_is_refused_by_its_name(visit: Visit, setting: str) -> None:
    found = visit("lean", "http://127.0.0.1:1", **{setting: 1})
    assert setting in found["refused"]
    assert "FastHttpUser" in found["refused"]
