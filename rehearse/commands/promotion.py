"""`rehearse exit-plan`, `decide`, `gate`: the way out, who decided what, and whether a candidate may be promoted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from rehearse.commands.frame import (
    ConfigOption,
    JsonOption,
    RunArgument,
    SetOption,
    StageOption,
    command,
    out,
    out_json,
    parts_with,
    progress_on,
    say,
    settings_of,
    store_of,
)
from rehearse.commands.runs import run_id_of
from rehearse.errors import ConfigError, ExitCode

MOST_FACTS_BYTES = 64 * 1024


@command
def exit_plan(
    format_: Annotated[
        Literal["markdown", "html"],
        typer.Option("--format", help="The runbook as Markdown, or as a page."),
    ] = "markdown",
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Print the exit plan as a runbook.

    What is wrong with it is said on stderr. Exit code 2: following it could end without a way out. A warning alone
    ends in 0.
    """
    from rehearse.promotion import plan_faults
    from rehearse.report.runbook import fault_lines, runbook_md
    from rehearse.report.runbook_page import runbook_html
    from rehearse.sides import cleaner

    settings = settings_of(config, set_)
    plan, clean = settings.exit_plan.plan, cleaner(settings)
    with progress_on(quiet=True) as progress:
        faults = plan_faults(settings, parts_with(progress).checks, datetime.now(UTC).date())
    found = [replace(fault, sentence=clean(fault.sentence)) for fault in faults]
    if as_json:
        out_json(found)
    else:
        render = runbook_html if format_ == "html" else runbook_md
        out(clean(render(plan, settings.title)).rstrip("\n"))
    for line in fault_lines(found):
        say(f"rehearse: {line}")
    return ExitCode.USAGE_ERROR if any(fault.level == "error" for fault in found) else ExitCode.GO


@command
def decide(
    run_id: RunArgument,
    person: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the report.")],
    is_go: Annotated[bool, typer.Option("--go/--abort", help="What is decided.", show_default=False)],
    override: Annotated[
        bool, typer.Option("--override", help="Go although the verdict is ABORT or INCONCLUSIVE.")
    ] = False,
    second: Annotated[
        str, typer.Option("--second", metavar="NAME", help="Who else agrees with an override.")
    ] = "",
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """Sign off a comparison: who decided what, when and why.

    It is appended to the run and never changed. Names are recorded, not authenticated: in a pipeline, what that says
    of itself is recorded too.
    """
    from rehearse.model import Decision
    from rehearse.promotion import Signing
    from rehearse.promotion import decide as sign
    from rehearse.report.signed import sign_off_sentence
    from rehearse.report.visible import printable
    from rehearse.sides import cleaner

    settings = settings_of(config, set_)
    signing = Signing(Decision.GO if is_go else Decision.ABORT, person, reason, second, override)
    with store_of(settings) as store:
        run_id = run_id_of(store, run_id)
        sign_off = sign(store, run_id, signing, datetime.now(UTC), os.environ, cleaner(settings))
        verdict = store.run(run_id).verdict
    if as_json:
        out_json(sign_off)
    else:
        out(f"{run_id}: {printable(sign_off_sentence(sign_off, verdict))}")
        out(f"recorded, not authenticated; `rehearse report {run_id}` shows it")
    return ExitCode.GO


@command
def gate(
    facts: Annotated[
        list[str] | None,
        typer.Argument(help="More facts of the candidate, KEY=VALUE.", metavar="KEY=VALUE"),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            "--candidate",
            metavar="KEY=VALUE",
            help="A fact of the candidate, such as version=2.0, or a JSON file of them. May be repeated.",
        ),
    ] = None,
    stage: StageOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> ExitCode:
    """May exactly this candidate be promoted now?

    Exit code 0, and no other, says yes. 10: it was ABORT. 11: it was INCONCLUSIVE. 13: nothing fresh was rehearsed of
    exactly it under this policy, or what is stored was changed, or a freeze holds.
    """
    from rehearse.promotion import gate as ruling_of
    from rehearse.report.visible import printable

    settings = settings_of(config, set_)
    with store_of(settings) as store:
        named = _facts([*(candidate or []), *(facts or [])])
        ruling = ruling_of(settings, store, named, stage or "", datetime.now(UTC))
    if as_json:
        out_json(ruling)
        return ruling.code
    for sentence in ruling.sentences:
        line = f"{'open' if ruling.is_open else 'closed'}: {printable(sentence)}"
        if ruling.is_open:
            out(line)
        else:
            say(f"rehearse: {line}")
    return ruling.code


def _facts(given: Sequence[str]) -> Mapping[str, str]:
    """What names the candidate; twice the same fact with another value is a mistake."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        for name, said in ((key, value),) if equals else _facts_in(Path(text)).items():
            if found.setdefault(name, said) != said:
                raise ConfigError(
                    f"--candidate: {name} is {found[name]!r} and {said!r}; leave one of them out."
                )
    return found


def _facts_in(file: Path) -> Mapping[str, str]:
    import json

    from rehearse.targets import flat_facts

    try:
        content = file.read_bytes()
        document = json.loads(content) if len(content) <= MOST_FACTS_BYTES else None
    except OSError as error:
        raise ConfigError(
            f"--candidate {file}: cannot be read ({error.strerror}); or write KEY=VALUE."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--candidate {file}: is not JSON ({error}).") from error
    if not isinstance(document, dict):
        raise ConfigError(f"--candidate {file}: is no JSON object of at most {MOST_FACTS_BYTES} bytes.")
    try:
        return flat_facts(document)
    except RecursionError:
        raise ConfigError(f"--candidate {file}: is nested too deeply.") from None
