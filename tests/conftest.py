"""The real things that some tests need: Chromium, nginx, Prometheus and PostgreSQL, named by environment variables.

Without its variable such a test is skipped, with the reason. In CI it fails instead: there a skipped real
part would read as a tested one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import pytest_timeout  # type: ignore[import-untyped]
from _pytest.runner import runtestprotocol  # an item may run twice: its own promise, if not a public one

from tests.postgres import own_database
from tests.presence import absent
from tests.stolen import TOO_MUCH, Watch

CHROMIUM = "REHEARSE_TEST_CHROMIUM"
POSTGRES = "REHEARSE_TEST_POSTGRES_URL"
NGINX = "REHEARSE_TEST_NGINX"
PROMETHEUS = "REHEARSE_TEST_PROMETHEUS"
FAKETIME = "REHEARSE_TEST_FAKETIME"
NEEDS = {
    "browser": (CHROMIUM, "the path of a Chromium"),
    "postgres": (POSTGRES, "a PostgreSQL server where databases may be made"),
    "nginx": (NGINX, "the path of an nginx"),
    "prometheus": (PROMETHEUS, "the path of a prometheus"),
    "faketime": (FAKETIME, "the path of libfaketime's command"),
}
FIXTURE_MARKERS = {
    "chromium_path": "browser",
    "postgres_url": "postgres",
    "nginx_path": "nginx",
    "prometheus_path": "prometheus",
}


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses: it must see these markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for the fixture is marked, so that `-m "not browser"` leaves out all of them."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in FIXTURE_MARKERS:
                item.add_marker(FIXTURE_MARKERS[fixture])


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A live test that fails on a machine that was lent to others runs once more; both times are told."""
    if not item.get_closest_marker("live"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    watch, from_s = _watch(), time.monotonic()
    reports = _run(item, nextitem)
    stolen_ratio = watch.since(from_s)
    if stolen_ratio > TOO_MUCH and any(report.failed for report in reports):
        _tell(item, f"once more, as {stolen_ratio:.0%} of the CPU was given to others", reports)
        _time_anew(item)
        reports = _run(item, nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    return runtestprotocol(item, log=False, nextitem=nextitem)


def _tell(item: pytest.Item, why: str, reports: list[pytest.TestReport]) -> None:
    """Where people read what failed."""
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"{item.nodeid}: {why}:")
        for report in reports:
            if report.failed:
                terminal.write_line(report.longreprtext)


def _time_anew(item: pytest.Item) -> None:
    """The second run has as long as the first had."""
    settings = pytest_timeout._get_item_settings(item)
    if settings.timeout:
        hooks = item.config.pluginmanager.hook
        hooks.pytest_timeout_cancel_timer(item=item)
        hooks.pytest_timeout_set_timer(item=item, settings=settings)


@cache
def _watch() -> Watch:
    return Watch()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marked test runs with its real thing, or says why not."""
    for marker in NEEDS:
        if item.get_closest_marker(marker):
            needed(marker)


def needed(marker: str) -> str:
    """The variable's value; without one a skip here, a failure in CI."""
    variable, meaning = NEEDS[marker]
    return os.environ.get(variable, "") or absent(f"{variable} is not set; it names {meaning}")


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """The Chromium to look at pages with. As root it needs `--no-sandbox`."""
    return Path(needed("browser"))


@pytest.fixture
def nginx_path() -> Path:
    """The nginx whose access log is read."""
    return Path(needed("nginx"))


@pytest.fixture
def prometheus_path() -> Path:
    """The Prometheus that scrapes both sides."""
    return Path(needed("prometheus"))


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The address of an empty PostgreSQL database of this test's own, dropped afterwards."""
    with own_database(needed("postgres")) as url:
        yield url
