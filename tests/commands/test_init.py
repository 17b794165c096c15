"""`rehearse init`: what it writes loads, what is there stays, and what was not answered is denied or said."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError
from rehearse.load.statements import files_of, read_statements
from rehearse.model import Mode
from rehearse.project.answers import Answers, Writing, writing_in
from rehearse.project.interview import Given, Interview
from rehearse.project.writing import CI_FILES, contents_of, write_project

LOCUST_FILE = """
from locust import HttpUser, task

class Someone(HttpUser):
    def on_start(self):
        self.client.post("/login")

    @task
    def look(self):
        self.client.request("DELETE", "/notes/1")
        self.shelf.delete("nothing that is sent")
"""


def rehearse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "rehearse", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def settings_of(answers: Answers, folder: Path) -> Settings:
    write_project(contents_of(answers, folder), folder)
    return load_settings(folder / "rehearse.toml", {}, {})


def answering(*answers: str) -> Callable[[str, str], str]:
    """Somebody at a terminal."""
    left = list(answers)
    return lambda question, default: left.pop(0)


def test_the_project_can_be_rehearsed_dry_as_it_was_written(tmp_path: Path) -> None:
    assert rehearse(tmp_path, "init").returncode == 0
    told = rehearse(tmp_path, "compare", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "nothing was sent" in told.stdout
    listed = rehearse(tmp_path, "check", "list")
    assert listed.returncode == 0
    assert "FIRST-1 abort" in listed.stdout


def test_the_first_compare_is_told_how_to_go_on_without_a_baseline(tmp_path: Path) -> None:
    rehearse(tmp_path, "init")
    for arguments, code in ((("compare",), 13), (("compare", "--dry-run"), 0)):
        done = rehearse(tmp_path, *arguments)
        assert done.returncode == code
        assert "rehearse compare --without-baseline" in done.stdout + done.stderr


def test_without_a_terminal_it_says_all_that_it_assumed_and_nothing_may_write(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "init")
    assumed = [line for line in done.stdout.splitlines() if line.startswith("assumed")]
    assert [line.split()[1] for line in assumed] == ["--baseline", "--candidate", "--reads-only:"]
    assert not load_settings(tmp_path / "rehearse.toml", {}, {}).safety.side_effects


@pytest.mark.parametrize("name", ["rehearse.toml", "checks/test_first.py", "ci/gitlab-ci.yml"])
def test_what_is_there_is_named_and_stays_and_nothing_else_is_written(tmp_path: Path, name: str) -> None:
    there = tmp_path / name
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine")
    done = rehearse(tmp_path, "init")
    assert done.returncode == 2
    assert f"{name}: already there" in done.stderr
    assert there.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]


def test_even_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "rehearse.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"rehearse\.toml: already there"):
        write_project(contents_of(Answers(), tmp_path), tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_one_message(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_project(contents_of(Answers(), tmp_path), tmp_path)


def test_only_the_hosts_of_the_two_sides_may_be_loaded(tmp_path: Path) -> None:
    answers = Answers("https://old.staging.example", "https://new.staging.example:8443/api")
    settings = settings_of(answers, tmp_path)
    assert settings.safety.allow == ("old.staging.example", "new.staging.example")
    assert settings.judge.shared == ()
    assert settings.load.rig.max_stall_s == 0.1, "the stricter default, for machines of their own"


def test_two_sides_on_this_machine_share_it_and_get_margins_that_it_can_decide(tmp_path: Path) -> None:
    settings = settings_of(Answers(), tmp_path)
    assert settings.judge.shared == ("host",)
    assert settings.objectives.p50.margin == 0.30


def test_a_locust_file_of_the_project_is_referred_to_and_not_copied(tmp_path: Path) -> None:
    own = tmp_path / "load" / "locustfile.py"
    own.parent.mkdir()
    own.write_text(LOCUST_FILE)
    settings = settings_of(Answers(locust_file=own), tmp_path)
    assert settings.scenarios[0].file == own
    assert not (tmp_path / "scenarios").exists()


def test_a_locust_file_from_elsewhere_is_copied_byte_by_byte(tmp_path: Path) -> None:
    elsewhere, project = tmp_path / "elsewhere.py", tmp_path / "project"
    project.mkdir()
    elsewhere.write_bytes(b"# Windows\r\nx = 1\r\n")
    settings = settings_of(Answers(locust_file=elsewhere), project)
    assert settings.scenarios[0].file.read_bytes() == elsewhere.read_bytes()


def test_what_a_locust_file_sends_is_found_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text(LOCUST_FILE + "raise SystemExit('run')\n")
    assert writing_in(file) == (Writing("POST", 6), Writing("DELETE", 10))


def test_a_locust_file_that_writes_is_not_allowed_to_by_itself(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(LOCUST_FILE)
    done = rehearse(tmp_path, "init", "--from", "locustfile.py")
    assert "POST (line 6), DELETE (line 10): a rehearsal would end there" in done.stdout
    assert not load_settings(tmp_path / "rehearse.toml", {}, {}).safety.side_effects


def test_at_a_terminal_side_effects_are_asked_about(tmp_path: Path) -> None:
    ask = answering(
        "http://127.0.0.1:1", "http://127.0.0.1:2", "perhaps", "y", "payment, email", "./restore 'a b'", ""
    )
    interview = Interview(ask)
    answers = interview.answers(Given())
    assert interview.assumed == []
    settings = settings_of(answers, tmp_path)
    assert settings.safety.side_effects
    assert settings.scenarios[0].exclude_tags == ("payment", "email")
    assert {target.reset for target in settings.targets} == {("./restore", "a b")}


def test_whoever_only_reads_is_not_asked_what_to_undo() -> None:
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return default

    assert not Interview(ask).answers(Given()).writes
    assert len(asked) == 4


def test_what_an_option_says_is_not_asked_again() -> None:
    options = Given(
        "http://127.0.0.1:1", "http://127.0.0.1:2", None, "/", True, ("payment",), "./restore", ()
    )
    answers = Interview(answering()).answers(options)
    assert answers.exclude_tags == ("payment",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Given(baseline="staging.example"), "--baseline 'staging.example' does not start with http://"),
        (Given(baseline="http://me:secret@staging.example"), "'staging.example' has user information"),
        (Given(candidate="postgresql+psycopg://me:secret@host/db"), "holds a password"),
        (Given(baseline="postgresql+psycopg://me@host:1:secret/db"), "is not a URL of one database"),
        (Given("http://127.0.0.1:1", "postgresql+psycopg://me@host/db"), "one side is a database"),
        (Given("http://127.0.0.1:1", "http://127.0.0.1:1/"), "that is the baseline"),
        (Given(reset="./restore 'a"), "is no command"),
        (Given(ready="health"), "is no path"),
        (Given(locust_file=Path("/nowhere/locustfile.py")), "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_message(wrong: Given, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")) as raised:
        Interview(None).answers(wrong)
    assert "me:" not in str(raised.value)
    assert "secret/" not in str(raised.value)


# one environment, and databases


def test_a_baseline_alone_is_one_environment_that_is_upgraded_where_it_stands(tmp_path: Path) -> None:
    done = rehearse(tmp_path, "init", "--baseline", "http://127.0.0.1:8101")
    assert done.returncode == 0, done.stderr
    assert "assumed no --candidate: one environment, upgraded where it stands" in done.stdout
    assert "`rehearse baseline` records" in done.stdout.splitlines()[-2]
    assert "--without-baseline" not in done.stdout, "recorded mode cannot do without one"
    settings = load_settings(tmp_path / "rehearse.toml", {}, {})
    assert settings.resolved_mode is Mode.RECORDED
    assert settings.baseline.rounds >= 3
    assert settings.resolved_rounds >= 3, "one round decides nothing"
    assert settings.judge.shared == (), "there is no second side to share with"


def test_at_a_terminal_nothing_for_the_candidate_means_its_place_is_the_baselines() -> None:
    ask = answering("", "n", "")
    answers = Interview(ask).answers(Given(baseline="http://127.0.0.1:1"))
    assert answers.candidate is None
    ask = answering("http://127.0.0.1:2", "n", "")
    answers = Interview(ask).answers(Given(baseline="http://127.0.0.1:1"))
    assert answers.candidate == "http://127.0.0.1:2"


OLD = "postgresql+psycopg://me:${DB_PASSWORD}@old.example/shop"
NEW = "postgresql+psycopg://me:${DB_PASSWORD}@new.example/shop"


@pytest.mark.parametrize("candidate", [NEW, None], ids=["side by side", "in place"])
def test_a_project_for_databases_has_statements_and_no_password(
    tmp_path: Path, candidate: str | None
) -> None:
    answers = Interview(None).answers(Given(OLD, candidate))
    contents = contents_of(answers, tmp_path)
    write_project(contents, tmp_path)
    settings = load_settings(tmp_path / "rehearse.toml", {"DB_PASSWORD": "hunter2"}, {})
    assert settings.targets[0].url == OLD.replace("${DB_PASSWORD}", "hunter2")
    assert settings.safety.allow == (("old.example", "new.example") if candidate else ("old.example",))
    assert [file.name for file in files_of(settings.scenarios[0].file)] == ["statements.toml"]
    statements = read_statements(tmp_path / "scenarios" / "statements.toml")
    assert [statement.sql for statement in statements] == ["select 1"]
    assert b"ready =" not in contents["rehearse.toml"]
    assert b"contract" not in contents["rehearse.toml"]


def test_a_new_project_for_databases_is_loaded_and_its_check_asks_them(tmp_path: Path) -> None:
    for name in ("old.db", "new.db"):
        sqlite3.connect(tmp_path / name).close()
    urls = ("--baseline", "sqlite:///old.db", "--candidate", "sqlite:///new.db")
    assert rehearse(tmp_path, "init", *urls).returncode == 0
    asked = rehearse(tmp_path, "check", "run")
    assert asked.returncode == 0, asked
    assert "1 check: 1 passed" in asked.stdout


@pytest.mark.parametrize("candidate", ["sqlite:///new.db", None])
def test_no_template_leaves_a_gap(tmp_path: Path, candidate: str | None) -> None:
    for baseline in ("http://127.0.0.1:1", "https://staging.example", "sqlite:///old.db"):
        text = contents_of(Answers(baseline, candidate), tmp_path)["rehearse.toml"].decode()
        assert "\n\n\n" not in text
        assert "{%" not in text
        assert "None" not in text


@given(text=st.text(min_size=1, max_size=20).filter(str.strip))
def test_no_answer_is_more_than_a_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("project")
    answers = Answers(exclude_tags=(text,), reset=("./restore", text), writes=True)
    try:
        text.encode()
        settings = settings_of(answers, folder)
    except (ConfigError, UnicodeEncodeError):
        return  # refused, as no configuration can hold it
    assert settings.scenarios[0].exclude_tags == (text,)
    assert {target.reset for target in settings.targets} == {("./restore", text)}


def test_the_examples_of_pipelines_are_the_tested_ones(tmp_path: Path) -> None:
    contents = contents_of(Answers(), tmp_path)
    source = Path(__file__).resolve().parents[2] / "rehearse" / "project" / "ci"
    assert {name: contents[f"ci/{name}"] for name in CI_FILES} == {
        name: (source / name).read_bytes() for name in CI_FILES
    }
