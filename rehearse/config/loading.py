"""From a file, variables and options to settings: every mistake is named, in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from rehearse.config.consistency import inconsistencies
from rehearse.config.keys import written
from rehearse.config.mistakes import Mistake, Where, mistakes_in
from rehearse.config.overrides import Override, from_command_line, from_environment
from rehearse.config.redaction import longest_first
from rehearse.config.settings import Settings
from rehearse.config.sources import Filling, Source, read_source
from rehearse.errors import ConfigError
from rehearse.redaction import redact

ONLY_IN_FILE = (
    "is set only in the file, which is under review; no variable and no option changes what may be loaded"
)


def load_settings(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings in force: command line over REHEARSE_ variables over the file over defaults.

    Without a path: rehearse.toml in the current folder, else [tool.rehearse] in its pyproject.toml. Raises
    ConfigError with one line for each mistake.
    """
    source = read_source(path)
    filling = Filling(env)
    values = filling.table(source.values)
    given = [*from_environment(env, values), *from_command_line(overrides)]
    accepted = [override for override in given if isinstance(override, Override)]
    reader = _Reader(source, tuple(accepted), longest_first(filling.secrets))
    found = list(reader.override(values))
    settings, wrong = reader.settings(values)
    found += [one for one in wrong if not _follows_from(one, [*filling.mistakes, *found])]
    # What cannot be filled in is said in our own words: they name a variable, and hold no value.
    lines = [reader.line(mistake) for mistake in filling.mistakes]
    lines += [redact(reader.line(mistake), reader.secrets) for mistake in found]
    lines += [line for line in given if isinstance(line, str)]
    if settings is None or lines:
        raise ConfigError("\n".join(lines))
    return settings


@dataclass(frozen=True, slots=True)
class _Reader:
    """What is needed to read values, and to say where a wrong one came from."""

    source: Source
    overrides: tuple[Override, ...]
    secrets: tuple[str, ...]

    def override(self, values: dict[str, Any]) -> Iterator[Mistake]:
        """Put the overrides in; what may be loaded at all is not theirs to change."""
        for override in self.overrides:
            if override.where[0] == "safety":
                yield Mistake(override.where, ONLY_IN_FILE)
            else:
                override.apply(values)

    def settings(self, values: dict[str, Any]) -> tuple[Settings | None, list[Mistake]]:
        """The settings, or None, and all that is wrong with the values."""
        given = {key: as_tuples(value) for key, value in values.items()}
        given |= {"<source>": self.source.path, "<secrets>": tuple(map(SecretStr, self.secrets))}
        try:
            settings = Settings.model_validate(given, context={"root": self.source.path.parent})
        except ValidationError as error:
            return None, list(mistakes_in(error, values))
        return settings, list(inconsistencies(settings))

    def line(self, mistake: Mistake) -> str:
        """`rehearse.toml: load.warm_up: ...`, or what set it instead of the file. It may quote a secret."""
        origin = self._origin(mistake.where)
        start = f"{self.source.label}: {self.source.table}" if origin is None else f"{origin}: "
        return f"{start}{written(mistake.where)}: {mistake.sentence}"

    def _origin(self, where: Where) -> str | None:
        """The last override of the key, or of a table that holds it."""
        origins = [
            override.origin for override in self.overrides if override.where == where[: len(override.where)]
        ]
        return origins[-1] if origins else None


def _follows_from(mistake: Mistake, known: Iterable[Mistake]) -> bool:
    return any(mistake.where[: len(other.where)] == other.where for other in known)


def as_tuples(value: object) -> object:
    """The value with every list in it as a tuple: frozen settings hold no lists."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value
