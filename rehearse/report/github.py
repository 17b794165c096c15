"""What GitHub Actions shows of a verdict: annotations beside the job, and the summary on the run's page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rehearse.model import Decision, Result
from rehearse.report.headline import cautions, some, top_reasons, waived, why
from rehearse.report.ranking import ranked
from rehearse.report.visible import printable, shortened

MOST_COMMANDS = 5  # the runner drops those beyond ten of a kind, without a word
MOST_SUMMARY_BYTES = 1_000_000  # of one step; beyond 1 MiB GitHub drops all of it
_LONGEST = 500
_LEVELS = {Decision.GO: "notice", Decision.ABORT: "error", Decision.INCONCLUSIVE: "warning"}


def workflow_commands(result: Result) -> Iterator[str]:
    """At most five, one a line: the verdict, its first reasons when it is not GO, and what was waived.

    Nothing rests on an advisory result, so none of its annotations is an error.
    """
    decision = result.verdict.decision
    title = f"rehearse: {decision}"
    level = "notice" if cautions(result) else _LEVELS[decision]
    told = [f"{decision}: {why(result)}"]
    if decision is not Decision.GO:
        told += [reason.sentence for reason in top_reasons(result, ranked(result.verdict))]
    accepted = waived(result)
    words = [f"{caution.word}: {caution.sentence}" for caution in cautions(result)][:1]
    words += [f"{some(len(accepted), 'finding')} waived, first: {accepted[0].sentence}"] if accepted else []
    for sentence in told[: MOST_COMMANDS - len(words)]:
        yield _command(level, title, sentence)
    for sentence in words:
        yield _command("notice", title, sentence)


def add_summary(file: Path, summary: str) -> bool:
    """Append to the file that `$GITHUB_STEP_SUMMARY` names, unless the step's would become too large for it."""
    content = summary.encode()
    with file.open("ab") as opened:
        if opened.tell() + len(content) > MOST_SUMMARY_BYTES:
            return False
        opened.write(content)
    return True


def _command(level: str, title: str, message: str) -> str:
    named = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={named}::{_data(message)}"


def _data(text: str) -> str:
    """A value inside a command: it can neither end it nor begin another."""
    line = shortened(printable(text), _LONGEST).replace("##[", "## [")
    return line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
