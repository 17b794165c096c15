"""Where settings come from: the file, and the variables that its texts name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearse.config.mistakes import Mistake, Where
from rehearse.config.redaction import SECRET_NAME
from rehearse.errors import ConfigError

FILE_NAME, SHARED_FILE_NAME = "rehearse.toml", "pyproject.toml"
ADVICE = "Write one (the README has the shortest), or name one with --config."
_VARIABLE = re.compile(r"\$\$(?=\{)|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read."""

    path: Path
    label: str  # how messages begin
    table: str  # "tool.rehearse." when the settings are one table of the file
    values: dict[str, Any]


def read_source(path: Path | None) -> Source:
    """The file at `path`; without one, what the current folder has."""
    if path is not None:
        return _shared(path) if path.name == SHARED_FILE_NAME else _own(path)
    if Path(FILE_NAME).exists():
        return _own(Path(FILE_NAME))
    if Path(SHARED_FILE_NAME).exists():
        return _shared(Path(SHARED_FILE_NAME))
    raise ConfigError(f"{FILE_NAME}: there is no such file in {Path.cwd()}. {ADVICE}")


def _own(path: Path) -> Source:
    return Source(path.resolve(), str(path), "", _parsed(path))


def _shared(path: Path) -> Source:
    table = _parsed(path).get("tool", {}).get("rehearse")
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: has no table [tool.rehearse], and there is no {FILE_NAME}. {ADVICE}")
    return Source(path.resolve(), str(path), "tool.rehearse.", table)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. {ADVICE}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:  # it names the line
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


@dataclass(frozen=True, slots=True)
class Filling:
    """Replaces ${VAR} and ${VAR:-default} in texts; keeps what went wrong, and what was secret."""

    env: Mapping[str, str]
    mistakes: list[Mistake] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)  # held by variables whose names say so

    def table(self, values: Mapping[str, object], where: Where = ()) -> dict[str, Any]:
        """The values with every text in them filled in."""
        return {key: self._fill(value, (*where, key)) for key, value in values.items()}

    def _fill(self, value: object, where: Where) -> object:
        if isinstance(value, dict):
            return self.table(value, where)
        if isinstance(value, list):
            steps = [(number,) if isinstance(item, dict) else () for number, item in enumerate(value)]
            return [self._fill(item, where + step) for item, step in zip(value, steps, strict=True)]
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: self._value(found, where), value)
        return value

    def _value(self, found: re.Match[str], where: Where) -> str:
        name, default = found[1], found[2]
        if found[0] == "$$":
            return "$"
        if name is None:
            return self._mistaken(
                found, where, "holds '${' without ${VARIABLE}; for just these two, write '$${'"
            )
        value = self.env.get(name) or default  # an empty variable is what CI makes of a missing secret
        if value is None:
            sentence = f"the variable {name} is not set or empty; set it, or write ${{{name}:-default}}"
            return self._mistaken(found, where, sentence)
        if SECRET_NAME.search(name):
            self.secrets.add(value)
        return value

    def _mistaken(self, found: re.Match[str], where: Where, sentence: str) -> str:
        self.mistakes.append(Mistake(where, sentence))
        return found[0]
