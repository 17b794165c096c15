"""Declared checks under the real runner: collected from TOML files, each told as one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.model import CheckOutcome, CheckResult, Severity
from tests.checks.breaks import Checks
from tests.servers import serving

pytest_plugins = ["pytester"]


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


def write(checks: Checks, name: str, text: str) -> None:
    checks.write(f"{name}.toml", text, imports="")


PASSING = """
    [[check]]
    id = "http-1"
    story = "The version was missing."
    broke_on = 2026-03-02
    component = "shop"
    severity = "warn"
    ref = "INC-7"
    [check.http]
    path = "/version"
    expect.json."$.version" = "1.0"

    [[check]]
    id = "tcp-1"
    story = "Nothing listened."
    [check.tcp]
    expect.connects = true

    [[check]]
    id = "command-1"
    story = "A tool was missing."
    [check.command]
    argv = ["test", "-f", "checks/passing.toml"]
    expect.exit_code = 0

    [[check]]
    id = "file-1"
    story = "A file was missing."
    [check.file]
    path = "checks/passing.toml"
    expect.contains = "file-1"
"""


def test_probes_ask_the_side_under_test_and_are_told_like_any_check(checks: Checks) -> None:
    write(checks, "passing", PASSING)
    with serving() as site:
        checks.candidate = site.url
        found = checks.run()
    assert found.troubles == []
    assert {check: result.outcome for check, result in found.results.items()} == dict.fromkeys(
        ["http-1", "tcp-1", "command-1", "file-1"], CheckOutcome.PASSED
    )
    assert site.requests == ["GET /version"]
    assert site.connections == 2
    assert found.results["http-1"] == CheckResult(
        "http-1",
        "checks/passing.toml::http-1",
        "The version was missing.",
        CheckOutcome.PASSED,
        Severity.WARN,
        component="shop",
        broke_on="2026-03-02",
        ref="INC-7",
        duration_s=found.results["http-1"].duration_s,
    )


FAILING = """
    [[check]]
    id = "http-1"
    story = "The version was missing."
    [check.http]
    path = "/version"
    expect.status = 200

    [[check]]
    id = "long-1"
    story = "Much was missing."
    [check.http]
    path = "/long"
    expect.body.contains = [LONG]

    [[check]]
    id = "moved-1"
    story = "It moved."
    [check.http]
    path = "/moved"
    follow_redirects = true
    expect.status = 200

    [[check]]
    id = "post-1"
    story = "An order could not be placed."
    [check.http]
    method = "POST"
    path = "/orders"
    expect.status = 201

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
    id = "sql-1"
    story = "A table was empty."
    [check.sql]
    query = "select 1"
    expect.scalar = 1

    [[check]]
    id = "command-1"
    story = "A tool was slow."
    [check.command]
    argv = ["sleep", "60"]
    timeout = "300ms"
    expect.exit_code = 0
""".replace("LONG", ", ".join(f'"{letter * 300}"' for letter in "abcdefghij"))


def test_a_failure_is_one_sentence_and_a_refusal_is_no_failure(checks: Checks) -> None:
    """What was refused says nothing of the side under test."""
    write(checks, "failing", FAILING)
    with serving(status=302, location="http://127.0.0.2:1/") as site:
        checks.candidate = site.url
        found = checks.run()
    assert found.troubles == []
    assert found.sentence("http-1") == "GET /version: expected status 200, found 302"
    assert found.sentence("long-1").startswith("GET /long: body: expected 'aaaa")
    assert len(found.sentence("long-1")) < 410
    assert found.sentence("command-1") == "command sleep: did not end within 0.3 s"
    failed = {check for check, result in found.results.items() if result.outcome is CheckOutcome.FAILED}
    assert failed == {"http-1", "long-1", "command-1"}
    assert "127.0.0.2:1 is not on the allow-list" in found.sentence("moved-1")
    assert "127.0.0.2:25 is not on the allow-list" in found.sentence("tcp-1")
    assert "is not on the allow-list" in found.sentence("tls-1")
    assert "a check sends POST, but without safety.side_effects" in found.sentence("post-1")
    refused = ("moved-1", "tcp-1", "tls-1", "post-1")
    assert {found.outcome(check) for check in refused} == {CheckOutcome.ERROR}
    assert found.outcome("sql-1") is CheckOutcome.NOT_RUN
    assert site.requests == ["GET /version", "GET /long", "GET /moved"]


def test_a_file_with_mistakes_and_one_without_checks_are_troubles(checks: Checks) -> None:
    write(checks, "mistyped", '[[check]]\nid = "a"\nstory = "b"\n[check.htpp]\npath = "/"\n')
    write(checks, "empty", "")
    found = checks.run()
    assert found.results == {}
    assert len(found.troubles) >= 2
    assert any("check[0].htpp: is an unknown key. Did you mean 'http'?" in said for said in found.troubles)
    assert any("checks/empty.toml: check: is missing" in said for said in found.troubles)


PROJECT = """
[targets.baseline]
url = "http://127.0.0.1:1"
[targets.candidate]
url = "{url}"
[safety]
allow = ["127.0.0.1"]
[load]
rate = 5
[[scenarios]]
name = "shop"
file = "shop.py"
"""


def test_plain_pytest_runs_them_too_and_names_the_line(pytester: pytest.Pytester) -> None:
    with serving(status=503) as site:
        pytester.path.joinpath("rehearse.toml").write_text(PROJECT.format(url=site.url))
        pytester.path.joinpath("shop.py").touch()
        write(Checks(pytester.path), "passing", PASSING)
        options = ["-p", "rehearse.pytest_plugin", "-p", "no:locust", "-p", "no:cacheprovider"]
        result = pytester.runpytest_subprocess(*options, "--strict-markers", "checks")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["GET /version: expected status below 400, found 503"])
    result.stdout.no_fnmatch_line("*Traceback*")
