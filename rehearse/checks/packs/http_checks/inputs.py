"""Inputs that are odd and allowed: what a parser makes of them changes with its version."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx
import pytest

from rehearse.checks.packs.http_checks.asking import (
    BothSides,
    Pair,
    ask,
    ask_both,
    assert_as_before,
    good_pages,
    read_options,
)

DIGITS = "1" * 4_301  # one more than Python converts since CVE-2020-10735
LENGTHS = (
    2_000,
    4_000,
    7_500,
    15_000,
)  # below what servers differ about from one read of a socket to the next
REFUSALS = {"4xx", "no answer"}
UTF_8_EDGES = {
    "two bytes": "%C3%A9",
    "four bytes": "%F0%9F%9A%80",
    "a combining accent": "e%CC%81",
    "a byte order mark": "%EF%BB%BF",
    "a zero byte": "%00",
    "a byte that is not UTF-8": "%FF",
    "an overlong form": "%C0%AF",
    "half of a surrogate pair": "%ED%A0%80",
    "brackets as they are": "[1]",
}


@pytest.mark.breakage(
    id="http/semicolons",
    broke_on="2021-02-19",
    component="queries",
    ref="https://nvd.nist.gov/vuln/detail/CVE-2021-23336",
)
def test_semicolons_in_a_query_mean_what_they_meant(both: BothSides, options: Mapping[str, object]) -> None:
    """Python 3.9.2, a point release, stopped splitting queries at semicolons: ?a=1;b=2 became one parameter."""
    read = read_options(options)
    pages = good_pages(both.baseline, read)
    assert_as_before(ask_both(both, _with_query(page, "a=1;b=2")) for page in pages)
    for page in pages:
        if page.count("&"):
            _assert_same_meaning(both, page, page.replace("&", ";"), "with semicolons")


@pytest.mark.breakage(
    id="http/repeated-parameters",
    broke_on="2022-12-09",
    component="queries",
    ref="https://github.com/expressjs/express/issues/5060",
)
def test_a_parameter_given_twice_means_what_it_meant(both: BothSides, options: Mapping[str, object]) -> None:
    """Express 5 reads queries with another parser: what had been a list, items[]=1, became a parameter `items[]`."""
    for page in good_pages(both.baseline, read_options(options)):
        assert_as_before([ask_both(both, _with_query(page, "a=1&a=2&b[]=1&b[]=2"))])
        path, mark, query = page.partition("?")
        if mark:
            first = query.split("&")[0].partition("=")[0]
            _assert_same_meaning(
                both, page, f"{path}?{query}&{first}=", f"with a second {first!r} at the end"
            )
            _assert_same_meaning(
                both, page, f"{path}?{first}=&{query}", f"with a second {first!r} at the start"
            )


@pytest.mark.breakage(
    id="http/empty-values",
    broke_on="2024-01-17",
    component="queries",
    ref="https://github.com/openfun/ralph/issues/553",
)
def test_empty_values_are_taken_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """With pydantic 2 a service began to refuse empty texts that its own specification allows."""
    targets = []
    for page in good_pages(both.baseline, read_options(options)):
        targets += [_with_query(page, odd) for odd in ("a=", "a", "=a", "&", "&&a=1&")]
        targets.append(re.sub(r"=[^&]*", "=", page))
    assert_as_before(ask_both(both, target) for target in targets)


@pytest.mark.breakage(
    id="http/long-integers",
    broke_on="2022-09-06",
    component="queries",
    ref="https://github.com/python/cpython/issues/95778",
)
def test_a_very_long_integer_is_not_a_failure(candidate: httpx.Client, options: Mapping[str, object]) -> None:
    """Python 3.10.7, a point release, converts no more than 4,300 digits: services that did not expect it said 500."""
    for page in good_pages(candidate, read_options(options)):
        for target in {_with_query(page, f"a={DIGITS}"), re.sub(r"(?<=[/=])\d+(?=[/?&]|$)", DIGITS, page)}:
            answer = ask(candidate, target)
            assert answer.kind not in {"5xx", "no answer"}, (
                f"GET {page} with a number of {len(DIGITS)} digits: it {answer.shown}"
            )


@pytest.mark.breakage(
    id="http/utf-8",
    broke_on="2018-05-09",
    component="queries",
    ref="https://github.com/spring-projects/spring-boot/issues/13057",
)
def test_characters_beyond_ascii_are_taken_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Tomcat 8.5.31, a point release, began to answer 400 to characters in URLs that browsers do send."""
    read = read_options(options)
    pages = good_pages(both.baseline, read)
    for what, odd in UTF_8_EDGES.items():
        for target in [f"{read.missing}/{odd}", *(_with_query(page, f"a={odd}") for page in pages)]:
            pair = ask_both(both, target)
            assert pair.new.kind == pair.old.kind, f"{what}: {pair.differs}"


@pytest.mark.breakage(
    id="http/long-urls",
    broke_on="2017-03-28",
    component="limits",
    ref="https://github.com/ome/openmicroscopy/pull/5202",
)
def test_a_long_url_is_taken_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Behind Gunicorn OMERO.web refused URLs beyond 4,094 characters: who selected 400 images saw an error."""
    page = good_pages(both.baseline, read_options(options))[0]
    for length in LENGTHS:
        pair = ask_both(both, _with_query(page, f"a={'a' * length}"))
        _assert_alike_or_refused(pair, f"GET {page} with {length} characters more")


@pytest.mark.breakage(
    id="http/long-headers",
    broke_on="2018-11-29",
    component="limits",
    ref="https://github.com/nodejs/node/issues/24731",
)
def test_a_long_header_is_taken_as_before(both: BothSides, options: Mapping[str, object]) -> None:
    """Node 10.14, a security release, cut the limit for headers to a tenth, 8 kB: users with large cookies got 400."""
    page = good_pages(both.baseline, read_options(options))[0]
    for length in LENGTHS:
        pair = ask_both(both, page, headers={"X-Rehearse": "a" * length})
        _assert_alike_or_refused(pair, f"GET {page} with a header of {length} characters")


def _assert_alike_or_refused(pair: Pair, what: str) -> None:
    """A server that refuses may close before all was read: its answer then reaches the client, or does not."""
    alike = pair.new.kind == pair.old.kind or {pair.new.kind, pair.old.kind} <= REFUSALS
    assert alike, f"{what}: the baseline {pair.old.shown}, the candidate {pair.new.shown}"


def _with_query(page: str, query: str) -> str:
    return f"{page}{'&' if '?' in page else '?'}{query}"


def _assert_same_meaning(both: BothSides, page: str, odd: str, how: str) -> None:
    """Each side is compared with itself: does the odd form say what the plain one does? Both must agree on that."""
    pair = ask_both(both, odd)
    assert pair.new.kind == pair.old.kind, pair.differs
    old, new = (_says_the_same(side, page, odd) for side in (both.baseline, both.candidate))
    if old is not None and new is not None:
        assert new == old, (
            f"GET {page} {how}: the baseline {'answers the same' if old else 'answers something else'}, "
            f"the candidate {'the same' if new else 'something else'}"
        )


def _says_the_same(client: httpx.Client, page: str, odd: str) -> bool | None:
    """None where the page differs from itself: then nothing can be said."""
    before, other, after = (ask(client, target).text for target in (page, odd, page))
    return other == before if before == after else None
