"""`rehearse runs`: what is stored, one run of it, taking runs along, checking them, removing old ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    RunArgument,
    SetOption,
    command,
    out,
    out_json,
    put,
    say,
    settings_of,
    store_of,
)
from rehearse.errors import ConfigError, ExitCode, StoreError

if TYPE_CHECKING:
    from rehearse.store.archive import Imported
    from rehearse.store.catalogue import RunSummary
    from rehearse.store.records import Store

app = typer.Typer(
    help="Look at what is stored, take it along, remove it.", no_args_is_help=True, rich_markup_mode=None
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What `rehearse runs export` wrote.")]


@app.command("list")
@command
def list_(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many, newest first.")] = 20,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """The newest runs: what they are, and their verdicts.

    A line has id, state, verdict and baseline; and stage, sign-off and candidate, where they are known.
    """
    with store_of(settings_of(config, set_)) as store:
        found = store.summaries(limit)
    if as_json:
        out_json(found)
    else:
        _list(found)
    return ExitCode.GO


@app.command()
@command
def show(
    run_id: RunArgument, config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False
) -> ExitCode:
    """One run: what it was, how it ended, what it recorded.

    And whether it still is what was recorded.
    """
    from rehearse.report.run_view import run_lines, view_of

    with store_of(settings_of(config, set_)) as store:
        record = store.run(run_id_of(store, run_id))
        run_id = record.run_id
        try:
            digest, trouble = store.verify(run_id), ""
        except StoreError as error:
            digest, trouble = None, str(error)
        view = view_of(record, store.blocks(run_id), digest, trouble, store.sign_offs(run_id))
    if as_json:
        out_json(view)
    else:
        out("\n".join(run_lines(view)))
    return ExitCode.GO


@app.command()
@command
def export(
    run_id: RunArgument,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; default: RUN.rehearse here.")
    ] = None,
    with_baseline: Annotated[
        bool, typer.Option("--with-baseline", help="With the baseline that it was compared with.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A table for analysis instead: one row a block and series.")
    ] = False,
    as_parquet: Annotated[bool, typer.Option("--parquet", help="The same table as Parquet.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write one run into a file, to import it elsewhere.

    The file is sealed with a checksum. With `--csv` or `--parquet` it has the numbers alone, as a table.
    """
    from rehearse.report.table import table_of

    if as_csv and as_parquet:
        raise ConfigError("--csv and --parquet: choose one of the two.")
    ending = "csv" if as_csv else "parquet" if as_parquet else "rehearse"
    with store_of(settings_of(config, set_)) as store:
        run_id = run_id_of(store, run_id)
        if as_csv or as_parquet:
            content = table_of(store.run(run_id), store.blocks(run_id), ending)
        else:
            content = store.export(run_id, with_baseline=with_baseline)
    path = file or Path(f"{run_id}.{ending}")
    put(path, content)
    out(str(path))
    return ExitCode.GO


@app.command("import")
@command
def import_(file: FileArgument, config: ConfigOption = None, set_: SetOption = None) -> ExitCode:
    """Take the runs of an exported file into this store.

    All of them or none, and never another content for a run that is here. A baseline takes its name over, unless the
    recording of that name here is younger.
    """
    content = _content(file)
    with store_of(settings_of(config, set_)) as store:
        for one in store.import_file(content):
            _tell(one)
    return ExitCode.GO


@app.command()
@command
def verify(
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Their ids; default: every finished one.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="An exported file instead of the store.")
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Say whether runs still are what was recorded.

    Computes the digest of everything that a verdict rests on again, the baseline that it refers to included, and prints
    it. Exit code 13: something is not what was recorded.
    """
    from rehearse.model import RunState

    if file is not None:
        from rehearse.store.archive import check_file

        for run_id, digest in check_file(_content(file)):
            out(f"{run_id}  {digest or 'never finished: nothing was sealed'}")
        return ExitCode.GO
    code = ExitCode.GO
    with store_of(settings_of(config, set_)) as store:
        everything = [one.run_id for one in store.summaries(2**31 - 1) if one.state == RunState.FINISHED]
        for run_id in dict.fromkeys(run_ids or everything):
            try:
                out(f"{run_id}  {_verified(store, run_id)}")
            except StoreError as error:
                say(f"rehearse: {error}")
                code = error.exit_code
    return code


@app.command()
@command
def prune(
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="How many of each kind stay, the newest.")
    ] = 50,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Remove only what began longer ago, such as 30d."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go; remove nothing.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Remove old runs, and print each.

    What a baseline's name means stays, so does what a comparison that stays refers to, the last finished run of its
    kind, what somebody signed, what is under way, and the cutovers from which is known where an environment stands.
    """
    from rehearse.cutting_over.standing import runs_of_standings
    from rehearse.store.catalogue import Pruning

    before = _moment_before(older_than) if older_than else None
    with store_of(settings_of(config, set_)) as store:
        found = store.prune(Pruning(keep, before, runs_of_standings(store)), is_dry=dry_run)
    _list(found)
    out(f"{len(found)} {'would be removed; nothing was changed' if dry_run else 'removed'}")
    return ExitCode.GO


def _verified(store: Store, run_id: str) -> str:
    """The digest of a run; and which baseline was looked at with it. Raises StoreError."""
    baseline_run_id = store.run(run_id).baseline_run_id
    digest = store.verify(run_id)
    if baseline_run_id is None:
        return digest
    if not store.has_run(baseline_run_id):
        raise StoreError(
            f"run {run_id} rests on the baseline recording {baseline_run_id}, which is not in this store. "
            "Import it: `rehearse runs export RUN --with-baseline` brings it along."
        )
    store.verify(baseline_run_id)
    return f"{digest}  with baseline {baseline_run_id}"


def run_id_of(store: Store, given: str) -> str:
    """The run that a command means."""
    name = given.removeprefix("baseline:")
    if name != given:
        return store.baseline(name).run_id
    newest = store.summaries(1) if given == "latest" else ()
    return newest[0].run_id if newest else given


def _list(found: Sequence[RunSummary]) -> None:
    from rehearse.report.visible import printable, shortened

    for one in found:
        baseline_name = printable(one.baseline_name or "-")
        stage = f"  stage {printable(one.stage)}" if one.stage else ""
        signed = f"  signed {one.signed}" if one.signed else ""
        candidate = f"  candidate: {shortened(printable(one.candidate), 60)}" if one.candidate else ""
        out(
            f"{one.run_id}  {one.state:<11}  {one.decision or '-':<12}  {baseline_name}{stage}{signed}{candidate}"
        )


def _tell(one: Imported) -> None:
    from rehearse.report.visible import printable

    out(f"{one.run_id}  {'imported' if one.is_new else 'was here already'}  {one.digest or 'never finished'}")
    for name in one.named:
        out(f"baseline {printable(name)!r} is run {one.run_id} from now on")
    for name in one.not_named:
        out(
            f"baseline {printable(name)!r} stays what it is: its recording here is younger. "
            f"`rehearse baselines pin NAME {one.run_id}` changes that"
        )


def _moment_before(age: str) -> str:
    from datetime import UTC, datetime, timedelta

    from rehearse.config.quantities import read_duration

    try:
        moment = datetime.now(UTC) - timedelta(seconds=read_duration(age))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--older-than {age!r}: {error}.") from error
    return moment.isoformat(timespec="seconds")


def _content(file: Path) -> bytes:
    """A file's bytes, and one more than an import takes at most."""
    from rehearse.store.archive import MOST_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror or error}).") from error
