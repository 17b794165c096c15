"""What kind of value stands at a place of a JSON document: its type, and the format of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

INTEGER, NUMBER, NULL, TEXT_TYPE, LIST, OBJECT = "integer", "number", "null", "string", "array", "object"
TEXT, EMPTY_TEXT = "text", "empty text"
FILLED, EMPTY, SORTABLE = "filled list", "empty list", "3 or more items"
_LONGEST = 200  # a longer text is a text
_MOST_ITEMS = 200  # of a list whose order is looked at
_MOST_KEYS = 6  # of its objects
_FORMATS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("integer in text", r"[+-]?\d+"),
        ("decimal in text", r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?|[+-]?\d+[eE][+-]?\d+"),
        ("date", r"\d{4}-\d{2}-\d{2}"),
        (
            "time with offset",
            r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)? ?(?:Z|[+-]\d{2}:?\d{2})",
        ),
        ("time without offset", r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"),
        ("uuid", r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
        ("email", r"[^@\s]+@[^@\s]+\.[^@\s]+"),
        ("url", r"[a-z][a-z0-9+.-]*://\S+"),
    )
)
_DATA_KEY = re.compile(
    r"-?\d+|\d{4}-\d{2}.*|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|.*@.*|(?=.*\d)[0-9a-fA-F]{12,}|(?:.*\d){5,}.*"
)


def type_of(value: object) -> str:
    """The JSON type; a number is `integer` only when it is written as one."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return INTEGER if isinstance(value, int) else NUMBER
    if isinstance(value, str):
        return TEXT_TYPE
    return LIST if isinstance(value, list) else OBJECT


def format_of(text: str) -> str:
    """The format that the text is in; `text` when it is in none."""
    if not text:
        return EMPTY_TEXT
    if len(text) > _LONGEST:
        return TEXT
    return next((name for name, pattern in _FORMATS if pattern.fullmatch(text)), TEXT)


def is_data(key: str) -> bool:
    """Whether a key is a value itself (an id, a date, an address) and not a name that clients know."""
    return _DATA_KEY.fullmatch(key) is not None


def formats_of_list(items: Sequence[object]) -> Iterator[str]:
    """Whether there is something in it, and by what it is sorted."""
    yield FILLED if items else EMPTY
    if len(items) < 3:
        return
    yield SORTABLE
    shown = items[:_MOST_ITEMS]
    first = shown[0]
    if isinstance(first, Mapping):
        for key in list(first)[:_MOST_KEYS]:
            values = [item.get(key) for item in shown if isinstance(item, Mapping)]
            yield from (f"{order} by {key}" for order in _orders(values, len(shown)))
    else:
        yield from _orders(shown, len(shown))


def _orders(values: Sequence[object], expected: int) -> Iterator[str]:
    kinds = {type_of(value) for value in values}
    if len(values) < expected or not (kinds <= {INTEGER, NUMBER} or kinds == {TEXT_TYPE}):
        return
    pairs = list(pairwise(values))
    rises = [a < b for a, b in pairs if a != b]  # type: ignore[operator]  # all numbers, or all texts
    if rises and all(rises):
        yield "ascending"
    elif rises and not any(rises):
        yield "descending"
