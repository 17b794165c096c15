"""The shop's own checks: each fails on the broken upgrade, and passes before it and where it is repaired."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from rehearse.demo import free_ports
from rehearse.shop.versions import BEHAVIOURS
from tests.checks.asking import Outcome, outcome_of
from tests.shop.test_shop_process import answers, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted(path.stem for path in (ROOT / "checks").glob("test_*.py"))
SAYS = {
    "SHOP-1": "the price of product 7 is '26.25', which is no number",
    "SHOP-2": "the revenue of a day without sales is None, and not 0",
    "SHOP-3": "the sales report of 29 February 2028 answers 500",
    "SHOP-4": "sent again under its key, order 5001 was placed as 5002 too",
    "SHOP-5": "a used key with another order answers 201, and not 422",
    "SHOP-6": "the error page names no request: 'Internal Server Error'",
    "SHOP-7": "the sales of 2024-06-03 have changed in revenue, three_weeks, year_before",
    "SHOP-8": "there is no sales report of 2028-02-29 (29 February is a day that the year before",
}


def checks() -> dict[str, Callable[..., None]]:
    """By id."""
    found = [
        value
        for file in FILES
        for name, value in vars(import_module(f"checks.{file}")).items()
        if name.startswith("test_")
    ]
    return {check.pytestmark[0].kwargs["id"]: check for check in found}


CHECKS = checks()


@pytest.fixture(scope="module")
def urls(seeded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Every version as a process of its own, each on a copy of one database."""
    folder = tmp_path_factory.mktemp("processes")
    ports = dict(zip(BEHAVIOURS, free_ports(len(BEHAVIOURS)), strict=True))
    with ExitStack() as stack:
        for version, port in ports.items():
            database = shutil.copy(seeded_file, folder / f"{version}.db")
            options = ["--port", str(port), "--database", f"sqlite:///{database}", "--exit-with-parent"]
            command = [sys.executable, "-m", "rehearse.shop", "serve", "--version", version, *options]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
        for port in ports.values():
            wait_until(partial(answers, port))
        yield {version: f"http://127.0.0.1:{port}" for version, port in ports.items()}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("version", ["1.0", "2.1"])
def test_a_check_passes_on_the_good_versions(urls: dict[str, str], version: str, check: str) -> None:
    assert outcome_of(CHECKS[check], urls["1.0"], urls[version]) == Outcome("passed")


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_fails_on_the_broken_upgrade_in_one_sentence(urls: dict[str, str], check: str) -> None:
    outcome = outcome_of(CHECKS[check], urls["1.0"], urls["2.0"])
    assert outcome.word == "failed"
    assert outcome.sentence.startswith(SAYS[check])
    assert "\n" not in outcome.sentence


def test_only_the_leap_days_are_without_a_report(urls: dict[str, str]) -> None:
    sentence = outcome_of(CHECKS["SHOP-8"], urls["1.0"], urls["2.0"]).sentence
    assert re.findall(r"\d{4}-\d\d-\d\d(?= \()", sentence) == ["2028-02-29", "2024-02-29", "2000-02-29"]


def test_every_check_has_a_name_a_story_and_says_what_is_wrong() -> None:
    assert sorted(CHECKS) == [f"SHOP-{number}" for number in range(1, 9)] == sorted(SAYS)
    for check in CHECKS.values():
        assert re.fullmatch(r"[A-Z0-9].*\.", str(check.__doc__))


def test_pytest_collects_the_checks() -> None:
    ini = ["-c", "/dev/null", "--strict-markers", "-o", "markers=breakage", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *ini, str(ROOT / "checks")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("::test_") == len(CHECKS)
