"""A file of declared checks says what is wrong with it: file, key, value, and the nearest valid word."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.checks.probes.http import HttpProbe
from tests.checks.declaring import HEAD, mistakes, read

HTTP = f'{HEAD}[check.http]\npath = "/"\n'
STATUS = "expect.status = 200\n"


def test_a_check_has_a_story_and_one_probe_and_its_defaults(tmp_path: Path) -> None:
    (check,) = read(tmp_path, HTTP + STATUS)
    assert (check.id, check.severity, check.broke_on) == ("T-1", "abort", None)
    assert isinstance(check.probe, HttpProbe)
    assert (check.probe.method, check.probe.follow_redirects) == ("GET", False)


def test_days_are_texts_or_days_of_toml(tmp_path: Path) -> None:
    days = 'broke_on = 2026-03-02\nexpires = "2027-01-01"\n'
    (check,) = read(tmp_path, f'{HEAD}{days}[check.http]\npath = "/"\n{STATUS}')
    assert (check.broke_on, check.expires) == ("2026-03-02", "2027-01-01")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HTTP + "expect.statis = 200", "check[0].http.expect.statis: is an unknown key. Did you mean 'status'?"),
        (f"{HEAD}[check.htpp]\n", "check[0].htpp: is an unknown key. Did you mean 'http'?"),
        (HTTP.replace("path", "pfad") + STATUS, "check[0].http.path: is missing (path on the target)."),
        (HTTP, "check[0].http.expect: is missing (table)."),
        (HTTP + "[check.http.expect]", "check[0].http.expect: the value has no expectation"),
        (HTTP + "expect.body = {}", "check[0].http.expect.body: the value has no expectation"),
        (HTTP + "expect.json.'$.x' = {}", "has no expectation"),
        (HTTP + "expect.json = {}", "check[0].http.expect: the value has no expectation"),
        (HTTP + "expect.body.contains = []", "check[0].http.expect.body: the value has no expectation"),
        (f"{HEAD}[check.sql]\nquery = 'x'\nexpect.columns = []", "has no expectation"),
        (HTTP + "method = 'GIT'\n" + STATUS, "check[0].http.method: 'GIT' is not allowed. Did you mean 'GET'?"),
        (HTTP + "expect.status = 2000", "check[0].http.expect.status: 2000 is not a status"),
        (HTTP + "expect.status = '200'", "'200' is not a status; write a number from 100 to 599"),
        (HTTP + "expect.json.'$.x'.type = 'strng'", "'strng' is not a type. Did you mean 'string'?"),
        (HTTP + "expect.json.'items[0]' = 1", 'json."items[0]": the value is not a JSON path (RFC 9535)'),
        (HTTP + "expect.json.'$.x'.regex = '['", "'[' is not a regular expression"),
        (HTTP + "expect.json.'$.x'.range = [9, 1]", "is not a range; write it like [0, 10]"),
        (HTTP + "expect.json.'$.x' = { absent = true, type = 'null' }", "says `absent`, and what"),
        (HTTP + "expect.headers.server.length = 3", "says 'length' of server, but a header is a text"),
        (HTTP + "expect.answered_within = 2", "check[0].http.expect.answered_within: 2 has no unit; write '2s'"),
        (HTTP + "expect.body.contains = ''", "holds an empty text, which is in every text"),
        (HTTP + STATUS + "body = 'x'\njson = { a = 1 }", "has a `body` and a `json`"),
        (HTTP + STATUS + "[check.sql]\nquery = 'x'\nexpect.rows = 1", "has several probes (http, sql)"),
        (HEAD, "check[0]: the value has no probe; write one of [check.http]"),
        ("", "check: is missing (list of tables)."),
        ("check = []", "check: is empty; write [[check]]"),
        ("[[chek]]\nid = 'x'", "chek: is an unknown key. Did you mean 'check'?"),
        (HTTP + STATUS + HTTP + STATUS, "check[1].id: 'T-1' is the id of check[0] already"),
        (HTTP.replace("T-1", "T 1") + STATUS, "check[0].id: 'T 1' is no word of letters"),
        (HEAD + "broke_on = 'in March'\n[check.http]\npath = '/'\n" + STATUS, "'in March' is not a day"),
        (HEAD + "severity = 'warm'\n[check.http]\npath = '/'\n" + STATUS, "Did you mean 'warn'?"),
        (f"{HEAD}[check.tcp]\nexpect.refused = true\nexpect.banner = 'x'", "says `refused` and something else"),
        (f"{HEAD}[check.tls]\nexpect.minimum_version = 'TLSv1.1'", "'TLSv1.1' is not allowed. Did you mean"),
        (f"{HEAD}[check.command]\nargv = 'ls -l'\nexpect.exit_code = 0", "there is no shell"),
        (f"{HEAD}[check.file]\npath = 'x'\nexpect.mode = '999'", "a mode of three octal digits"),
        (f"{HEAD}[check.file]\npath = 'x'\nexpect.absent = true\nexpect.regex = 'x'", "write one of the two"),
        (HTTP + "expect.json.'$.x'.absent = false", "absent: false says nothing; write true, or take the line out"),
        ("[[check]\n", "is not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    said = mistakes(tmp_path, text)
    assert said.startswith("checks/declared.toml: ")
    assert expected in said


def test_every_mistake_is_named_in_one_go(tmp_path: Path) -> None:
    said = mistakes(tmp_path, HTTP + "expect.status = 1\nexpect.content_typ = 'x'\n" + HTTP + "timeout = 3")
    assert len(said.splitlines()) == 4


def test_variables_are_filled_in(tmp_path: Path) -> None:
    text = f"{HEAD}[check.tcp]\nhost = '${{MAIL}}'\nport = 25\nexpect.banner = '${{WORD:-220}}'"
    (check,) = read(tmp_path, text, MAIL="mail.staging.example")
    assert check.tcp is not None
    assert (check.tcp.host, check.tcp.expect.banner) == ("mail.staging.example", "220")
    assert "the variable MAIL is not set or empty" in mistakes(tmp_path, text)


def test_a_secret_variable_is_refused_and_its_value_not_said(tmp_path: Path) -> None:
    text = HTTP + "headers.authorization = 'Bearer ${SHOP_TOKEN}'\n" + STATUS
    said = mistakes(tmp_path, text, SHOP_TOKEN="canary-4711")
    assert "names the variable SHOP_TOKEN, a secret by its name" in said
    assert "canary-4711" not in said
    misplaced = HTTP + "expect.status = '${SHOP_TOKEN}'"
    assert "canary-4711" not in mistakes(tmp_path, misplaced, SHOP_TOKEN="canary-4711")
