"""`rehearse cutover`: the exit plan, rehearsed there and back; and the way back alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    progress_on,
    say,
    settings_of,
)
from rehearse.commands.pipeline import show_comparison
from rehearse.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from rehearse.config import Settings
    from rehearse.cutting_over.story import CutoverParts
    from rehearse.progress import Listener


@command
def cutover(
    forward: Annotated[
        bool, typer.Option("--forward", help="Then apply it again, and rehearse the forward steps.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, as a tree; touch nothing.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back what a cutover that was cut short left behind.")
    ] = False,
    ended: Annotated[
        bool,
        typer.Option(
            "--ended",
            help="With --undo, from elsewhere: you looked, and the command that was cut off has ended.",
        ),
    ] = False,
    restored_by: Annotated[
        str, typer.Option("--restored-by", help="Record that this person put the environment back by hand.")
    ] = "",
    stage: StageOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Rehearse the exit plan, there and back, in one environment.

    With --forward it goes on to the repair. Load and probes go on all the time. Exit code 0 is GO, 10 ABORT, 11
    INCONCLUSIVE; 12: refused target. 13: not ready, or an earlier cutover left steps behind. With --undo 0 says that
    they are taken back.
    """
    if sum((dry_run, undo, bool(restored_by))) > 1 or (forward and (undo or restored_by)):
        raise ConfigError(
            "--forward, --dry-run, --undo, --restored-by: these do not go together; choose one."
        )
    if ended and not undo:
        raise ConfigError("--ended: says something about --undo alone; leave it out.")
    settings = settings_of(config, set_, stage)
    if dry_run:
        return _dry_run(settings, forward)
    from rehearse.cutting_over import story

    with progress_on(quiet) as progress:
        parts = _parts_with(progress)
        if restored_by:
            record = story.restored(settings, parts, command_line(), restored_by)
            out(f"recorded in run {record.run_id}: the environment was put back by hand")
            return ExitCode.GO
        if undo:
            return _undo(settings, parts, has_ended=ended, as_json=as_json)
        comparison = story.cutover(settings, parts, command_line(), with_forward=forward)
    return show_comparison(comparison, as_json)


def _dry_run(settings: Settings, forward: bool) -> ExitCode:
    from rehearse.cutting_over.orders import check_budget, order_of, tree
    from rehearse.model import Side
    from rehearse.sides import allowed_targets, cleaner

    clean = cleaner(settings)
    order = order_of(settings, clean, with_forward=forward)
    check_budget(order.settings)
    allowed_targets(order.settings, (Side.CANDIDATE,))
    out("\n".join(tree(order, clean)))
    return ExitCode.GO


def _parts_with(progress: Listener) -> CutoverParts:
    from datetime import UTC, datetime

    from rehearse.cutting_over.story import CutoverParts
    from rehearse.load.locust_engine import LocustEngine

    return CutoverParts(LocustEngine(), progress, lambda: datetime.now(UTC))


def _undo(settings: Settings, parts: CutoverParts, *, has_ended: bool, as_json: bool) -> ExitCode:
    from rehearse.cutting_over import story

    found = story.undo(settings, parts, command_line(), has_ended=has_ended)
    if as_json:
        out_json(found.comparison.result)
    elif found.is_back:
        out(f"taken back: {', '.join(found.names)}")
    else:
        say(f"rehearse: not taken back to the end: {found.comparison.result.verdict.reasons[0].sentence}")
    return ExitCode.GO if found.is_back else ExitCode.ABORT
