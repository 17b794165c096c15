"""Pictures: named, described, never colour alone, and never without their numbers beside them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from rehearse import report
from rehearse.model import Curve, Outcome, Scope, Side, TimelinePoint
from rehearse.report.charts import (
    MAX_FOREST_ROWS,
    NARROW,
    WIDE,
    Frame,
    downsampled,
    forest,
    latency_chart,
    percentile_chart,
)
from rehearse.report.page import page_of
from rehearse.report.ranking import Row, ranked
from rehearse.report.scales import Scale, linear_ticks, log_ticks
from tests.report.examples import EXAMPLES, abort, go
from tests.report.pages import Make, by_id, find_all, text_of, tree, tree_of

FRAMES = pytest.mark.parametrize("frame", [WIDE, NARROW], ids=["wide", "narrow"])


def _points(count: int, side: Side = Side.CANDIDATE) -> list[TimelinePoint]:
    return [TimelinePoint(side, float(at), 0.01, 0.02 + 0.001 * (at % 7), 0.0, False) for at in range(count)]


def _table_after(root: Element, label: str) -> str:
    (region,) = [e for e in find_all(root, "div") if e.get("aria-label") == label]
    return text_of(region)


# for readers who do not see them


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_every_picture_has_a_name_and_a_description_and_the_rest_is_decoration(make: Make) -> None:
    for picture in find_all(tree(make), "svg"):
        if picture.get("role") != "img":
            assert picture.get("aria-hidden") == "true"
            continue
        title, description = list(picture)[:2]
        assert (title.get("id"), description.get("id")) == tuple(picture.get("aria-labelledby", "").split())
        assert text_of(title)
        assert "table below" in text_of(description)


def test_each_kind_of_picture_is_drawn_for_wide_pages_and_for_phones() -> None:
    drawn = [e.get("class", "") for e in find_all(tree(abort), "svg") if e.get("role") == "img"]
    wanted = 4 + 1 + 1 + 9 + 1  # changes, latency, capacity, curves, series
    assert drawn.count("chart wide") == drawn.count("chart narrow") == wanted


def test_the_table_of_changes_holds_what_the_picture_says() -> None:
    for picture in page_of(abort()).changes:
        table = _table_after(tree(abort), f"{picture.name} in numbers")
        for row in picture.charts[0].rows:
            estimate, margin = row.numbers.split(", margin ")
            assert f"{row.label}{row.outcome}" in table
            assert " ".join(estimate.split()) in table
            assert " ".join(margin.split()) in table


def test_the_table_over_time_has_a_row_for_each_point() -> None:
    root = tree(abort)
    (region,) = [e for e in find_all(root, "div") if e.get("aria-label") == "Latency over time in numbers"]
    rows = [text_of(row) for row in find_all(region, "tr")][2:]
    assert len(rows) == len({point.at_s for point in abort().timeline})
    assert sum("not judged" in row for row in rows) == 1


def test_the_table_of_a_curve_has_every_point_of_both_sides() -> None:
    series = page_of(abort()).percentiles[0]
    baseline, candidate = abort().curves[:2]
    assert {row[0] for row in series.rows} >= {"p50", "p95", "p99", "p99.9"}
    assert len(series.rows) == len({share for share, _ in (*baseline.points, *candidate.points)})
    table = _table_after(tree(abort), "Percentiles in numbers: whole scenario")
    assert all(" ".join(text.split()) in table for row in series.rows for text in row)


def test_sides_differ_by_dashes_and_marks_and_outcomes_by_shape() -> None:
    css = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    assert re.search(r"path\.line\.baseline \{[^}]*stroke-dasharray", css)
    assert not re.search(r"path\.line\.candidate \{[^}]*stroke-dasharray", css)
    (legend,) = {
        text_of(e)
        for e in find_all(tree(abort), "ul")
        if "dashed, rings" in text_of(e) and "p95" in text_of(e)
    }
    assert "solid, diamonds" in legend
    shapes = {
        e.get("class", "").split()[1]: next(iter(e)).tag for e in find_all(tree(abort), "svg")
        if e.get("class", "").startswith("shape")
    }  # fmt: skip
    assert set(shapes) == {"fail", "inconclusive", "pass", "error"}


# geometry


@FRAMES
@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_nothing_is_drawn_outside_its_frame(make: Make, frame: Frame) -> None:
    chart = latency_chart(make().timeline, frame)
    assert chart is not None
    for line in chart.lines:
        for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", line.path):
            assert frame.left <= float(x) <= frame.right
            assert frame.top <= float(y) <= frame.bottom


def test_downsampling_keeps_the_highest_values_and_every_discarded_block() -> None:
    points = _points(5000)
    points[1234] = replace(points[1234], p50_s=3.0, p95_s=9.0, error_ratio=0.5)
    points[4321] = replace(points[4321], is_discarded=True)
    kept = downsampled(points)
    assert len(kept) == 600
    assert (max(p.p50_s or 0 for p in kept), max(p.p95_s or 0 for p in kept)) == (3.0, 9.0)
    assert max(p.error_ratio for p in kept) == 0.5
    assert any(p.is_discarded for p in kept)
    assert [p.at_s for p in kept] == sorted(p.at_s for p in kept)


def test_few_points_are_drawn_as_they_are() -> None:
    assert downsampled(_points(600)) == tuple(_points(600))


def test_a_long_run_says_that_its_points_stand_for_their_neighbours() -> None:
    both = (*_points(1500, Side.BASELINE), *_points(1500))
    page = page_of(replace(go(), timeline=both))
    assert len(page.moments) == 600
    assert page.is_thinned
    assert "highest values of its neighbours" in text_of(tree_of(replace(go(), timeline=both)))


def test_a_block_without_an_answer_leaves_a_gap_and_a_lone_one_a_dot() -> None:
    points = _points(5)
    holes = [replace(points[0]), replace(points[1], p95_s=None), *points[2:4], replace(points[4], p95_s=None)]
    chart = latency_chart(holes, WIDE)
    assert chart is not None
    thick = next(line for line in chart.lines if line.weight == "thick")
    assert re.sub(r"[\d.]+ [\d.]+", "", thick.path) == "Mh0Mh0L"


def test_nothing_answered_means_no_picture() -> None:
    silent = [replace(point, p50_s=None, p95_s=math.nan) for point in _points(3)]
    assert latency_chart(silent, WIDE) is None
    assert latency_chart([], WIDE) is None
    assert percentile_chart([Curve(Scope.SCENARIO, "x", Side.BASELINE, 0, ())], WIDE) is None
    assert forest([], WIDE) is None


@pytest.mark.parametrize("value", [0.0, 1e-9, 3600.0], ids=["zero", "tiny", "an hour"])
def test_a_flat_curve_is_drawn_all_the_same(value: float) -> None:
    chart = percentile_chart([Curve(Scope.SCENARIO, "x", Side.BASELINE, 1, ((0.5, value),))], WIDE)
    assert chart is not None
    assert WIDE.top <= chart.lines[0].marks[0][1] <= WIDE.bottom
    assert latency_chart([replace(_points(1)[0], p50_s=value, p95_s=value)], WIDE) is not None


def test_labels_at_the_end_of_lines_keep_their_distance() -> None:
    chart = latency_chart(go().timeline, WIDE)
    assert chart is not None
    heights = sorted(line.label_y for line in chart.lines)
    assert all(second - first >= 15 for first, second in pairwise(heights))


@FRAMES
def test_an_interval_that_does_not_fit_ends_in_an_arrow(frame: Frame) -> None:
    first = abort().verdict.judgements[0]
    wide = replace(first, change=0.02, low=-0.9, high=40.0, margin=0.05, outcome=Outcome.INCONCLUSIVE)
    picture = forest([Row("cell-1", wide)], frame)
    assert picture is not None
    (row,) = picture.rows
    assert row.is_low_cut
    assert row.is_high_cut
    assert (
        picture.frame.left
        <= row.low
        < picture.zero
        < row.at
        < (row.margin or 0)
        < row.high
        <= picture.frame.right
    )


def test_one_catastrophe_does_not_hide_the_other_cells() -> None:
    usual = [
        replace(j, change=0.03, low=0.01, high=0.05, margin=0.05) for j in abort().verdict.judgements[:9]
    ]
    huge = replace(usual[0], change=54.0, low=28.0, high=105.0)
    picture = forest([Row(f"cell-{at}", judgement) for at, judgement in enumerate([huge, *usual])], WIDE)
    assert picture is not None
    first, second = picture.rows[:2]
    assert first.is_high_cut
    assert second.at < first.at < picture.frame.right
    assert first.numbers.startswith("+5,400")
    assert second.high - second.low > 20
    assert second.margin is not None
    assert second.margin - picture.zero > 20


def test_infinite_bounds_are_cut_not_drawn() -> None:
    first = replace(abort().verdict.judgements[0], change=0.02, low=-math.inf, high=math.inf)
    picture = forest([Row("cell-1", first)], WIDE)
    assert picture is not None
    assert picture.rows[0].is_low_cut
    assert picture.rows[0].is_high_cut


def test_only_the_worst_are_drawn_and_the_table_holds_the_rest() -> None:
    many = tuple(judgement for judgement in abort().verdict.judgements for _ in range(3))
    verdict = replace(abort().verdict, judgements=many)
    (latency, errors, *_) = page_of(replace(abort(), verdict=verdict)).changes
    assert len(latency.charts[0].rows) == MAX_FOREST_ROWS
    assert latency.left_out == len(latency.rows) - MAX_FOREST_ROWS == 24
    assert errors.left_out == 0
    root = tree_of(replace(abort(), verdict=verdict))
    assert "24 of 54 are not drawn" in text_of(by_id(root, "changes"))


def test_the_worst_row_is_drawn_first() -> None:
    picture = page_of(abort()).changes[0].charts[0]
    assert picture.rows[0].label == ranked(abort().verdict)[0].judgement.cell.label
    assert [row.y for row in picture.rows] == sorted(row.y for row in picture.rows)


# scales


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, (0, 2, 4, 6, 8, 10)),
        (-0.05, 0.31, (0, 0.1, 0.2, 0.3)),
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert linear_ticks(low, high, 5) == pytest.approx(expected)


def test_log_ticks_thin_out_over_many_powers() -> None:
    assert log_ticks(0.001, 0.02) == pytest.approx((0.001, 0.002, 0.005, 0.01, 0.02))
    assert log_ticks(1e-6, 10) == pytest.approx([10.0**power for power in range(-6, 2)])


def test_a_scale_keeps_everything_inside() -> None:
    scale = Scale(0, 10, 100, 200)
    assert (scale(-5), scale(5), scale(50)) == (100, 150, 200)
    assert Scale(1, 100, 0, 100, is_log=True)(10) == 50
