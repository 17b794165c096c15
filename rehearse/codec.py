"""The nouns of `model` <-> JSON data <-> canonical bytes. Never pickle: what is read is data, not code.

One generic rule per kind of type, compiled once per annotation and then kept. Both directions check
everything: types, known enum words, no NaN or infinity, every field present and none unknown. So nothing is
written that could not be read back, and nothing is read that `rehearse` could not have written.

Ranges follow the words of `model`: a whole-number field is a count, and a field named `_s`, `_ratio`,
`_sd` or `_alpha` is a length, a share or a spread. None of them is below zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from hashlib import sha256
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    NoReturn,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from rehearse.errors import RehearseError
from rehearse.histogram import Histogram, HistogramError

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonData: TypeAlias = "bool | int | float | str | list[JsonData] | dict[str, JsonData] | None"
T = TypeVar("T")

_NEVER_NEGATIVE = ("_s", "_ratio", "_sd", "_alpha")


class CodecError(RehearseError):
    """Data that is not what it claims to be: the path to it, what was found, what was expected."""


# for others


def to_jsonable(value: object) -> JsonData:
    """`value` as plain JSON data. Raises CodecError on what could not be read back, such as NaN."""
    if isinstance(value, tuple | list):
        return [to_jsonable(item) for item in value]
    if isinstance(value, frozenset):
        return sorted((to_jsonable(item) for item in value), key=repr)
    if isinstance(value, Mapping):
        return {_text(key): to_jsonable(item) for key, item in value.items()}
    return _rule_for(cast("Hashable", type(value))).dump(value)


def from_jsonable(kind: type[T], data: object) -> T:
    """The `kind` that `data` describes, such as `Block` or `tuple[Block, ...]`. Raises CodecError."""
    return cast("T", _rule_for(cast("Hashable", kind)).load(data))


def canonical_json(data: JsonData) -> bytes:
    """The one spelling of `data`: sorted keys, no spaces, ASCII. Raises CodecError on NaN and infinity."""
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise CodecError(f"cannot be written as JSON: {error}") from error
    return text.encode("ascii")


def parse_json(text: bytes | str) -> JsonData:
    """The inverse of `canonical_json`; NaN and infinity are refused here too. Raises CodecError."""
    try:
        return cast("JsonData", json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"is not JSON: {error}") from error


def to_bytes(value: object) -> bytes:
    """`value` as canonical JSON."""
    return canonical_json(to_jsonable(value))


def digest_of(value: object) -> str:
    """SHA-256 over `value` as canonical JSON."""
    return sha256(to_bytes(value)).hexdigest()


def from_bytes(kind: type[T], text: bytes | str) -> T:
    """The inverse of `to_bytes`. Raises CodecError."""
    return from_jsonable(kind, parse_json(text))


# one rule per kind of type


@dataclass(frozen=True, slots=True)
class _Rule:
    """How values of one annotation are written and read; both raise CodecError."""

    dump: Callable[[object], JsonData]
    load: Callable[[object], object]


@cache
def _rule_for(annotation: Hashable) -> _Rule:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _Rule(partial(_dump_enum, annotation), partial(_load_enum, annotation))
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _dataclass_rule(annotation)
    return _composed_rule(annotation)


def _composed_rule(annotation: object) -> _Rule:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _union_rule(arguments)
    if origin is tuple:
        return _tuple_rule(arguments)
    if origin is frozenset:
        item = _rule_for(arguments[0])
        return _Rule(partial(_dump_set, item), partial(_load_set, item))
    if origin is Mapping:
        key, item = _rule_for(arguments[0]), _rule_for(arguments[1])
        return _Rule(partial(_dump_mapping, key, item), partial(_load_mapping, key, item))
    raise CodecError(f"no rule for the type {annotation!r}; the codec knows the types of rehearse.model")


def _mismatch(expected: str, given: object) -> NoReturn:
    shown = repr(given)
    raise CodecError(f"expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _at(place: str, error: CodecError) -> CodecError:
    return CodecError(f"{place}: {error}")


def _refuse_constant(word: str) -> NoReturn:
    raise CodecError(f"holds {word}, which is not a number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise CodecError(f"names a key twice: {sorted(name for name, _ in pairs)}")
    return entries


# Plain values. A subclass (a StrEnum, a numpy float) is written as what it stands for; True is no number.


def _text(value: object) -> str:
    return str.__str__(value) if isinstance(value, str) else _mismatch("a text", value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        _mismatch("a whole number", value)
    return int(value)


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        _mismatch("a number", value)
    try:
        number = float(value)
    except OverflowError:
        _mismatch("a number", value)
    return number if math.isfinite(number) else _mismatch("a finite number", value)


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else _mismatch("true or false", value)


def _null(value: object) -> None:
    return None if value is None else _mismatch("null", value)


def _checked(rule: _Rule, word: str) -> _Rule:
    """`rule`, and nothing below zero."""

    def check(convert: Callable[[object], object], value: object) -> object:
        number = convert(value)
        if number is not None and cast("float", number) < 0:
            _mismatch(word, value)
        return number

    return _Rule(cast("Callable[[object], JsonData]", partial(check, rule.dump)), partial(check, rule.load))


def _dump_histogram(value: object) -> JsonData:
    return list(value.to_pairs()) if isinstance(value, Histogram) else _mismatch("a histogram", value)


def _load_histogram(data: object) -> Histogram:
    pairs = _list(data)
    try:
        histogram = Histogram.from_pairs(cast("list[int]", pairs))
    except HistogramError as error:
        raise CodecError(str(error)) from error
    if histogram.to_pairs() != pairs:
        raise CodecError("a stored histogram does not name each bucket once, in ascending order")
    return histogram


_PLAIN: dict[object, _Rule] = {
    NoneType: _Rule(_null, _null),
    bool: _Rule(_truth, _truth),
    int: _Rule(_whole, _whole),
    str: _Rule(_text, _text),
    float: _Rule(_finite, _finite),
    Histogram: _Rule(_dump_histogram, _load_histogram),
}


def _dump_enum(kind: type[Enum], value: object) -> JsonData:
    return cast("str", value.value) if type(value) is kind else _mismatch(f"a {kind.__name__}", value)


def _load_enum(kind: type[Enum], data: object) -> Enum:
    try:
        return kind(data) if type(data) is str else _mismatch(f"a {kind.__name__}", data)
    except ValueError:
        _mismatch(f"one of {', '.join(str(member.value) for member in kind)}", data)


# Composed values.


def _list(data: object) -> list[object]:
    return data if type(data) is list else _mismatch("a list", data)


def _each(convert: Callable[[object], object], items: Iterable[object]) -> list[object]:
    converted: list[object] = []
    try:
        for item in items:
            converted.append(convert(item))  # noqa: PERF401  # how far it came is part of the message
    except CodecError as error:
        raise _at(f"[{len(converted)}]", error) from None
    return converted


def _tuple_rule(arguments: tuple[Hashable, ...]) -> _Rule:
    if arguments[-1] is Ellipsis:
        item = _rule_for(arguments[0])
        return _Rule(partial(_dump_tuple, item), lambda data: tuple(_each(item.load, _list(data))))
    rules = tuple(_rule_for(argument) for argument in arguments)
    return _Rule(partial(_dump_row, rules), partial(_load_row, rules))


def _dump_tuple(item: _Rule, value: object) -> JsonData:
    return cast("JsonData", _each(item.dump, value if type(value) is tuple else _mismatch("a tuple", value)))


def _dump_row(rules: tuple[_Rule, ...], value: object) -> JsonData:
    if type(value) is not tuple or len(value) != len(rules):
        _mismatch(f"a tuple of {len(rules)}", value)
    return [rule.dump(item) for rule, item in zip(rules, value, strict=True)]


def _load_row(rules: tuple[_Rule, ...], data: object) -> tuple[object, ...]:
    items = _list(data)
    if len(items) != len(rules):
        _mismatch(f"a list of {len(rules)}", data)
    return tuple(rule.load(item) for rule, item in zip(rules, items, strict=True))


def _dump_set(item: _Rule, value: object) -> JsonData:
    if type(value) is not frozenset:
        _mismatch("a frozenset", value)
    return cast("JsonData", sorted(cast("list[str]", _each(item.dump, value))))


def _load_set(item: _Rule, data: object) -> frozenset[object]:
    items = _each(item.load, _list(data))
    kept = frozenset(items)
    return kept if len(kept) == len(items) else _mismatch("a list without repetition", data)


def _dump_mapping(key: _Rule, item: _Rule, value: object) -> JsonData:
    if not isinstance(value, Mapping):
        _mismatch("a mapping", value)
    return cast("JsonData", _each_value(item.dump, {_text(key.dump(k)): v for k, v in value.items()}))


def _load_mapping(key: _Rule, item: _Rule, data: object) -> dict[object, object]:
    if type(data) is not dict:
        _mismatch("an object", data)
    loaded = _each_value(item.load, data)
    return {key.load(name): value for name, value in loaded.items()}


def _each_value(convert: Callable[[object], object], entries: Mapping[str, object]) -> dict[str, object]:
    name = ""
    try:
        converted = {}
        for name, entry in entries.items():
            converted[str(name)] = convert(entry)
    except CodecError as error:
        raise _at(repr(str(name)), error) from None
    return converted


def _union_rule(arguments: tuple[Hashable, ...]) -> _Rule:
    null = cast("Hashable", NoneType)
    # A float also takes whole numbers: tried last, 3 stays 3.
    kinds = sorted((kind for kind in arguments if kind != null), key=lambda kind: kind is float)
    rules = [_rule_for(kind) for kind in kinds]
    has_null = null in arguments
    return _Rule(
        cast("Callable[[object], JsonData]", partial(_first, has_null, [rule.dump for rule in rules])),
        partial(_first, has_null, [rule.load for rule in rules]),
    )


def _first(has_null: bool, converts: list[Callable[[object], object]], value: object) -> object:
    if value is None and has_null:
        return None
    problems: list[str] = []
    for convert in converts:
        try:
            return convert(value)
        except CodecError as error:
            problems.append(str(error))
    raise CodecError("; or ".join(dict.fromkeys(problems)))


# Dataclasses.


def _dataclass_rule(kind: type) -> _Rule:
    hints = get_type_hints(kind)
    rules = {field.name: _field_rule(field.name, hints[field.name]) for field in fields(kind)}
    return _Rule(partial(_dump_fields, kind, rules), partial(_load_fields, kind, rules))


def _field_rule(name: str, annotation: object) -> _Rule:
    rule = _rule_for(annotation)
    if annotation in (int, int | None):
        return _checked(rule, "a count, zero or more")
    if annotation in (float, float | None) and name.endswith(_NEVER_NEGATIVE):
        return _checked(rule, "zero or more")
    return rule


def _dump_fields(kind: type, rules: dict[str, _Rule], value: object) -> JsonData:
    if type(value) is not kind:
        _mismatch(f"a {kind.__name__}", value)
    name = ""
    try:
        dumped = {}
        for name, rule in rules.items():
            dumped[name] = rule.dump(getattr(value, name))
    except CodecError as error:
        raise _at(name, error) from None
    return dumped


def _load_fields(kind: Callable[..., object], rules: dict[str, _Rule], data: object) -> object:
    entries = _same_names(rules, data)
    name = ""
    try:
        loaded = {}
        for name, rule in rules.items():
            loaded[name] = rule.load(entries[name])
    except CodecError as error:
        raise _at(name, error) from None
    return kind(**loaded)


def _same_names(rules: dict[str, _Rule], data: object) -> dict[str, object]:
    if type(data) is not dict:
        _mismatch("an object", data)
    if data.keys() != rules.keys():
        missing, unknown = sorted(rules.keys() - data.keys()), sorted(map(str, data.keys() - rules.keys()))
        raise CodecError(f"missing {missing}, unknown {unknown}" if missing else f"unknown {unknown}")
    return data
