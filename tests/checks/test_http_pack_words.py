"""What each check of the `http` pack says of itself, and what the pack may be told."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date

import pytest

from rehearse.checks.packs import http
from rehearse.checks.packs.http_checks import connections, headers, inputs, pages
from rehearse.checks.packs.http_checks.asking import Options, read_options
from rehearse.errors import ConfigError
from rehearse.model import Severity
from tests.checks.http_pack import CHECKS, OPTIONS, PAGE, mark_of


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_tells_its_story_and_source(check: str) -> None:
    mark = mark_of(CHECKS[check])
    assert mark["id"] == f"http/{check}"
    assert date.fromisoformat(mark["broke_on"]) > date(2010, 1, 1)
    assert mark["ref"].startswith("https://")
    assert mark["component"]
    assert mark.get("severity", "abort") in set(Severity)
    assert re.fullmatch(r"[A-Za-z].*\.", str(CHECKS[check].__doc__))


def test_no_two_checks_have_one_id() -> None:
    assert len(CHECKS) == sum(name.startswith("test_") for name in vars(http))


def test_every_check_of_the_parts_is_in_the_pack() -> None:
    parts = (connections, headers, inputs, pages)
    written = {name for part in parts for name in vars(part) if name.startswith("test_")}
    assert written == {name for name in vars(http) if name.startswith("test_")}


def test_pytest_collects_the_pack() -> None:
    ini = ["-c", "/dev/null", "--strict-markers", "-o", "markers=breakage", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *ini, str(http.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("::test_") == len(CHECKS)


def test_options_are_read() -> None:
    read = read_options(OPTIONS | {"idle_s": 2, "origin": "https://a.example"})
    assert read.paths == ("/", PAGE)
    assert (read.idle_s, read.origin) == (2, "https://a.example")


def test_without_paths_the_probes_are_the_pages_and_without_those_the_root() -> None:
    assert Options(health="/h", ready="/r").pages == ("/h", "/r")
    assert Options().pages == ("/",)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": ["/"]}, "checks.options.http.path: there is no such option. Did you mean 'paths'?"),
        ({"paths": "/"}, 'checks.options.http.paths: a list of paths is expected, like ["/products"]'),
        ({"paths": []}, "checks.options.http.paths: a list of paths is expected"),
        ({"health": "health"}, 'checks.options.http.health: a path is expected, like "/health"'),
        ({"idle_s": 0}, "checks.options.http.idle_s: a number above 0 is expected, not 0"),
        ({"idle_s": "3"}, "checks.options.http.idle_s: a number above 0 is expected"),
        ({"idle_s": True}, "checks.options.http.idle_s: a number above 0 is expected"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_options(given)
