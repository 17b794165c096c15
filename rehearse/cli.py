"""Commands, options and exit codes; no logic. Everything heavy is imported when a command needs it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from rehearse.commands import baselines, runs
from rehearse.commands.frame import ConfigOption, JsonOption, SetOption, out_json
from rehearse.commands.frame import command as _command
from rehearse.commands.frame import out as _out
from rehearse.commands.frame import settings_of as _settings
from rehearse.commands.frame import store_of as _store
from rehearse.commands.pipeline import tell_pipeline
from rehearse.errors import ConfigError, ExitCode, Interrupted

if TYPE_CHECKING:
    from rehearse.model import Result
    from rehearse.progress import TerminalProgress
    from rehearse.rehearsal import Comparison, Parts

P = ParamSpec("P")

app = typer.Typer(
    name="rehearse",
    help="Rehearse an upgrade before it happens: go, or abort?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take longer to import than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(runs.app, name="runs")
app.add_typer(baselines.app, name="baselines")

MetricsPortOption = Annotated[
    int | None,
    typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics for Prometheus while it runs."),
]
MetricsHostOption = Annotated[
    str,
    typer.Option(
        "--metrics-host", help="The address to serve it at; others can read it if it is not loopback."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def main() -> None:
    """Entry point of the `rehearse` command."""
    _raise_on_signals()
    app()


# --- commands ---------------------------------------------------------------------------------------------------


@app.command()
@_command
def baseline(
    name: Annotated[str | None, typer.Option("--name", help="Store it under this name.")] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
) -> ExitCode:
    """Record known-good behaviour.

    With two targets, on both, while both still run the known-good version: that also tells how noisy they are.
    """
    from rehearse import rehearsal

    settings = _settings(config, set_)
    with _progress(quiet) as progress, _watched(_parts(progress), metrics_host, metrics_port) as parts:
        record = rehearsal.baseline(settings, parts, name, _command_line())
    if as_json:
        out_json(record)
    else:
        _out(f"recorded baseline {record.baseline_name!r}: run {record.run_id}")
    return ExitCode.GO


@app.command()
@_command
def compare(
    baseline_name: Annotated[
        str | None, typer.Option("--baseline", help="The stored baseline to compare with.")
    ] = None,
    without_baseline: Annotated[
        bool, typer.Option("--without-baseline", help="Paired mode only: assume the environment term.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print hosts, requests and minutes; send nothing.")
    ] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
) -> ExitCode:
    """Rehearse the upgrade, and decide.

    Exit code 0 is GO, 10 ABORT, 11 INCONCLUSIVE; each has a report. 12: refused target. 13: not ready.
    """
    from rehearse import rehearsal

    if dry_run and as_json:
        raise ConfigError("--json prints a result, and --dry-run has none: leave one of them out.")
    settings = _settings(config, set_)
    if dry_run:
        from rehearse.wiring import dry_run_lines

        print("\n".join(dry_run_lines(settings)))
        return ExitCode.GO
    options = rehearsal.CompareOptions(baseline_name, without_baseline, _command_line())
    with _progress(quiet) as progress, _watched(_parts(progress), metrics_host, metrics_port) as parts:
        comparison = rehearsal.compare(settings, parts, options)
    return _show(comparison, as_json)


@app.command()
@_command
def judge(
    run_id: Annotated[str, typer.Argument(help="A run; see `rehearse runs list`.")],
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Judge a stored comparison again.

    From its evidence alone; the same evidence gives the same verdict.
    """
    from rehearse import rehearsal, wiring

    settings = _settings(config, set_)
    with _store(settings) as store:
        return _show(rehearsal.rejudge(store, run_id, wiring.report_dir(settings, run_id)), as_json)


@app.command()
@_command
def report(
    run_id: Annotated[str, typer.Argument(help="A run; see `rehearse runs list`.")],
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write a stored comparison's report again.

    Its verdict stays as it was stored; a run that never came to one is judged first.
    """
    from rehearse import rehearsal, wiring

    settings = _settings(config, set_)
    with _store(settings) as store:
        for path in rehearsal.render(store, run_id, wiring.report_dir(settings, run_id)):
            print(path)
    return ExitCode.GO


@app.command()
@_command
def demo(
    quiet: QuietOption = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the shop's databases.")] = False,
) -> ExitCode:
    """Rehearse two upgrades of a sample shop.

    A broken one and its repair; under five minutes, on loopback only.
    """
    from rehearse import demo as the_demo

    with _progress(quiet) as progress:
        return the_demo.run(Path.cwd(), _parts(progress), _out, keep=keep)


# --- what commands share ----------------------------------------------------------------------------------------


def _parts(progress: TerminalProgress) -> Parts:
    from datetime import UTC, datetime

    from rehearse import rehearsal
    from rehearse.load.engine import LocustEngine

    return rehearsal.Parts(LocustEngine(), progress, lambda: datetime.now(UTC))


@contextmanager
def _watched(parts: Parts, host: str, port: int | None) -> Iterator[Parts]:
    """The same parts; with a port, their load is told at `/metrics`."""
    if port is None:
        yield parts
        return
    from rehearse.load.tapped import TappedEngine
    from rehearse.metrics.exporter import LiveMetrics, serving

    metrics = LiveMetrics()
    with serving(metrics, host, port) as chosen:
        parts.listener.phase(f"serving http://{host}:{chosen}/metrics")
        yield replace(parts, engine=TappedEngine(parts.engine, metrics.see))


def _progress(quiet: bool) -> TerminalProgress:
    from rich.console import Console

    from rehearse.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True), quiet)


def _show(comparison: Comparison, as_json: bool) -> ExitCode:
    from rehearse.report.terminal import summary_lines

    result = comparison.result
    tell_pipeline(result, os.environ)
    if as_json:
        out_json(result)
    else:
        html = next((str(path) for path in comparison.reports if path.suffix == ".html"), None)
        for line in summary_lines(result, html):
            _out(line)
    if comparison.interrupted is not None:
        return comparison.interrupted.exit_code
    return _exit_code(result)


def _exit_code(result: Result) -> ExitCode:
    return ExitCode[result.verdict.decision]


def _command_line() -> str:
    return shlex.join(["rehearse", *sys.argv[1:]])


def _raise_on_signals() -> None:
    """SIGINT and SIGTERM raise Interrupted once, so that evidence is kept; the second one ends the process."""

    def handle(number: int, _frame: object) -> None:
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, _end_at_once)
        raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # not in the main thread: an embedding program handles its own signals
            signal.signal(number, handle)


def _end_at_once(number: int, _frame: object) -> None:
    """End without cleaning up, but leave nothing running that a target's command began."""
    targets = sys.modules.get("rehearse.targets")  # an import may be what was interrupted: none begins here
    try:
        if targets is not None:
            targets.kill_live_groups()
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
