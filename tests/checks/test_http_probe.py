"""An HTTP probe against real answers on loopback: each expectation can fail, and says why."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from rehearse.checks.probes.http import MAX_BODY_BYTES, HttpProbe
from tests.checks.declaring import probe
from tests.servers import Act, Step, playing, serving


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


ORDER = answer(
    b'{"id": 7, "total": "10.50", "items": [{"price": 1}, {"price": "2"}], "note": null}',
    "Content-Type: application/json; charset=utf-8",
    "Cache-Control: no-store",
)


def complaints(folder: Path, table: str, *script: Step) -> list[str]:
    asked = probe(folder, HttpProbe, table)
    with playing(script) as stage, httpx.Client(base_url=stage.url, trust_env=False) as client:
        return list(asked.complaints(client))


MET = """
path = "/orders/7"
expect.status = [200, 203]
expect.content_type = "application/json"
expect.headers.cache-control = "no-store"
expect.headers.content-type.regex = "charset=utf-8$"
expect.headers.server.absent = true
expect.body.contains = "total"
expect.body.not_contains = ["Traceback", "NaN"]
expect.json."$.id" = 7
expect.json."$.total".type = "string"
expect.json."$.items".length = 2
expect.json."$.note".type = "null"
expect.json."$.discount".absent = true
expect.json."$.items[?@.price == 1]".length = 1
expect.answered_within = "5s"
"""


def test_an_answer_that_is_as_expected_is_not_complained_of(tmp_path: Path) -> None:
    assert complaints(tmp_path, MET, ORDER) == []


@pytest.mark.parametrize(
    ("expectation", "expected"),
    [
        ("status = 204", "expected status 204, found 200"),
        ("status = [201, 204]", "expected status 201 or 204, found 200"),
        ("content_type = 'text/html'", "expected content type 'text/html', found 'application/json;"),
        ("content_type = 'application/json; charset=ascii'", "expected content type"),
        ("headers.cache-control = 'private'", "header cache-control: expected 'private', found 'no-store'"),
        ("headers.x-frame-options.present = true", "expected something there, found nothing there"),
        ("headers.cache-control.absent = true", "expected nothing there, found 'no-store'"),
        ("body.contains = 'paid'", "body: expected 'paid' in it, not found in its"),
        ("body.not_contains = 'total'", "body: expected no 'total' in it, found at character 11"),
        ("body.regex = '^\\['", "body: expected a match of"),
        ("json.'$.total'.type = 'number'", "$.total: expected a number, found '10.50'"),
        ("json.'$.items[*].price'.type = 'number'", "expected a number, found '2' in 1 of 2 places"),
        ("json.'$.missing'.present = true", "$.missing: expected something there, found nothing there"),
        ("json.'$.note' = 0", "$.note: expected 0, found null"),
    ],
)
def test_each_expectation_can_fail(tmp_path: Path, expectation: str, expected: str) -> None:
    (said,) = complaints(tmp_path, f'path = "/orders/7"\nexpect.{expectation}', ORDER)
    assert expected in said


def test_an_error_page_satisfies_no_other_expectation(tmp_path: Path) -> None:
    page = answer(b"ok", status="500 Internal Server Error")
    said = complaints(tmp_path, 'path = "/"\nexpect.body.contains = "ok"', page)
    assert said == ["expected status below 400, found 500"]


def test_a_late_answer_is_complained_of(tmp_path: Path) -> None:
    asked = probe(tmp_path, HttpProbe, 'path = "/"\nexpect.answered_within = "50ms"')
    with serving(delay_s=0.1) as site, httpx.Client(base_url=site.url, trust_env=False) as client:
        (said,) = list(asked.complaints(client))
    assert said.startswith("expected an answer within 0.05 s, took 0.1")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([Act.CLOSE], "got no answer: RemoteProtocolError"),
        ([Act.RESET], "got no answer: ReadError"),
        ([Act.SILENCE], "got no answer: ReadTimeout"),
        ([answer(b"x" * 10)[:-5], Act.CLOSE], "got no answer: "),
        ([answer(b"<html>")], "expected JSON, found 6 bytes of something else"),
        ([answer(b'{"id": NaN}')], "expected JSON, found"),
        ([answer(b"[" * 100_000)], "expected JSON, found"),
        ([answer(b"")], "expected JSON, found 0 bytes"),
        ([answer(b"\xff\xfe{}")], "expected JSON, found"),
    ],
    ids=["closed", "reset", "silence", "truncated", "not json", "nan", "too deep", "empty", "not text"],
)
def test_what_cannot_be_read_is_a_failure_told_apart(
    tmp_path: Path, script: list[Step], expected: str
) -> None:
    table = 'path = "/"\ntimeout = "300ms"\nexpect.json."$.id".present = true'
    (said,) = complaints(tmp_path, table, *script)
    assert said.startswith(expected)


def test_an_answer_without_an_end_is_given_up(tmp_path: Path) -> None:
    endless = answer(b"x" * (MAX_BODY_BYTES + 1))
    (said,) = complaints(tmp_path, 'path = "/"\nexpect.status = 200', endless)
    assert "its body is larger than 10,000,000 bytes" in said


def test_the_request_is_the_one_that_is_described(tmp_path: Path) -> None:
    request = 'method = "POST"\npath = "/a"\nquery.q = "a;b"\nheaders.x-one = "1"\njson = { n = [1] }'
    table = f"{request}\nexpect.status = 200"
    asked = probe(tmp_path, HttpProbe, table)
    script = [answer(b"")]
    with playing(script) as stage, httpx.Client(base_url=stage.url, trust_env=False) as client:
        assert list(asked.complaints(client)) == []
    (sent,) = stage.requests
    assert sent.startswith(b"POST /a?q=a%3Bb HTTP/1.1")
    assert b"x-one: 1" in sent


@pytest.mark.parametrize(("follows", "expected"), [("false", 302), ("true", 200)])
def test_redirects_are_followed_only_when_it_says_so(tmp_path: Path, follows: str, expected: int) -> None:
    moved = answer(b"", "Location: /there", status="302 Found")
    table = f'path = "/"\nfollow_redirects = {follows}\nexpect.status = {expected}'
    asked = probe(tmp_path, HttpProbe, table)
    with (
        playing([moved], [answer(b"")]) as stage,
        httpx.Client(base_url=stage.url, trust_env=False) as client,
    ):
        assert list(asked.complaints(client)) == []
