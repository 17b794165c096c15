"""What overrides the file: REHEARSE_ variables, and above them the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rehearse.config.keys import ANY_ITEM, ANY_NAME, all_keys, key_at

PREFIX, IGNORED_PREFIX = "REHEARSE_", "REHEARSE_TEST_"
COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Override:
    """A value for one key, and who gave it. An empty text takes the key away: its default holds."""

    where: tuple[str, ...]
    value: object
    origin: str

    def apply(self, values: dict[str, Any]) -> None:
        """Put it into the values of the file."""
        *tables, last = self.where
        for name in tables:
            if not isinstance(values.get(name), dict):
                values[name] = {}
            values = values[name]
        if self.value == "":
            values.pop(last, None)
        else:
            values[last] = self._typed()

    def _typed(self) -> object:
        """Variables and options hold text: where the key wants something else, that is read as TOML."""
        key, text = key_at(self.where), self.value
        if not isinstance(text, str) or key is None or key.kind.from_text == "as it is":
            return text
        if key.kind.from_text == "either" and not text.startswith(("[", "{")):
            return text
        document = _toml(f"value = {text}")
        return document["value"] if list(document) == ["value"] else text


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def from_environment(env: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[Override | str]:
    """REHEARSE_LOAD__RATE=80 is load.rate; an unknown variable comes out as a line that says so."""
    known = dict(_variables(values))
    for name in sorted(env):
        if not name.startswith(PREFIX) or name.startswith(IGNORED_PREFIX):
            continue
        if name in known:
            yield Override(known[name], env[name], name)
        else:
            yield f"{name}: is an unknown variable. {_nearest_variable(name, known)}"


def _variables(values: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each variable that has a meaning; targets and headers are those that the file names."""
    for key in all_keys():
        for where in _with_names(key.path, values):
            name = PREFIX + "__".join(re.sub(r"[-.]", "_", part).upper() for part in where)
            if re.fullmatch(r"[A-Z0-9_]+", name):
                yield name, where


def _with_names(
    path: tuple[str, ...], values: object, done: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The path with the names that the file has in place of `*`; an item of a list has no variable."""
    if not path:
        yield done
    elif path[0] != ANY_ITEM:
        table = values if isinstance(values, Mapping) else {}
        for name in table if path[0] == ANY_NAME else path[:1]:
            yield from _with_names(path[1:], table.get(name), (*done, name))


def _nearest_variable(name: str, known: Iterable[str]) -> str:
    """Compared without the beginning that they all have, and without what no variable can set."""
    endings = [other.removeprefix(PREFIX) for other in known if not other.startswith(f"{PREFIX}SAFETY")]
    close = get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f"Did you mean {PREFIX + close[0]!r}?" if close else "docs/configuration.md lists them."


def from_command_line(given: Mapping[str, object]) -> Iterator[Override | str]:
    """Dotted keys, such as "load.rate"; None is an option that was not given."""
    for dotted, value in given.items():
        where = tuple(_path_in(_toml(f"{dotted} = 0")))
        if not where:
            yield f"{COMMAND_LINE}: {dotted!r} is no key; write it like load.rate"
        elif value is not None:
            yield Override(where, value, COMMAND_LINE)


def _path_in(document: object) -> Iterator[str]:
    """The names on the way to the only value; none when there is more than one."""
    while isinstance(document, dict) and len(document) == 1:
        [(name, document)] = document.items()
        yield name
