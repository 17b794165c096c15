"""What linters say of an upgrade's migrations, and which part of the upgrade each finding endangers."""

from __future__ import annotations

from pathlib import Path

from rehearse.migrations.django_linter import lint_django
from rehearse.migrations.linting import Linted, Run, Sources, run_tool
from rehearse.migrations.squawk import lint_sql


def lint(sources: Sources, root: Path, run: Run = run_tool) -> tuple[Linted, ...]:
    """Every migration of the upgrade, by the linter that knows its kind. Raises ConfigError for what is not there."""
    return (*lint_django(sources, root, run), *lint_sql(sources, root, run))
