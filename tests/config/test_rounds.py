"""How many rounds a comparison has where nobody says so."""

from __future__ import annotations

import pytest

from tests.config.conftest import Project, with_tables

STARTED = "[targets.candidate]\nurl = 'http://127.0.0.1:8102'\nstart = ['serve']"
RESTARTED = "[targets.candidate]\nurl = 'http://127.0.0.1:8102'\nrestart = ['serve', 'again']"
LEFT_ALONE = "[targets.candidate]\nurl = 'http://127.0.0.1:8102'"


def rounds(project: Project, target: str, load: str) -> int:
    baseline = "[targets.baseline]\nurl = 'http://127.0.0.1:8101'"
    return project.load(with_tables(baseline, target, f"[load]\nrate = 50\n{load}")).resolved_rounds


@pytest.mark.parametrize("target", [STARTED, RESTARTED])
def test_the_usual_budget_is_eight_short_rounds(project: Project, target: str) -> None:
    assert rounds(project, target, "") == 8


def test_a_target_that_cannot_be_restarted_has_one_round(project: Project) -> None:
    assert rounds(project, LEFT_ALONE, "") == 1


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ("budget = '56s'", 1),
        ("budget = '71s'", 1),
        ("budget = '72s'", 2),
        ("budget = '1h'", 8),
        ("block = '1s'\nbudget = '72s'", 2),  # shorter rounds would be mostly warm-up
        ("block = '10s'", 3),  # fewer blocks could not tell the noise inside a round
        ("block = '20s'\nbudget = '4m'", 1),
        ("rounds = 5", 5),
        ("rounds = 1", 1),
    ],
)
def test_each_round_has_nine_blocks_and_thirty_six_seconds_at_least(
    project: Project, load: str, expected: int
) -> None:
    assert rounds(project, STARTED, load) == expected
