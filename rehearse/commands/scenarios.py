"""`rehearse scenario`: make one from recorded traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rehearse.commands.frame import command, command_line, out
from rehearse.errors import ExitCode

app = typer.Typer(help="Make a scenario from recorded traffic.", no_args_is_help=True, rich_markup_mode=None)

SourceArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What was recorded.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="The Locust file; default: scenarios/NAME.py."),
]
SideEffectsOption = Annotated[
    bool, typer.Option("--side-effects", help="Keep requests other than GET and HEAD, too.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.command("from-har")
@command
def from_har(
    source: SourceArgument,
    output: OutputOption = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="HOST", help="Whose requests to take; default: the first page's host."
        ),
    ] = None,
    side_effects: SideEffectsOption = False,
    force: ForceOption = False,
) -> ExitCode:
    """From a HAR that a browser exported.

    Each page is a journey; secrets are taken out, other hosts are left out.
    """
    return _make_scenario("HAR", source, output, side_effects, force, host)


@app.command("from-access-log")
@command
def from_access_log(
    source: SourceArgument,
    output: OutputOption = None,
    side_effects: SideEffectsOption = False,
    force: ForceOption = False,
) -> ExitCode:
    """From an access log, common or combined format.

    Routes as often as they were asked for, at the times at which they were.
    """
    return _make_scenario("access log", source, output, side_effects, force)


@app.command("from-openapi")
@command
def from_openapi(
    source: SourceArgument,
    output: OutputOption = None,
    side_effects: SideEffectsOption = False,
    force: ForceOption = False,
) -> ExitCode:
    """From an OpenAPI 3 document, as JSON.

    One request for each operation, with values from its examples and types.
    """
    return _make_scenario("OpenAPI", source, output, side_effects, force)


def _make_scenario(
    kind: str, source: Path, output: Path | None, side_effects: bool, force: bool, host: str | None = None
) -> ExitCode:
    from rehearse.replay.making import SourceKind, Wish, make_scenario

    wish = Wish(SourceKind(kind), source, output, side_effects, force, host)
    for line in make_scenario(wish, command_line()):
        out(line)
    return ExitCode.GO
