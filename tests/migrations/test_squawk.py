"""squawk on SQL files: one for each of its rules that endangers an upgrade."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rehearse.migrations import lint
from rehearse.migrations.linting import Linted, Sources
from rehearse.migrations.rules import SQUAWK

SAFE = "set lock_timeout = '1s';\nset statement_timeout = '5s';\n"
UNSAFE = {
    "adding-field-with-default": "alter table t add column if not exists c timestamptz default clock_timestamp();",
    "adding-foreign-key-constraint": "alter table t add constraint f foreign key (a) references u (id);",
    "adding-not-nullable-field": "alter table t alter column c set not null;",
    "adding-required-field": "alter table t add column if not exists c text not null;",
    "adding-serial-primary-key-field": "alter table t add primary key (c);",
    "ban-alter-domain-with-add-constraint": "alter domain d add constraint k check (value > 0);",
    "ban-concurrent-index-creation-in-transaction": "begin;\ncreate index concurrently i on t (c);\ncommit;",
    "ban-create-domain-with-constraint": "create domain d as text check (value <> '');",
    "ban-drop-column": "alter table t drop column if exists c;",
    "ban-drop-database": "drop database if exists d;",
    "ban-drop-not-null": "alter table t alter column c drop not null;",
    "ban-drop-table": "drop table if exists t;",
    "ban-truncate-cascade": "truncate t cascade;",
    "ban-uncommitted-transaction": "begin;\nselect 1;",
    "changing-column-type": "alter table t alter column c type bigint;",
    "constraint-missing-not-valid": "alter table t add constraint k check (c > 0);",
    "disallowed-unique-constraint": "alter table t add constraint k unique (c);",
    "renaming-column": "alter table t rename column c to d;",
    "renaming-table": "alter table t rename to u;",
    "require-concurrent-index-creation": "create index if not exists i on t (c);",
    "require-concurrent-index-deletion": "drop index if exists i;",
    "require-concurrent-partition-detach": "alter table t detach partition p;",
    "require-concurrent-reindex": "reindex table t;",
    "require-lock-timeout": "alter table t add column if not exists c text;",
    "require-statement-timeout": "alter table t add column if not exists c text;",
    "ban-alter-identity": "alter table t alter column c drop identity if exists;",
    "ban-drop-constraint": "alter table t drop constraint if exists k;",
    "ban-drop-domain": "drop domain if exists d;",
    "ban-drop-extension": "drop extension if exists e;",
    "ban-drop-function": "drop function if exists f();",
    "ban-drop-generated-expression": "alter table t alter column c drop expression if exists;",
    "ban-drop-schema": "drop schema if exists s;",
    "ban-drop-sequence": "drop sequence if exists s;",
    "ban-drop-type": "drop type if exists d;",
    "ban-drop-view": "drop view if exists v;",
    "ban-set-schema": "alter table t set schema s;",
    "renaming-object": "alter view v rename to w;",
    "transaction-nesting": "begin;\nbegin;\nselect 1;\ncommit;",
}


def linted(folder: Path, *patterns: str, since: str = "", in_transaction: bool = False) -> Linted:
    sources = Sources(sql=patterns or ("*.sql",), since=since, in_transaction=in_transaction)
    (found,) = lint(sources, folder)
    return found


@pytest.mark.parametrize("rule", UNSAFE)
def test_each_rule_finds_its_file(rule: str, tmp_path: Path) -> None:
    before = "" if rule.endswith("-timeout") else SAFE
    (tmp_path / "2.sql").write_text(before + UNSAFE[rule] + "\n")
    found = linted(tmp_path)
    assert found.trouble == ""
    assert rule in {one.rule for one in found.unsafe}
    places = {one.place for one in found.unsafe if one.rule == rule}
    assert all(place.startswith("2.sql:") for place in places)


def test_every_dangerous_rule_is_tried() -> None:
    assert set(UNSAFE) == {rule.name for rule in SQUAWK if rule.dangers}


def test_a_migration_in_two_releases_is_clean(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text(f"{SAFE}alter table t add column if not exists c text;\n")
    (tmp_path / "2.sql").write_text(f"{SAFE}create index concurrently if not exists i on t (c);\n")
    assert linted(tmp_path) == Linted("squawk", migrations=2)


def test_what_is_no_postgresql_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text("ALTER TABEL t;\n")
    assert "cannot be read as PostgreSQL" in linted(tmp_path).trouble


def test_a_configuration_that_leaves_files_out_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text(f"{SAFE}drop table if exists t;\n")
    (tmp_path / ".squawk.toml").write_text(
        'excluded_paths = ["*.sql"]\nexcluded_rules = ["ban-drop-table"]\n'
    )
    assert [one.rule for one in linted(tmp_path).unsafe] == ["ban-drop-table"]


def test_a_finding_that_the_file_itself_accepts_is_none(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text(f"{SAFE}-- squawk-ignore ban-drop-table\ndrop table if exists t;\n")
    assert linted(tmp_path).unsafe == ()


def test_only_files_that_changed_since_the_baseline_count(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "1.sql").write_text(f"{SAFE}drop table if exists t;\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "the baseline")
    git("tag", "v1")
    assert linted(tmp_path, since="v1") == Linted("squawk")
    (tmp_path / "2.sql").write_text(f"{SAFE}drop table if exists u;\n")
    git("add", ".")
    assert [one.place for one in linted(tmp_path, since="v1").unsafe] == ["2.sql:3"]
    assert "git does not say" in linted(tmp_path, since="v9").trouble


@pytest.mark.parametrize("name", ["--version.sql", "[a].sql", "?.sql", "a b.sql"])
def test_a_file_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(f"{SAFE}select 1;\n")
    (tmp_path / name).write_text(f"{SAFE}drop table if exists t;\n")
    assert [(one.place, one.rule) for one in linted(tmp_path).unsafe] == [(f"{name}:3", "ban-drop-table")]


def test_a_file_that_is_no_text_is_trouble_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_bytes(b"drop table t; -- \xff\xfe")
    assert "did not contain valid UTF-8" in linted(tmp_path).trouble
