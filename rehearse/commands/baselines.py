"""`rehearse baselines`: which recording each name means, and making an earlier one count again."""

from __future__ import annotations

from typing import Annotated

import typer

from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    RunArgument,
    SetOption,
    command,
    out,
    out_json,
    settings_of,
    store_of,
)
from rehearse.commands.runs import run_id_of
from rehearse.errors import ExitCode

app = typer.Typer(
    help="Which recording each baseline's name means.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
@command
def list_(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> ExitCode:
    """Every name, and the recording that it means now."""
    from rehearse.report.visible import printable

    with store_of(settings_of(config, set_)) as store:
        found = store.baselines()
    if as_json:
        out_json(found)
        return ExitCode.GO
    for one in found:
        versions = f"{one.versions} version{'' if one.versions == 1 else 's'}"
        recorded_at = printable(one.recorded_at)
        out(f"{printable(one.name)}  {one.run_id}  {recorded_at}  {versions}  {printable(one.title)}")
    return ExitCode.GO


@app.command()
@command
def pin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The baseline's name.")],
    run_id: RunArgument,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Make an earlier recording count under a name again.

    Until the next one is recorded or pinned. Only a finished baseline recording can be one; its digest is looked at
    first.
    """
    with store_of(settings_of(config, set_)) as store:
        run_id = run_id_of(store, run_id)
        store.name_baseline(name, run_id)
    out(f"baseline {name!r} is run {run_id} from now on")
    return ExitCode.GO
