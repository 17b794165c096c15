"""A file of declared checks: read, with every mistake named in one go."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from rehearse.checks.probes.command import CommandProbe
from rehearse.checks.probes.file import FileProbe
from rehearse.checks.probes.http import HttpProbe
from rehearse.checks.probes.sql import SqlProbe
from rehearse.checks.probes.tcp import TcpProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.checks.tolerance import is_secret_name
from rehearse.config.fields import Kind, Name, Text
from rehearse.config.keys import written
from rehearse.config.loading import as_tuples
from rehearse.config.mistakes import Mistake, mistakes_in
from rehearse.config.section import Section
from rehearse.config.sources import Filling
from rehearse.errors import ConfigError

Probe = HttpProbe | SqlProbe | TcpProbe | TlsProbe | CommandProbe | FileProbe
KINDS = ("http", "sql", "tcp", "tls", "command", "file")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_EXAMPLE = "[[check]], then its id and story, then a probe such as [check.http]"


def _as_iso(given: object) -> object:
    """TOML has dates of its own."""
    return given.isoformat() if type(given) is date else given


def _is_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a day; write it like 2026-03-02") from None
    return text


def _is_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/#:+-]{0,79}", text):
        raise ValueError("is no word of letters, digits and . _ / # : + -, at most 80 of them")
    return text


Day = Annotated[str, Kind("day", "2026-03-02"), BeforeValidator(_as_iso), AfterValidator(_is_day)]
CheckId = Annotated[str, Kind("identifier", "'INC-231'"), AfterValidator(_is_id)]


class DeclaredCheck(Section):
    """One codified breakage, and the one probe that shows it."""

    id: CheckId = Field(description="Names it in reports; unique in all checks.")
    story: Name = Field(description="What broke, and how it was noticed, in a sentence or two.")
    broke_on: Day | None = Field(default=None, description="The day on which it broke.")
    component: Text = Field(default="", description="What broke, as the team calls it.")
    severity: Literal["abort", "warn"] = Field(
        default="abort", description="What it leads to when it fails on the candidate alone."
    )
    ref: Text = Field(default="", description="Where more is written: an address, a ticket.")
    expires: Day | None = Field(default=None, description="The day from which on it must be looked at again.")
    http: HttpProbe | None = Field(default=None, description="One request.")
    sql: SqlProbe | None = Field(default=None, description="One query.")
    tcp: TcpProbe | None = Field(default=None, description="One TCP connection.")
    tls: TlsProbe | None = Field(default=None, description="One TLS handshake.")
    command: CommandProbe | None = Field(default=None, description="One command.")
    file: FileProbe | None = Field(default=None, description="One file.")

    @model_validator(mode="after")
    def _has_one_probe(self) -> DeclaredCheck:
        found = self._kinds()
        if not found:
            raise ValueError(f"has no probe; write one of {', '.join(f'[check.{kind}]' for kind in KINDS)}")
        if len(found) > 1:
            raise ValueError(f"has several probes ({', '.join(found)}); write a [[check]] for each")
        return self

    def _kinds(self) -> list[str]:
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def probe(self) -> Probe:
        """The one that it has."""
        found: Probe = getattr(self, self._kinds()[0])
        return found


class Declaration(Section):
    """A file of declared checks."""

    check: tuple[DeclaredCheck, ...] = Field(description=f"The checks: {_EXAMPLE}.")


def read_declaration(path: Path, root: Path, env: Mapping[str, str]) -> tuple[DeclaredCheck, ...]:
    """The checks of a file. Relative paths in it start from `root`.

    Raises ConfigError with one line for each mistake.
    """
    label = str(path.relative_to(root) if path.is_relative_to(root) else path)
    text = _text_of(path, label)
    try:
        written_values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # it names the line
        raise ConfigError(f"{label}: is not valid TOML: {error}") from None
    _refuse_secrets(text, label)
    filling = Filling(env)
    values = filling.table(written_values)
    checks, found = _checks_in(values, root)
    mistakes = filling.mistakes or found
    if mistakes:
        raise ConfigError("\n".join(f"{label}: {written(each.where)}: {each.sentence}" for each in mistakes))
    return checks


def _text_of(path: Path, label: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{label}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{label}: is not UTF-8 text (byte {error.start})") from None


def _checks_in(values: Mapping[str, object], root: Path) -> tuple[tuple[DeclaredCheck, ...], list[Mistake]]:
    given = as_tuples(dict(values))
    try:
        checks = Declaration.model_validate(given, context={"root": root}).check
    except ValidationError as error:
        return (), list(mistakes_in(error, values, Declaration))
    return checks, list(_inconsistencies(checks))


def _inconsistencies(checks: tuple[DeclaredCheck, ...]) -> Iterator[Mistake]:
    if not checks:
        yield Mistake(("check",), f"is empty; write {_EXAMPLE}")
    ids = [check.id for check in checks]
    for number, check_id in enumerate(ids):
        if ids.index(check_id) < number:
            yield Mistake(
                ("check", number, "id"), f"{check_id!r} is the id of check[{ids.index(check_id)}] already"
            )


def _refuse_secrets(text: str, label: str) -> None:
    """What a check says ends up in messages and reports, so it must not know secrets."""
    for name in _VARIABLE.findall(text):
        if is_secret_name(name):
            raise ConfigError(
                f"{label}: names the variable {name}, a secret by its name; checks take none:"
                " credentials of a side stand in its table of rehearse.toml"
            )
