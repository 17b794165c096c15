"""Every key that the file may hold, read from the models: for messages, for variables and for the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from rehearse.config.fields import Kind
from rehearse.config.section import Section
from rehearse.config.settings import Settings
from rehearse.config.targets import ByName

ANY_NAME = "*"  # stands for a name that the user chose
ANY_ITEM = "[]"  # stands for one of a list of tables
TABLE = Kind("table", "{ key = 'value' }", from_text="as TOML")
TABLES = Kind("list of tables", "[{ key = 'value' }]", from_text="as TOML")


@dataclass(frozen=True, slots=True)
class Key:
    """One key; its path holds `*` and `[]` where the user's own names and items stand."""

    path: tuple[str, ...]
    kind: Kind
    field: FieldInfo
    section: type[Section]  # whose field it is
    table: tuple[str, ...]  # the path of that section

    def is_about(self, path: Sequence[str | int]) -> bool:
        """Whether `path`, as it stands in a file, leads to this key."""
        return len(path) == len(self.path) and all(map(_stands_for, self.path, path))


def _stands_for(pattern: str, part: str | int) -> bool:
    return isinstance(part, int) if pattern == ANY_ITEM else pattern in (ANY_NAME, part)


@cache
def all_keys(root: type[Section] = Settings) -> tuple[Key, ...]:
    """In the order of the models; `root` is what a file as a whole is read into."""
    return tuple(_keys_of(root, ()))


def _keys_of(section: type[Section], prefix: tuple[str, ...]) -> Iterator[Key]:
    for field in section.model_fields.values():
        path = (*prefix, str(field.alias))
        if path[-1].startswith("<"):  # filled in by us, and not in the file
            continue
        inner, step = _section_in(field.annotation), _step_into(field)
        if inner is not None or step:
            yield Key(path, TABLES if step == (ANY_ITEM,) else TABLE, field, section, prefix)
        if inner is None:
            yield Key((*path, *step), kind_of(field), field, section, prefix)
        else:
            yield from _keys_of(inner, (*path, *step))


def _step_into(field: FieldInfo) -> tuple[str, ...]:
    """What stands between a key and the keys of its tables."""
    origin = get_origin(field.annotation)
    if origin is Mapping or any(mark is ByName for mark in field.metadata):
        return (ANY_NAME,)
    return (ANY_ITEM,) if origin is tuple and _section_in(field.annotation) else ()


def _section_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def kind_of(field: FieldInfo) -> Kind:
    """What its values are called."""
    words = literals(field.annotation)
    if words:
        listed, is_list = " or ".join(map(repr, words)), get_origin(field.annotation) is tuple
        name, example = (f"list of {listed}", f"[{words[0]!r}]") if is_list else (listed, repr(words[0]))
        return Kind(name, example, from_text="as TOML" if is_list else "as it is")
    return next(kind for kind in (*field.metadata, *_metadata(field.annotation)) if isinstance(kind, Kind))


def literals(annotation: object) -> list[str]:
    """The words that a type allows; none when it is no choice between words."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for argument in get_args(annotation) for word in literals(argument)]


def _metadata(annotation: object) -> Iterator[object]:
    """What annotates a type, or a type inside it: `Duration | None` is a duration."""
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _metadata(argument)


def key_at(path: Sequence[str | int], root: type[Section] = Settings) -> Key | None:
    """The key that `path` leads to, if there is one."""
    return next((key for key in all_keys(root) if key.is_about(path)), None)


def keys_beside(path: Sequence[str | int], root: type[Section] = Settings) -> list[str]:
    """What could stand in the place of the last part of `path`."""
    table = path[:-1]
    return [
        key.path[-1]
        for key in all_keys(root)
        if len(key.path) == len(path) and all(map(_stands_for, key.path, table)) and key.path[-1] != ANY_NAME
    ]


def written(path: Sequence[str | int]) -> str:
    """`objectives.endpoints."GET /x".p95`, `scenarios[0].file`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            is_bare = re.fullmatch(r"[A-Za-z0-9_-]+|\*", part)
            text += f".{part}" if is_bare else f".{json.dumps(part, ensure_ascii=False)}"
    return text.removeprefix(".")
