"""A HAR becomes journeys; what is left out is counted, and nothing secret is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearse.errors import ConfigError
from rehearse.replay.har import read_har
from rehearse.replay.locustfile import locust_file
from rehearse.replay.recording import Recording

SHOP = "https://shop.example"


def entry(
    url: str, page: str = "page_1", second: int = 0, method: str = "GET", **more: Any
) -> dict[str, Any]:
    request = {"method": method, "url": url, "headers": more.pop("headers", [])}
    if "posted" in more:
        kind, text = more.pop("posted")
        request["postData"] = {"mimeType": kind, "text": text}
    response = {"status": more.pop("status", 200), "redirectURL": more.pop("redirect", "")}
    started = f"2026-11-21T10:00:{second:02}.500Z"
    return {"pageref": page, "startedDateTime": started, "request": request, "response": response, **more}


def har(*entries: dict[str, Any], pages: int = 2) -> bytes:
    listed = [{"id": f"page_{number}"} for number in range(1, pages + 1)]
    return json.dumps({"log": {"version": "1.2", "pages": listed, "entries": entries}}).encode()


def read(*entries: dict[str, Any], **options: Any) -> Recording:
    return read_har(har(*entries), "shop.har", **options)


def shape(recording: Recording) -> list[list[str]]:
    return [
        [f"{step.method} {next(iter(step.paths))}" for step in journey.steps]
        for journey in recording.journeys
    ]


def test_each_page_is_a_journey_in_the_order_of_its_requests() -> None:
    recording = read(
        entry(f"{SHOP}/products/17", second=3, page="page_2"),
        entry(f"{SHOP}/app.js", second=1),
        entry(f"{SHOP}/", second=0),
    )
    assert shape(recording) == [["GET /", "GET /app.js"], ["GET /products/17"]]
    assert [journey.title for journey in recording.journeys] == ["page 1 /", "page 2 /products/[id]"]
    assert recording.base_url == SHOP
    assert recording.arrivals_s == (0.0, 3.0)


def test_pages_that_do_the_same_are_one_journey_of_more_weight() -> None:
    recording = read(entry(f"{SHOP}/"), entry(f"{SHOP}/", page="page_2", second=9))
    assert [(journey.title, journey.weight) for journey in recording.journeys] == [("page 1 /", 2)]


def test_what_is_left_out_is_counted_with_the_reason() -> None:
    recording = read(
        entry(f"{SHOP}/"),
        entry("https://cdn.example/x.js"),
        entry("https://shop.example:8443/other-port"),
        entry("http://shop.example/other-scheme"),
        entry(f"{SHOP}/orders", method="POST", posted=("application/json", "{}")),
        entry("data:image/png;base64,AAAA"),
        entry(f"{SHOP}/gone", status=404),
        entry(f"{SHOP}/aborted", status=0),
        entry(f"{SHOP}/cached.css", _fromCache="disk"),
        entry("https://[broken"),
        entry(f"{SHOP}/old", status=302, redirect="/new", second=1),
        entry(f"{SHOP}/new", second=2),
        entry(f"{SHOP}/new", second=3),
    )
    assert shape(recording) == [["GET /", "GET /old", "GET /new"]]
    assert recording.left_out == {
        "requests to other hosts": 3,
        "POST (--side-effects keeps them)": 1,
        "data: URLs": 1,
        "requests that failed in the recording": 1,
        "requests without an answer": 1,
        "answers from the browser's cache": 1,
        "broken entries": 1,
        "redirects, which Locust follows by itself": 1,
    }


def test_what_changes_something_is_kept_on_request_with_its_body() -> None:
    recording = read(
        entry(f"{SHOP}/orders", method="POST", posted=("application/json", '{"n": 1, "card_token": "t"}')),
        entry(
            f"{SHOP}/login", method="POST", posted=("application/x-www-form-urlencoded", "user=a&password=b")
        ),
        entry(f"{SHOP}/photo", method="POST", posted=("multipart/form-data; boundary=x", "--x")),
        side_effects=True,
    )
    bodies = [step.body for journey in recording.journeys for step in journey.steps]
    assert [body and (body.json, body.text) for body in bodies] == [
        ({"n": 1, "card_token": "SCRUBBED"}, None),
        (None, "user=a&password=SCRUBBED"),
    ]
    assert recording.left_out == {"bodies of multipart/form-data": 1}


def test_another_host_can_be_chosen() -> None:
    entries = (entry("https://www.example/"), entry(f"{SHOP}/api"), entry("http://127.0.0.1:8101/x"))
    assert shape(read(*entries, host="SHOP.example")) == [["GET /api"]]
    assert shape(read(*entries, host="127.0.0.1:8101")) == [["GET /x"]]
    with pytest.raises(ConfigError, match=r"no request to 'other\.example'"):
        read(*entries, host="other.example")


def test_canaries_are_in_no_written_file() -> None:
    canary = "canary-7f3a9Q"
    recording = read(
        entry(
            f"https://ann:{canary}@shop.example/x?access_token={canary}",
            method="POST",
            headers=[{"name": name, "value": canary} for name in ("Authorization", "cookie", "X-Api-Key")],
            posted=("application/json", json.dumps({"password": canary})),
        ),
        side_effects=True,
    )
    text = locust_file(recording, "rehearse")
    assert canary not in text
    assert recording.scrubbed == {
        "user and password of a URL": 1,
        "query access_token": 1,
        "header authorization": 1,
        "header cookie": 1,
        "header x-api-key": 1,
        "body password": 1,
    }
    assert "The recorded Authorization or Cookie is not in here" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a HAR"),
        (b"[]", "is not a HAR with requests"),
        (b'{"log": {"entries": []}}', "is not a HAR with requests"),
        (b'{"log": 5}', "is not a HAR with requests"),
        (b'{"log": {"entries": [5, null]}}', "has no request to http or https"),
        (har(entry("data:x")), "has no request to http"),
        (har(entry(f"{SHOP}/x", method="POST")), "no request is left to replay"),
    ],
)
def test_what_is_no_har_is_refused_in_one_sentence(content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_har(content, "shop.har")


def test_a_har_with_a_byte_order_mark_is_read() -> None:
    assert read_har(b"\xef\xbb\xbf" + har(entry(f"{SHOP}/")), "shop.har").requests == 1
