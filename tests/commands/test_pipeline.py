"""What a pipeline is told beside the exit code, and the examples of pipelines in the documents."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rehearse.cli import app
from rehearse.commands.pipeline import tell_pipeline
from tests.report.examples import abort

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "github-actions.yml": ("vendor.github-workflows",),
    "gitlab-ci.yml": ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
}


def test_github_gets_annotations_on_stderr_and_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary"
    tell_pipeline(abort(), {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)})
    told = capsys.readouterr()
    assert told.out == "", "stdout is for the result"
    assert told.err.startswith("::error title=")
    assert summary.read_text(encoding="utf-8").startswith("## ABORT")


def test_anywhere_else_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell_pipeline(abort(), {"CI": "true"})
    assert capsys.readouterr() == ("", "")


def test_a_summary_that_cannot_be_written_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_pipeline(abort(), {"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "such")})
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "schema"), EXAMPLES.items(), ids=EXAMPLES)
def test_an_example_is_what_the_pipeline_s_schema_says(name: str, schema: tuple[str, ...]) -> None:
    arguments = [
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        *schema,
        str(ROOT / "rehearse" / "project" / "ci" / name),
    ]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_of_a_pipeline_is_able_to_refuse(name: str, tmp_path: Path) -> None:
    broken = tmp_path / name
    text = (ROOT / "rehearse" / "project" / "ci" / name).read_text(encoding="utf-8")
    broken.write_text(re.sub(r"\bneeds:.*", "needs: 7", text, count=1), encoding="utf-8")
    arguments = ["-m", "check_jsonschema", "--builtin-schema", *EXAMPLES[name], str(broken)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_of_an_example_exists_with_its_options(name: str) -> None:
    lines = re.findall(
        r"(rehearse [a-z][^\n]*)$",
        (ROOT / "rehearse" / "project" / "ci" / name).read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    commands = [line for line in lines if re.search(r"rehearse (baseline|compare|runs|decide|gate)", line)]
    assert len(commands) >= 5
    assert {"decide", "gate"} <= {line.split()[1] for line in commands}
    for line in commands:
        words = shlex.split(line, comments=True)[1:]
        command = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_job_of_the_example_has_the_variables_of_the_configuration() -> None:
    text = (ROOT / "rehearse" / "project" / "ci" / "github-actions.yml").read_text(encoding="utf-8")
    jobs = re.split(r"^  \w+:$", text.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]
    assert len(jobs) == 3
    for job in jobs:
        assert re.search(r"^    env:.*\n      STAGING_TOKEN: \$", job, re.MULTILINE), job


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_keeps_what_was_found_also_after_an_abort(name: str) -> None:
    text = (ROOT / "rehearse" / "project" / "ci" / name).read_text(encoding="utf-8")
    kept = text[text.index("rehearse compare") :]
    assert "always" in kept
    assert "reports/" in kept
    assert "rehearse runs export latest run.rehearse --with-baseline" in kept
