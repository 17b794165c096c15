"""The capacity in the report: a row among the cells, a picture, and a table of every step."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema

from rehearse import report
from rehearse.codec import from_bytes, to_bytes
from rehearse.judge.verdict import judge
from rehearse.model import CapacityStep, Phase, Result, RunRecord, Side
from rehearse.report.assemble import assemble
from rehearse.report.charts import NARROW, WIDE, capacity_chart
from tests.judge.staircases import rehearsed
from tests.report.examples import go, record
from tests.report.pages import by_id, find_all, tag, text_of, tree


@cache
def probed() -> Result:
    """A rehearsal whose candidate can take 15 % less."""
    evidence = rehearsed(200.0, 170.0)
    own: RunRecord = replace(record(), policy=evidence.policy)
    return assemble(own, (*evidence.blocks, *evidence.probe), judge(evidence))


def test_every_step_of_the_probe_is_in_the_result_and_none_in_the_rest_of_it() -> None:
    result = probed()
    evidence = rehearsed(200.0, 170.0)
    assert len(result.capacity) == len(evidence.probe)
    assert result.load_s == sum(
        block.length_s for block in evidence.blocks if not block.is_warm_up and block.side is Side.CANDIDATE
    )
    assert len(result.timeline) == sum(not block.is_warm_up for block in evidence.blocks)
    judged = [step for step in result.capacity if step.is_judged]
    assert {step.phase for step in judged} == {Phase.HOLD}
    assert len(judged) == 2 * 6 * 2


def test_the_result_is_what_its_schema_says_and_reads_back() -> None:
    schema = json.loads((Path(report.__file__).parent / "result.schema.json").read_text())
    text = to_bytes(probed())
    jsonschema.validate(json.loads(text), schema)
    assert from_bytes(Result, text) == probed()


def test_the_page_has_a_picture_with_a_name_and_a_table_of_every_step() -> None:
    root = tree(probed)
    section = by_id(root, "capacity")
    charts = [one for one in find_all(section, "svg") if one.get("role") == "img"]
    assert len(charts) == 2  # for wide pages and for phones
    for chart in charts:
        names = (chart.get("aria-labelledby") or "").split()
        assert text_of(by_id(root, names[0])) == "Capacity"
    rows = [row for row in find_all(section, "tr") if tag(row[0]) == "th" and row[0].get("scope") == "row"]
    assert len(rows) == len(probed().capacity)
    assert "/s" in text_of(rows[0])


def test_the_cell_is_told_in_rates_and_percent() -> None:
    text = text_of(tree(probed))
    assert "capacity" in text
    assert "170/s" in text or "171/s" in text or "169/s" in text
    assert "\N{MINUS SIGN}10 %" in text  # its margin


def test_without_a_probe_there_is_no_such_section() -> None:
    assert not [one for one in find_all(tree(go), "section") if one.get("id") == "capacity"]


def step(side: Side, offered: float, completed: float, turn: int = 0) -> CapacityStep:
    return CapacityStep(side, turn, Phase.CLIMB, offered, completed, 0.1, 0.0, is_judged=turn > 0)


def test_the_picture_draws_the_staircases_and_nothing_where_nothing_was_completed() -> None:
    steps = [step(side, offered, min(offered, 200.0)) for side in Side for offered in (100.0, 200.0, 300.0)]
    for frame in (WIDE, NARROW):
        chart = capacity_chart([*steps, step(Side.BASELINE, 5000.0, 200.0, turn=1)], frame)
        assert chart is not None
        assert [line.side for line in chart.lines] == list(Side)
        assert all(len(line.marks) == 3 for line in chart.lines)
        assert all(frame.left <= x <= frame.right for line in chart.lines for x, _ in line.marks)
    assert capacity_chart([], WIDE) is None
