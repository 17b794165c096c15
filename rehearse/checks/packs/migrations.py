"""The `migrations` pack: what linters say of the candidate's migrations, one check for each part of the upgrade.

`docs/migrations.md` tells what `[checks.options.migrations]` may say. Nothing is asked of a side: the migrations are
the candidate's own, so that a baseline cannot have been broken by them before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rehearse.checks.fixtures import Access
from rehearse.errors import NotReady
from rehearse.migrations import lint
from rehearse.migrations.linting import Linted, Sources, endangering, read_sources
from rehearse.migrations.report import finding_line
from rehearse.migrations.rules import Danger
from rehearse.model import Side

MOST_SHOWN = 5
_FOUND: dict[tuple[Sources, str], tuple[Linted, ...]] = {}  # linting takes seconds: once for all checks


@pytest.fixture
def linted(rehearse_access: Access, options: Mapping[str, object]) -> tuple[Linted, ...]:
    """Every migration, linted; the check is in error, and not passed, where that is not known."""
    if rehearse_access.context.under_test is Side.BASELINE:
        pytest.skip("the migrations are the candidate's: the baseline has none")
    return lint_once(options, rehearse_access.order.root)


def lint_once(options: Mapping[str, object], root: str) -> tuple[Linted, ...]:
    """What linters say of all that the options name. Raises ConfigError, and NotReady for what is not known."""
    sources = read_sources(options, "checks.options.migrations")
    if (sources, root) not in _FOUND:
        _FOUND[sources, root] = lint(sources, Path(root))
    troubles = [one.trouble for one in _FOUND[sources, root] if one.trouble]
    if troubles:
        raise NotReady("; ".join(troubles))
    return _FOUND[sources, root]


def nothing_endangers(danger: Danger, found: tuple[Linted, ...]) -> None:
    """Fail with what does."""
    unsafe = endangering(found, danger)
    more = f" (and {len(unsafe) - MOST_SHOWN} more)" if len(unsafe) > MOST_SHOWN else ""
    assert not unsafe, f"{'; '.join(map(finding_line, unsafe[:MOST_SHOWN]))}{more}"


@pytest.mark.breakage(id="migrations/baseline-on-new-schema", component="migrations")
def test_the_baseline_works_on_the_candidates_schema(linted: tuple[Linted, ...]) -> None:
    """While an upgrade rolls, and after the code alone went back, the known-good version works on the new schema."""
    nothing_endangers(Danger.BASELINE, linted)


@pytest.mark.breakage(id="migrations/candidate-on-old-schema", component="migrations")
def test_the_candidate_works_on_the_baselines_schema(linted: tuple[Linted, ...]) -> None:
    """Code that is deployed before its migration, or that stays when the schema goes back, meets the old schema."""
    nothing_endangers(Danger.CANDIDATE, linted)


@pytest.mark.breakage(id="migrations/locks", component="migrations")
def test_no_migration_holds_a_lock_that_users_wait_for(linted: tuple[Linted, ...]) -> None:
    """A migration that holds a lock, or waits for one, makes everybody behind it wait: an outage without a crash."""
    nothing_endangers(Danger.LOCK, linted)


@pytest.mark.breakage(id="migrations/way-back", component="migrations")
def test_every_migration_can_be_taken_back(linted: tuple[Linted, ...]) -> None:
    """A migration that cannot be reversed, or that throws data away, is a point of no return nobody planned."""
    nothing_endangers(Danger.WAY_BACK, linted)
