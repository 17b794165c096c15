"""Declared checks as pytest sees them: collected from TOML files, with fixtures, each told as one sentence."""

from __future__ import annotations

import textwrap

import pytest

from tests.servers import serving

pytest_plugins = ["pytester"]

# What `rehearse` itself gives to checks, in the smallest way.
CONFTEST = """
import httpx, pytest
from rehearse.allowlist import AllowList
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.declared import DeclaredFile
from rehearse.databases import engine_to, read_database_url, way_to
from rehearse.model import Side

class Access:
    def __init__(self, url):
        self.asked = CheckedSide(Side.CANDIDATE, "candidate", url)
        self.context = CheckContext(None, self.asked, ("127.0.0.1",), (), False, 1.0)
        self.refusals = []

    def side(self, name):
        return self.asked

def pytest_configure(config):
    config.addinivalue_line("markers", "breakage(id): what broke")

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".toml":
        return DeclaredFile.from_parent(parent, path=file_path)

@pytest.fixture(scope="module", autouse=True)
def of_the_module(request):
    assert request.module.__name__

@pytest.fixture(scope="session")
def rehearse_access():
    access = Access(URL)
    yield access
    print("refusals:", access.refusals)

@pytest.fixture
def candidate(rehearse_access):
    with httpx.Client(base_url=rehearse_access.asked.url, trust_env=False) as client:
        yield client

@pytest.fixture
def database():
    way = way_to(read_database_url(f"sqlite:///{DATABASE}"), AllowList(()))
    return {"candidate": engine_to(way, 5.0, side_effects=False)}
"""

WITHOUT = [word for plugin in ("locust", "cacheprovider") for word in ("-p", f"no:{plugin}")]


def write(pytester: pytest.Pytester, url: str, **texts: str) -> None:
    """A project whose fixtures are bound to `url`, with these files of declared checks."""
    pytester.makeconftest(f"URL, DATABASE = {url!r}, {str(pytester.path / 'shop.db')!r}\n{CONFTEST}")
    (pytester.path / "shop.db").touch()
    pytester.mkdir("checks")
    for name, text in texts.items():
        (pytester.path / "checks" / f"{name}.toml").write_text(textwrap.dedent(text))


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    """In a process of its own: inside ours, httpx would be imported twice."""
    return pytester.runpytest_subprocess(*WITHOUT, "--strict-markers", "-W", "error", "-s")


EVERY_KIND = """
    [[check]]
    id = "http-1"
    story = "The version was missing."
    [check.http]
    path = "/version"
    expect.json."$.version" = "1.0"

    [[check]]
    id = "tcp-1"
    story = "Nothing listened."
    [check.tcp]
    expect.connects = true

    [[check]]
    id = "sql-1"
    story = "A table was empty."
    [check.sql]
    query = "select count(*) from sqlite_master"
    expect.scalar = 0

    [[check]]
    id = "command-1"
    story = "A tool was missing."
    [check.command]
    argv = ["true"]
    expect.exit_code = 0

    [[check]]
    id = "file-1"
    story = "A file was missing."
    [check.file]
    path = "checks/passing.toml"
    expect.contains = "file-1"
"""


def test_every_kind_of_probe_reaches_the_side_under_test(pytester: pytest.Pytester) -> None:
    with serving() as site:
        write(pytester, site.url, passing=EVERY_KIND)
        run(pytester).assert_outcomes(passed=5)
    assert site.requests == ["GET /version"]
    assert site.connections == 2


FAILING = """
    [[check]]
    id = "http-1"
    story = "The version was missing."
    [check.http]
    path = "/version"
    expect.body.contains = "1.0"

    [[check]]
    id = "long-1"
    story = "Much was missing."
    [check.http]
    path = "/long"
    expect.status = 503
    expect.body.contains = [LONG]

    [[check]]
    id = "tcp-1"
    story = "Nothing listened."
    [check.tcp]
    host = "127.0.0.2"
    port = 25
    expect.connects = true

    [[check]]
    id = "tls-1"
    story = "Nothing listened."
    [check.tls]
    host = "127.0.0.3"
    expect.verifies = true

    [[check]]
    id = "command-1"
    story = "A tool was slow."
    [check.command]
    argv = ["sleep", "60"]
    timeout = "60s"
    expect.exit_code = 0
""".replace("LONG", ", ".join(f'"{letter * 300}"' for letter in "abcdefghij"))


def test_a_failure_is_one_sentence_and_a_refusal_is_kept_apart(pytester: pytest.Pytester) -> None:
    """What was refused says nothing of the side under test, and a command ends before its check is ended."""
    with serving(status=503) as site:
        write(pytester, site.url, failing=FAILING)
        result = run(pytester)
    result.assert_outcomes(failed=5)
    refused = "refused: 127.0.0.?:* is not on the allow-list.*"
    result.stdout.fnmatch_lines(
        [
            f"*refusals: ?'{refused}', '{refused}",
            "GET /version: expected status below 400, found 503",
            "GET /long: body: expected 'aaa*...",
            "command sleep: did not end within 0.8 s",
        ]
    )
    assert all(len(line) <= 700 for line in result.outlines if line.startswith("GET /long"))


def test_a_mistake_is_an_error_of_collection_with_a_single_message(pytester: pytest.Pytester) -> None:
    """A file without checks is one too: nothing would ever be asked."""
    text = '[[check]]\nid = "a"\nstory = "b"\n[check.htpp]\npath = "/"\n'
    write(pytester, "http://127.0.0.1:1", mistyped=text, empty="")
    result = run(pytester)
    result.assert_outcomes(errors=2)
    result.stdout.no_fnmatch_line("*passed*")
    result.stdout.fnmatch_lines_random(
        [
            "checks/mistyped.toml: check[[]0].htpp: is an unknown key. Did you mean 'http'?",
            "checks/empty.toml: check: is missing (list of tables).*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_item_carries_the_breakage_and_its_place(pytester: pytest.Pytester) -> None:
    text = """
        [[check]]
        id = "INC-231"
        story = "Totals came as text."
        broke_on = 2026-03-02
        severity = "warn"
        [check.file]
        path = "x"
        expect.exists = true
    """
    write(pytester, "http://127.0.0.1:1", totals=text)
    ((item,), _) = pytester.inline_genitems(*WITHOUT)
    assert item.nodeid == "checks/totals.toml::INC-231"
    assert item.location[:2] == ("checks/totals.toml", 1)
    (marker,) = item.iter_markers("breakage")
    assert marker.kwargs == {
        "id": "INC-231",
        "story": "Totals came as text.",
        "broke_on": "2026-03-02",
        "severity": "warn",
    }
