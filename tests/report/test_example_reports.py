"""The example reports that the README points to are of this version: its schema, its page, one for each verdict."""

from __future__ import annotations

import json
from hashlib import sha256

import html5lib
import pytest
from jsonschema import Draft202012Validator

from bench.examples import EXAMPLES, KEPT, ROOT, folder_of
from rehearse.codec import from_bytes
from rehearse.model import Result
from rehearse.report.html import render_html
from tests.report.test_files import SCHEMA

EACH = pytest.mark.parametrize("name", EXAMPLES)
AGAIN = "run `make examples`"


@EACH
def test_an_example_is_what_its_schema_says_and_has_the_verdict_of_its_name(name: str) -> None:
    content = (folder_of(name) / "result.json").read_bytes()
    problems = [error.message for error in Draft202012Validator(SCHEMA).iter_errors(json.loads(content))]
    assert problems == [], AGAIN
    assert from_bytes(Result, content).verdict.decision is EXAMPLES[name].decision


@EACH
def test_the_page_of_an_example_is_of_its_result_and_has_its_parts(name: str) -> None:
    result, page = (folder_of(name) / one for one in reversed(KEPT))
    html = page.read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(html)
    assert sha256(result.read_bytes()).hexdigest() in html
    assert str(ROOT) not in html

    def headings(text: str) -> list[str]:
        return [part.partition(">")[2].partition("<")[0] for part in text.split("<h2")[1:]]

    assert headings(html) == headings(render_html(from_bytes(Result, result.read_bytes()))), AGAIN


@EACH
def test_the_readme_points_to_it(name: str) -> None:
    assert f"reports/example-{name}/report.html" in (ROOT / "README.md").read_text(encoding="utf-8")
