"""`rehearse check learn`: the settings say who the baseline is, and it is asked as any check would ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port
from rehearse.checking import order_of
from rehearse.checks.clients import client_for, engine_for
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.declaration import read_declaration
from rehearse.checks.learn import IsPrivate, Learnt, learn_file, learn_http, learn_sql, learn_tls, written
from rehearse.checks.probes.reach import place_of
from rehearse.config import Settings
from rehearse.databases import is_database
from rehearse.errors import ConfigError
from rehearse.model import Side
from rehearse.sides import allowed_targets, cleaner

PAUSE_S = 1.1  # instants that are written to the second have changed by then


@dataclass(frozen=True, slots=True)
class Subject:
    """What is learnt from; one of the three."""

    url: str | None = None
    sql: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """A file of declared checks, as yet unwritten, and where it belongs."""

    text: str
    path: Path
    root: Path


def learn(
    settings: Settings, subject: Subject, command: str, pause: Callable[[], object] = lambda: sleep(PAUSE_S)
) -> Lesson:
    """Ask the baseline, and describe what it answers.

    Raises ConfigError, TargetRefused, and NotReady when the baseline does not answer or gives an error.
    """
    if sum(given is not None for given in (subject.url, subject.sql, subject.file)) != 1:
        raise ConfigError("name one thing to learn from: a path on the baseline, --sql QUERY, or --file PATH")
    checks = list(_learnt(settings, subject, pause))
    command = cleaner(settings)(command)
    text = written(checks, command, datetime.now(UTC).date().isoformat())
    return Lesson(text, settings.checks.dir / f"{checks[0].id.replace('/', '-')}.toml", settings.root)


def save(lesson: Lesson, out: Path | None) -> Path:
    """Write the file, which must be new. Raises ConfigError when it is not, or is not valid."""
    path = out or lesson.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(lesson.text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; name another file with --out") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        read_declaration(path, lesson.root, {})
    except ConfigError:
        path.unlink()
        raise
    return path


def _learnt(settings: Settings, subject: Subject, pause: Callable[[], object]) -> Iterator[Learnt]:
    if subject.file is not None:
        yield learn_file(subject.file, settings.root)
        return
    side, context = _baseline(settings)
    is_private = _private_to(settings, side)
    if subject.sql is not None:
        if not is_database(side.url):
            raise ConfigError(f"the baseline target {side.name!r} is no database: --sql cannot ask it")
        yield learn_sql(subject.sql, engine_for(context, side), is_private, pause)
    elif is_database(side.url):
        raise ConfigError(f"the baseline target {side.name!r} is a database: learn from it with --sql QUERY")
    else:
        yield from _learnt_over_http(side, context, path_on(side, str(subject.url)), is_private, pause)


def _private_to(settings: Settings, side: CheckedSide) -> IsPrivate:
    """Whether a value holds a secret of the configuration, or the address of the baseline itself."""
    clean, place = cleaner(settings), urlsplit(side.url).netloc.rpartition("@")[2]
    return lambda value: clean(value) != value or bool(place and place in value)


def _baseline(settings: Settings) -> tuple[CheckedSide, CheckContext]:
    """The baseline, shown to be allowed, there, and staging; and what may be reached."""
    (target,) = allowed_targets(settings, (Side.BASELINE,))
    target.prove()
    context = order_of(settings, Side.BASELINE, {Side.BASELINE: {}}, "").context
    return context.asked, context


def _learnt_over_http(
    side: CheckedSide,
    context: CheckContext,
    path: str,
    is_private: IsPrivate,
    pause: Callable[[], object],
) -> Iterator[Learnt]:
    with client_for(context, side) as client:
        yield learn_http(path, client, is_private, pause)
    if side.url.startswith("https://") and side.tls.verify:
        allow_list = AllowList(context.allow, context.production, side.other_sides)
        yield learn_tls(place_of(side, None, None, allow_list), datetime.now(UTC))


def path_on(side: CheckedSide, url: str) -> str:
    """The path that a URL has on the side. Raises ConfigError for what is not on it."""
    if url.startswith("/") and not url.startswith("//"):
        return url.partition("#")[0]
    try:
        is_same = host_and_port(url) == host_and_port(side.url)
    except ValueError as error:
        raise ConfigError(
            f"the URL {error}; give a path such as /orders, or a URL below {side.url}"
        ) from None
    rest = url.partition("#")[0].removeprefix(side.url)
    if not is_same or not url.startswith(side.url) or rest[:1] not in ("", "/", "?"):
        raise ConfigError(
            f"that URL is not below {side.url}: a check asks the side under test, and nobody else"
        )
    return rest if rest.startswith("/") else f"/{rest}"
