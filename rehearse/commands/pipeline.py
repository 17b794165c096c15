"""What a pipeline is told beside the exit code: annotations and a summary, where it is one that shows them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rehearse.commands.frame import say

if TYPE_CHECKING:
    from rehearse.model import Result


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
