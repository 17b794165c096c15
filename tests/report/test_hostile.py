"""Names, sentences and facts come from targets and scenarios: whatever they hold, they stay text."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import fields, replace
from functools import cache
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearse.codec import to_bytes
from rehearse.model import Result
from rehearse.report.html import render_html
from rehearse.report.terminal import summary_lines
from rehearse.report.visible import printable, visible
from tests.report.contracts import everything
from tests.report.examples import empty, partial
from tests.report.pages import HOSTILE, find_all, parsed, tag, text_of, tree, tree_of, with_texts

EVERY_TEXT = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
TERMINAL_BREAKERS = {"Cc", "Cs", "Zl", "Zp"}


def hostile(text: str, result: Result | None = None) -> Result:
    """The result with `text` in front of every text of it."""
    return with_texts(result or everything(), lambda original: text + original)


@cache
def _known_shapes() -> set[tuple[str, frozenset[str]]]:
    return _shapes(tree_of(hostile("plain "))) | _shapes(tree(everything)) | _shapes(tree(partial))


def _shapes(root: Element) -> set[tuple[str, frozenset[str]]]:
    return {(tag(element), frozenset(map(str, element.attrib))) for element in root.iter()}


@EVERY_TEXT
def test_a_hostile_text_adds_no_element_and_no_attribute(text: str) -> None:
    assert _shapes(tree_of(hostile(text))) <= _known_shapes()


@EVERY_TEXT
def test_a_hostile_text_is_still_read_as_it_was_written(text: str) -> None:
    shown = text_of(tree_of(hostile(text)))
    assert " ".join(visible(text).split()) in shown


def test_a_template_in_a_name_is_not_run() -> None:
    page = render_html(hostile("{{7*7}}", empty()))
    assert "{{7*7}}" in page
    assert "49" not in text_of(parsed(page)).split()


@EVERY_TEXT
def test_no_misleading_character_reaches_the_page(text: str) -> None:
    page = render_html(hostile(text))
    assert page.encode()
    assert {unicodedata.category(character) for character in page} & {"Cs", "Zl", "Zp"} == set()
    assert [c for c in page if unicodedata.category(c) == "Cc" and c not in "\n\t"] == []
    assert [
        c for c in page if c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff"
    ] == []


@EVERY_TEXT
def test_json_stays_ascii_and_reads_back_the_same(text: str) -> None:
    content = to_bytes(hostile(text))
    assert max(content) < 0x7F
    assert min(content) >= 0x20
    assert json.loads(content)["title"] == text + everything().title


@EVERY_TEXT
def test_the_terminal_gets_plain_lines(text: str) -> None:
    lines = summary_lines(hostile(text), f"reports/{text}/report.html")
    assert len(lines) == len(summary_lines(hostile("plain "), "x"))
    for line in lines:
        assert not {unicodedata.category(character) for character in line} & TERMINAL_BREAKERS
        assert not line.startswith("::")
        assert "\u202e" not in line


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_verdict_word_is_not_a_matter_of_texts(text: str) -> None:
    result = hostile(text)
    (heading,) = find_all(tree_of(result), "h1")
    assert text_of(heading) == "ABORT"
    assert summary_lines(result, None)[0].startswith("ABORT: ")
    assert json.loads(to_bytes(result))["verdict"]["decision"] == "ABORT"


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet=st.characters(), max_size=80))
def test_any_text_at_all_parses_strictly(text: str) -> None:
    result = replace(
        with_texts(empty(), lambda original: text + original), ended_at="2026-11-21T03:33:52+00:00"
    )
    assert text_of(tree_of(result)).count("INCONCLUSIVE") >= 1


@given(text=st.text())
def test_a_visible_text_keeps_its_length_but_for_line_ends(text: str) -> None:
    assert len(visible(text)) == len(text.replace("\r\n", "\n"))
    assert visible(visible(text)) == visible(text)


@given(text=st.text())
def test_a_printable_text_is_one_line(text: str) -> None:
    assert len(printable(text).splitlines()) <= 1
    assert printable(printable(text)) == printable(text)


def test_whole_terminal_sequences_go_and_joined_emoji_stay() -> None:
    assert printable("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link") == "red link"
    assert printable("\U0001f468\u200d\U0001f469") == "\U0001f468\u200d\U0001f469"


def test_everything_that_a_result_can_hold_is_in_the_one_that_hostile_texts_are_put_into() -> None:
    """Or a field that is new would go into pages, summaries and annotations untried."""
    held = everything()
    empty = {one.name for one in fields(held) if not getattr(held, one.name)}
    assert empty == {"is_advisory"}, "give tests/report/contracts.py one of each"
