"""Commands, options and exit codes; no logic. Everything heavy is imported when a command needs it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from rehearse.errors import ConfigError, ExitCode, Interrupted, RehearseError

if TYPE_CHECKING:
    from rehearse.config import Settings
    from rehearse.model import Result
    from rehearse.progress import TerminalProgress
    from rehearse.rehearsal import Comparison, Parts
    from rehearse.store.records import Store

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
runs_app = typer.Typer(help="Look at what is stored.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
check_app = typer.Typer(
    help="The codified breaks: ask them, list them, write one.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(check_app, name="check")
scenario_app = typer.Typer(
    help="Make a scenario from recorded traffic.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(scenario_app, name="scenario")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file; default: rehearse.toml here.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override one setting: --set load.rate=80. May be repeated.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="The result as JSON on stdout, and nothing else there.")
]
SourceArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What was recorded.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="The Locust file; default: scenarios/NAME.py.")
]
SideEffectsOption = Annotated[
    bool, typer.Option("--side-effects", help="Keep requests other than GET and HEAD, too.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def main() -> None:
    """Entry point of the `rehearse` command."""
    _raise_on_signals()
    app()


# --- commands ---------------------------------------------------------------------------------------------------


def _command(function: Callable[P, ExitCode]) -> Callable[P, None]:
    """A command function returns its exit code; an error on purpose becomes one message and its own code."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except RehearseError as error:
            _say(f"rehearse: {error}")
            code = error.exit_code
        raise typer.Exit(int(code))

    return wrapper


@app.command()
@_command
def baseline(
    name: Annotated[str | None, typer.Option("--name", help="Store it under this name.")] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
) -> ExitCode:
    """Record known-good behaviour.

    With two targets, on both, while both still run the known-good version: that also tells how noisy they are.
    """
    from rehearse import rehearsal

    settings = _settings(config, set_)
    with _progress(quiet) as progress:
        record = rehearsal.baseline(settings, _parts(progress), name, _command_line())
    print(f"recorded baseline {record.baseline_name!r}: run {record.run_id}")
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
        bool,
        typer.Option(
            "--dry-run", help="Print hosts, requests, minutes and what can be certified; send nothing."
        ),
    ] = False,
    advisory: Annotated[
        bool, typer.Option("--advisory", help="Measure and report, and exit with 0 whatever the verdict.")
    ] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Rehearse the upgrade, and decide.

    Exit code 0 is GO, 10 ABORT, 11 INCONCLUSIVE; each has a report. 12: refused target. 13: not ready.
    """
    settings = _settings(config, set_)
    if dry_run:
        return _dry_run(settings, baseline_name, without_baseline, advisory)
    from rehearse import rehearsal

    options = rehearsal.CompareOptions(baseline_name, without_baseline, advisory, _command_line())
    with _progress(quiet) as progress:
        comparison = rehearsal.compare(settings, _parts(progress), options)
    code = _show(comparison, as_json)
    if not advisory or comparison.interrupted is not None:
        return code
    _say(f"rehearse: ADVISORY: the verdict is {comparison.result.verdict.decision}, and nothing rests on it:"
         " the exit code is 0 because of --advisory")  # fmt: skip
    return ExitCode.GO


@app.command()
@_command
def judge(
    run_id: Annotated[str, typer.Argument(help="A run; see `rehearse runs list`.")],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help="as-recorded: the one fixed before the run; now: that of the settings.",
            metavar="WHICH",
        ),
    ] = "as-recorded",
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Judge a stored comparison again.

    From its evidence alone; the same evidence gives the same verdict. With `--policy now` under other objectives: the
    report says so, lies in a folder of its own, and the run keeps its verdict.
    """
    from rehearse import rehearsal, wiring

    settings = _settings(config, set_)
    chosen = wiring.policy_to_judge_by(settings, policy, [one.partition("=")[0] for one in set_ or []])
    with _store(settings) as store:
        return _show(rehearsal.rejudge(store, run_id, wiring.report_dir(settings, run_id), chosen), as_json)


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


