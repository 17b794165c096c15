"""What every command shares: its options, its exit code, how it opens the settings and the store, how it speaks."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from rehearse.errors import ConfigError, DiskFull, ExitCode, RehearseError

if TYPE_CHECKING:
    from rehearse.config import Settings
    from rehearse.progress import TerminalProgress
    from rehearse.rehearsal import Parts
    from rehearse.store.records import Store

P = ParamSpec("P")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="The configuration file; default: rehearse.toml here."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one setting, such as load.rate=80. May be repeated."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="The result as JSON on stdout, and nothing else there.")
]
StageOption = Annotated[
    str | None,
    typer.Option(
        "--stage",
        metavar="NAME",
        help="The environment on the way to production that this is: one of promotion.stages.",
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its id (`rehearse runs list`); or `latest`; or `baseline:NAME`, what that name means now.",
    ),
]

# What the runners of pipelines take for a command: "::" at the start of a line, "##[" anywhere (GitHub).
_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def command(function: Callable[P, ExitCode]) -> Callable[P, None]:
    """A command function returns its exit code; an error on purpose becomes one message and its own code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except RehearseError as error:
            say(f"rehearse: {error}")
            code = error.exit_code
        raise typer.Exit(int(code))

    return wrapper


def settings_of(config: Path | None, assignments: list[str] | None, stage: str | None = None) -> Settings:
    """The configuration, with what `--set` and `--stage` override."""
    from rehearse.config import load_settings

    overrides: dict[str, object] = {"promotion.stage": stage} if stage else {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment!r}: write it as KEY=VALUE, such as load.rate=80.")
        overrides[key] = value
    return load_settings(config, os.environ, overrides)


def store_of(settings: Settings) -> Store:
    """The store that the configuration names."""
    from rehearse.store.records import Store

    return Store.open(settings.store_url)


def progress_on(quiet: bool) -> TerminalProgress:
    """Who tells on stderr how far it is."""
    from rich.console import Console

    from rehearse.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True), quiet)


def parts_with(progress: TerminalProgress) -> Parts:
    """What a rehearsal from the command line is made of."""
    from datetime import UTC, datetime

    from rehearse import rehearsal
    from rehearse.load.locust_engine import LocustEngine

    return rehearsal.Parts(LocustEngine(), progress, lambda: datetime.now(UTC))


def command_line() -> str:
    """What was typed, to do it again."""
    return shlex.join(["rehearse", *sys.argv[1:]])


def out(line: str) -> None:
    """One line on stdout."""
    print(_inert(line), flush=True)


def out_json(value: object) -> None:
    """A value as JSON on stdout."""
    from rehearse.codec import to_bytes

    # The same JSON, and no command for GitHub's runner.
    print(to_bytes(value).decode("ascii").replace("##[", r"#\u0023["), flush=True)


def put(file: Path, content: bytes) -> None:
    """Write a file that was asked for."""
    from rehearse.report.files import put_file

    try:
        put_file(file, content)
    except OSError as error:
        kind = DiskFull if error.errno == errno.ENOSPC else ConfigError
        raise kind(f"{file}: cannot be written ({error.strerror or error}).") from error


def say(message: str) -> None:
    """A message on stderr, without what would move a cursor."""
    text = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in message)
    print(_inert(text), file=sys.stderr, flush=True)


def _inert(text: str) -> str:
    """Nothing that targets and scenarios are called by gives an order to a pipeline's runner."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)
