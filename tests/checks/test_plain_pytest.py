"""`pytest checks/` and the `rehearse check` commands on a real project, with real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rehearse.cli import app
from rehearse.holding import holding
from rehearse.model import CheckOutcome
from rehearse.store import Store
from tests.project import Project, make_project
from tests.servers import Site, serving
from tests.store.examples import sqlite_url

CHECK = '''
import pytest


@pytest.mark.breakage(id="INC-1", broke_on="2026-03-02")
def test_version(candidate, baseline):
    """The version was lost."""
    assert candidate.get("/version").json() == baseline.get("/version").json()
    assert candidate.get("/x").status_code == 200
'''


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    with serving() as left, serving() as right:
        yield left, right


@pytest.fixture
def project(tmp_path: Path, sites: tuple[Site, Site]) -> Project:
    made = make_project(tmp_path, sites[0].url, sites[1].url)
    (tmp_path / "checks").mkdir()
    return made


def plain_pytest(project: Project, *arguments: str) -> tuple[int, str]:
    """As people call it, but for the plugin, which need not be installed here."""
    command = [sys.executable, "-m", "pytest", "-p", "no:locust", "-p", "rehearse.pytest_plugin", *arguments]
    done = subprocess.run(
        command, cwd=project.root, env={**os.environ}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def told(project: Project, *arguments: str) -> tuple[int, str]:
    """A command in this process: only the checks themselves need one of their own."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(project.root / "rehearse.toml")])
    return done.exit_code, done.stdout + done.stderr


def test_plain_pytest_reads_rehearse_toml_and_asks_the_candidate(
    project: Project, sites: tuple[Site, Site]
) -> None:
    (project.root / "checks" / "test_a.py").write_text(CHECK)
    code, said = plain_pytest(project, "checks")
    assert code == 0, said
    assert "GET /x" in sites[1].requests
    sites[1].status = 500
    code, said = plain_pytest(project, "checks")
    assert code == 1, said
    assert plain_pytest(project, "checks", "--under-test", "baseline")[0] == 0


def test_plain_pytest_refuses_checks_without_a_name_and_leaves_other_tests_alone(project: Project) -> None:
    (project.root / "checks" / "test_a.py").write_text("def test_a(): pass\n")
    (project.root / "test_own.py").write_text("def test_own(): pass\n")
    code, said = plain_pytest(project, "checks")
    assert code == 4
    assert "checks/test_a.py::test_a: it says not which break it is about" in said
    assert plain_pytest(project, "test_own.py")[0] == 0


def test_a_target_off_the_allow_list_is_not_asked_by_plain_pytest_either(
    project: Project, sites: tuple[Site, Site]
) -> None:
    project.edit('allow = ["127.0.0.1"]', 'allow = ["127.0.0.2"]')
    (project.root / "checks" / "test_a.py").write_text(CHECK)
    code, said = plain_pytest(project, "checks")
    assert code == 1
    assert "not on the allow-list" in said
    assert sites[1].requests == []


def test_a_break_is_written_down_in_one_command_and_asked_in_the_next(
    project: Project, sites: tuple[Site, Site]
) -> None:
    (project.root / "checks").rmdir()
    answers = ("--broke", 'It said "version" \\ nothing', "--seen", "by hand", "--severity", "abort")
    code, said = told(project, "check", "new", *answers, "--shows", "GET /version", "--id", "INC-7")
    assert code == 0, said
    assert "test_it_said_version_nothing.py" in said
    code, said = told(project, "check", "new", *answers, "--shows", "GET /version")
    assert code == 2
    assert "there already" in said
    assert told(project, "check", "run")[0] == 0
    sites[1].status = 503
    code, said = told(project, "check", "run")
    assert code == 10, said
    assert "INC-7" in said
    assert "503" in said
    code, said = told(project, "check", "list")
    assert code == 0
    assert f"last: {CheckOutcome.FAILED}, {CheckOutcome.PASSED}" in said


def test_nobody_writes_a_check_down_from_answers_under_another_rehearsal(
    project: Project, sites: tuple[Site, Site]
) -> None:
    answers = ("--broke", "x", "--seen", "by hand", "--severity", "abort", "--shows", "GET /version")
    url = sqlite_url(project.root / ".rehearse" / "rehearse.db")
    with Store.open(url) as store, holding(store, [sites[0].url], "another"):
        code, said = told(project, "check", "new", *answers)
    assert (code, "another rehearsal is loading" in said) == (13, True), said
    assert list((project.root / "checks").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--broke", "x"], "--seen is missing"),
        (["--broke", "x", "--seen", "y", "--shows", "GET /", "--severity", "abrot"], "Did you mean 'abort'"),
        (["--broke", "x", "--seen", "y", "--shows", "select 1", "--severity", "warn"], "is no request"),
        (
            ["--broke", "x", "--seen", "y", "--shows", "GET /", "--severity", "warn", "--broke-on", "then"],
            "no date",
        ),
    ],
)
def test_an_answer_that_is_missing_or_wrong_is_said(project: Project, arguments: list[str], why: str) -> None:
    done = CliRunner().invoke(
        app, ["check", "new", "--config", str(project.root / "rehearse.toml"), *arguments]
    )
    assert done.exit_code == 2
    assert why in done.stderr
    assert list((project.root / "checks").iterdir()) == []


def test_control_c_ends_the_checks_and_keeps_what_is_known(project: Project) -> None:
    (project.root / "checks" / "test_a.py").write_text(
        "import pathlib, time, pytest\n\n"
        "@pytest.mark.breakage(id='first')\ndef test_first(): pass\n\n"
        "@pytest.mark.breakage(id='endless')\ndef test_endless():\n"
        "    pathlib.Path('running').touch()\n    time.sleep(324)\n"
    )

    def first_is_known() -> bool:
        if not (project.root / "running").exists():
            return False
        with Store.open(sqlite_url(project.root / ".rehearse" / "rehearse.db")) as store:
            return bool(store.exhibits(store.runs(1)[0].run_id))

    done, ended_s = project.interrupt("check", "run", when=first_is_known, with_signal=signal.SIGINT)
    assert done.code == 130
    assert ended_s < 20
    _, listed = told(project, "check", "list")
    assert "first abort" in listed
    assert "last: passed" in listed
    assert "last: error" not in listed
