"""`rehearse init` and `rehearse doctor`: a project to begin with, and whether it is ready."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    QuietOption,
    SetOption,
    command,
    out,
    out_json,
    parts_with,
    progress_on,
    settings_of,
)
from rehearse.errors import ConfigError, ExitCode

NEXT = """\
Next: `rehearse doctor` tries it with twenty journeys a side, and proposes rate and users; `rehearse compare --dry-run`
says what would be sent; `rehearse compare --without-baseline` rehearses. ci/ has examples of pipelines."""
NEXT_IN_PLACE = """\
Next: `rehearse doctor` tries it with twenty journeys, and proposes rate and users; `rehearse baseline` records the
known-good version; then upgrade it where it stands, and `rehearse compare` decides. ci/ has examples of pipelines."""


@command
def init(
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="URL",
            help="Where the known-good version is: http(s)://, or a database's URL.",
        ),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            "--candidate",
            metavar="URL",
            help="Where the upgrade is. Left out beside --baseline: it takes the place of the known-good version.",
        ),
    ] = None,
    locust_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Rehearse with this Locust file, unchanged."),
    ] = None,
    ready: Annotated[
        str,
        typer.Option("--ready", metavar="PATH", help="What answers when a side is ready; not for databases."),
    ] = "/",
    writes: Annotated[
        bool | None,
        typer.Option(
            "--writes/--reads-only", help="May requests change data (POST and the like; SQL that writes)?"
        ),
    ] = None,
    exclude_tag: Annotated[
        list[str] | None,
        typer.Option("--exclude-tag", metavar="TAG", help="Never run tasks with this @tag. May be repeated."),
    ] = None,
    reset: Annotated[
        str | None,
        typer.Option("--reset", metavar="COMMAND", help="What puts the data back before each round."),
    ] = None,
    production: Annotated[
        list[str] | None,
        typer.Option(
            "--production",
            metavar="HOST",
            help="Hosts never to load, such as *.example.com. May be repeated.",
        ),
    ] = None,
) -> ExitCode:
    """Write a project to begin with.

    Configuration, scenario, one check, examples of pipelines. On a terminal it asks what the options leave open, side
    effects above all; elsewhere it says what it assumed.
    Nothing is sent, and nothing is overwritten.
    """
    from rehearse.config import load_settings
    from rehearse.project.answers import Answers
    from rehearse.project.interview import Given, Interview
    from rehearse.project.writing import CONFIG, contents_of, refuse_to_overwrite, remove, write_project

    root = Path.cwd()
    interview = Interview(_ask if sys.stdin.isatty() else None)
    if locust_file is not None and not locust_file.is_file():
        raise ConfigError(f"--from {locust_file}: there is no such file.")
    refuse_to_overwrite(contents_of(Answers(locust_file=locust_file), root), root)  # before anything is asked
    answers = interview.answers(
        Given(baseline, candidate, locust_file, ready, writes, _words(exclude_tag), reset, _words(production))
    )
    contents = contents_of(answers, root)
    write_project(contents, root)
    try:
        load_settings(root / CONFIG, answers.stand_ins, {})
    except ConfigError:
        remove(root / name for name in contents)
        raise
    for line in (*(f"wrote {name}" for name in contents), *(f"assumed {one}" for one in interview.assumed)):
        out(line)
    out(NEXT if answers.candidate is not None else NEXT_IN_PLACE)
    return ExitCode.GO


@command
def doctor(
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Say what to fix before a rehearsal.

    Looks at configuration, checks, exit plan, store, rig and both sides, sends twenty journeys to each with the real
    scenarios, and proposes rate, users and floors. Exit code 0: ready. 13: not ready.
    """
    from rehearse.doctor.examination import Tools, examine

    settings = settings_of(config, set_)
    with progress_on(quiet) as progress:
        parts = parts_with(progress)
        found = examine(settings, Tools(parts.engine, parts.listener, parts.now))
    if as_json:
        out_json(found)
    else:
        out("\n".join(found.lines))
    return ExitCode.GO if found.is_ready else ExitCode.NOT_READY


def _words(given: list[str] | None) -> tuple[str, ...] | None:
    return tuple(given) if given else None


def _ask(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default), err=True))
