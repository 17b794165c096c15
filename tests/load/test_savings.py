"""What rehearse leaves out of Locust is left out only while nobody needs it, and only where it fits."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STATISTICS = """
import json, locust
from locust.env import Environment
from locust.event import Events
from rehearse.load import savings

environment = Environment(events=Events())
mine = []
environment.events.request.add_listener(lambda **told: mine.append(told["name"]))
runner = savings.runner_of(environment)

def fire():
    environment.events.request.fire(request_type="GET", name="/", response_time=1.0, response_length=2)

runner.stats.clear_all()
fire()
listeners = [len(environment.events.request._handlers)]
first = environment.stats.total.num_requests
listeners.append(len(environment.events.request._handlers))
fire()
print(json.dumps([listeners, first, environment.stats.total.num_requests, runner.errors, mine]))
"""

OTHER_VERSION = """
import json, locust
from locust.contrib.fasthttp import FastRequest, LocustUserAgent
from rehearse.load import savings

def theirs(self, request{more}):
    "Another version's, or a scenario's own."

theirs.__module__ = {module!r}
LocustUserAgent._urlopen = theirs
savings.save()
print(json.dumps([LocustUserAgent._urlopen is theirs, FastRequest.set_url.__module__]))
"""


def printed_by(program: str) -> object:
    """What a process of its own prints: importing locust would patch this one."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_locusts_statistics_start_when_a_scenario_reads_them() -> None:
    assert printed_by(STATISTICS) == [[1, 2], 0, 1, {}, ["/", "/"]]


@pytest.mark.parametrize(
    ("more", "module", "stays"),
    [
        (", patience", "locust.contrib.fasthttp", True),
        ("", "scenario", True),
        ("", "locust.contrib.fasthttp", False),
    ],
    ids=["other parameters", "a scenario's own", "as it was"],
)
def test_a_saving_that_does_not_fit_is_left_out_and_the_others_are_not(
    more: str, module: str, stays: bool
) -> None:
    program = OTHER_VERSION.replace("{more}", more).replace("{module!r}", repr(module))
    assert printed_by(program) == [stays, "rehearse.load.savings"]


@pytest.mark.parametrize("package", ["locust", "geventhttpclient", "gevent"])
def test_every_saving_fits_the_versions_that_the_tests_run_with(package: str) -> None:
    program = "import json, logging, locust; from rehearse.load import savings; seen = []\n"
    program += (
        "savings.log.warning = lambda *args: seen.append(args); savings.save(); print(json.dumps(seen))"
    )
    assert printed_by(program) == [], f"with {package} {version(package)}"
