"""What linters print, read: a finding is never lost, and silence is never "no findings"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from rehearse.errors import ConfigError, ExitCode
from rehearse.migrations import django_linter, lint, squawk
from rehearse.migrations.linting import Linted, Ran, Sources, read_sources, run_tool
from rehearse.migrations.report import MigrationReport, report_lines
from rehearse.migrations.rules import DJANGO, DJANGO_MESSAGES, SQUAWK, Danger

DJANGO_OUT = """\
(orders, 0001_initial)... OK
(orders, 0002_rename)... ERR
\tRENAMING columns (table: orders_order, column: total)
\tCREATE INDEX locks table
(orders, 0003_populate)... WARNING
\t'fill': RunPython data migration is not reversible
\t'fill': By convention, RunPython names the two arguments: apps, schema_editor
(orders, 0004_known)... IGNORE
*** Summary ***
Valid migrations: 1/4
Erroneous migrations: 1/4
Migrations with warnings: 1/4
Ignored migrations: 1/4
"""

NO_MIGRATION = """\
*** Summary ***
Valid migrations: 0/0
Erroneous migrations: 0/0
Migrations with warnings: 0/0
Ignored migrations: 0/0
"""


def read_django(out: str, code: int | None = 1, *, is_selected: bool = False) -> Linted:
    return django_linter.read_output(
        Ran(code, out, "", "" if code is not None else "took over 120 s"), is_selected=is_selected
    )


def violation(rule: str, **fields: object) -> dict[str, object]:
    return {
        "file": "2.sql",
        "line": 3,
        "column": 0,
        "level": "Warning",
        "message": "m",
        "rule_name": rule,
    } | fields


def read_squawk(violations: object, code: int | None = 1) -> Linted:
    out = violations if isinstance(violations, str) else json.dumps(violations)
    return squawk.read_output(Ran(code, out), ("2.sql",))


# --- django-migration-linter


def test_findings_are_told_with_their_migration_and_what_they_endanger() -> None:
    found = read_django(DJANGO_OUT)
    assert found.trouble == ""
    assert found.migrations == 3
    assert found.skipped == ("orders.0004_known",)
    assert [(one.place, one.rule) for one in found.unsafe] == [
        ("orders.0002_rename", "RENAME_COLUMN"),
        ("orders.0002_rename", "CREATE_INDEX"),
        ("orders.0003_populate", "RUNPYTHON_REVERSIBLE"),
    ]
    assert found.unsafe[0].dangers == (Danger.BASELINE, Danger.CANDIDATE)
    assert found.unsafe[0].advice.startswith("never rename")
    assert found.unsafe[0].said == "RENAMING columns (table: orders_order, column: total)"


UNREADABLE = {
    "nothing": ("", 0),
    "nothing, and it failed": ("", 1),
    "killed": (DJANGO_OUT, -9),
    "no end": (DJANGO_OUT, None),
    "usage": ("", 2),
    "without its summary": (DJANGO_OUT.partition("***")[0], 1),
    "half a summary": (DJANGO_OUT.replace("Ignored migrations: 1/4\n", ""), 1),
    "a result is hidden": (DJANGO_OUT.replace("(orders, 0002_rename)... ERR\n", ""), 1),
    "findings are hidden with their result": (
        DJANGO_OUT.replace("(orders, 0003_populate)... WARNING", ""),
        1,
    ),
    "it says all is well": (DJANGO_OUT, 0),
    "a remark that nobody knows": (DJANGO_OUT.replace("RENAMING columns", "SWAPPING columns"), 1),
    "no migration at all": (NO_MIGRATION, 0),
}


@pytest.mark.parametrize(("out", "code"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_does_not_add_up_is_trouble(out: str, code: int | None) -> None:
    found = read_django(out, code)
    assert found.trouble
    assert MigrationReport((found,)).exit_code in (ExitCode.INCONCLUSIVE, ExitCode.ABORT)


def test_no_migration_since_the_baseline_is_fine_when_that_was_asked() -> None:
    assert read_django(NO_MIGRATION, 0, is_selected=True).trouble == ""


def test_every_rule_has_a_message_that_is_read_as_that_rule() -> None:
    assert set(DJANGO_MESSAGES.values()) == {rule.name for rule in DJANGO}
    for text, name in DJANGO_MESSAGES.items():
        found = django_linter._rule_of(f"'x': {text} (and more)")
        assert found is not None
        assert found.name == name


def test_what_the_project_excludes_is_no_finding() -> None:
    out = (
        "(orders, 0002_rename)... OK (ignored)\n\tRENAMING columns\n*** Summary ***\nValid migrations: 1/1\n"
        "Erroneous migrations: 0/1\nMigrations with warnings: 0/1\nIgnored migrations: 0/1\n"
    )
    found = read_django(out, 0)
    assert (found.unsafe, found.trouble) == ((), "")


# --- squawk


def test_a_violation_is_told_with_its_file_and_line() -> None:
    (one,) = read_squawk([violation("renaming-column", line=13)]).unsafe
    assert (one.place, one.rule, one.dangers) == (
        "2.sql:14",
        "renaming-column",
        (Danger.BASELINE, Danger.CANDIDATE),
    )


@pytest.mark.parametrize("rule", [rule.name for rule in SQUAWK if not rule.dangers])
def test_style_decides_nothing(rule: str) -> None:
    found = read_squawk([violation(rule)])
    assert (found.unsafe, found.trouble) == ((), "")


@pytest.mark.parametrize(
    ("out", "code"),
    [
        ("", 0),
        ("", 1),
        ("null", 0),
        ("{}", 0),
        ("[", 1),
        ('[{"file": "x"}]', 1),
        ([], 1),
        ([], None),
        ([], -11),
        ([violation("renaming-column")], 0),
        ([violation("syntax-error")], 1),
        ([violation("a-rule-of-tomorrow")], 1),
    ],
)
def test_a_result_that_cannot_be_read_is_trouble(out: object, code: int | None) -> None:
    assert read_squawk(out, code).trouble


def test_every_dangerous_rule_has_advice_and_every_rule_one_name() -> None:
    for rules in (DJANGO, SQUAWK):
        assert all(rule.advice for rule in rules if rule.dangers)
        assert len({rule.name for rule in rules}) == len(rules)


# --- what is linted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "name migrations"),
        ({"djang": "manage.py"}, "Did you mean 'django'"),
        ({"django": 1}, "a list of paths is expected"),
        ({"django": [""]}, "a list of paths is expected"),
        ({"sql": "a.sql", "since": "v1; rm -rf ."}, "is no git revision"),
        ({"sql": "a.sql", "since": "--output=x"}, "is no git revision"),
        ({"sql": "a.sql", "in_transaction": "yes"}, "true or false is expected"),
        ({"sql": "a.sql", "python": 3}, "a text is expected"),
    ],
)
def test_a_mistake_is_named_with_its_place(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=r"^checks\.options\.migrations") as caught:
        read_sources(given, "checks.options.migrations")
    assert said in str(caught.value)


def test_one_path_is_as_good_as_a_list() -> None:
    assert read_sources({"django": "manage.py", "sql": ["a.sql"], "since": "v1.4.0"}, "x") == Sources(
        ("manage.py",), ("a.sql",), "v1.4.0"
    )


@pytest.mark.parametrize("sources", [Sources(django=("manage.py",)), Sources(sql=("migrations/*.sql",))])
def test_migrations_that_are_not_there_are_a_mistake(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file|no file fits"):
        lint(sources, tmp_path)


def test_the_django_linter_is_told_where_the_project_lies_and_since_when(tmp_path: Path) -> None:
    asked: list[tuple[Sequence[str], Path]] = []

    def run(argv: Sequence[str], cwd: Path) -> Ran:
        asked.append((argv, cwd))
        return Ran(1, DJANGO_OUT)

    (tmp_path / "manage.py").touch()
    lint(Sources(django=("manage.py",), since="v1", python="python3.12"), tmp_path, run)
    ((argv, folder),) = asked
    root = tmp_path.resolve()
    assert folder == root
    assert " ".join(argv) == (
        f"python3.12 manage.py lintmigrations --no-cache --project-root-path {root} --git-commit-id v1"
    )


def test_an_empty_file_is_no_migration(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text(" \n")
    (found,) = lint(Sources(sql=("1.sql",)), tmp_path)
    assert "1.sql is empty" in found.trouble


def test_a_missing_linter_is_trouble_and_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    (tmp_path / "1.sql").write_text("select 1;")
    (found,) = lint(Sources(sql=("1.sql",)), tmp_path)
    assert "upgrade-rehearsal[migrations]" in found.trouble


def test_a_command_that_is_not_there_or_takes_too_long_has_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_tool(["/nowhere/python"], tmp_path).code is None
    monkeypatch.setattr("rehearse.migrations.linting.TIMEOUT_S", 0.05)
    ran = run_tool(["sleep", "5"], tmp_path)
    assert (ran.code, ran.problem) == (None, "took over 0.05 s")


def test_no_secret_of_a_trace_is_told(tmp_path: Path) -> None:
    (tmp_path / "manage.py").touch()
    said = 'OperationalError: connection to "postgresql://shop:hunter22@db/shop" failed'
    (found,) = lint(Sources(django=("manage.py",)), tmp_path, lambda *_: Ran(1, "", said))
    assert "OperationalError" in found.trouble
    assert "hunter22" not in found.trouble


# --- what is said


def test_the_exit_code_is_the_worst_that_is_known() -> None:
    fine, unsafe = Linted("squawk", 1), read_django(DJANGO_OUT)
    unknown = Linted("squawk", trouble="it failed")
    assert MigrationReport((fine,)).exit_code is ExitCode.GO
    assert MigrationReport((fine, unknown)).exit_code is ExitCode.INCONCLUSIVE
    assert MigrationReport((unknown, unsafe)).exit_code is ExitCode.ABORT
    assert MigrationReport(()).exit_code is ExitCode.INCONCLUSIVE


def test_findings_stand_under_what_they_endanger() -> None:
    lines = report_lines(MigrationReport((read_django(DJANGO_OUT), Linted("squawk", trouble="it failed"))))
    assert lines[0] == "endangers the baseline on the candidate's schema:"
    assert lines[1].startswith("  orders.0002_rename: RENAMING columns")
    assert "endangers a lock:" in lines
    assert "not known: it failed" in lines
    assert "  told to ignore: orders.0004_known" in lines
