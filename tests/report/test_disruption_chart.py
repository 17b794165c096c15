"""The picture of an upgrade: three ways of upgrading look different, and nothing that happened is too small to see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from rehearse.disruptions import Disruption
from rehearse.judge.disruption import disruptions
from rehearse.report.charts import NARROW, WIDE
from rehearse.report.disruption_chart import DisruptionPicture, Span, disruption_chart, disruption_picture
from rehearse.report.html import _environment
from tests.judge.probed import FRESH, READ, WRITE, State, System, down, held, log_of

PHASES = (
    Span("before", 100.0, 104.0),
    Span("restart the application", 104.0, 112.0),
    Span("after", 112.0, 120.0),
)
PROBES = (READ, FRESH, WRITE)


def rolling(seed: int = 1) -> System:
    """Three servers, one after the other; a request to the one that restarts is reset at once."""
    rng = Random(seed)
    restarts = [(4.0, 5.0), (7.0, 8.0), (10.0, 11.0)]

    def state(_: object, at_s: float) -> State:
        server = rng.randrange(3)
        begins, _ = restarts[server]
        if begins <= at_s < begins + 0.8:
            return State("reset", "")
        others = [one for one in range(3) if not restarts[one][0] <= at_s < restarts[one][1]]
        server = server if server in others else rng.choice(others)
        return State(version="2.0" if at_s >= restarts[server][1] else "1.0")

    return state


def blue_green(_: object, at_s: float) -> State:
    return State(version="2.0" if at_s >= 8 else "1.0")


def stop_the_world(_: object, at_s: float) -> State:
    version = "2.0" if at_s >= 10 else "1.0"
    if 5 <= at_s < 10:
        return State("refused" if at_s < 9 else "status 503")
    return State(version=version)


UPGRADES: dict[str, System] = {
    "rolling restart": rolling(),
    "blue/green": blue_green,
    "stop the world": stop_the_world,
}


def found(name: str) -> Sequence[Disruption]:
    return disruptions(log_of(UPGRADES[name], 20.0, PROBES))


def picture(name: str) -> DisruptionPicture:
    made = disruption_picture(found(name), PHASES)
    assert made is not None
    return made


def page(title: str, made: DisruptionPicture) -> str:
    template = (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><title>x</title>"
        "<style>{% include 'style.css' %}</style>"
        "<main><h2>{{ title }}</h2>{% import 'disruption.html' as disruption %}"
        "{{ disruption.picture('disruption', made) }}</main>"
    )
    return _environment().from_string(template).render(title=title, made=made)


def kinds_of(chart_lanes: Sequence[object]) -> list[set[str]]:
    return [{piece.kind for piece in lane.pieces} for lane in chart_lanes]  # type: ignore[attr-defined]


def test_three_ways_of_upgrading_are_told_apart() -> None:
    rolled, switched, stopped = (disruption_chart(found(name), PHASES, WIDE) for name in UPGRADES)
    assert all({"served", "down"} == kinds for kinds in kinds_of(rolled.probes))
    assert all({"served"} == kinds for kinds in kinds_of(switched.probes))
    assert all({"served", "down", "error"} == kinds for kinds in kinds_of(stopped.probes))
    ends = [
        (chart.versions[0].pieces[-1].high, chart.versions[1].pieces[0].low)
        for chart in (rolled, switched, stopped)
    ]
    old_ends, new_begins = zip(*ends, strict=True)
    assert old_ends[0] - new_begins[0] > 100  # both for seconds
    assert -5 < old_ends[1] - new_begins[1] <= 3  # one after the other at once
    assert old_ends[2] - new_begins[2] < -100  # none for seconds


def test_the_mixed_window_is_told_in_words() -> None:
    assert picture("blue/green").mixed == ()
    (sentence,) = picture("rolling restart").mixed
    told = re.fullmatch(
        r"1\.0 and 2\.0 answered at the same time for (.*) s, T\+(.*) s to T\+(.*) s", sentence
    )
    assert told is not None
    lasted_s, from_s, to_s = map(float, told.groups())
    assert from_s == pytest.approx(5.0, abs=0.5)
    assert to_s == pytest.approx(10.0, abs=0.5)
    assert lasted_s == pytest.approx(to_s - from_s, abs=0.11)


@pytest.mark.parametrize("frame", [WIDE, NARROW], ids=["wide", "phone"])
@pytest.mark.parametrize("name", UPGRADES)
def test_nothing_lies_outside_of_the_drawing_and_nothing_is_too_small(name: str, frame: object) -> None:
    chart = disruption_chart(found(name), PHASES, frame)  # type: ignore[arg-type]
    lanes = [*chart.probes, *chart.versions]
    assert all(piece.high - piece.low >= 3 for lane in lanes for piece in lane.pieces)
    assert all(chart.frame.left <= piece.low <= chart.frame.right for lane in lanes for piece in lane.pieces)
    assert all(piece.high <= chart.frame.right + 3 for lane in lanes for piece in lane.pieces)
    heights = [lane.y for lane in lanes]
    assert heights == sorted(set(heights))
    assert chart.frame.bottom > heights[-1]


def test_a_short_outage_in_a_long_upgrade_is_still_seen() -> None:
    log = log_of(down(300.0, 300.1), 600.0)
    chart = disruption_chart(disruptions(log), (), NARROW)
    assert [round(piece.high - piece.low, 1) for piece in chart.probes[0].pieces if piece.kind == "down"] == [
        3.0
    ]


def test_what_nobody_saw_is_drawn_as_such_and_what_is_silent_too() -> None:
    def state(probe: object, at_s: float) -> State:
        if 3 <= at_s < 5:
            return State("out of descriptors", is_rig=True)
        return held(6.0, 9.0)(probe, at_s)  # type: ignore[arg-type]

    log = log_of(state)
    chart = disruption_chart(disruptions(log), (), WIDE)
    assert kinds_of(chart.probes) == [{"served", "unseen", "silent"}]
    (unseen,) = (piece for piece in chart.probes[0].pieces if piece.kind == "unseen")
    served = [piece for piece in chart.probes[0].pieces if piece.kind == "served"]
    assert not any(piece.low < unseen.high and piece.high > unseen.low for piece in served)
    made = disruption_picture(disruptions(log))
    assert made is not None
    assert made.probes[0].unseen == "2.1 s"


def test_a_phase_too_narrow_for_its_name_shows_its_number() -> None:
    labels = [
        [band.label for band in disruption_chart(found("blue/green"), PHASES, one).bands]
        for one in (WIDE, NARROW)
    ]
    assert labels == [["before", "restart the application", "after"], ["before", "2", "after"]]


def test_names_of_others_are_text_and_not_markup() -> None:
    made = disruption_picture(
        disruptions(log_of(lambda *_: State(version="<script>"))), (Span("<b>", 101, 102),)
    )
    assert made is not None
    html = page("x", made)
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


def test_without_probes_there_is_no_picture() -> None:
    assert disruption_picture(()) is None


@pytest.mark.parametrize("name", UPGRADES)
def test_the_page_says_in_numbers_what_the_picture_shows(name: str, tmp_path: Path) -> None:
    html = page(name, picture(name))
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    assert html.count('<svg class="chart') == 2
    for row in picture(name).probes:
        assert row.name in html
        assert row.total in html
