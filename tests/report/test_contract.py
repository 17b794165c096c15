"""The response contract on the page: by endpoint, with examples, waivers named, notes folded."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from rehearse.codec import from_bytes, to_bytes
from rehearse.model import ContractChange, Result
from rehearse.report.html import render_html
from rehearse.report.terminal import summary_lines
from tests.report.contracts import CHANGES, changed
from tests.report.examples import go
from tests.report.pages import by_id, find_all, text_of, tree, with_texts
from tests.report.test_files import SCHEMA


def test_every_change_is_on_the_page_with_its_id_and_its_examples() -> None:
    text = text_of(by_id(tree(changed), "contract"))
    for change in CHANGES:
        for part in (change.subject, change.sentence, change.before, change.after):
            assert part in text
    assert "9 kinds of answers (endpoint and status) were compared" in text


def test_changes_stand_under_their_endpoint_and_notes_are_folded() -> None:
    section = by_id(tree(changed), "contract")
    assert [text_of(one) for one in find_all(section, "h3")] == ["GET /orders/{id} 200", "GET /search 200"]
    (folded,) = find_all(section, "details")
    assert "$.currency" in text_of(folded)
    assert "$.total" not in text_of(folded)


def test_a_waiver_is_shown_with_name_reason_and_date() -> None:
    text = text_of(by_id(tree(changed), "contract"))
    assert "Waived by Mara Lind until 2026-12-31: the app shows an empty note since 3.9" in text


def test_the_first_screen_and_the_terminal_say_that_clients_break() -> None:
    lines = summary_lines(changed(), "reports/r1/report.html")
    assert lines[0] == "ABORT: The candidate's answers are not what clients rely on."
    assert lines[1].startswith("1. GET /orders/{id} 200 $.total: number became string")
    assert any(line.startswith("Next: Do not promote. Restore what clients rely on") for line in lines)


def test_without_changes_the_section_says_what_was_compared() -> None:
    assert "No answers were compared." in text_of(by_id(tree(go), "contract"))


def test_the_result_is_what_its_schema_says_and_reads_back() -> None:
    text = to_bytes(changed())
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(json.loads(text))] == []
    assert from_bytes(Result, text) == changed()


def test_hostile_examples_stay_text() -> None:
    hostile = with_texts(changed(), lambda original: f"{original}</code><script>alert(1)</script>")
    assert isinstance(hostile.verdict.contract[0], ContractChange)
    assert "<script" not in render_html(hostile)
