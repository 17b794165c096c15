"""The types that settings are made of: how each is read from TOML and written back.

A `Kind` names the type in messages and in the documentation. Readers raise ValueError with the end of a sentence
that begins with the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    SerializationInfo,
    ValidationInfo,
)

from rehearse.allowlist import host_and_port, read_allowed, read_production
from rehearse.config.objectives import read_objective, write_objective
from rehearse.config.quantities import read_duration, read_percent, write_duration, write_percent
from rehearse.databases import SQLITE, is_database, read_database_url
from rehearse.errors import nearest
from rehearse.forward_proxy import place_of_proxy, shown_proxy
from rehearse.model import Metric, Mode, Objective
from rehearse.redaction import HIDDEN


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is called, and an example of it as it stands in the file."""

    name: str
    example: str
    from_text: Literal["as it is", "as TOML", "either"] = "as it is"  # what an environment variable holds
    is_secret: bool = False


# --- plain values


def between(
    low: float, high: float, reason: str, write: Callable[[float], str] = "{:g}".format
) -> AfterValidator:
    """Bounds, and the reason for them."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"is not between {write(low)} and {write(high)}: {reason}")
        return value

    return AfterValidator(check)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _only(pattern: str, meaning: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"is not {meaning}")
        return text

    return AfterValidator(check)


Text = Annotated[str, Kind("text", "'some text'")]
Name = Annotated[str, Kind("text", "'some-name'"), AfterValidator(_not_blank)]
Word = Annotated[
    str,
    Kind("word", "'name'"),
    _only(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a word of letters, digits, '.', '_' and '-'"),
]
HeaderName = Annotated[str, _only(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "the name of a header")]
AuthHeader = Annotated[HeaderName, Kind("name of a header", "'Authorization'")]
Whole = Annotated[int, Kind("whole number", "3", from_text="as TOML")]
Number = Annotated[float, Kind("number", "2.5", from_text="as TOML")]
Switch = Annotated[bool, Kind("boolean", "true", from_text="as TOML")]
Words = Annotated[tuple[str, ...], Kind("list of texts", "['a', 'b']", from_text="as TOML")]
Duration = Annotated[
    float, Kind("duration", "'5s'"), BeforeValidator(read_duration), PlainSerializer(write_duration)
]
Percent = Annotated[
    float, Kind("percentage", "'5%'"), BeforeValidator(read_percent), PlainSerializer(write_percent)
]


OptionValue = bool | int | float | str | tuple[bool | int | float | str, ...]
PackOptions = Annotated[
    Mapping[str, OptionValue], Kind("table of options", "{ paths = ['/health'] }", from_text="as TOML")
]


def _read_counts(given: object) -> object:
    is_counts = isinstance(given, Mapping) and all(
        type(count) is int and count > 0 for count in given.values()
    )
    if not is_counts:
        raise ValueError("is not a table of whole numbers; write it like { orders = 48000000 }")
    return given


RowCounts = Annotated[
    Mapping[str, int],
    Kind("table of whole numbers", "{ orders = 48000000 }", from_text="as TOML"),
    BeforeValidator(_read_counts),
]

# --- words


def _read_mode(given: object) -> Mode:
    words = [mode.value for mode in Mode]
    if given not in words:
        raise ValueError(f"is not a mode. {nearest(str(given), words)}")
    return Mode(str(given))


ModeWord = Annotated[Mode, Kind("'paired' or 'recorded'", "'recorded'"), BeforeValidator(_read_mode)]


def _read_rule(given: object, info: ValidationInfo) -> Objective:
    """The metric is the one that the key names."""
    return read_objective(Metric(str(info.field_name).replace("_", " ")), given)


Rule = Annotated[
    Objective,
    Kind("objective", "'<=+5%'", from_text="either"),
    PlainValidator(_read_rule),
    PlainSerializer(write_objective),
]


# --- files


def _root(info: ValidationInfo | SerializationInfo) -> Path:
    """The folder of the configuration file."""
    return Path((info.context or {}).get("root", "."))


def _read_path(given: object, info: ValidationInfo) -> object:
    return _root(info) / given if isinstance(given, str | Path) else given


def _write_path(path: Path, info: SerializationInfo) -> str:
    return str(path.relative_to(_root(info)) if path.is_relative_to(_root(info)) else path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("is not there: no such file in the folder of the configuration")
    return path


Place = Annotated[
    Path, Kind("path", "'some/path'"), BeforeValidator(_read_path), PlainSerializer(_write_path)
]
ExistingFile = Annotated[Place, AfterValidator(_existing)]


def _read_store_url(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """A relative SQLite path is relative to the folder of the configuration file."""
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or not rest:
        raise ValueError("is not a database URL; write it like 'sqlite:///.rehearse/rehearse.db'")
    path = rest.removeprefix("/")
    if scheme.startswith("sqlite") and path not in ("", ":memory:"):
        return SecretStr(f"{scheme}:///{_root(info) / path}")
    return value


# --- targets


def read_argv(given: object) -> tuple[str, ...]:
    """A command without a shell. Raises ValueError with the end of a sentence about what was given."""
    if isinstance(given, str):
        raise ValueError("is one text; write a list, such as ['docker', 'compose', 'up']: there is no shell")
    words = given if isinstance(given, tuple | list) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ValueError("is not a command; write a list of texts, such as ['docker', 'compose', 'up']")
    return tuple(words)


def _read_url_path(given: object) -> str:
    if not isinstance(given, str) or not re.fullmatch(r"/(?!/)[!-~]*", given):
        raise ValueError("is not a path on the target; write it like '/health'")
    return given


def _read_facts(given: object) -> str | tuple[str, ...]:
    return _read_url_path(given) if isinstance(given, str) else read_argv(given)


def _read_url(given: object, info: ValidationInfo) -> str:
    if not isinstance(given, str):
        raise ValueError("is not a URL; write it like 'https://shop.staging.example'")
    if is_database(given):
        return _read_database_url(given, info)
    host_and_port(given)
    if urlsplit(given).scheme not in ("http", "https"):
        raise ValueError("does not start with http:// or https://")
    if "?" in given or "#" in given:
        raise ValueError("has a query or a fragment; scenarios and probes add their own path to it")
    return given.rstrip("/")


def _read_database_url(given: str, info: ValidationInfo) -> str:
    """A relative SQLite path is relative to the folder of the configuration file."""
    url = read_database_url(given)
    return f"sqlite:///{_root(info) / url.database}" if url.dialect == SQLITE else given


def _read_header(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\t -~]*", value.get_secret_value()):
        raise ValueError("holds what a header cannot: a line break, or letters beyond ASCII")
    return value


def _read_proxy_url(value: SecretStr) -> SecretStr:
    place_of_proxy(value.get_secret_value())
    return value


def each(read: Callable[[str], object]) -> AfterValidator:
    """Every item must be readable by `read`, whose message is the end of a sentence about it."""

    def check(items: tuple[str, ...]) -> tuple[str, ...]:
        for item in items:
            try:
                read(item)
            except ValueError as error:
                raise ValueError(f"holds {item!r}, which {error}") from None
        return items

    return AfterValidator(check)


Argv = Annotated[
    tuple[str, ...],
    Kind("command", "['docker', 'compose', 'up']", from_text="as TOML"),
    PlainValidator(read_argv),
]
UrlPath = Annotated[str, Kind("path on the target", "'/health'"), BeforeValidator(_read_url_path)]
Facts = Annotated[
    str | tuple[str, ...],
    Kind("path on the target, or command", "'/version'", from_text="either"),
    PlainValidator(_read_facts),
]
Url = Annotated[str, Kind("URL", "'https://shop.staging.example'"), BeforeValidator(_read_url)]
Header = Annotated[
    SecretStr,
    Kind("text", "'Bearer ${TOKEN}'", is_secret=True),
    AfterValidator(_read_header),
    PlainSerializer(lambda _: HIDDEN),
]
ProxyUrl = Annotated[
    SecretStr,
    Kind("URL", "'http://proxy.example.internal:3128'", is_secret=True),
    AfterValidator(_read_proxy_url),
    PlainSerializer(lambda value: value and shown_proxy(value.get_secret_value())),
]
StoreUrl = Annotated[
    SecretStr,
    Kind("URL", "'sqlite:///.rehearse/rehearse.db'", is_secret=True),
    AfterValidator(_read_store_url),
]
AllowedHosts = Annotated[Words, each(read_allowed)]
ProductionHosts = Annotated[Words, each(read_production)]
