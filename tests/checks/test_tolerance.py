"""What a value must be, and how a complaint reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rehearse.checks.tolerance import TextExpectations, Tolerance, document_complaints, plain

INF = float("inf")


def complaint(stated: dict[str, Any], *values: object, is_secret: bool = False) -> str:
    return "; ".join(Tolerance(**stated).complaints(values, is_secret))


@pytest.mark.parametrize(
    ("stated", "value"),
    [
        ({"equals": 10}, 10),
        ({"equals": 10}, Decimal("10.00")),
        ({"equals": "10"}, "10"),
        ({"equals": True}, True),
        ({"type": "number"}, 1.5),
        ({"type": "integer"}, 1),
        ({"type": ("string", "null")}, None),
        ({"type": "array", "length": (1, 2)}, ["x"]),
        ({"type": "object", "length": 0}, {}),
        ({"range": (0, INF)}, 10**30),
        ({"range": (0, 1)}, 1),
        ({"regex": "^v[0-9]"}, "v2"),
        ({"length": 3}, "abc"),
        ({"present": True}, None),
    ],
)
def test_a_value_that_is_as_stated_is_not_complained_of(stated: dict[str, Any], value: object) -> None:
    assert complaint(stated, value) == ""


@pytest.mark.parametrize(
    ("stated", "value", "expected"),
    [
        ({"equals": 10}, "10", "expected 10, found '10'"),
        ({"equals": "10"}, 10, "expected '10', found 10"),
        ({"equals": 1}, True, "expected 1, found true"),
        ({"equals": 0}, None, "expected 0, found null"),
        ({"type": "number"}, True, "expected a number, found true"),
        ({"type": "number"}, float("nan"), "expected a number, found nan"),
        ({"type": "integer"}, 1.0, "expected a whole number, found 1.0"),
        ({"type": ("string", "null")}, 4, "expected a string or null, found 4"),
        ({"range": (0, 10)}, "5", "expected a number from 0 to 10, found '5'"),
        ({"range": (0, 10)}, float("nan"), "expected a number from 0 to 10, found nan"),
        ({"range": (0, 10)}, 11, "expected a number from 0 to 10, found 11"),
        ({"regex": "^v"}, 2, "expected a text that matches '^v', found 2"),
        ({"length": 2}, [1], "expected a length of 2, found an array of 1 items"),
        ({"length": 2}, 22, "expected a length of 2, found 22"),
        ({"absent": True}, None, "expected nothing there, found null"),
    ],
)
def test_a_complaint_says_what_was_expected_and_what_was_found(
    stated: dict[str, Any], value: object, expected: str
) -> None:
    assert complaint(stated, value) == expected


@pytest.mark.parametrize("stated", [{"present": True}, {"type": "null"}, {"equals": ""}, {"length": 0}])
def test_what_is_not_there_is_never_as_stated(stated: dict[str, Any]) -> None:
    assert complaint(stated).endswith(", found nothing there")


def test_each_of_several_values_must_be_as_stated() -> None:
    assert complaint({"type": "number"}, 1, "2", "3") == "expected a number, found '2' in 2 of 3 places"


def test_long_values_are_cut() -> None:
    assert len(complaint({"equals": "x"}, "y" * 10_000)) < 150


def test_a_secret_is_not_shown() -> None:
    said = complaint({"equals": "x"}, "canary-4711", is_secret=True)
    assert said == "expected 'x', found a string that is not shown"


def test_the_value_of_a_path_with_a_secret_name_is_not_shown() -> None:
    expected = {"$.user.token": Tolerance(type="null")}  # type: ignore[arg-type]
    assert "canary-4711" not in "".join(document_complaints(expected, {"user": {"token": "canary-4711"}}))


def test_texts_are_never_shown_themselves() -> None:
    stated = TextExpectations(contains=("ok",), not_contains=("Traceback",), regex="^v")
    said = list(stated.complaints("canary-4711 Traceback"))
    assert len(said) == 3
    assert "canary-4711" not in "".join(said)


def test_values_of_databases_are_compared_as_json_would_have_them() -> None:
    from datetime import UTC, datetime

    assert plain(datetime(2026, 3, 2, tzinfo=UTC)) == "2026-03-02T00:00:00+00:00"
    assert plain(b"\x01") == "01"
