"""`rehearse runs` and `rehearse baselines`, as a person and as a pipeline use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas
import pytest
from typer.testing import CliRunner

from rehearse.cli import app
from rehearse.errors import ExitCode
from rehearse.model import RunKind
from rehearse.store import Store
from tests.project import make_project
from tests.store.examples import ABORT, change, keep, record, sqlite_url

HOSTILE = "::error::x\n##[add-mask]GO \x1b[31mred"


@dataclass(frozen=True)
class Project:
    """A project with a stored baseline and a comparison; commands run in this process."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root / ".rehearse" / "rehearse.db"

    def run(self, *args: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*args, "--config", str(self.root / "rehearse.toml")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def told(self, *args: str) -> str:
        code, out, err = self.run(*args)
        assert code == 0, err
        return out


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Project]:
    def made(name: str) -> Project:
        root = tmp_path / name
        root.mkdir()
        make_project(root, "http://127.0.0.1:9", "http://127.0.0.1:10")
        return Project(root)

    return made


@pytest.fixture
def project(make: Callable[[str], Project]) -> Project:
    made = make("here")
    with Store.open(sqlite_url(made.file)) as store:
        keep(store, record("base"))
        store.name_baseline("main", "base")
        compared = replace(record("compared", RunKind.COMPARISON, 5), baseline_run_id="base", title=HOSTILE)
        keep(store, compared)
        store.update_run(replace(store.run("compared"), verdict=ABORT))
    return made


def test_a_list_has_a_line_for_each_run_and_json_has_nothing_else(project: Project) -> None:
    assert project.told("runs", "list").splitlines() == [
        "compared  finished     ABORT         main  candidate: build 7, version 6.0 \ufffd",
        "base  finished     -             main",
    ]
    found = json.loads(project.told("runs", "list", "--json"))
    assert [one["run_id"] for one in found] == ["compared", "base"]
    assert found[0]["title"] == HOSTILE


def test_a_run_is_shown_with_its_verdict_its_numbers_and_its_digest(project: Project) -> None:
    shown = project.told("runs", "show", "compared")
    for expected in ("verdict: ABORT", "1. p95 rose", "baseline: main, run base", "digest: ", "GET /orders"):
        assert expected in shown
    document = json.loads(project.told("runs", "show", "compared", "--json"))
    assert document["record"]["verdict"]["decision"] == "ABORT"
    assert document["series"][0]["requests"] == 100


@pytest.mark.parametrize(
    ("command", "run_id"),
    [("runs show latest", "compared"), ("report latest", "compared"), ("runs show baseline:main", "base")],
)
def test_latest_and_the_name_of_a_baseline_are_runs(project: Project, command: str, run_id: str) -> None:
    assert run_id in project.told(*command.split())


def test_latest_of_all_can_be_judged_and_is_not_pinned_when_it_is_a_comparison(project: Project) -> None:
    code, out, _ = project.run("judge", "latest")
    assert (code, "compared" in out) == (ExitCode.INCONCLUSIVE, True), "its evidence is a few blocks"
    code, _, err = project.run("baselines", "pin", "main", "latest")
    assert code != ExitCode.GO
    assert "run compared cannot be the baseline" in err


def test_a_damaged_run_is_shown_as_that(project: Project) -> None:
    change(project.file, "DELETE FROM finals")
    shown = project.told("runs", "show", "compared")
    assert "not verified: run compared is not what was recorded" in shown
    assert "digest: " not in shown


@pytest.mark.parametrize("args", [("runs", "show", "compared"), ("runs", "list"), ("baselines", "list")])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
def test_a_hostile_name_gives_no_order_to_a_terminal_or_a_runner(
    project: Project, args: tuple[str, ...], options: tuple[str, ...]
) -> None:
    shown = project.told(*args, *options)
    assert "\x1b" not in shown
    assert "##[" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())


def test_a_moment_that_somebody_wrote_into_the_store_moves_no_cursor(project: Project) -> None:
    change(project.file, "UPDATE runs SET started_at = ?", "2026\x1b[2J\x1b[31m")
    assert "\x1b" not in project.told("baselines", "list")


def test_a_run_goes_to_another_machine_with_its_baseline(
    project: Project, make: Callable[[str], Project], tmp_path: Path
) -> None:
    file = str(tmp_path / "run.rehearse")
    assert project.told("runs", "export", "compared", file, "--with-baseline").strip() == file
    assert Path(file).stat().st_mode & 0o777 == 0o600
    there = make("there")
    assert "baseline 'main' is run base from now on" in there.told("runs", "import", file)
    assert "was here already" in there.told("runs", "import", file)
    assert there.told("runs", "list") == project.told("runs", "list")
    assert there.told("runs", "verify") == project.told("runs", "verify")


