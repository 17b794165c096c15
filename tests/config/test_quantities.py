"""Durations, percentages and objectives read as they are written, and write as they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.config.objectives import read_objective, write_objective
from rehearse.config.quantities import (
    read_duration,
    read_percent,
    read_points,
    write_duration,
    write_percent,
    write_points,
)
from rehearse.model import Metric, Objective
from tests.config.conftest import Project


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("2m", 120),
        ("1h", 3600),
        ("30d", 2592000),
        ("0.2ms", 0.0002),
        ("1.5 s", 1.5),
        ("0s", 0),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "5", "-5s", "5sec", "5 S", "1e3s", "٣s", "5s5s", ".5s", "5.s", None, [], True]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        read_duration(text)


def test_percentages_and_points_are_not_the_same() -> None:
    assert read_percent("5%") == 0.05
    assert read_percent("1.5%") == 0.015
    assert read_points("0.1pp") == 0.001
    for wrong, read in (("5pp", read_percent), ("5%", read_points), ("5 percent", read_percent)):
        with pytest.raises(ValueError, match="is not"):
            read(wrong)


@given(st.floats(0, 1e8))
def test_what_is_written_reads_back_exactly(number: float) -> None:
    assert read_duration(write_duration(number)) == number
    assert read_percent(write_percent(number)) == number
    assert read_points(write_points(number)) == number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250ms"),
        (0.0002, "0.2ms"),
        (5, "5s"),
        (90, "90s"),
        (300, "5m"),
        (7200, "2h"),
        (2592000, "30d"),
        (4.5, "4500ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert write_duration(seconds) == text


OBJECTIVES = [
    (Metric.P50, "<=+5%", Objective(Metric.P50, 0.05)),
    (Metric.P95, ["<=+10%", "<800ms"], Objective(Metric.P95, 0.10, 0.8)),
    (Metric.P95, ("<800ms",), Objective(Metric.P95, None, 0.8)),
    (Metric.P99, {"is": "<=+20%", "advisory": True}, Objective(Metric.P99, 0.20, is_advisory=True)),
    (Metric.P99, {"is": "<=+150%"}, Objective(Metric.P99, 1.5)),
    (Metric.ERROR_RATIO, "<=+0.1pp", Objective(Metric.ERROR_RATIO, 0.001)),
    (Metric.ERROR_RATIO, ["<1%", "<=+0.1pp"], Objective(Metric.ERROR_RATIO, 0.001, 0.01)),
    (Metric.COMPLETED_RATIO, ">=-3%", Objective(Metric.COMPLETED_RATIO, 0.03)),
    (Metric.COMPLETED_RATIO, [">=-3%", ">95%"], Objective(Metric.COMPLETED_RATIO, 0.03, 0.95)),
    (Metric.CAPACITY, ">=-10%", Objective(Metric.CAPACITY, 0.10)),
    (Metric.CAPACITY, [">=-10%", ">200/s"], Objective(Metric.CAPACITY, 0.10, 200.0)),
    (Metric.CAPACITY, ">0.5/s", Objective(Metric.CAPACITY, None, 0.5)),
]


@pytest.mark.parametrize(("metric", "text", "expected"), OBJECTIVES)
def test_an_objective_is_a_margin_a_limit_or_both(metric: Metric, text: object, expected: Objective) -> None:
    assert read_objective(metric, text) == expected


@pytest.mark.parametrize("objective", [expected for _, _, expected in OBJECTIVES])
def test_an_objective_writes_as_it_reads(objective: Objective) -> None:
    assert read_objective(objective.metric, write_objective(objective)) == objective


def test_the_default_objectives_are_those_of_the_design(project: Project) -> None:
    assert project.load().objectives.rules == (
        Objective(Metric.P50, 0.05),
        Objective(Metric.P95, 0.10),
        Objective(Metric.P99, 0.20, is_advisory=True),
        Objective(Metric.ERROR_RATIO, 0.001),
        Objective(Metric.COMPLETED_RATIO, 0.03),
        Objective(Metric.CAPACITY, 0.10),
    )
