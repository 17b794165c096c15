"""The exit section can be followed at 3 a.m.: steps, times, the decision point, what to watch, how to get back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.cutovers import CutoverResult, CutoverTerms, Direction, StepOutcome
from rehearse.model import Decision, Outcome
from rehearse.report.cutover import cutover_lines, exit_page, why_cutover
from rehearse.report.html import render_html
from rehearse.report.markdown import summary_md
from rehearse.report.terminal import summary_lines
from tests.report.cutovers import CUTOVER, TERMS, cutover


def clock(**changes: object) -> str:
    page = exit_page(replace(cutover(), cutover=replace(CUTOVER, **changes)))  # type: ignore[arg-type]
    assert page is not None
    return page.clock


def terms(**changes: object) -> CutoverTerms:
    return replace(TERMS, **changes)  # type: ignore[arg-type]


def test_a_comparison_has_no_exit_section() -> None:
    result = replace(cutover(), cutover=None)
    assert exit_page(result) is None
    assert "The exit, as it was rehearsed" not in render_html(result)


def test_the_way_back_is_in_the_order_in_which_it_is_gone() -> None:
    page = exit_page(cutover())
    assert page is not None
    assert [row.name for row in page.way_back] == ["switch", "expand"]
    assert [row.step.name for row in page.forward] == ["deploy 2.1"]


def test_each_step_shows_how_it_came_out_both_ways() -> None:
    page = exit_page(cutover())
    assert page is not None
    assert [(row.name, row.mark) for row in page.steps] == [
        ("expand", Outcome.FAIL),  # its undo
        ("switch", Outcome.PASS),
        ("contract", Outcome.INCONCLUSIVE),
    ]
    assert [row.is_decision for row in page.steps] == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "begin no later than T+9 min 58 s"),
        ({"undo_s": None}, "nobody knows how long it takes"),
        ({"terms": terms(decide_s=None), "left_s": None}, "No decision point is given as a time"),
        ({"terms": terms(decide_s=1.0), "left_s": 0.0}, "longer than until the decision point"),
        ({"terms": terms(undo_within_s=5.0)}, "and may take 5"),
    ],
)
def test_the_clock_says_when_to_turn_back_at_the_latest(changes: dict[str, object], expected: str) -> None:
    assert expected in clock(**changes).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("cutover_", "expected"),
    [
        (CUTOVER, "taken back in 1.8 s; the longest outage was 1.20 s"),
        (replace(CUTOVER, disruptions=()), "no probe saw an outage"),
        (replace(CUTOVER, undo_s=None), "not taken back"),
        (
            replace(
                CUTOVER, steps=tuple(one for one in CUTOVER.steps if one.direction is not Direction.APPLY)
            ),
            "not applied to its end",
        ),
        (
            replace(CUTOVER, terms=terms(is_undo_only=True)),
            "What an earlier run had left behind was taken back",
        ),
        (replace(CUTOVER, terms=terms(restored_by="Ada")), "put the environment back by hand"),
    ],
)
def test_one_sentence_says_what_it_came_to(cutover_: CutoverResult, expected: str) -> None:
    assert expected in why_cutover(cutover(), cutover_).replace("\N{NO-BREAK SPACE}", " ")


def test_the_terminal_and_the_summary_have_the_times_and_the_outages() -> None:
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in cutover_lines(CUTOVER)]
    assert lines[0] == "Exit: there 4.5 s, back 1.8 s, forward 4 s; 9 min 56 s left at the decision point"
    assert lines[1] == "Begun and not taken back: expand: `rehearse cutover --undo`"
    assert lines[2].startswith("Outage, write, fresh: longest 1.20 s")
    for text in ("\n".join(summary_lines(cutover(), None)), summary_md(cutover())):
        assert "there 4.5" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_has_all_that_is_needed_at_night() -> None:
    page = render_html(cutover()).replace("\N{NO-BREAK SPACE}", " ")
    for needed in (
        "How to go back",
        "How to go forward",
        "What to watch",
        "make switch",
        "exit code 1: it is locked",
        "old app, new schema",
        "1 of 50 rows are gone",
        "line 3 was &#39;x&#39; and is &#39;y&#39;",
        "fired after 35 s",
        "not watched: check INC-7",
        "the release engineer on duty",
        "Decide here.",
        "Half upgraded:</strong> expand was begun and not taken back",
        "ALTER TABLE",
    ):
        assert needed in page, needed


def test_nothing_is_half_upgraded_when_all_is_taken_back() -> None:
    steps = tuple(replace(one, outcome=StepOutcome.DONE) for one in CUTOVER.steps if one.number < 5)
    assert "Half upgraded" not in render_html(replace(cutover(), cutover=replace(CUTOVER, steps=steps)))


def test_a_go_names_what_it_rests_on_and_no_margins() -> None:
    result = replace(cutover(), verdict=replace(cutover().verdict, decision=Decision.GO))
    assert "Nearest to their margins" not in render_html(result)
