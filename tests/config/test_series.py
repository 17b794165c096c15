"""`[prometheus]` and `[[series]]`: what is asked of servers, and every way of asking for nothing."""

from __future__ import annotations

import pytest

from rehearse.config import effective_toml
from rehearse.config.policy import policy_of
from rehearse.model import Metric, Objective, Side
from tests.config.conftest import SMALLEST, Project

PROMETHEUS = '\n[prometheus]\nurl = "http://metrics:9090"\n'
MEMORY = """
[[series]]
name = "memory"
query = "resident_bytes{$side}"
unit = "bytes"
level = ["<=+10%", "<1.5GiB"]
growth = { is = "<=+2.5%/min", advisory = true }
floor = 1000000
"""


def test_a_series_is_part_of_the_policy_with_its_queries(project: Project) -> None:
    (series,) = policy_of(project.load(SMALLEST + PROMETHEUS + MEMORY)).series
    assert series.objectives == (
        Objective(Metric.LEVEL, 0.10, 1.5 * 2**30),
        Objective(Metric.GROWTH, 0.025, is_advisory=True),
    )
    assert (series.unit, series.floor) == ("bytes", 1e6)
    assert series.queries == ("resident_bytes{$side}",) * 2


def test_the_side_is_filled_in_as_the_file_says(project: Project) -> None:
    sides = "\n[prometheus.sides]\ncandidate = 'job=\"next\"'\n"
    settings = project.load(SMALLEST + PROMETHEUS + sides + MEMORY)
    asked = [settings.series[0].query_of(side, settings.prometheus.sides) for side in Side]
    assert asked == ['resident_bytes{side="baseline"}', 'resident_bytes{job="next"}']


def test_each_side_may_have_a_query_of_its_own(project: Project) -> None:
    own = MEMORY.replace("query = ", "baseline = 'a'\ncandidate = ")
    settings = project.load(SMALLEST + PROMETHEUS + own)
    assert settings.series[0].query_of(Side.BASELINE, settings.prometheus.sides) == "a"


def test_its_credentials_are_not_shown(project: Project) -> None:
    text = PROMETHEUS + 'headers = { X-Token = "s3cret-token" }\n'
    assert "s3cret-token" not in effective_toml(project.load(SMALLEST + text + MEMORY))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEMORY, "prometheus.url: is missing"),
        (
            PROMETHEUS + "step = '20s'\n" + MEMORY,
            "prometheus.step: leaves 2 points of each series in a round of 40s",
        ),
        (PROMETHEUS.replace("//", "//reader:hunter2@") + MEMORY, "put credentials into headers"),
        (PROMETHEUS + MEMORY.replace("{$side}", ""), "series[0].query: asks both sides the same; put $side"),
        (PROMETHEUS + MEMORY.replace("query = ", "candidate = "), "series[0].query: is needed"),
        (PROMETHEUS + MEMORY + "baseline = 'a'\n", "series[0].query: is needed"),
        (
            PROMETHEUS + '\n[[series]]\nname = "x"\nquery = "y{$side}"\n',
            "series[0].level: or growth is needed",
        ),
        (PROMETHEUS + MEMORY + MEMORY, "series[0].name: 'memory' is there twice"),
        (PROMETHEUS + MEMORY.replace("+10%", "+10pp"), "is not an objective for the level"),
        (PROMETHEUS + MEMORY.replace("%/min", "%"), "write '<=+5%/min'"),
        (PROMETHEUS + MEMORY.replace('"bytes"', '"ratio"'), "series[0].unit"),
    ],
)
def test_what_cannot_be_meant_is_refused(project: Project, text: str, words: str) -> None:
    assert any(words in line for line in project.mistakes(SMALLEST + text)), project.mistakes(SMALLEST + text)