def test_a_baseline_is_exported_by_its_name(project: Project, tmp_path: Path) -> None:
    file = str(tmp_path / "base.rehearse")
    project.told("runs", "export", "baseline:main", file)
    assert project.told("runs", "verify", "--file", file).startswith("base  ")
    code, _, err = project.run("runs", "export", "baseline:mein", file)
    assert (code, "Did you mean 'main'" in err) == (ExitCode.NOT_READY, True)


def test_a_flipped_byte_fails_verify_and_import_with_exit_13(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "run.rehearse"
    project.told("runs", "export", "compared", str(file))
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    for args in (("runs", "verify", "--file", str(file)), ("runs", "import", str(file))):
        code, out, err = project.run(*args)
        assert (code, out) == (ExitCode.NOT_READY, "")
        assert "damaged or was changed" in err


def test_verify_looks_at_the_baseline_that_a_verdict_rests_on(project: Project) -> None:
    assert "with baseline base" in project.told("runs", "verify", "compared")
    change(project.file, "DELETE FROM blocks WHERE run_number = 1 AND index_in_round = 1")
    code, _, err = project.run("runs", "verify", "compared")
    assert (code, "run base is not what was recorded" in err) == (ExitCode.NOT_READY, True)


def test_verify_without_its_baseline_fails(
    project: Project, make: Callable[[str], Project], tmp_path: Path
) -> None:
    file = str(tmp_path / "run.rehearse")
    project.told("runs", "export", "compared", file)
    there = make("there")
    there.told("runs", "import", file)
    code, _, err = there.run("runs", "verify", "compared")
    assert (code, "the baseline recording base, which is not in this store" in err) == (
        ExitCode.NOT_READY,
        True,
    )


def test_verify_looks_at_every_run_also_after_a_damaged_one(project: Project) -> None:
    with Store.open(sqlite_url(project.file)) as store:
        keep(store, record("other", minute=30))
    change(project.file, "DELETE FROM finals WHERE run_number = 2")
    code, out, err = project.run("runs", "verify")
    assert code == ExitCode.NOT_READY
    assert [line.split()[0] for line in out.splitlines()] == ["other", "base"]
    assert err.count("rehearse: run compared is not what was recorded") == 1


def test_what_would_be_removed_is_said_and_only_then_removed(project: Project) -> None:
    with Store.open(sqlite_url(project.file)) as store:
        keep(store, record("old", RunKind.COMPARISON, 1))
    would = project.told("runs", "prune", "--keep", "1", "--dry-run")
    assert would.splitlines() == [
        "old  finished     -             main  candidate: build 7, version 6.0 \ufffd",
        "1 would be removed; nothing was changed",
    ]
    assert "old" in project.told("runs", "list")
    assert "0 removed" in project.told("runs", "prune", "--keep", "1", "--older-than", "36500d")
    assert "1 removed" in project.told("runs", "prune", "--keep", "1")
    assert "old" not in project.told("runs", "list")
    code, _, err = project.run("runs", "prune", "--older-than", "30")
    assert (code, "--older-than '30'" in err) == (ExitCode.USAGE_ERROR, True)


def test_an_earlier_recording_counts_again_once_it_is_pinned(project: Project) -> None:
    with Store.open(sqlite_url(project.file)) as store:
        keep(store, record("newer", minute=30))
        store.name_baseline("main", "newer")
    assert project.told("baselines", "list").startswith(
        "main  newer  2026-11-02T10:30:00+00:00  2 versions  "
    )
    project.told("baselines", "pin", "main", "base")
    assert json.loads(project.told("baselines", "list", "--json"))[0]["run_id"] == "base"
    code, _, err = project.run("baselines", "pin", "main", "compared")
    assert (code, "only a finished baseline can be one" in err) == (ExitCode.NOT_READY, True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_run_is_a_table_for_analysis(project: Project, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"run.{ending}"
    project.told("runs", "export", "compared", str(file), f"--{ending}")
    frame = pandas.read_csv(file) if ending == "csv" else pandas.read_parquet(file)
    assert len(frame) == 3
    assert set(frame["name"]) == {"GET /orders"}
    assert frame["ok"].sum() == 150
    assert frame["p95_s"].between(0, 1).all()


def test_a_cell_that_a_spreadsheet_would_run_is_a_text(project: Project, tmp_path: Path) -> None:
    with Store.open(sqlite_url(project.file)) as store:
        keep(store, replace(record("formula", RunKind.COMPARISON, 9), title='=HYPERLINK("http://x")'))
    file = tmp_path / "run.csv"
    project.told("runs", "export", "formula", str(file), "--csv")
    assert ",'=HYPERLINK" in file.read_text().replace('"', "")