@runs_app.command("list")
@_command
def runs_list(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 20,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """The newest runs: id, state, verdict, baseline."""
    settings = _settings(config, set_)
    with _store(settings) as store:
        for record in store.runs(limit):
            verdict = record.verdict.decision if record.verdict else "-"
            print(f"{record.run_id}  {record.state:<11}  {verdict:<12}  {record.baseline_name or '-'}")
    return ExitCode.GO


@check_app.command("run")
@_command
def check_run(
    config: ConfigOption = None,
    set_: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Ask both sides what broke before, without load.

    Exit code 0: every check passed. 10: one failed that the baseline passes. 11: one could not be asked.
    """
    from rehearse import rehearsal
    from rehearse.codec import to_bytes
    from rehearse.report.terminal import check_lines

    settings = _settings(config, set_)
    with _progress(quiet) as progress:
        report = rehearsal.check(settings, _parts(progress), _command_line())
    for line in [to_bytes(report).decode()] if as_json else check_lines(report):
        _out(line)
    return ExitCode[report.verdict.decision]


@check_app.command("list")
@_command
def check_list(config: ConfigOption = None, set_: SetOption = None, as_json: JsonOption = False) -> ExitCode:
    """Every check: what broke, how it came out lately, and whether it ever failed.

    Exit code 11 when one cannot be collected.
    """
    from rehearse import rehearsal
    from rehearse.checks.registry import lines_of
    from rehearse.codec import to_bytes

    settings = _settings(config, set_)
    with _progress(quiet=True) as progress:
        found, troubles = rehearsal.registry(settings, _parts(progress))
    for line in [to_bytes(found).decode()] if as_json else lines_of(found):
        _out(_printable(line))
    for trouble in troubles:
        _say(f"rehearse: {trouble}")
    return ExitCode.INCONCLUSIVE if troubles else ExitCode.GO


@check_app.command("new")
@_command
def check_new(
    broke: Annotated[str, typer.Option("--broke", help="What broke?")] = "",
    seen: Annotated[str, typer.Option("--seen", help="How was it seen?")] = "",
    shows: Annotated[
        str, typer.Option("--shows", help="Which request or query shows it? 'GET /orders/1', 'select ...'")
    ] = "",
    severity: Annotated[str, typer.Option("--severity", help="abort or warn?")] = "",
    check_id: Annotated[str, typer.Option("--id", help="Its id, such as INC-231.")] = "",
    component: Annotated[str, typer.Option("--component", help="What it is a part of.")] = "",
    broke_on: Annotated[str, typer.Option("--broke-on", help="When, as 2026-03-02; default: today.")] = "",
    field: Annotated[
        list[str] | None, typer.Option("--field", help="A value of the JSON answer: items[0].price")
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write down what broke as a check that runs.

    Asks four questions; what the baseline answers now becomes the expectation.
    """
    from datetime import UTC, datetime

    from rehearse.checking import write_check
    from rehearse.checks.scaffold import Answers
    from rehearse.errors import nearest
    from rehearse.model import Severity

    settings = _settings(config, set_)
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
    _out(f"wrote {write_check(settings, answers, today)}; `rehearse check run` asks it")
    return ExitCode.GO


def _answer(option: str, question: str, given: str) -> str:
    """What was given, or what whoever sits at the terminal says."""
    if given.strip():
        return given.strip()
    if not sys.stdin.isatty():
        raise ConfigError(f"{option} is missing, and nobody is there to ask: {question}")
    return str(typer.prompt(question, err=True)).strip()


@check_app.command("learn")
@_command
def check_learn(
    url: Annotated[
        str | None, typer.Argument(help="A path on the baseline, or a URL of it: what it answers is learnt.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option("--sql", help="A query of the baseline, where that is a database.")
    ] = None,
    file: Annotated[str | None, typer.Option("--file", help="A file of the project.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; default: a new file in the checks folder.")
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> ExitCode:
    """Write declared checks from how the baseline is now.

    It is asked three times: what changes from one answer to the next is learnt by its type alone.
    """
    from rehearse import learning

    learnt = learning.learn(_settings(config, set_), learning.Subject(url, sql, file), _command_line())
    print(learning.save(learnt, out))
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


@scenario_app.command("from-har")
@_command
def from_har(
    source: SourceArgument,
    output: OutputOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Whose requests to take; default: the first page's host.")
    ] = None,
    side_effects: SideEffectsOption = False,
    force: ForceOption = False,
) -> ExitCode:
    """From a HAR that a browser exported.

    Each page is a journey; secrets are taken out, other hosts are left out.
    """
    return _make_scenario("HAR", source, output, side_effects, force, host)


@scenario_app.command("from-access-log")
@_command
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


@scenario_app.command("from-openapi")
@_command
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


# --- what commands share ----------------------------------------------------------------------------------------


def _settings(config: Path | None, assignments: list[str] | None) -> Settings:
    from rehearse.config import load_settings

    overrides: dict[str, object] = {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment!r}: write it as KEY=VALUE, such as load.rate=80.")
        overrides[key] = value
    return load_settings(config, os.environ, overrides)


def _parts(progress: TerminalProgress) -> Parts:
    from datetime import UTC, datetime

    from rehearse import rehearsal
    from rehearse.load.engine import LocustEngine

    return rehearsal.Parts(LocustEngine(), progress, lambda: datetime.now(UTC))


def _progress(quiet: bool) -> TerminalProgress:
    from rich.console import Console

    from rehearse.progress import TerminalProgress

    return TerminalProgress(Console(stderr=True), quiet)


def _dry_run(
    settings: Settings, baseline_name: str | None, without_baseline: bool, advisory: bool
) -> ExitCode:
    from datetime import UTC, datetime

    from rehearse import foresight

    told = foresight.dry_run(settings, datetime.now(UTC), baseline_name, without_baseline=without_baseline)
    print("\n".join(told.lines))
    if told.refusal is not None and not advisory:
        raise ConfigError(told.refusal)
    return ExitCode.GO


def _make_scenario(
    kind: str, source: Path, output: Path | None, side_effects: bool, force: bool, host: str | None = None
) -> ExitCode:
    from rehearse.replay.making import SourceKind, Wish, make_scenario

    wish = Wish(SourceKind(kind), source, output, side_effects, force, host)
    for line in make_scenario(wish, _command_line()):
        _out(line)
    return ExitCode.GO


def _store(settings: Settings) -> Store:
    from rehearse.store.records import Store
    from rehearse.wiring import store_url

    return Store.open(store_url(settings))


def _show(comparison: Comparison, as_json: bool) -> ExitCode:
    from rehearse.codec import to_bytes
    from rehearse.report.terminal import summary_lines

    result = comparison.result
    if as_json:
        print(to_bytes(result).decode())  # to the byte what result.json holds
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


def _out(line: str) -> None:
    print(line, flush=True)


def _say(message: str) -> None:
    print(_printable(message), file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


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
