"""Prometheus answers in many ways; only whole, plain, fresh numbers become points."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.errors import ConfigError, NotReady, TargetRefused
from rehearse.metrics.promql import Found, Prometheus, Window

WINDOW = Window(begin_s=1000.0, length_s=10.0, step_s=1.0)
ALL = range(11)
Reply = Callable[[httpx.Request], httpx.Response]


def matrix(*series: list[tuple[float, str]], **more: object) -> httpx.Response:
    rows = [{"metric": {}, "values": [list(point) for point in values]} for values in series]
    return httpx.Response(
        200, json={"status": "success", "data": {"resultType": "matrix", "result": rows}, **more}
    )


def numbers(values: object = ALL, value: str = "5") -> list[tuple[float, str]]:
    return [(1000.0 + at, value) for at in values]  # type: ignore[attr-defined]


def fresh() -> list[tuple[float, str]]:
    return [(1000.0 + at, str(999.7 + at)) for at in ALL]


def asked(reply: Reply, seen_at: Reply = lambda _: matrix(fresh())) -> Found:
    def answer(request: httpx.Request) -> httpx.Response:
        is_about_moments = request.url.params["query"].startswith("timestamp(")
        return seen_at(request) if is_about_moments else reply(request)

    return prometheus(answer).series("up", WINDOW)


def prometheus(answer: Reply, allow: str = "127.0.0.1") -> Prometheus:
    return Prometheus("http://127.0.0.1:9090", {}, AllowList((allow,)), transport=httpx.MockTransport(answer))


def refusing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused", request=request)


def test_points_are_told_since_the_window_began() -> None:
    found = asked(lambda _: matrix(numbers()))
    assert found == Found(tuple((float(at), 5.0) for at in ALL))


def test_the_window_and_nothing_else_is_asked_for() -> None:
    questions: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        questions.append(dict(request.url.params))
        return matrix(numbers())

    prometheus(answer).series("up", Window(1000.0, 9.9, 2.0))
    assert questions[0] == {"query": "up", "start": "1000.000", "end": "1008.000", "step": "2"}


TROUBLES: dict[str, tuple[Reply, str]] = {
    "empty": (lambda _: matrix(), "found no series"),
    "two series": (lambda _: matrix(numbers(), numbers()), "found 2 series"),
    "NaN": (lambda _: matrix([*numbers(range(10)), (1010.0, "NaN")]), "not numbers"),
    "infinite": (lambda _: matrix(numbers(value="+Inf")), "not numbers"),
    "a word": (lambda _: matrix(numbers(value="abc")), "a value that is not a number"),
    "no moment": (lambda _: matrix([("NaN", "5")]), "not answer with a range"),  # type: ignore[list-item]
    "partial": (lambda _: matrix(numbers(), warnings=["one store is down"]), "one store is down"),
    "nobody there": (refusing, "does not answer: Connection refused"),
    "an error page": (
        lambda _: httpx.Response(502, text="<html>bad gateway"),
        "does not answer as Prometheus does",
    ),
    "busy": (
        lambda _: httpx.Response(503, json={"status": "error", "error": "too many queries"}),
        "status 503: too many queries",
    ),
    "a redirect": (
        lambda _: httpx.Response(302, headers={"Location": "http://elsewhere.example"}),
        "does not answer",
    ),
    "another shape": (
        lambda _: httpx.Response(200, json={"status": "success", "data": {"result": [7]}}),
        "not answer with a range",
    ),
}


@pytest.mark.parametrize("what", TROUBLES)
def test_what_is_no_series_is_named(what: str) -> None:
    reply, words = TROUBLES[what]
    found = asked(reply)
    assert found.points == ()
    assert words in found.trouble


def test_a_sample_that_stands_in_for_later_ones_counts_once() -> None:
    """For up to five minutes Prometheus repeats the last sample of a series that has stopped."""
    stopped = [(1000.0 + at, str(min(999.7 + at, 1003.7))) for at in ALL]
    found = asked(lambda _: matrix(numbers()), lambda _: matrix(stopped))
    assert [at for at, _ in found.points] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_moments_that_are_no_numbers_are_named_too() -> None:
    found = asked(lambda _: matrix(numbers()), lambda _: matrix(numbers(value="abc")))
    assert found.points == ()
    assert "a value that is not a number" in found.trouble


def test_values_without_moments_of_their_own_are_kept() -> None:
    refused = httpx.Response(400, json={"status": "error", "error": "expected type instant vector"})
    assert len(asked(lambda _: matrix(numbers()), lambda _: refused).points) == len(ALL)


def test_a_query_that_is_not_understood_is_a_mistake_of_the_configuration() -> None:
    source = prometheus(lambda _: httpx.Response(400, json={"status": "error", "error": "parse error"}))
    with pytest.raises(ConfigError, match=r"refuses 'up\{': parse error"):
        source.check("up{")


def test_its_clock_is_compared_with_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehearse.metrics.promql.time", lambda: 1000.0)
    data = {"status": "success", "data": {"resultType": "scalar", "result": [1, "1003.5"]}}
    assert prometheus(lambda _: httpx.Response(200, json=data)).clock_ahead_s() == 3.5


@pytest.mark.parametrize("result", [[], [1, "NaN"], [1, "noon"]])
def test_a_clock_that_is_not_told_is_not_guessed(result: list[object]) -> None:
    data = {"status": "success", "data": {"resultType": "scalar", "result": result}}
    with pytest.raises(NotReady, match="does not tell its time"):
        prometheus(lambda _: httpx.Response(200, json=data)).clock_ahead_s()


def test_a_host_that_is_not_listed_is_not_asked() -> None:
    with pytest.raises(TargetRefused):
        prometheus(lambda _: matrix(), allow="10.0.0.1").check("up")
