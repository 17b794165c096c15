"""What a value must be, as a declared check states it, and what is wrong with one that is not.

Every complaint is a part of one sentence: "expected a number, found '10' (a text)". Long values are cut, and what
belongs to a name such as `token` or `set-cookie` is not shown at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated

from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from rehearse.config.fields import Kind
from rehearse.config.redaction import SECRET_NAME
from rehearse.config.section import Section
from rehearse.errors import nearest

LONGEST_SHOWN = 80
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_ARTICLES = {"array": "an array", "integer": "a whole number", "null": "null", "object": "an object"}

# --- the types that expectations are made of


def _read_types(given: object) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else given
    if not isinstance(words, tuple) or not words:
        raise ValueError("is not a type. Known: " + ", ".join(_TYPES) + ".")
    for word in words:
        if word not in _TYPES:
            raise ValueError(f"is not a type. {nearest(str(word), _TYPES)}")
    return words


def _read_range(given: object) -> tuple[float, float]:
    """Both ends belong to it."""
    if isinstance(given, tuple) and len(given) == 2 and all(map(_is_number, given)):
        low, high = given
        if low <= high:
            return low, high
    raise ValueError("is not a range; write it like [0, 10], lower end first; an open end is inf")


def _read_count(given: object) -> tuple[float, float]:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given, given
    if isinstance(given, tuple):
        return _read_range(given)
    raise ValueError("is not a count; write it like 3 or, from and to, [1, 10]")


def _read_scalar(given: object) -> object:
    if isinstance(given, str | bool) or _is_number(given):
        return given
    raise ValueError(
        "is not a text, a number or a boolean; other values are described by `type` and `length`"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and not math.isnan(value)


def _compilable(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


def _read_yes(given: object) -> bool:
    if given is not True:
        raise ValueError("says nothing; write true, or take the line out")
    return True


def _as_list(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _not_empty(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(texts):
        raise ValueError("holds an empty text, which is in every text")
    return texts


Types = Annotated[tuple[str, ...], Kind("type, or list of types", "'number'"), PlainValidator(_read_types)]
Range = Annotated[tuple[float, float], Kind("range", "[0, 10]"), PlainValidator(_read_range)]
Count = Annotated[tuple[float, float], Kind("count, or range", "3"), PlainValidator(_read_count)]
Scalar = Annotated[object, Kind("text, number or boolean", "10"), PlainValidator(_read_scalar)]
Regex = Annotated[str, Kind("regular expression", "'^v[0-9]+'"), AfterValidator(_compilable)]
Texts = Annotated[
    tuple[str, ...],
    Kind("text, or list of texts", "'some text'"),
    BeforeValidator(_as_list),
    AfterValidator(_not_empty),
]
Yes = Annotated[bool, Kind("`true`", "true"), PlainValidator(_read_yes)]


class Expectations(Section):
    """A table of expectations: it must hold one at least."""

    @model_validator(mode="after")
    def _expects_something(self) -> Expectations:
        given = [getattr(self, name) for name in self.model_fields_set]
        if not given or any(value == () or value == {} for value in given):
            known = ", ".join(str(field.alias) for field in type(self).model_fields.values())
            raise ValueError(f"has no expectation, so nothing could ever fail; write one of: {known}")
        return self


# --- values


class Tolerance(Expectations):
    """What a single value must be. Every part that is stated must hold."""

    equals: Scalar | None = Field(
        default=None, description="The very value. A text never equals a number, nor 1 equal true."
    )
    type: Types | None = Field(
        default=None,
        description="`string`, `number`, `integer` (a number written without a point), `boolean`, `null`, `array`,"
        " `object`; several in a list.",
    )
    range: Range | None = Field(
        default=None,
        description="A number from the first to the second, both allowed; `inf` for an open end.",
    )
    regex: Regex | None = Field(
        default=None, description="A text in which this is found; `^` and `$` stand for its ends."
    )
    length: Count | None = Field(
        default=None, description="How many items, keys or characters: a number, or from and to."
    )
    present: Yes | None = Field(default=None, description="It is there, whatever it is.")
    absent: Yes | None = Field(default=None, description="Nothing is there.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Tolerance:
        if self.absent and len(self.model_fields_set) > 1:
            raise ValueError("says `absent`, and what a value must be; write one of the two")
        return self

    def complaints(self, values: Sequence[object], is_secret: bool = False) -> Iterator[str]:
        """What is wrong with the values that were found in one place; each of them must be as stated."""
        if self.absent and values:
            yield f"expected nothing there, found {shown(values[0], is_secret)}"
        elif not self.absent and not values:
            yield f"expected {self._wanted()}, found nothing there"
        elif not self.absent:
            wrong = [(value, wanted) for value in values if (wanted := self._unmet(value))]
            if wrong:
                value, wanted = wrong[0]
                share = f" in {len(wrong)} of {len(values)} places" if len(values) > 1 else ""
                yield f"expected {wanted}, found {shown(value, is_secret)}{share}"

    def _wanted(self) -> str:
        """All of it, for a value that is not there."""
        return " and ".join(wanted for _, wanted in self._parts(None)) or "something there"

    def _unmet(self, value: object) -> str | None:
        """The first part that does not hold for `value`."""
        return next((wanted for holds, wanted in self._parts(value) if not holds), None)

    def _parts(self, value: object) -> Iterator[tuple[bool, str]]:
        """Whether each stated part holds, and its words."""
        if self.type is not None:
            words = " or ".join(_ARTICLES.get(name, f"a {name}") for name in self.type)
            yield any(_is_of_type(value, name) for name in self.type), words
        if self.equals is not None:
            yield _are_equal(value, self.equals), shown(self.equals)
        if self.range is not None:
            yield _is_within(value, self.range), f"a number from {_ends(self.range)}"
        if self.regex is not None:
            found = isinstance(value, str) and re.search(self.regex, value) is not None
            yield found, f"a text that matches {shown(self.regex)}"
        if self.length is not None:
            size = len(value) if isinstance(value, str | list | dict) else None
            yield size is not None and _is_within(size, self.length), f"a length of {counted(self.length)}"


def _exactly(given: object) -> object:
    """A plain value is what must be equal."""
    return given if isinstance(given, dict) else {"equals": given}


Expected = Annotated[Tolerance, BeforeValidator(_exactly)]


def _is_of_type(value: object, name: str) -> bool:
    match name:
        case "number":
            return _is_number(value)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
    return isinstance(value, dict)


def type_of(value: object) -> str:
    """The narrowest of the types that a tolerance can name; `integer`, and not `number`, for 1."""
    return next(name for name in ("integer", *_TYPES) if _is_of_type(value, name) or name == "string")


def _are_equal(value: object, other: object) -> bool:
    if _is_number(value) and _is_number(other):
        return value == other
    return type(value) is type(other) and value == other


def _is_within(value: object, ends: tuple[float, float]) -> bool:
    return _is_number(value) and ends[0] <= value <= ends[1]  # type: ignore[operator]  # it is a number


def plain(value: object) -> object:
    """A value of a database or of a TOML document as JSON would have it: instants and the like are texts."""
    if value is None or isinstance(value, str | bool | int | float | Decimal | list | dict):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.hex() if isinstance(value, bytes) else str(value)


# --- words


def shown(value: object, is_secret: bool = False) -> str:
    """A value in a message: `'10' (a string)`, `10`; tables and lists by their size, secrets not at all."""
    if isinstance(value, dict | list):
        return (
            f"an object of {len(value)} keys"
            if isinstance(value, dict)
            else f"an array of {len(value)} items"
        )
    if is_secret:
        kind = type_of(value)
        return f"{_ARTICLES.get(kind, f'a {kind}')} that is not shown"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return cut(repr(value)) if isinstance(value, str) else cut(str(value))


def cut(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The start of a text that is too long for a message."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def counted(ends: tuple[float, float]) -> str:
    """`3`, `1 to 10`."""
    return f"{ends[0]:g}" if ends[0] == ends[1] else _ends(ends)


def _ends(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.15g} to {ends[1]:.15g}"


def is_secret_name(name: str) -> bool:
    """Whether what has this name is most likely a secret."""
    return SECRET_NAME.search(name) is not None


# --- texts


class TextExpectations(Expectations):
    """What a text must hold, and must not."""

    contains: Texts = Field(default=(), description="Texts that are all in it.")
    not_contains: Texts = Field(default=(), description="Texts of which none is in it.")
    regex: Regex | None = Field(
        default=None, description="Found somewhere in it; `(?m)` makes `^` and `$` the ends of a line."
    )

    def complaints(self, text: str) -> Iterator[str]:
        """What is wrong with the text; never the text itself, which could be anybody's data."""
        size = f"{len(text):,} characters"
        for part in self.contains:
            if part not in text:
                yield f"expected {shown(part)} in it, not found in its {size}"
        for part in self.not_contains:
            if part in text:
                yield f"expected no {shown(part)} in it, found at character {text.index(part):,} of {size}"
        if self.regex is not None and not re.search(self.regex, text):
            yield f"expected a match of {shown(self.regex)} in it, none found in its {size}"


# --- documents

_PATHS = JSONPathEnvironment(strict=True)  # RFC 9535, without the additions of the library


@cache
def _compiled(path: str) -> JSONPath:
    found = _PATHS.compile(path)
    if not isinstance(found, JSONPath):
        raise ValueError("is not a single path")
    return found


def _readable_path(path: str) -> str:
    try:
        _compiled(path)
    except (JSONPathError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"is not a JSON path (RFC 9535): {reason}; write it like '$.items[0].price'"
        ) from None
    return path


JsonPath = Annotated[str, Kind("JSON path", "'$.total'"), AfterValidator(_readable_path)]


def document_complaints(expected: Mapping[str, Tolerance], document: object) -> Iterator[str]:
    """What is wrong with a document, path by path. A path that leads to several values is about each of them."""
    for path, tolerance in expected.items():
        try:
            values = [plain(match.obj) for match in _compiled(path).finditer(document)]  # type: ignore[arg-type]
        except JSONPathError as error:  # it is nested too deeply
            yield f"{cut(path)}: cannot be looked up: {type(error).__name__}"
            continue
        for complaint in tolerance.complaints(values, is_secret_name(path)):
            yield f"{cut(path)}: {complaint}"
