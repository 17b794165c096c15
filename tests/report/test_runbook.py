"""The exit plan can be followed: everything that is needed stands in it, in the order in which it is needed."""

from __future__ import annotations

from dataclasses import replace

import html5lib
import pytest

from rehearse.exit_plan import ExitPlan
from rehearse.report.board import decision_box
from rehearse.report.runbook import runbook_md, runbook_text
from rehearse.report.runbook_page import runbook_html
from tests.report.pages import HOSTILE, with_texts
from tests.test_exit_plan import WHOLE

PLAN = replace(WHOLE, decide_before="contract", text="Call the warehouse.")
PARTS = (
    "T+15m",
    "release engineer",
    "orders fail",
    "the orders database",
    "migrate up",
    "INC-1",
    "STOP",
    "drop column",
    "no way back",
    "switch old",
    "migrate down",
    "deploy 2.1",
    "Call the warehouse.",
)


@pytest.mark.parametrize("render", [runbook_md, runbook_html])
def test_the_runbook_says_all_of_it_in_order(render: object) -> None:
    page = render(PLAN, "orders")  # type: ignore[operator]
    rest = page.casefold()
    for part in PARTS:
        _, found, rest = rest.partition(part.casefold())
        assert found, f"{part!r} is missing, or comes too early"


def test_the_report_finds_the_decision_point_in_it() -> None:
    box = decision_box(runbook_text(PLAN))
    assert box.point == "T+15m, before step 3 (contract)"
    assert box.who == "release engineer"
    assert "#" not in box.plan_start
    assert box.plan_start.startswith("Strategy: roll-back. Turn back when: ")


def test_words_alone_are_a_plan_too() -> None:
    told = runbook_text(ExitPlan("roll-back", decide_by="T+20m", text="1. Go back."))
    assert told == "Strategy: roll-back\nDecision point: T+20m\n1. Go back."


def test_no_plan_is_no_text() -> None:
    assert runbook_text(ExitPlan("roll-back")) == ""


def test_nothing_in_a_plan_becomes_markup() -> None:
    page = runbook_html(replace(PLAN, text="<script>x</script>", decider="<b>"), "<i>")
    assert "<script" not in page
    assert "<b>" not in page.replace("<b>contract", "").replace("<b>expand", "").replace(
        "<b>switch", ""
    ).replace("<b>repair", "")
    assert "&lt;i&gt;" in page


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_adds_no_element_to_the_runbook(text: str) -> None:
    plain, owned = (
        html5lib.HTMLParser(strict=True).parse(runbook_html(with_texts(PLAN, change), change("orders")))
        for change in (lambda original: f"x{original}", lambda original: text + original)
    )
    assert [one.tag for one in owned.iter()] == [one.tag for one in plain.iter()]
