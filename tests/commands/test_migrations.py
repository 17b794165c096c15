"""`rehearse migrations`: the exit code says whether migrations are safe, unsafe, or not known to be either."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rehearse.checks.packs import migrations
from rehearse.cli import app
from rehearse.migrations.rules import Danger

SAFE = "set lock_timeout = '1s';\nset statement_timeout = '5s';\n"
RENAME = f"{SAFE}alter table t rename column a to b;\n"
ROOT = Path(__file__).resolve().parents[2]


def rehearse_migrations(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, ["migrations", *words])


@pytest.mark.parametrize(
    ("sql", "code"),
    [(RENAME, 10), (f"{SAFE}select 1;\n", 0), ("selekt;\n", 11), (" ", 11)],
    ids=["unsafe", "safe", "no SQL", "empty"],
)
def test_the_exit_code_is_that_of_a_verdict(
    sql: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.sql").write_text(sql)
    assert rehearse_migrations(tmp_path, monkeypatch, "--sql", "*.sql").exit_code == code


def test_people_read_what_is_endangered_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.sql").write_text(RENAME)
    said = rehearse_migrations(tmp_path, monkeypatch, "--sql", "1.sql").stdout
    assert "endangers the baseline on the candidate's schema:\n  1.sql:3: Renaming a column" in said
    assert "never rename" in said
    assert "squawk: 1 migration, 1 finding" in said


def test_programs_read_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.sql").write_text(RENAME)
    said = json.loads(rehearse_migrations(tmp_path, monkeypatch, "--sql", "1.sql", "--json").stdout)
    (found,) = said["linted"]
    assert [(one["rule"], one["place"]) for one in found["unsafe"]] == [("renaming-column", "1.sql:3")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sql", "none/*.sql"], "no file fits"),
        (["--django", "none.py"], "no such file"),
        (["--sql", "x.sql", "--since", "a b"], "no git revision"),
        ([], "rehearse.toml: there is no such file"),
    ],
)
def test_a_mistake_is_exit_code_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = rehearse_migrations(tmp_path, monkeypatch, *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_page_names_every_check_and_every_danger() -> None:
    page = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
    source = Path(migrations.__file__).read_text(encoding="utf-8")
    checks = re.findall(r'id="(migrations/[a-z-]+)"', source)
    assert len(checks) == len(Danger)
    assert all(f"`{check}`" in page for check in checks)
    assert all(f"| {danger} |" in page for danger in Danger)
