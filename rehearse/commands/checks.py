"""`rehearse check`: ask the codified breaks, list them, write one, learn one."""

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
    StageOption,
    command,
    command_line,
    out,
    out_json,
    parts_with,
    progress_on,
    say,
    settings_of,
)
from rehearse.errors import ConfigError, ExitCode

app = typer.Typer(
    help="What broke before, as checks: run them, list them, write one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("run")
@command
def run(
    stage: StageOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Run the checks on both sides, without load.

    Exit code 0: every check passed. 10: one failed that the baseline passes. 11: one could not be asked.
    """
    from rehearse import rehearsal
    from rehearse.report.terminal import check_lines

    settings = settings_of(config, set_, stage)
    with progress_on(quiet) as progress:
        report = rehearsal.check(settings, parts_with(progress), command_line())
    if as_json:
        out_json(report)
    else:
        out("\n".join(check_lines(report)))
    return ExitCode[report.verdict.decision]


@app.command("list")
@command
def list_(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> ExitCode:
    """Every check, and how it came out lately.

    With what broke, and whether it ever failed. Exit code 11 when one cannot be collected.
    """
    from rehearse import rehearsal
    from rehearse.checks.registry import lines_of
    from rehearse.report.visible import printable

    settings = settings_of(config, set_)
    with progress_on(quiet=True) as progress:
        found, troubles = rehearsal.registry(settings, parts_with(progress))
    if as_json:
        out_json(found)
    else:
        out("\n".join(printable(line) for line in lines_of(found)))
    for trouble in troubles:
        say(f"rehearse: {trouble}")
    return ExitCode.INCONCLUSIVE if troubles else ExitCode.GO


@app.command("new")
@command
def new(
    broke: Annotated[str, typer.Option("--broke", metavar="TEXT", help="What broke?")] = "",
    seen: Annotated[str, typer.Option("--seen", metavar="TEXT", help="How was it seen?")] = "",
    shows: Annotated[
        str,
        typer.Option(
            "--shows",
            metavar="REQUEST",
            help="Which request or query shows it? 'GET /orders/1', 'select ...'",
        ),
    ] = "",
    severity: Annotated[str, typer.Option("--severity", metavar="WORD", help="abort or warn?")] = "",
    check_id: Annotated[str, typer.Option("--id", metavar="ID", help="Its id, such as INC-231.")] = "",
    component: Annotated[str, typer.Option("--component", metavar="NAME", help="What it is a part of.")] = "",
    broke_on: Annotated[
        str, typer.Option("--broke-on", metavar="DATE", help="When, as 2026-03-02; default: today.")
    ] = "",
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="PLACE", help="A value of the JSON answer to keep: items[0].price"),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write down what broke as a check that runs.

    Asks four questions; what the baseline answers now becomes the expectation.
    """
    from datetime import UTC, datetime

    from rehearse import rehearsal
    from rehearse.checks.scaffold import Answers
    from rehearse.errors import nearest
    from rehearse.model import Severity

    settings = settings_of(config, set_)
    today = datetime.now(UTC).date().isoformat()
    broke, seen = _answer("--broke", "What broke?", broke), _answer("--seen", "How was it seen?", seen)
    shows = _answer("--shows", "Which request or query shows it?", shows)
    severity = _answer("--severity", "abort or warn?", severity)
    if severity not in (words := [word.value for word in Severity]):
        raise ConfigError(f"--severity {severity!r}: {nearest(severity, words)}")
    answers = Answers(
        broke,
        seen,
        shows,
        Severity(severity),
        broke_on or today,
        today,
        check_id,
        component,
        tuple(field or ()),
    )
    out(f"wrote {rehearsal.new_check(settings, answers, today)}; `rehearse check run` asks it")
    return ExitCode.GO


@app.command("learn")
@command
def learn(
    url: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="On the baseline, or a URL of it: what it answers is learnt."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="QUERY", help="A query of the baseline, where that is a database."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="A file of the project, to be learnt instead."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where to write; default: a new file in the checks folder."
        ),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write declared checks from how the baseline is now.

    It is asked three times: what changes from one answer to the next is learnt by its type alone.
    """
    from rehearse import learning

    learnt = learning.learn(settings_of(config, set_), learning.Subject(url, sql, file), command_line())
    out(str(learning.save(learnt, target)))
    return ExitCode.GO


def _answer(option: str, question: str, given: str) -> str:
    """What was given, or what whoever sits at the terminal says."""
    if given.strip():
        return given.strip()
    if not sys.stdin.isatty():
        raise ConfigError(f"{option} is missing, and nobody is there to ask: {question}")
    return str(typer.prompt(question, err=True)).strip()
