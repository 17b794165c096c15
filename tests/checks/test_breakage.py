"""The marker is read strictly: what is unclear is said, with the nearest valid word."""

from __future__ import annotations

from datetime import date

import pytest

from rehearse.checks.breakage import Breakage, read_breakage
from rehearse.model import Severity

TODAY = date(2026, 11, 21)


def test_all_of_it_is_kept() -> None:
    given = {"id": "http/keep-alive", "broke_on": "2026-11-21", "severity": "warn", "ref": " https://x "}
    assert read_breakage((), given, TODAY) == Breakage(
        "http/keep-alive", Severity.WARN, broke_on="2026-11-21", ref="https://x"
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "has no id"),
        ({"id": ""}, "the id ''"),
        ({"id": "two words"}, "no word"),
        ({"id": 7}, "the id 7"),
        ({"id": "x" * 81}, "no word"),
        ({"id": "a", "broke_on": "02.03.2026"}, "no date"),
        ({"id": "a", "broke_on": "20260302"}, "no date"),
        ({"id": "a", "broke_on": date(2026, 3, 2)}, "no date"),
        ({"id": "a", "broke_on": "2026-11-22"}, "in the future"),
        ({"id": "a", "expires": "soon"}, "expires 'soon'"),
        ({"id": "a", "severity": "abrot"}, "Did you mean 'abort'?"),
        ({"id": "a", "severity": None}, "Known: abort, warn"),
        ({"id": "a", "expiry": "2026-12-01"}, "Did you mean 'expires'?"),
        ({"id": "a", "component": 3}, "no text"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=r"^has ") as raised:
        read_breakage((), given, TODAY)
    assert why in str(raised.value)


def test_an_argument_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="without a name"):
        read_breakage(("INC-231",), {}, TODAY)
