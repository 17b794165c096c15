"""How a command ends that came to a verdict: what a person reads, what a pipeline is told, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rehearse.commands.frame import out, out_json, say
from rehearse.errors import ExitCode

if TYPE_CHECKING:
    from rehearse.model import Result
    from rehearse.rehearsal import Comparison


def show_comparison(comparison: Comparison, as_json: bool) -> ExitCode:
    """Tell the pipeline, print the result or its summary; the exit code is of the verdict, or of the interruption."""
    from rehearse.report.terminal import summary_lines

    result = comparison.result
    tell_pipeline(result, os.environ)
    if as_json:
        out_json(result)
    else:
        html = next((str(path) for path in comparison.reports if path.suffix == ".html"), None)
        for line in summary_lines(result, html):
            out(line)
    if comparison.interrupted is not None:
        return comparison.interrupted.exit_code
    return ExitCode[result.verdict.decision]


def tell_pipeline(result: Result, environment: Mapping[str, str]) -> None:
    """On GitHub: annotations on stderr (stdout is for the result), and the summary on the run's page.

    What cannot be told is said, and changes nothing: the verdict is stored.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        from rehearse.report.github import workflow_commands

        for line in workflow_commands(result):
            print(line, file=sys.stderr, flush=True)
    place = environment.get("GITHUB_STEP_SUMMARY")
    if place:
        from rehearse.report.github import add_summary
        from rehearse.report.markdown import summary_md

        try:
            if not add_summary(Path(place), summary_md(result)):
                say("rehearse: the step's summary is full; see summary.md beside the report.")
        except OSError as error:
            say(f"rehearse: the step's summary cannot be written ({error.strerror or error}).")
