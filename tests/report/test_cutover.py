"""The exit section can be followed at 3 a.m.: steps, times, the decision point, what to watch, how to get back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.cutovers import CutoverResult, CutoverTerms, Direction, StepOutcome
from rehearse.model import Decision, Outcome
from rehearse.report.cutover import ExitPage, cutover_lines, exit_page, why_cutover
from rehearse.report.html import render_html
from rehearse.report.markdown import summary_md
from rehearse.report.terminal import summary_lines
from rehearse.report.ways import way_out
from tests.report.cutovers import CUTOVER, TERMS, cutover

UNDONE = replace(  # the undo that fails in the example went well
    CUTOVER,
    steps=tuple(
        replace(one, outcome=StepOutcome.DONE) if one.direction is Direction.UNDO else one
        for one in CUTOVER.steps
    ),
)


def page_of(cutover_: CutoverResult) -> ExitPage:
    page = exit_page(replace(cutover(), cutover=cutover_))
    assert page is not None
    return page


def clock(**changes: object) -> str:
    return page_of(replace(UNDONE, **changes)).clock  # type: ignore[arg-type]


def terms(**changes: object) -> CutoverTerms:
    return replace(TERMS, **changes)  # type: ignore[arg-type]


def test_a_comparison_has_no_exit_section() -> None:
    result = replace(cutover(), cutover=None)
    assert exit_page(result) is None
    assert "The exit, as it was rehearsed" not in render_html(result)


def test_the_way_back_is_all_that_is_planned_from_the_last_step_to_the_first() -> None:
    rows = page_of(CUTOVER).way_back
    assert [(row.number, row.name) for row in rows] == [
        (4, "tell customers"),
        (3, "contract"),
        (2, "switch"),
        (1, "expand"),
    ]
    told = {row.name: (row.planned, row.why_not, row.record is not None) for row in rows}
    beyond = "it comes after contract, from which there is no way back"
    assert told["tell customers"] == ("by hand: Write to them again.", beyond, False)
    assert told["contract"] == ("", "there is no way back from it", False)
    assert told["switch"] == ("by hand: Point it back at 1.0.", "", True)
    assert [row.rehearsed_as for row in rows] == ["", "", "make switch", ""]


def test_a_way_back_that_was_not_gone_to_its_end_says_what_is_missing_and_names_no_time() -> None:
    (undo,) = [one for one in CUTOVER.steps if (one.direction, one.name) == (Direction.UNDO, "switch")]
    early = replace(CUTOVER, steps=tuple(one for one in CUTOVER.steps if one.direction is Direction.APPLY))
    half = replace(early, steps=(*early.steps, undo))
    assert {row.name: row.why_not for row in page_of(half).way_back}[
        "expand"
    ] == "the way back ended before it"
    assert page_of(half).clock.startswith("The way back was not rehearsed to its end (without expand)")
    begun = replace(early, steps=early.steps[:1], undo_s=None)
    told = {row.name: row.why_not for row in page_of(begun).way_back}
    assert told["switch"] == "the upgrade did not get there"
    assert "T+" not in page_of(CUTOVER).clock  # its last undo failed


def test_the_way_forward_is_all_that_is_planned_rehearsed_or_not() -> None:
    rows = page_of(CUTOVER).forward
    assert [(row.name, row.why_not) for row in rows] == [
        ("deploy 2.1", ""),
        ("let them in", "the run ended before it"),
    ]
    steps = tuple(one for one in CUTOVER.steps if one.direction is not Direction.FORWARD)
    without = replace(CUTOVER, terms=terms(forward=()), steps=steps)
    assert {row.why_not for row in page_of(without).forward} == {"--forward was not asked for"}


def test_the_page_shows_the_whole_way_back_and_forward() -> None:
    html = render_html(cutover())
    for told in (
        "<strong>no way back from here</strong>: go forward, or restore the backup",
        "<strong>not rehearsed</strong>: it comes after contract",
        "by hand: Write to them again.",
        "Rehearsed as <code>make switch</code>",
        "<strong>not rehearsed</strong>: the run ended before it",
        "18 taken before the first step, 22 since; 0 and 3 refused",
    ):
        assert told in html


def test_steps_that_were_left_behind_say_what_leads_out() -> None:
    dropped = replace(CUTOVER.steps[0], number=6, name="contract")
    stuck = replace(CUTOVER, steps=(*CUTOVER.steps, dropped))
    assert "--undo" in way_out(CUTOVER)
    assert "--undo" not in way_out(stuck)
    assert "has no undo for contract: go forward or restore the backup" in way_out(stuck)
    assert "<code>rehearse cutover --undo</code> runs the way back" in render_html(cutover())
    assert "</code> has no undo for contract" in render_html(replace(cutover(), cutover=stuck))


def test_a_second_time_that_went_wrong_is_shown_in_place_of_the_first() -> None:
    again = replace(CUTOVER.steps[1], number=6, outcome=StepOutcome.FAILED, sentence="exit code 9")
    rows = page_of(replace(UNDONE, steps=(*UNDONE.steps, again))).steps
    assert [(row.name, row.mark) for row in rows][1] == ("switch", Outcome.FAIL)


def test_each_step_shows_how_it_came_out_both_ways() -> None:
    page = exit_page(cutover())
    assert page is not None
    assert [(row.name, row.mark) for row in page.steps] == [
        ("expand", Outcome.FAIL),  # its undo
        ("switch", Outcome.PASS),
        ("contract", Outcome.INCONCLUSIVE),
        ("tell customers", Outcome.INCONCLUSIVE),
    ]
    assert [row.is_decision for row in page.steps] == [False, False, True, False]


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
        (CUTOVER, "not taken back to its end"),
        (UNDONE, "taken back in 1.8 s; the longest outage was 1.20 s"),
        (replace(CUTOVER, disruptions=()), "no probe saw an outage"),
        (replace(CUTOVER, steps=CUTOVER.steps[:2], undo_s=None), "and not taken back; "),
        (
            replace(
                CUTOVER, steps=tuple(one for one in CUTOVER.steps if one.direction is not Direction.APPLY)
            ),
            "not applied to its end",
        ),
        (
            replace(UNDONE, terms=terms(is_undo_only=True)),
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
    assert lines[1] == "Begun and not taken back: expand: `rehearse cutover --undo` runs the way back"
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
