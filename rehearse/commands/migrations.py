"""`rehearse migrations`: what linters say of the upgrade's migrations, by the part of the upgrade that it endangers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    SetOption,
    command,
    out,
    out_json,
    progress_on,
    settings_of,
)
from rehearse.errors import ExitCode


@command
def migrations(
    django: Annotated[
        list[str] | None, typer.Option("--django", help="The manage.py of a Django project. May be repeated.")
    ] = None,
    sql: Annotated[
        list[str] | None,
        typer.Option("--sql", help="SQL files for PostgreSQL: 'migrations/*.sql'. May be repeated."),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="Only what is new since this git revision: the baseline's tag.")
    ] = "",
    python: Annotated[
        str, typer.Option("--python", help="The interpreter of the Django project; default: ours.")
    ] = "",
    in_transaction: Annotated[
        bool, typer.Option("--in-transaction", help="SQL files are run in a transaction each.")
    ] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Lint migrations: what breaks while two versions run.

    Without --django and --sql, what [checks.options.migrations] names. Exit code 10: unsafe. 11: not all is known.
    """
    from rehearse.migrations import WITHOUT_KNOWN_SECRETS, lint
    from rehearse.migrations.linting import read_sources
    from rehearse.migrations.report import MigrationReport, report_lines
    from rehearse.sides import cleaner

    root, where, given, clean = Path.cwd(), "rehearse migrations", dict[str, object](), WITHOUT_KNOWN_SECRETS
    if not django and not sql:
        settings = settings_of(config, set_)
        root, where, clean = settings.root, "checks.options.migrations", cleaner(settings)
        given |= settings.checks.options.get("migrations", {})
    asked = {"django": tuple(django or ()), "sql": tuple(sql or ()), "since": since, "python": python}
    given |= {name: value for name, value in asked.items() if value}
    given |= {"in_transaction": True} if in_transaction else {}
    sources = read_sources(given, where)
    with progress_on(quiet=False) as progress:
        progress.phase("asking the linters")
        report = MigrationReport(lint(sources, root, clean=clean))
    if as_json:
        out_json(report)
    else:
        out("\n".join(report_lines(report)))
    return report.exit_code
