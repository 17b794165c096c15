"""What is learnt from the baseline is a file that is valid, passes now, holds no secret, and fails on the change."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from rehearse.allowlist import AllowList
from rehearse.checks.context import CheckedSide
from rehearse.checks.declaration import DeclaredCheck
from rehearse.checks.learn import Learnt, learn_file, learn_http, learn_sql, learn_tls, written
from rehearse.checks.probes.http import HttpProbe
from rehearse.checks.probes.reach import Place
from rehearse.checks.probes.sql import SqlProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.cli import app
from rehearse.databases import engine_to, read_database_url, way_to
from rehearse.errors import ConfigError, NotReady
from rehearse.learning import path_on
from rehearse.model import Side
from rehearse.tls import TlsOrder
from tests.checks.certificates import certificate
from tests.checks.declaring import read
from tests.servers import serving

CANARY = "canary-4711"


def never(_: str) -> bool:
    return False


def no_pause() -> None:
    """Nobody waits in a test."""


def parsed(folder: Path, *checks: Learnt) -> tuple[DeclaredCheck, ...]:
    return read(folder, written(checks, "rehearse check learn /x", "2026-11-21"))


class Answers:
    """An HTTP client whose answers are made one after the other."""

    def __init__(self, make: Callable[[int], httpx.Response]) -> None:
        numbers = itertools.count()
        transport = httpx.MockTransport(lambda _: make(next(numbers)))
        self.client = httpx.Client(base_url="http://127.0.0.1", transport=transport)


def order(number: int) -> httpx.Response:
    body = {
        "id": 7,
        "total": 10.5,
        "paid": True,
        "note": None,
        "name": "two\nlines",
        "path": "${HOME}",
        "a.b": {"c": "x"},
        "token": CANARY,
        "at": f"2026-11-21T00:00:0{number}Z",
        "lines": [{"price": 1}, {"price": 2.5, "gift": True}],
        "empty": [],
        **({"only-first": 1} if number == 0 else {}),
    }
    headers = {
        "cache-control": "no-store",
        "etag": str(number),
        "vary": f"x-{number}",
        "set-cookie": f"s={CANARY}",
    }
    return httpx.Response(200, json=body, headers=headers)


def test_what_is_steady_is_learnt_as_it_is_and_the_rest_by_type(tmp_path: Path) -> None:
    learnt = learn_http("/orders/7?full=1", Answers(order).client, never, no_pause)
    assert learnt.expect == {
        "status": 200,
        "content_type": "application/json",
        "headers.cache-control": "no-store",
        "headers.vary": {"present": True},
        'json."$"': {"type": "object"},
        'json."$.id"': 7,
        'json."$.total"': {"type": "number"},
        'json."$.paid"': True,
        'json."$.note"': {"type": "null"},
        'json."$.name"': {"type": "string"},
        'json."$.path"': "${HOME}",
        'json."$[\\"a.b\\"]"': {"type": "object"},
        'json."$[\\"a.b\\"].c"': "x",
        'json."$.token"': {"type": "string"},
        'json."$.at"': {"type": "string"},
        'json."$.lines"': {"type": "array"},
        'json."$.lines[*]"': {"type": "object"},
        'json."$.lines[*].price"': {"type": "number"},
        'json."$.lines[*].gift"': {"type": "boolean"},
        'json."$.empty"': {"type": "array"},
    }
    assert CANARY not in written([learnt], "rehearse", "2026-11-21")


def test_what_was_learnt_holds_now_and_fails_on_a_change(tmp_path: Path) -> None:
    (check,) = parsed(tmp_path, learn_http("/orders/7", Answers(order).client, never, no_pause))
    assert isinstance(check.probe, HttpProbe)
    assert list(check.probe.complaints(Answers(order).client)) == []

    def upgraded(number: int) -> httpx.Response:
        body = {**json.loads(order(number).content), "total": "10.5"}
        return httpx.Response(200, json=body, headers={"vary": "x"})

    said = list(check.probe.complaints(Answers(upgraded).client))
    assert said == [
        "header cache-control: expected 'no-store', found nothing there",
        "$.total: expected a number, found '10.5'",
    ]


def test_a_secret_of_the_configuration_is_learnt_by_its_type() -> None:
    def answer(_: int) -> httpx.Response:
        return httpx.Response(200, json={"note": f"for {CANARY}"}, headers={"location": f"/?{CANARY}"})

    learnt = learn_http("/", Answers(answer).client, lambda value: CANARY in value, no_pause)
    assert CANARY not in written([learnt], "rehearse", "2026-11-21")
    assert learnt.expect["headers.location"] == {"present": True}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([500], "answers with status 500"), ([200, 404, 200], "answers with different statuses: 200, 404")],
)
def test_nothing_is_learnt_from_what_is_broken_or_unsteady(statuses: list[int], expected: str) -> None:
    answers = Answers(lambda number: httpx.Response(statuses[number]))
    with pytest.raises(NotReady, match=expected):
        learn_http("/", answers.client, never, no_pause)


def test_very_many_paths_are_cut_and_the_file_says_so(tmp_path: Path) -> None:
    answers = Answers(lambda _: httpx.Response(200, json={f"k{number}": number for number in range(500)}))
    learnt = learn_http("/", answers.client, never, no_pause)
    (check,) = parsed(tmp_path, learnt)
    assert check.http is not None
    assert len(check.http.expect.json_) == 60
    assert learnt.notes == ["501 paths were found; these are the first 60."]


def test_a_query_is_learnt_and_asked_again(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript("create table t (a, b); insert into t values (1, 'x'), (2.5, 'y');")
    way = way_to(read_database_url(f"sqlite:///{tmp_path / 'shop.db'}"), AllowList(()))
    engine = engine_to(way, 5.0, side_effects=False)
    queries = ["select count(*) as n from t", "select sum(a) from t", "select a, b from t where b like '%'"]
    learnt = [learn_sql(query, engine, never, no_pause) for query in queries]
    assert [check.expect for check in learnt] == [
        {"columns": ["n"], "scalar": 2},
        {"columns": ["sum(a)"], "scalar": {"type": "number"}},
        {"columns": ["a", "b"], "rows": 2},
    ]
    for check in parsed(tmp_path, *learnt):
        assert isinstance(check.probe, SqlProbe)
        assert list(check.probe.complaints(engine)) == []
    for query, expected in (("select nothing", "is not answered"), ("begin", "answers no rows at all")):
        with pytest.raises(NotReady, match=expected):
            learn_sql(query, engine, never, no_pause)


def test_a_certificate_is_learnt_and_asked_again(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with serving(certificate=(cert, key)) as site:
        place = Place(site.host, site.port, AllowList(("127.0.0.1",)), TlsOrder(ca=str(cert)))
        learnt = learn_tls(place, datetime.now(UTC))
        (check,) = parsed(tmp_path, learnt)
        assert isinstance(check.probe, TlsProbe)
        assert list(check.probe.complaints(place)) == []
        nearly_over = learn_tls(place, datetime.now(UTC) + timedelta(days=25))
        with pytest.raises(NotReady, match="does not show a certificate that verifies"):
            learn_tls(Place(site.host, site.port, AllowList(("127.0.0.1",))), datetime.now(UTC))
    assert learnt.expect["not_expiring_within"] == "14d"
    assert "not_expiring_within" not in nearly_over.expect


def test_a_file_is_learnt_and_asked_again(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (check,) = parsed(tmp_path, learn_file("a.json", tmp_path))
    assert check.file is not None
    side = CheckedSide(Side.BASELINE, "baseline", "http://127.0.0.1")
    assert list(check.file.complaints(side, tmp_path)) == []
    with pytest.raises(ConfigError, match="cannot be read"):
        learn_file("gone", tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/orders?a=1#top", "/orders?a=1"),
        ("https://shop.example/app/orders", "/orders"),
        ("https://shop.example/app", "/"),
        ("https://shop.example/app?a=1", "/?a=1"),
    ],
)
def test_a_url_below_the_target_is_a_path_on_it(url: str, expected: str) -> None:
    side = CheckedSide(Side.BASELINE, "baseline", "https://shop.example/app")
    assert path_on(side, url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/application",
        "https://other.example/app",
        "//other.example/",
        "orders",
        "https://u@x/",
    ],
)
def test_a_url_elsewhere_is_refused(url: str) -> None:
    side = CheckedSide(Side.BASELINE, "baseline", "https://shop.example/app")
    with pytest.raises(ConfigError):
        path_on(side, url)


PROJECT = """
[targets.baseline]
url = "{url}"
[targets.baseline.headers]
authorization = "Bearer {canary}"
[targets.candidate]
url = "http://127.0.0.1:1"
[safety]
allow = ["127.0.0.1"]
[load]
rate = 5
[[scenarios]]
name = "shop"
file = "shop.py"
"""


def test_the_command_writes_a_new_file_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rehearse.learning.PAUSE_S", 0.0)
    (tmp_path / "shop.py").touch()
    with serving(headers={"x-frame-options": "DENY", "content-type": "application/json"}) as site:
        site.headers["content-security-policy"] = f"default-src {site.url}"  # of this side alone
        (tmp_path / "rehearse.toml").write_text(PROJECT.format(url=site.url, canary=CANARY))
        first = CliRunner().invoke(app, ["check", "learn", "/version"])
        again = CliRunner().invoke(app, ["check", "learn", "/version"])
    assert first.exit_code == 0, first.output
    (file,) = (tmp_path / "checks").iterdir()
    assert first.output.strip() == str(file.relative_to(tmp_path)) or first.output.strip() == str(file)
    assert file.name == "learnt-get-version.toml"
    assert 'expect.headers.x-frame-options = "DENY"' in file.read_text()
    assert "expect.headers.content-security-policy = { present = true }" in file.read_text()
    assert CANARY not in file.read_text()
    assert again.exit_code == 2
    assert site.requests.count("GET /version") == 6


@pytest.mark.parametrize("words", [[], ["/x", "--file", "y"], ["/x", "--sql", "select 1"]])
def test_the_command_learns_from_one_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").touch()
    (tmp_path / "rehearse.toml").write_text(PROJECT.format(url="http://127.0.0.1:1", canary=CANARY))
    result = CliRunner().invoke(app, ["check", "learn", *words])
    assert result.exit_code == 2
    assert not (tmp_path / "checks").exists()
