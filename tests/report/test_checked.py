"""The checks on the page: what needs a reader first, what was broken before apart, what passed folded."""

from __future__ import annotations

from dataclasses import replace

from rehearse.judge.checks import subject_of
from rehearse.model import CheckOutcome, Finding, Outcome, ReasonCode
from rehearse.report.checked import check_table
from rehearse.report.headline import check_counts, top_reasons
from rehearse.report.terminal import summary_lines
from tests.report.examples import abort, go
from tests.report.pages import by_id, find_all, text_of, tree, tree_of


def test_every_check_has_its_outcome_in_a_word_and_a_shape() -> None:
    section = by_id(tree(abort), "checks")
    text = text_of(section)
    assert all(str(outcome) in text for outcome in CheckOutcome)
    assert len(list(find_all(section, "svg"))) == len(CheckOutcome)
    assert "assert <class 'str'> is int" in text


def test_failed_ones_come_first_and_what_was_broken_before_is_apart() -> None:
    table = check_table(abort())
    assert table is not None
    assert [row.check.outcome for row in table.open] == [
        CheckOutcome.FAILED,
        CheckOutcome.ERROR,
        CheckOutcome.ACCEPTED,
        CheckOutcome.NOT_RUN,
    ]
    assert len(table.already_broken) == len(table.passed) == 1
    rows = (*table.open, *table.already_broken, *table.passed)
    assert len({row.anchor for row in rows}) == len(rows)


def test_a_failed_check_among_the_reasons_leads_down_to_its_row() -> None:
    check = abort().checks[0]
    finding = Finding(Outcome.FAIL, ReasonCode.CHECK_FAILED, subject_of(check), "It is back.", is_hard=True)
    verdict = replace(abort().verdict, reasons=(finding, *abort().verdict.reasons))
    result = replace(abort(), verdict=verdict)
    (first, *_) = top_reasons(result, ())
    assert (first.sentence, first.anchor) == ("It is back.", "check-1")
    assert by_id(tree_of(result), "check-1") is not None
    assert summary_lines(result, None)[0].startswith("ABORT: A break of the past is back: 6 checks: 1 failed")


def test_the_terminal_counts_them_and_a_project_without_checks_hears_nothing_of_them() -> None:
    assert check_counts(abort().checks) in summary_lines(abort(), None)
    assert not any("check" in line for line in summary_lines(go(), None))
    sections = [section.get("id") for section in find_all(tree(go), "section")]
    assert "cells" in sections
    assert "checks" not in sections


def test_the_top_reasons_have_one_of_each_kind_before_a_second_of_any() -> None:
    checks = [
        Finding(
            Outcome.FAIL, ReasonCode.CHECK_FAILED, f"check: {number}", f"check {number} is back", is_hard=True
        )
        for number in range(9)
    ]
    worse = [one for one in abort().verdict.reasons if one.code == ReasonCode.WORSE]
    verdict = replace(abort().verdict, reasons=(*checks, *worse))
    told = [reason.sentence for reason in top_reasons(replace(abort(), verdict=verdict), ())]
    assert told == ["check 0 is back", worse[0].sentence, "check 1 is back"]
