"""Commands, options and exit codes; no logic. Everything heavy is imported when a command needs it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rehearse.commands import baselines, checks, promotion, runs, scenarios, starting
from rehearse.commands.cutover import cutover
from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    QuietOption,
    RunArgument,
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
    store_of,
)
from rehearse.commands.migrations import migrations
from rehearse.commands.pipeline import show_comparison
from rehearse.commands.runs import run_id_of
from rehearse.errors import ConfigError, ExitCode, Interrupted

if TYPE_CHECKING:
    from rehearse.config import Settings
    from rehearse.rehearsal import Parts

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
app.add_typer(checks.app, name="check")
app.add_typer(scenarios.app, name="scenario")
app.command()(starting.init)
app.command()(starting.doctor)

MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Serve /metrics for Prometheus while it runs; 0: any free port.",
    ),
]
MetricsHostOption = Annotated[
    str,
    typer.Option(
        "--metrics-host",
        metavar="ADDRESS",
        help="Where to serve it; others can read it if it is not loopback.",
    ),
]


def main() -> None:
    """Entry point of the `rehearse` command."""
    _raise_on_signals()
    app()


# --- commands ---------------------------------------------------------------------------------------------------


@app.command()
@command
def baseline(
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Store it under this name, over baseline.name."),
    ] = None,
    accept_candidate: Annotated[
        bool,
        typer.Option(
            "--accept-candidate",
            help="Record what was rehearsed as a candidate and was not GO: from now on it is the known-good version.",
        ),
    ] = False,
    stage: StageOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
) -> ExitCode:
    """Record how the known-good version behaves.

    With two targets, on both, while both still run the known-good version: that also tells how noisy they are. With
    one, before it is upgraded. Nothing is recorded (exit code 13) when it is not well.
    """
    from rehearse import rehearsal

    settings = settings_of(config, set_, stage)
    with progress_on(quiet) as progress, _watched(parts_with(progress), metrics_host, metrics_port) as parts:
        record = rehearsal.baseline(settings, parts, name, command_line(), accepts_candidate=accept_candidate)
    if as_json:
        out_json(record)
    else:
        out(f"recorded baseline {record.baseline_name!r}: run {record.run_id}")
    return ExitCode.GO


@app.command()
@command
def compare(
    baseline_name: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="NAME", help="The stored baseline to compare with, over baseline.name."
        ),
    ] = None,
    without_baseline: Annotated[
        bool,
        typer.Option(
            "--without-baseline",
            help="Go without a recording (two targets only): what two equal sides differ by is assumed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print hosts, requests, minutes and what can be certified; send nothing."
        ),
    ] = False,
    advisory: Annotated[
        bool, typer.Option("--advisory", help="Measure and report, and exit with 0 whatever the verdict.")
    ] = False,
    stage: StageOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
) -> ExitCode:
    """Rehearse the upgrade, and decide: GO, ABORT or INCONCLUSIVE.

    Loads both versions at the same moment (or the upgrade alone, against what was recorded), runs the checks, and
    writes a report. Exit code 0: GO. 10: ABORT. 11: INCONCLUSIVE. 12: a target that may not be loaded. 13: not ready,
    or not comparable.
    """
    if dry_run and as_json:
        raise ConfigError("--json prints a result, and --dry-run has none: leave one of them out.")
    settings = settings_of(config, set_, stage)
    if dry_run:
        return _dry_run(settings, baseline_name, without_baseline, advisory)
    from rehearse import rehearsal

    options = rehearsal.CompareOptions(baseline_name, without_baseline, advisory, command_line())
    with progress_on(quiet) as progress, _watched(parts_with(progress), metrics_host, metrics_port) as parts:
        comparison = rehearsal.compare(settings, parts, options)
    code = show_comparison(comparison, as_json)
    if not advisory or comparison.interrupted is not None:
        return code
    say(f"rehearse: ADVISORY: the verdict is {comparison.result.verdict.decision}, and nothing rests on it:"
        " the exit code is 0 because of --advisory")  # fmt: skip
    return ExitCode.GO


@app.command()
@command
def judge(
    run_id: RunArgument,
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help="as-recorded: the objectives fixed before the run; now: those of the configuration.",
            metavar="WHICH",
        ),
    ] = "as-recorded",
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Judge a stored comparison again, and write its report.

    From its stored evidence alone: the same evidence gives the same verdict, and the same exit code as `compare`. With
    `--policy now` by other objectives: the report says so, lies in a folder of its own, and the run keeps its verdict.
    """
    from rehearse import rehearsal
    from rehearse.wiring.judging import policy_to_judge_by, report_dir

    settings = settings_of(config, set_)
    chosen = policy_to_judge_by(settings, policy, [one.partition("=")[0] for one in set_ or []])
    with store_of(settings) as store:
        run_id = run_id_of(store, run_id)
        return show_comparison(
            rehearsal.rejudge(store, run_id, report_dir(settings, run_id), chosen), as_json
        )


@app.command()
@command
def report(
    run_id: RunArgument,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write a stored comparison's report again.

    Its verdict stays as it was stored; a run that never came to one is judged first.
    """
    from rehearse import rehearsal
    from rehearse.wiring.judging import report_dir

    settings = settings_of(config, set_)
    with store_of(settings) as store:
        run_id = run_id_of(store, run_id)
        for path in rehearsal.render(store, run_id, report_dir(settings, run_id)):
            out(str(path))
    return ExitCode.GO


@app.command()
@command
def demo(
    quiet: QuietOption = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the shop's databases.")] = False,
    full: Annotated[bool, typer.Option("--full", help="With every edge case; about twice as long.")] = False,
) -> ExitCode:
    """Rehearse two upgrades of a sample shop.

    A broken one and its repair; about five minutes, on loopback only.
    """
    from rehearse import demo as the_demo

    with progress_on(quiet) as progress:
        return the_demo.run(Path.cwd(), parts_with(progress), out, keep=keep, full=full)


app.command()(promotion.exit_plan)
app.command()(cutover)
app.command()(promotion.decide)
app.command()(promotion.gate)
app.command()(migrations)


# --- what commands share ----------------------------------------------------------------------------------------


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


def _dry_run(
    settings: Settings, baseline_name: str | None, without_baseline: bool, advisory: bool
) -> ExitCode:
    from datetime import UTC, datetime

    from rehearse import foresight

    told = foresight.dry_run(settings, datetime.now(UTC), baseline_name, without_baseline=without_baseline)
    out("\n".join(told.lines))
    if told.refusal is not None and not advisory:
        raise ConfigError(told.refusal)
    return ExitCode.GO


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
    """End without cleaning up, but leave nothing running that `rehearse` began."""
    groups = sys.modules.get(
        "rehearse.process_groups"
    )  # an import may be what was interrupted: none begins here
    try:
        if groups is not None:
            groups.kill_live_groups()
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
