"""What is wrong with a configuration, in the words of the file: which key, which value, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rehearse.config.keys import TABLE, TABLES, Key, key_at, keys_beside, literals
from rehearse.config.section import Section
from rehearse.config.settings import Settings
from rehearse.databases import is_database
from rehearse.errors import nearest
from rehearse.redaction import redact

LONGEST_SHOWN = 60
Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and where."""

    where: Where
    sentence: str


def mistakes_in(
    error: ValidationError, values: Mapping[str, object], root: type[Section] = Settings
) -> Iterator[Mistake]:
    """What the models found; `root` is the one that the file as a whole was read into."""
    for detail in error.errors(include_url=False):
        where = _where(detail["loc"], values)
        yield Mistake(where, _sentence(detail, where, root))


def _where(location: Sequence[str | int], values: Mapping[str, object]) -> Where:
    """The models keep targets as a list; in the file each has a name."""
    parts = [part for part in location if part not in ("<name>", "[key]")]
    targets = values.get("targets")
    if (
        isinstance(targets, Mapping)
        and len(parts) > 1
        and parts[0] == "targets"
        and isinstance(parts[1], int)
    ):
        parts[1] = list(targets)[parts[1]]
    return tuple(parts)


def _sentence(detail: ErrorDetails, where: Where, root: type[Section]) -> str:
    key, is_item = key_at(where, root), False
    if key is None and isinstance(where[-1], int):
        key, is_item = key_at(where[:-1], root), True
    if detail["type"] == "extra_forbidden":
        return f"is an unknown key. {nearest(str(where[-1]), keys_beside(where, root))}"
    if detail["type"] == "missing" and key is not None:
        return f"is missing ({key.kind.name}). {key.field.description}"
    return f"{_shown(detail['input'], key)} {_phrase(detail, key, is_item)}"


def _phrase(detail: ErrorDetails, key: Key | None, is_item: bool) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "literal_error" and key is not None:
        return f"is not allowed. {nearest(str(detail['input']), literals(key.field.annotation))}"
    kind = key.kind if key else TABLE
    return f"is no {'item of a ' if is_item else ''}{kind.name}; write it like {kind.example}"


def _shown(value: object, key: Key | None) -> str:
    """The value as the file has it, cut when it is long; tables and secrets are not shown."""
    if key is None or key.kind.is_secret or key.kind in (TABLE, TABLES):
        return "the value"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and is_database(value):
        return "the value"  # a mistyped URL may have its password anywhere
    # Before it is cut: what is left of a URL without its @ would not be known for a password.
    text = redact(repr(list(value) if isinstance(value, tuple) else value), ())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
