"""axe-core looks at the pages in a real Chromium, everything unfolded, on desks and phones, light and dark."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rehearse.report.html import render_html
from tests.report.browser import Browser
from tests.report.contracts import everything
from tests.report.cutovers import cutover
from tests.report.examples import EXAMPLES, empty
from tests.report.pages import HOSTILE, Make, with_texts

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 800), (390, 844)
HOSTILE_ALL = "".join(text for name, text in HOSTILE.items() if "long" not in name)
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true })"
LOOK = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one => ({
  rule: one.id, impact: one.impact, help: one.help,
  places: one.nodes.slice(0, 3).map(node => node.target.join(' ') + ': ' + node.failureSummary)
})))"""


def hostile() -> Any:
    """Every text with everything that is hostile in front of it."""
    return with_texts(everything(), lambda original: HOSTILE_ALL + original)


PAGES = {**EXAMPLES, "EMPTY": empty, "EVERYTHING": everything, "CUTOVER": cutover, "HOSTILE": hostile}


@pytest.fixture(scope="module")
def axe() -> str:
    """The program, as the package brings it."""
    return files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(browser: Browser, axe: str) -> list[dict[str, Any]]:
    """What axe-core has to say of the page that is open, of any weight."""
    browser.run(UNFOLD)
    browser.run(f"{axe}; 1")  # a debugger may do what the page's own policy forbids
    found: list[dict[str, Any]] = browser.run(LOOK)
    return found


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing(browser: Browser, tmp_path: Path, axe: str, make: Make) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_html(make()), encoding="utf-8")
    for size, scheme in ((DESK, "light"), (PHONE, "dark")):
        browser.open(page, *size, scheme=scheme)
        found = violations(browser, axe)
        assert found == [], json.dumps(found, indent=1)


def test_axe_would_find_something(browser: Browser, tmp_path: Path, axe: str) -> None:
    page = tmp_path / "report.html"
    broken = "<img src=x><p style='color: #999; background: #aaa'>pale</p></main>"
    page.write_text(render_html(everything()).replace("</main>", broken).replace("style-src", "x-src"))
    browser.open(page, *DESK)
    assert "image-alt" in {one["rule"] for one in violations(browser, axe)}
