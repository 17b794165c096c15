"""The command line: quick to start, one message a mistake, and exit codes that a pipeline can rely on."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rehearse.cli import app
from rehearse.errors import ExitCode, NotReady, RehearseError, TargetRefused
from tests.project import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:10")


def seconds(*args: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - started


def test_help_takes_at_most_twice_the_time_of_importing_typer() -> None:
    """Alternating, so that a machine that slows down slows both."""
    pairs = [(seconds("-m", "rehearse", "--help"), seconds("-c", "import typer")) for _ in range(5)]
    assert statistics.median(ours / typers for ours, typers in pairs) <= 2.0


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("comprae",), "compare"),
        (("compare", "--dry-ru"), "--dry-run"),
        (("compare", "--dry-run", "--set", "load.rat=3"), "'rate'"),
        (("compare", "--dry-run", "--set", "load.rate"), "KEY=VALUE"),
        (("compare", "--dry-run", "--set", "load.warm_up=5"), "5s"),
        (("compare", "--config", "nowhere.toml"), "nowhere.toml"),
        (("judge", "no-such-run"), "no-such-run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_ends_in_exit_2_with_the_nearest_valid_word(
    project: Project, args: tuple[str, ...], expected: str
) -> None:
    done = project.run(*args)
    assert done.code == ExitCode.USAGE_ERROR
    assert expected in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_an_unset_variable_in_the_file_ends_in_exit_2_and_is_named(project: Project) -> None:
    project.edit('title = "test"', 'title = "${NO_SUCH_VARIABLE}"')
    done = project.run("compare", "--dry-run")
    assert done.code == ExitCode.USAGE_ERROR
    assert "NO_SUCH_VARIABLE" in done.err


def test_a_dry_run_prints_hosts_requests_and_minutes_and_stores_nothing(project: Project) -> None:
    done = project.run("compare", "--dry-run")
    assert done.code == ExitCode.GO
    for expected in (
        "http://127.0.0.1:9",
        "http://127.0.0.1:10",
        "450 a side",
        "minutes",
        "nothing was sent",
    ):
        assert expected in done.out
    assert not (project.root / ".rehearse").exists()


def test_the_environment_overrides_the_file_and_the_command_line_overrides_both(project: Project) -> None:
    environment = {"REHEARSE_LOAD__RATE": "60"}
    assert " 60/s" in project.run("compare", "--dry-run", env=environment).out
    assert " 70/s" in project.run("compare", "--dry-run", "--set", "load.rate=70", env=environment).out


def test_control_characters_in_a_message_do_not_reach_the_terminal(project: Project) -> None:
    done = project.run("judge", "\x1b[31mred")
    assert done.code == ExitCode.USAGE_ERROR
    assert "\x1b" not in done.err


def test_a_run_list_of_an_empty_store_is_empty(project: Project) -> None:
    done = project.run("runs", "list")
    assert (done.code, done.out) == (ExitCode.GO, "")


def test_every_exit_code_means_one_thing() -> None:
    assert [int(code) for code in ExitCode] == [0, 1, 2, 10, 11, 12, 13, 130, 143]
    assert RehearseError.exit_code is ExitCode.INTERNAL_ERROR
    assert TargetRefused.exit_code is ExitCode.TARGET_REFUSED
    assert NotReady.exit_code is ExitCode.NOT_READY


@pytest.mark.parametrize("group", ["", "runs", "baselines", "check", "scenario"])
def test_a_list_of_commands_says_what_each_is_for_without_cutting_a_sentence(group: str) -> None:
    lines = CliRunner().invoke(app, [*group.split(), "--help"]).stdout.partition("Commands:")[2].splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line.endswith("...")] == []
