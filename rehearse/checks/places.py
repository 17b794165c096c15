"""One JSON document taken apart: what stands at each place, bounded in places, in depth and in items of a list."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from rehearse.checks.formats import (
    FILLED,
    LIST,
    OBJECT,
    TEXT,
    TEXT_TYPE,
    format_of,
    formats_of_list,
    is_data,
    type_of,
)
from rehearse.redaction import HIDDEN

ROOT = "$"
MAX_PLACES = 500
MAX_DEPTH = 16
MAX_KEYS = 100  # an object with more of them is a dictionary, whose keys are data
_ITEMS = 20  # of a list: half from its beginning, half from its end
_MOST_VISITS = 20_000
_LONGEST_VALUE = 40
_LONGEST_EXAMPLE = 80
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SECRET_KEY = re.compile(r"token|secret|passw|pwd|credential|authori|cookie|api_?key|session", re.IGNORECASE)


class NotJson(ValueError):
    """A body that says it is JSON and is not."""


@dataclass(slots=True)
class Seen:
    """What stood at one place of one document."""

    parent: str
    is_key: bool  # of an object, by name: it could be missing
    times: int = 0
    objects: int = 0  # of the times: how often it was an object, and could have keys
    types: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    examples: dict[str, object] = field(default_factory=dict)
    is_secret: bool = False


@dataclass(slots=True)
class Document:
    """The places of one document."""

    varying: Container[str]  # objects whose keys were found to be data before
    places: dict[str, Seen] = field(default_factory=dict)
    is_bounded: bool = False
    visits: int = 0

    def look(self, value: object, place: str = ROOT, parent: str = "", key: str = "", depth: int = 0) -> None:
        """Take in a value and what is in it."""
        seen = self._at(place, parent, key)
        self.visits += 1
        if seen is None or depth > MAX_DEPTH or self.visits > _MOST_VISITS:
            self.is_bounded = True
            return
        seen.times += 1
        kind = type_of(value)
        seen.types.add(kind)
        self._note(seen, kind, value)
        if isinstance(value, dict):
            seen.objects += 1
            is_dictionary = place in self.varying or len(value) > MAX_KEYS
            for name, inner in value.items():
                is_any = is_dictionary or is_data(name)
                self.look(
                    inner, below(place, None if is_any else name), place, "" if is_any else name, depth + 1
                )
        elif isinstance(value, list):
            for inner in value if len(value) <= _ITEMS else value[: _ITEMS // 2] + value[-_ITEMS // 2 :]:
                self.look(inner, f"{place}[*]", place, "", depth + 1)

    def _at(self, place: str, parent: str, key: str) -> Seen | None:
        found = self.places.get(place)
        if found is None and len(self.places) < MAX_PLACES:
            found = self.places[place] = Seen(parent, bool(key), is_secret=is_secret(key))
        return found

    @staticmethod
    def _note(seen: Seen, kind: str, value: object) -> None:
        named = kind
        if isinstance(value, str):
            named = format_of(value)
            seen.formats.add(named)
            if named == TEXT and len(value) <= _LONGEST_VALUE and not seen.is_secret:
                seen.values.add(value)
        elif isinstance(value, list):
            formats = set(formats_of_list(value))
            seen.formats |= formats
            named = FILLED if FILLED in formats else "empty list"
        seen.examples.setdefault(named, value)


def below(place: str, key: str | None) -> str:
    """The place of a key; of any key when it is None."""
    if key is None:
        return f"{place}.*"
    return f"{place}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{place}[{json.dumps(key)}]"


def is_secret(name: str) -> bool:
    """Whether a key, or a place below one, is called what secrets are called."""
    return _SECRET_KEY.search(name) is not None


def parse(body: bytes) -> object:
    """The document. Raises NotJson; NaN and infinity are none of JSON's numbers."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)[:100]) from error


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON")


def example_of(value: object, is_hidden: bool, clean: Callable[[str], str]) -> str:
    """A value as an example: one line, no secret; what is in a list or an object is only counted."""
    kind = type_of(value)
    if kind == OBJECT:
        return f"an object with {len(value)} keys"  # type: ignore[arg-type]  # it is one
    if kind == LIST:
        return f"a list of {len(value)}"  # type: ignore[arg-type]  # it is one
    if is_hidden:
        return HIDDEN
    if kind == TEXT_TYPE and format_of(str(value)) == "email":
        return '"***@***"'
    # Cleaned before it is cut or escaped: a part of a secret is not known for one.
    return json.dumps(clean(value) if isinstance(value, str) else value, ensure_ascii=False)


def cut(text: str) -> str:
    """An example is never longer than this."""
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[: _LONGEST_EXAMPLE - 3]}..."
