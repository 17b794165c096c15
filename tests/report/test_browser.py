"""The page in a real Chromium: no sideways scrolling, no request, no complaint, and good on paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rehearse.report.html import render_html
from tests.report.browser import Browser
from tests.report.contracts import everything
from tests.report.cutovers import cutover
from tests.report.examples import EXAMPLES, abort, empty, go
from tests.report.pages import HOSTILE, Make, with_texts

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 800), (390, 844)
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
PAGES = {**EXAMPLES, "EMPTY": empty, "EVERYTHING": everything, "CUTOVER": cutover}
EVERY_KIND = pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
TOO_WIDE = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll, svg, thead') && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.tagName + '.' + e.className)
"""


def _page(folder: Path, html: str) -> Path:
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@EVERY_KIND
@SIZES
def test_a_page_never_scrolls_sideways(
    browser: Browser, tmp_path: Path, make: Make, size: tuple[int, int]
) -> None:
    page = _page(tmp_path, render_html(make()))
    for has_script in (True, False):
        browser.open(page, *size, has_script=has_script)
        assert browser.content_size()[0] == size[0]
        assert browser.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_page_stays_quiet_and_inside(browser: Browser, tmp_path: Path, text: str) -> None:
    page = _page(tmp_path, render_html(with_texts(everything(), lambda original: text + original)))
    for size in (DESK, PHONE):
        browser.open(page, *size)
        assert browser.requested == [page.as_uri()]
        assert browser.complaints == []
        assert browser.content_size()[0] == size[0]
    assert browser.evaluate("document.scripts.length + document.images.length") == 0


def test_the_policy_is_in_force(browser: Browser, tmp_path: Path) -> None:
    html = render_html(go()).replace(
        "</main>", "<script>document.title = 'owned'</script><img src=x.png></main>"
    )
    html = html.replace("<h1>", "<h1 style='color: red' onclick='alert(1)'>")
    browser.open(_page(tmp_path, html), *DESK)
    assert browser.evaluate("document.title").startswith("GO:")
    assert browser.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
    assert len(browser.complaints) >= 3  # script, image, style


@EVERY_KIND
def test_the_first_screen_of_a_desk_holds_all_that_a_decision_needs(
    browser: Browser, tmp_path: Path, make: Make
) -> None:
    browser.open(_page(tmp_path, render_html(make())), *DESK, has_script=False)
    bottoms = browser.evaluate(
        "[...document.querySelectorAll('.board h2')].map(e => e.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 5
    assert max(bottoms) < DESK[1]


@EVERY_KIND
def test_the_first_screen_of_a_phone_holds_verdict_reasons_and_next_step(
    browser: Browser, tmp_path: Path, make: Make
) -> None:
    browser.open(_page(tmp_path, render_html(make())), *PHONE, has_script=False)
    assert browser.evaluate("document.querySelector('.next').getBoundingClientRect().bottom") < PHONE[1]
    assert browser.evaluate(
        "document.querySelector('h1').scrollWidth <= document.querySelector('h1').clientWidth"
    )


def test_phones_get_the_narrow_pictures_and_stacked_cells(browser: Browser, tmp_path: Path) -> None:
    page = _page(tmp_path, render_html(abort()))
    shown = "[...document.querySelectorAll('#latency svg.chart')].filter(e => e.clientWidth).map(e => e.classList[1])"
    for size, kind in ((DESK, "wide"), (PHONE, "narrow")):
        browser.open(page, *size)
        assert browser.evaluate(shown) == [kind]


def test_the_dark_page_is_dark_and_paper_is_not(browser: Browser, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    page = _page(tmp_path, render_html(go()))
    browser.open(page, *DESK, scheme="dark")
    assert browser.evaluate(colour) == "rgb(18, 22, 27)"
    browser.emulate("print", "dark")
    assert browser.evaluate(colour) == "rgb(255, 255, 255)"


def test_a_link_to_a_folded_cell_unfolds_it(browser: Browser, tmp_path: Path) -> None:
    page = _page(tmp_path, render_html(abort()))
    browser.open(page, *DESK)
    folded = browser.evaluate("document.querySelector('#cells details tbody').id")
    browser.evaluate(f"location.hash = '{folded}'")
    assert browser.evaluate("document.querySelector('#cells details').open")


def test_on_paper_everything_is_open_and_the_decision_is_on_the_first_page(
    browser: Browser, tmp_path: Path
) -> None:
    browser.open(_page(tmp_path, render_html(abort())), *DESK)
    browser.emulate("print")
    heights = "[...document.querySelectorAll('details table')].map(e => e.getBoundingClientRect().height)"
    assert min(browser.evaluate(heights)) > 20
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 50_000
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 25


@SIZES
def test_a_screenshot_is_not_blank(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    browser.open(_page(tmp_path, render_html(abort())), *size, has_script=False)
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
