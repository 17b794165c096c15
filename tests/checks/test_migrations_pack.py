"""The `migrations` pack: what linters find forbids GO, and what they cannot tell is no GO either."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.checks.orders import known_packs
from rehearse.checks.packs import migrations
from rehearse.errors import NotReady
from rehearse.migrations.linting import Linted, Sources, unsafe
from rehearse.migrations.rules import DJANGO, Danger, Rule
from rehearse.model import CheckOutcome, Side
from tests.checks.breaks import Checks

RENAMED, NO_WAY_BACK = (
    next(rule for rule in DJANGO if rule.name == name) for name in ("RENAME_COLUMN", "RUNSQL_REVERSIBLE")
)


def found(*rules: Rule) -> tuple[Linted, ...]:
    """What a linter found, one rule for each migration."""
    unsafe_ones = (unsafe("t", f"orders.{number}", rule, "said") for number, rule in enumerate(rules))
    return (Linted("t", len(rules), tuple(unsafe_ones)),)


def test_it_is_a_pack_with_one_check_for_each_danger() -> None:
    assert "migrations" in known_packs()
    checks = [name for name in vars(migrations) if name.startswith("test_")]
    assert len(checks) == len(Danger)


@pytest.mark.parametrize("danger", Danger)
def test_a_check_fails_for_its_own_danger_only(danger: Danger) -> None:
    is_endangered = danger in (Danger.BASELINE, Danger.CANDIDATE)
    if is_endangered:
        with pytest.raises(AssertionError, match=r"orders\.0: said \[RENAME_COLUMN\]; never rename"):
            migrations.nothing_endangers(danger, found(RENAMED))
    else:
        migrations.nothing_endangers(danger, found(RENAMED))


def test_many_findings_are_counted_and_some_shown() -> None:
    with pytest.raises(AssertionError, match=r"orders\.4: .* \(and 2 more\)"):
        migrations.nothing_endangers(Danger.WAY_BACK, found(*[NO_WAY_BACK] * 7))


def test_sources_are_read_from_the_pack_s_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sources, Path]] = []

    def lint(sources: Sources, root: Path) -> tuple[Linted, ...]:
        asked.append((sources, root))
        return (Linted("t", trouble="it failed"),)

    monkeypatch.setattr(migrations, "lint", lint)
    for _ in range(2):
        with pytest.raises(NotReady, match="it failed"):
            migrations.lint_once({"sql": ("a.sql",)}, str(tmp_path))
    assert asked == [(Sources(sql=("a.sql",)), tmp_path)]  # once for all checks


def outcomes(folder: Path, sql: str, side: Side = Side.CANDIDATE) -> dict[str, CheckOutcome]:
    """The checks of the pack on one SQL file, in the process that runs checks."""
    (folder / "2.sql").write_text(sql)
    options = {"migrations": {"sql": ("*.sql",)}}
    found = Checks(folder).run(packs=("migrations",), folder=None, options=options, under_test=side)
    assert found.troubles == []
    return {check_id.removeprefix("migrations/"): one.outcome for check_id, one in found.results.items()}


def test_a_rename_fails_on_the_candidate_and_is_not_asked_of_the_baseline(tmp_path: Path) -> None:
    renames = "set lock_timeout = '1s';\nset statement_timeout = '5s';\nalter table t rename column a to b;\n"
    assert outcomes(tmp_path, renames) == {
        "baseline-on-new-schema": CheckOutcome.FAILED,
        "candidate-on-old-schema": CheckOutcome.FAILED,
        "locks": CheckOutcome.PASSED,
        "way-back": CheckOutcome.PASSED,
    }
    assert set(outcomes(tmp_path, renames, Side.BASELINE).values()) == {CheckOutcome.NOT_RUN}


def test_what_cannot_be_read_is_an_error_and_not_passed(tmp_path: Path) -> None:
    assert set(outcomes(tmp_path, "  ").values()) == {CheckOutcome.ERROR}
