"""What stands at each place of a JSON answer: its type, and its value as far as that may be kept.

Items of a list share their place: `$.items[*].price` has the prices of all of them, in their order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping

from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.redaction import names_a_secret

_LARGEST_ANSWER = 1 << 20
_MOST_PLACES = 200
_LONGEST_SHOWN = 30  # a longer value is known by its digest
_TYPES = {str: "text", dict: "object", list: "list"}


def places_of(body: bytes) -> dict[str, str]:
    """The type at each place of a JSON document; empty for anything else."""
    return {place: " or ".join(sorted(set(map(_type, values)))) for place, values in _gathered(body).items()}


def values_of(body: bytes) -> dict[str, str]:
    """The value at each place of a JSON document that is no object; nothing of what is called as secrets are."""
    return {
        place: _shown(values)
        for place, values in _gathered(body).items()
        if not names_a_secret(place.rpartition(".")[2]) and not any(isinstance(one, dict) for one in values)
    }


def moved(answers: Iterable[Mapping[str, str]]) -> set[str]:
    """The places that have not the same value in all of these answers."""
    known = list(answers)
    places = {place for one in known for place in one}
    return {place for place in places if len({one.get(place) for one in known}) > 1}


def is_below(place: str, others: Collection[str]) -> bool:
    """Whether a place is one of `others`, or below one."""
    return any(place == other or place.startswith((f"{other}.", f"{other}[")) for other in others)


def _gathered(body: bytes) -> dict[str, list[JsonData]]:
    found: dict[str, list[JsonData]] = {}
    if len(body) <= _LARGEST_ANSWER:
        try:
            _gather(parse_json(body), "$", found)
        except CodecError:
            return {}
    return found


def _gather(value: JsonData, place: str, found: dict[str, list[JsonData]]) -> None:
    if place not in found and len(found) >= _MOST_PLACES:
        return
    found.setdefault(place, []).append(value)
    if isinstance(value, dict):
        for key, item in value.items():
            _gather(item, f"{place}.{key}", found)
    elif isinstance(value, list):
        for item in value:
            _gather(item, f"{place}[*]", found)


def _type(value: JsonData) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return _TYPES[type(value)]


def _shown(values: list[JsonData]) -> str:
    """ "7"; "3 items" of a list, whose items have places of their own; or a digest."""
    text = ", ".join(map(_plain, values))
    if len(text) <= _LONGEST_SHOWN and "@" not in text:
        return text
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _plain(value: JsonData) -> str:
    if isinstance(value, list):
        return f"{len(value)} items"
    is_whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if is_whole else value)  # type: ignore[arg-type]  # then it is a number
