"""Access logs, common and combined, broken lines included."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.errors import ConfigError
from rehearse.load.schedule import read_recorded
from rehearse.replay.access_log import LogLine, read_access_log, read_line
from rehearse.replay.locustfile import arrivals_file
from rehearse.replay.recording import Recording

AT = "21/Nov/2026:10:00:00 +0000"


def line(path: str = "/", second: int = 0, method: str = "GET", status: int = 200) -> str:
    at = AT.replace(":00 +", f":{second:02} +")
    request = f'203.0.113.9 - ann [{at}] "{method} {path} HTTP/1.1" {status} 512'
    return f'{request} "https://shop.example/" "Firefox/1 (\\"x\\")"\n'


def read(*lines: str, **options: bool) -> Recording:
    return read_access_log(lines, "access.log", **options)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f'127.0.0.1 - - [{AT}] "GET /a?b=c HTTP/1.0" 200 2326', "/a?b=c"),
        (f'127.0.0.1 - - [{AT}] "GET /a HTTP/1.1" 200 - "-" "curl/8.0"\r\n', "/a"),
        (f'::1 - frank miller [{AT}] "GET /a HTTP/2.0" 304 0 "-" "x" 0.004 extra', "/a"),
        (f'h - - [{AT}] "GET /a%22b HTTP/1.1" 200 1', "/a%22b"),
        (f'h - - [{AT}] "GET /old" 200 1', "/old"),
    ],
    ids=["common", "combined", "more fields", "escaped", "HTTP/0.9"],
)
def test_a_line_is_read(text: str, path: str) -> None:
    found = read_line(text)
    assert found is not None
    assert (found.method, found.path, found.at) == ("GET", path, datetime(2026, 11, 21, 10, tzinfo=UTC))


def test_a_zone_is_taken_into_account() -> None:
    assert read_line('h - - [21/Nov/2026:10:00:00 +0530] "GET / HTTP/1.1" 200 1') == LogLine(
        datetime(2026, 11, 21, 4, 30, tzinfo=UTC), "GET", "/", 200
    )
    late = read_line('h - - [21/Nov/2026:10:00:00 -0730] "GET / HTTP/1.1" 200 1')
    assert late is not None
    assert late.at == datetime(2026, 11, 21, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no log at all",
        f'h - - [{AT}] "-" 400 0',
        f'h - - [{AT}] "\\x16\\x03\\x01" 400 0',
        f'h - - [{AT}] "GET /\\x00 HTTP/1.1" 200 0',
        f'h - - [{AT}] "GET / HTTP/1.1" 200',
        'h - - [30/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1',
        'h - - [21/Nox/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1',
        'h - - [01/Jan/0001:00:00:00 +1400] "GET / HTTP/1.1" 200 1',
        f'h - - [{AT}] "GET /{"x" * 20_000} HTTP/1.1" 200 1',
    ],
)
def test_a_broken_line_is_none(text: str) -> None:
    assert read_line(text) is None


@given(st.text())
def test_no_line_can_break_the_reader(text: str) -> None:
    read_line(text)
    read_line(f'h - - [{AT}] "{text}" 200 1')


def test_routes_come_by_how_often_they_were_asked_for() -> None:
    recording = read(
        *[line(f"/products/{number % 3}") for number in range(6)],
        *[line("/search?q=tea&token=abc") for _ in range(2)],
        line("/health", method="HEAD"),
    )
    assert [(journey.title, journey.weight) for journey in recording.journeys] == [
        ("GET /products/[id]", 6),
        ("GET /search", 2),
        ("HEAD /health", 1),
    ]
    assert recording.journeys[0].steps[0].paths == {"/products/0": 2, "/products/1": 2, "/products/2": 2}
    assert recording.journeys[1].steps[0].paths == {"/search?q=tea&token=SCRUBBED": 2}


def test_what_is_left_out_is_counted_with_the_reason() -> None:
    recording = read(
        line(),
        "broken\n",
        "\n",
        line("/orders", method="POST"),
        line("/wp-login.php", status=404),
        line("http://other.example/"),
        line("*", method="OPTIONS"),
    )
    assert recording.left_out == {
        "broken lines": 1,
        "POST (--side-effects keeps them)": 1,
        "requests that failed in the recording": 1,
        "requests for another host, or for no path": 2,
    }
    assert recording.requests == 1


def test_what_changes_something_is_kept_on_request_and_said_to_have_no_body() -> None:
    recording = read(line("/orders", method="POST"), side_effects=True)
    assert [journey.title for journey in recording.journeys] == ["POST /orders"]
    assert "bodies" in recording.notes[0]


def test_the_arrival_times_are_those_of_the_log_spread_within_each_second() -> None:
    recording = read(line(second=5), line(second=3), line(second=5), line("/x", second=5, status=500))
    assert recording.arrivals_s == (0.0, 2.0, 2.5)
    assert read_recorded(arrivals_file(recording, "rehearse"), "x.arrivals") == recording.arrivals_s
    assert read(line(second=5), line(second=5)).arrivals_s == ()


def test_much_is_bounded_and_the_rest_counted() -> None:
    recording = read(*[line(f"/route-{chr(97 + n // 26)}{chr(97 + n % 26)}/{n}") for n in range(150)])
    assert len(recording.journeys) == 100
    assert recording.left_out == {"requests to rare routes": 50}
    many = read(*[line(f"/p/{number}") for number in range(100)])
    assert (many.requests, many.journeys[0].weight) == (40, 100)
    assert "40 most frequent" in many.notes[0]


def test_a_log_without_a_request_is_refused_with_what_was_in_it() -> None:
    with pytest.raises(ConfigError, match="2 × broken lines"):
        read("x\n", "y\n")
    with pytest.raises(ConfigError, match="it is empty"):
        read()
