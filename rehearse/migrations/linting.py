"""What linting is asked for, what comes out, and how a linter is called. Nothing here passes for "no findings" unless a
linter came to its end and said so."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from rehearse.errors import ConfigError, nearest
from rehearse.migrations.rules import Danger, Rule
from rehearse.redaction import Clean

TIMEOUT_S = 120.0
_REVISION = re.compile(r"[A-Za-z0-9_./@][A-Za-z0-9_./@^~-]{0,199}")
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b.*:|Unknown command")
_LAST_WORDS = 200  # characters


@dataclass(frozen=True, slots=True)
class Sources:
    """Which migrations the upgrade brings. `since` is a git revision, such as the baseline's tag."""

    django: tuple[str, ...] = ()  # a manage.py each
    sql: tuple[str, ...] = ()  # patterns
    since: str = ""
    python: str = ""  # the interpreter of the Django projects; empty: our own
    in_transaction: bool = False  # whether whoever runs SQL files wraps each in a transaction


@dataclass(frozen=True, slots=True)
class UnsafeMigration:
    """One finding of one linter."""

    tool: str
    place: str  # "orders.0002_rename", "migrations/2.sql:14"
    rule: str
    said: str  # by the linter
    dangers: tuple[Danger, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Linted:
    """What one linter came to. With `trouble` it is not known what else there is."""

    tool: str
    migrations: int = 0  # that it looked at
    unsafe: tuple[UnsafeMigration, ...] = ()
    skipped: tuple[str, ...] = ()  # that the project tells it to ignore
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `code` is None when it did not run to its end, and `problem` says why."""

    code: int | None
    out: str = ""
    said: str = ""  # on stderr
    problem: str = ""

    @property
    def last_words(self) -> str:
        """What it says of its own failure: the end of a sentence."""
        lines = [line.strip() for line in (self.said or self.out).splitlines() if line.strip()]
        errors = [line for line in lines if _ERROR.match(line)]  # and not the trace around it
        told = f": {(errors or lines)[-1][:_LAST_WORDS]}" if lines else ""
        return self.problem or f"exit code {self.code}{told}"


Run = Callable[[Sequence[str], Path], Ran]


def run_tool(argv: Sequence[str], cwd: Path) -> Ran:
    """Run a command to its end, without input and for TIMEOUT_S at most."""
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran(None, problem=f"took over {TIMEOUT_S:g} s")
    except OSError as error:
        return Ran(None, problem=f"cannot be run ({error.strerror or error})")
    return Ran(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def read_sources(given: Mapping[str, object], where: str) -> Sources:
    """The options of the pack, or of the command, as sources. Raises ConfigError."""
    known = {field.name: field.default for field in fields(Sources)}
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"{where}.{name}: there is no such option. {nearest(name, known)}")
        values[name] = _read(f"{where}.{name}", value, known[name])
    sources = Sources(**values)  # type: ignore[arg-type]  # each was read as its default is
    if not sources.django and not sources.sql:
        raise ConfigError(f'{where}: name migrations: django = ["manage.py"], or sql = ["migrations/*.sql"]')
    if sources.since and not _REVISION.fullmatch(sources.since):
        raise ConfigError(f"{where}.since: {sources.since!r} is no git revision; a tag is best: 'v1.4.0'")
    return sources


def _read(where: str, value: object, default: object) -> object:
    if isinstance(default, tuple):
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list | tuple) and all(isinstance(one, str) and one for one in texts):
            return tuple(texts)
        raise ConfigError(f'{where}: a list of paths is expected, like ["manage.py"], not {value!r}')
    if not isinstance(value, type(default)):
        kind = "true or false" if isinstance(default, bool) else "a text"
        raise ConfigError(f"{where}: {kind} is expected, not {value!r}")
    return value


def unsafe(tool: str, place: str, rule: Rule, said: str) -> UnsafeMigration:
    """A finding in our words."""
    return UnsafeMigration(tool, place, rule.name, said, rule.dangers, rule.advice)


def cleaned(found: Linted, clean: Clean) -> Linted:
    """The same without secrets in what others say: a trace can show an address with its password."""
    return replace(
        found,
        unsafe=tuple(replace(one, said=clean(one.said)) for one in found.unsafe),
        trouble=clean(found.trouble),
    )


def endangering(found: Iterable[Linted], danger: Danger) -> tuple[UnsafeMigration, ...]:
    """Every finding about one part of the upgrade."""
    return tuple(one for each in found for one in each.unsafe if danger in one.dangers)
