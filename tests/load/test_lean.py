"""LeanHttpUser is what FastHttpUser is, apart from its price; and both keep their manners when a server does not."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest

from tests.servers import Act, Step, playing

ROOT = Path(__file__).resolve().parents[2]
Visit = Callable[..., dict[str, Any]]
Script = Sequence[Step]


def answer(body: bytes = b"hello", status: str = "200 OK", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + body


def chunked(*chunks: bytes, fields: str = "") -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n{fields}\r\n".encode()
    )
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


HELLO = answer()


@contextmanager
def visitor(*options: str) -> Iterator[Visit]:
    """A process with users in it; call it with an order."""
    command = [sys.executable, "-m", "tests.load.visitor", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def visit(kind: str, host: str, *calls: dict[str, Any], **settings: object) -> dict[str, Any]:
            order = {
                "kind": kind,
                "host": host,
                "settings": {"network_timeout": 5.0, **settings},
                "calls": calls,
            }
            process.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]  # it is a pipe
            process.stdin.flush()  # type: ignore[union-attr]
            found: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return found

        try:
            yield visit
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    """As Locust comes."""
    with visitor() as visit:
        yield visit


@pytest.fixture(scope="module")
def visit_with_savings() -> Iterator[Visit]:
    """With what rehearse leaves out of FastHttpUser."""
    with visitor("savings") as visit:
        yield visit


def get(url: str = "/look", **options: object) -> dict[str, Any]:
    return {"do": "get", "url": url, **options}


def post(url: str = "/order", **options: object) -> dict[str, Any]:
    return {"do": "post", "url": url, **options}


REDIRECT = answer(b"", "302 Found", "Location: /there?a=b")
SAME = {
    "a plain answer": ([[HELLO]], [get()]),
    "many on one connection": ([[HELLO] * 3], [get(), get(), get("/other?x=1#part", name="other")]),
    "no content": ([[b"HTTP/1.1 204 No Content\r\n\r\n", HELLO]], [get(), get()]),
    "not modified": ([[b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n']], [get()]),
    "not found": ([[answer(b"no", "404 Not Found")] * 2], [get(), {**get(), "catch_response": True}]),
    "server error": ([[answer(b"{}", "500 Internal Server Error")]], [get()]),
    "a head": (
        [[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HELLO]],
        [{"do": "head", "url": "/"}, get()],
    ),
    "options": ([[answer(b"", "200 OK", "Allow: GET")]], [{"do": "options", "url": "/"}]),
    "delete": ([[answer()]], [{"do": "delete", "url": "/order/17"}]),
    "chunked": ([[chunked(b"hel", b"lo"), HELLO]], [get(), get()]),
    "gzip": ([[answer(gzip.compress(b"hello"), "200 OK", "Content-Encoding: gzip")]], [get()]),
    "deflate": ([[answer(zlib.compress(b"hello"), "200 OK", "Content-Encoding: deflate")]], [get()]),
    "brotli": ([[answer(brotli.compress(b"hello"), "200 OK", "content-encoding: BR")]], [get()]),
    "gzip in chunks": ([[chunked(gzip.compress(b"hello"), fields="Content-Encoding: gzip\r\n")]], [get()]),
    "continue first": ([[b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, HELLO]], [post(data="x"), get()]),
    "early hints": ([[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO]], [get()]),
    "until it closes": ([[b"HTTP/1.1 200 OK\r\n\r\nhello", Act.CLOSE_AT_ONCE], [HELLO]], [get(), get()]),
    "connection: close": ([[answer(b"x", "200 OK", "Connection: close")], [HELLO]], [get(), get()]),
    "http 1.0": ([[b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], [HELLO]], [get(), get()]),
    "odd header fields": (
        [[answer(b"", "200 OK", "X-Empty:", "X-Tab:\tvalue", "X-Twice: 1", "x-twice: 2")]],
        [get()],
    ),
    "latin text": ([[answer("é".encode("latin-1"), "200 OK", "Content-Type: text/html")]], [get()]),
    "a redirect": ([[REDIRECT, HELLO]], [get()]),
    "a redirect not followed": ([[REDIRECT]], [get(allow_redirects=False)]),
    "a post becomes a get": ([[REDIRECT, HELLO]], [post(data={"a": "b"})]),
    "a post stays one": ([[answer(b"", "307 Moved", "Location: there"), HELLO]], [post(json={"a": 1})]),
    "a form": ([[HELLO]], [post(data={"a": "b c", "ä": "&"})]),
    "json": ([[HELLO]], [post(json={"a": [1, None]})]),
    "text": ([[HELLO]], [post(data="späße")]),
    "nothing to send": (
        [[HELLO] * 3],
        [post(), {"do": "put", "url": "/"}, {"do": "patch", "url": "/", "data": "x"}],
    ),
    "a content type of its own": ([[HELLO]], [post(data="<a/>", headers={"content-type": "text/xml"})]),
    "header fields": ([[HELLO]], [get(headers={"X-Mine": "1", "Accept": "a/b"})]),
    "a path to be quoted": ([[HELLO]], [get("/späße/a b?q=ü%20x", name="fun")]),
    "credentials": ([[HELLO]], [get(auth=["me", "secret"])]),
    "a name": ([[HELLO] * 2], [get(name="/look/[id]"), get(name="x", context={"a": 1})]),
    "cookies": (
        [[answer(b"", "200 OK", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/other"), HELLO, HELLO]],
        [get(), get(), get("/other/x")],
    ),
    "a cookie on a redirect": (
        [[answer(b"", "302 Found", "Location: /there", "Set-Cookie: a=1"), HELLO]],
        [get()],
    ),
    "declared a success": (
        [[answer(b"", "404 Not Found")]],
        [get(catch_response=True, verdict="success")],
    ),
    "declared a failure": ([[HELLO]], [get(catch_response=True, verdict="no order in it")]),
    "a failing block": ([[HELLO]], [get(catch_response=True, raising="ResponseError")]),
    "a block that is interrupted": ([[HELLO]], [get(catch_response=True, raising="InterruptTaskSet")]),
    "success without catch_response": ([[HELLO]], [get(verdict="success")]),
}


@pytest.mark.parametrize(("scripts", "calls"), SAME.values(), ids=SAME)
def test_lean_and_fast_send_the_same_and_see_the_same(
    visit: Visit, scripts: list[Script], calls: list[dict[str, Any]]
) -> None:
    assert played(visit, "lean", scripts, calls) == played(visit, "fast", scripts, calls)


@pytest.mark.parametrize(("scripts", "calls"), SAME.values(), ids=SAME)
def test_what_is_left_out_of_fast_http_user_changes_nothing(
    visit: Visit, visit_with_savings: Visit, scripts: list[Script], calls: list[dict[str, Any]]
) -> None:
    without = played(visit, "fast", scripts, calls)
    assert played(visit_with_savings, "fast", scripts, calls) == without


@pytest.mark.parametrize("options", [(), ("savings",)], ids=["without", "with savings"])
def test_a_scenario_that_closes_its_connections_gets_a_new_one(options: tuple[str, ...]) -> None:
    with visitor(*options) as visit, playing([HELLO] * 2, [HELLO] * 2) as stage:
        visit("fast", stage.url, get(), get(), {"do": "close", "url": ""}, get())
        assert (stage.connections, len(stage.requests)) == (2, 3)


def test_parameters_become_the_query(visit: Visit) -> None:
    with playing([HELLO]) as stage:
        found = visit("lean", stage.url, get("/look?a=1", params={"b": "x y", "c": ["1", "2"]}))
        assert stage.requests[0].startswith(b"GET /look?a=1&b=x+y&c=1&c=2 HTTP/1.1\r\n")
        assert found["events"][0]["name"] == "/look"


def played(visit: Visit, kind: str, scripts: list[Script], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What the user saw, what a listener was told, and what the server got, the port apart."""
    with playing(*scripts) as stage:
        found = visit(kind, stage.url, *calls, default_headers={"User-Agent": "test"})
        received = [normal(request) for request in stage.requests]
        text = json.dumps({**found, "received": received, "connections": stage.connections}, sort_keys=True)
        shown: dict[str, Any] = json.loads(text.replace(str(stage.port), "PORT"))
        return shown


def normal(request: bytes) -> str:
    """A request with its header lines in order, whatever their order and their case were."""
    head, _, body = request.decode("latin-1").partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    lower = sorted(f"{name.lower()}:{value}" for name, _, value in (field.partition(":") for field in fields))
    return "\n".join([line, *lower, "", body])
