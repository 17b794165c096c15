"""What linters say of an upgrade's migrations, and which part of the upgrade each finding endangers."""

from __future__ import annotations

from pathlib import Path

from rehearse.migrations.django_linter import lint_django
from rehearse.migrations.linting import Linted, Run, Sources, cleaned, run_tool
from rehearse.migrations.squawk import lint_sql
from rehearse.redaction import Clean, redactor

WITHOUT_KNOWN_SECRETS = redactor(())


def lint(
    sources: Sources, root: Path, run: Run = run_tool, clean: Clean = WITHOUT_KNOWN_SECRETS
) -> tuple[Linted, ...]:
    """Every migration of the upgrade, by the linter that knows its kind. Raises ConfigError for what is not there."""
    found = (*lint_django(sources, root, run), *lint_sql(sources, root, run))
    return tuple(cleaned(one, clean) for one in found)
