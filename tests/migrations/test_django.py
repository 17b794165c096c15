"""The linter in a real Django project on PostgreSQL: one planted migration for each of its rules."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from rehearse.migrations import lint
from rehearse.migrations.linting import Linted, Sources, endangering
from rehearse.migrations.rules import DJANGO, Danger
from tests.migrations.django_project import ALL, DjangoProject, started


def linted(project: DjangoProject, since: str = "") -> Linted:
    (found,) = lint(Sources(django=("manage.py",), since=since), project.folder)
    return found


def rules_of(found: Linted) -> dict[str, set[str]]:
    places = {one.place for one in found.unsafe}
    return {place: {one.rule for one in found.unsafe if one.place == place} for place in places}


def git(folder: Path, *words: str) -> None:
    argv: Sequence[str] = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words)
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)


def test_each_rule_finds_its_migration_and_no_other(tmp_path: Path, postgres_url: str) -> None:
    project = started(tmp_path / "shop", postgres_url)
    names = project.plant(*ALL)
    found = linted(project)
    assert found.trouble == ""
    assert found.migrations == len(ALL) + 1
    assert rules_of(found) == {name: set(one.rules) for name, one in names.items() if one.rules}
    assert {rule for one in ALL for rule in one.rules} == {rule.name for rule in DJANGO if rule.dangers}
    ends = {one.place for one in endangering((found,), Danger.BASELINE)}
    assert {"orders.0003_not_null", "orders.0004_drop_column", "orders.0006_rename_column"} <= ends
    assert "orders.0002_safe" not in ends


def test_only_what_is_new_since_the_baseline_counts(tmp_path: Path, postgres_url: str) -> None:
    project = started(tmp_path / "shop", postgres_url)
    git(project.folder, "init", "-q")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "the baseline")
    git(project.folder, "tag", "v1")
    assert linted(project, since="v1") == Linted("django-migration-linter")
    project.plant(*ALL[:3])
    git(project.folder, "add", ".")
    found = linted(project, since="v1")
    assert set(rules_of(found)) == {"orders.0003_not_null", "orders.0004_drop_column"}
    assert found.migrations == 3
    assert "git diff" in linted(project, since="v9").trouble


def test_a_project_without_the_linter_is_trouble_and_says_what_to_do(
    tmp_path: Path, postgres_url: str
) -> None:
    found = linted(started(tmp_path / "shop", postgres_url, with_linter=False))
    assert "INSTALLED_APPS" in found.trouble
    assert "Unknown command: 'lintmigrations'" in found.trouble


def test_a_project_that_hides_results_is_trouble(tmp_path: Path, postgres_url: str) -> None:
    project = started(tmp_path / "shop", postgres_url)
    project.plant(*ALL[:3])
    settings = project.folder / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + 'MIGRATION_LINTER_OPTIONS = {"quiet": ["error"]}\n')
    assert "`quiet`" in linted(project).trouble


def test_a_database_that_is_not_there_is_trouble(tmp_path: Path, postgres_url: str) -> None:
    project = started(tmp_path / "shop", f"{postgres_url}_gone")
    found = linted(project)
    assert found.trouble
    assert found.unsafe == ()
