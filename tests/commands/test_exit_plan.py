"""`rehearse exit-plan`: the runbook on stdout, what is wrong with it on stderr, and in the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rehearse.cli import app
from tests.project import make_project

PLAN = """
[exit_plan]
decide_by = "T+20m"
decider = "the release engineer"
forward_rehearsed = {today}

[[exit_plan.steps]]
name = "expand"
run = ["migrate", "--password", "canary-4711"]
undo = ["migrate", "down"]
verify = ["INC-1"]
timeout = "5m"

[[exit_plan.abort]]
when = "orders fail"
objective = "error_ratio"

[exit_plan.backup]
what = "the orders"
check = "INC-1"
max_age = "4h"
restore_rehearsed = {today}
"""
CHECK = '''
import pytest


@pytest.mark.breakage(id="INC-1", broke_on="2026-01-02")
def test_total(candidate: object) -> None:
    """The total was wrong."""
'''
NO_UNDO = 'undo = ["migrate", "down"]\n'


@dataclass(frozen=True)
class Project:
    """One with a plan; the command runs in this process."""

    root: Path

    def change(self, old: str, new: str) -> None:
        """One place of its plan."""
        file = self.root / "rehearse.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, *args: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        done = CliRunner().invoke(app, ["exit-plan", *args, "--config", str(self.root / "rehearse.toml")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_project(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:10")
    (tmp_path / "checks").mkdir(exist_ok=True)
    (tmp_path / "checks" / "test_first.py").write_text(CHECK, encoding="utf-8")
    with (tmp_path / "rehearse.toml").open("a", encoding="utf-8") as file:
        file.write(PLAN.format(today=datetime.now(UTC).date().isoformat()))
    return Project(tmp_path)


def test_a_whole_plan_is_a_runbook_and_nothing_is_said_about_it(project: Project) -> None:
    code, out, err = project.run()
    assert (code, err) == (0, "")
    assert "expand" in out
    assert "migrate down" in out
    assert "canary" not in out


def test_a_dead_end_is_exit_code_2_and_the_runbook_is_printed_all_the_same(project: Project) -> None:
    project.change(NO_UNDO, "")
    code, out, err = project.run()
    assert code == 2
    assert err.startswith("rehearse: error: exit_plan.steps[0].undo: ")
    assert "expand" in out


def test_a_check_that_there_is_not_is_an_error(project: Project) -> None:
    (project.root / "checks" / "test_first.py").unlink()
    code, _, err = project.run()
    assert code == 2
    assert "'INC-1'" in err


def test_a_warning_alone_is_said_and_is_exit_code_0(project: Project) -> None:
    project.change('decider = "the release engineer"\n', "")
    code, out, err = project.run()
    assert code == 0
    assert [line.partition(": exit_plan")[0] for line in err.splitlines()] == ["rehearse: warning"]
    assert "warning" not in out


def test_the_page_is_html_with_the_same_steps(project: Project) -> None:
    project.change('name = "expand"', 'name = "expand <orders>"')
    code, out, err = project.run("--format", "html")
    assert (code, err) == (0, "")
    assert out.lower().startswith("<!doctype html>")
    assert out.rstrip().endswith("</html>")
    assert "expand &lt;orders&gt;" in out
    assert "canary" not in out


def test_another_format_is_refused(project: Project) -> None:
    assert project.run("--format", "pdf")[0] == 2


def test_json_is_what_is_wrong_and_nothing_else(project: Project) -> None:
    assert json.loads(project.run("--json")[1]) == []
    project.change(NO_UNDO, "")
    code, out, _ = project.run("--json")
    fault, *_ = json.loads(out)
    assert (code, fault["level"], fault["where"]) == (2, "error", "exit_plan.steps[0].undo")
