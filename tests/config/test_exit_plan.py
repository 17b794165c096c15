"""The exit plan of the file: the example of the documents is whole, and what cannot be read is a mistake."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from rehearse.config import effective_toml, secrets_of
from rehearse.exit_plan import Measured, faults
from tests.config.conftest import SMALLEST, Project

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exit-plan.md"
MEASURED = Measured({"INC-231", "INC-198", "BACKUP-AGE"}, {"error_ratio"}, set())


def example() -> str:
    found = re.search(r"```toml\n(\[exit_plan\].*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_plan_of_the_documents_has_no_fault_and_reads_back(project: Project) -> None:
    settings = project.load(SMALLEST + example())
    assert faults(settings.exit_plan.plan, MEASURED, date(2026, 11, 21)) == ()
    assert project.load(effective_toml(settings)).exit_plan == settings.exit_plan


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[[exit_plan.freeze]]\nbegins = 2026-12-24T00:00:00\nends = 2026-12-25T00:00:00Z\nreason = 'x'",
            "exit_plan.freeze[0].begins: .* is not a moment with its offset",
        ),
        (
            "[[exit_plan.freeze]]\nbegins = 2026-12-26T00:00:00Z\nends = 2026-12-25T00:00:00Z\nreason = 'x'",
            "exit_plan.freeze[0].ends: is not after begins",
        ),
        ("[[exit_plan.steps]]\nname = 'a'\nrun = ['']", "exit_plan.steps[0].run: .* is not a command"),
        ("[[exit_plan.steps]]\nname = 'a'\nundoo = 'b'", "Did you mean 'undo'?"),
        ("[gate]\nrequires = []", "gate.requires: is empty"),
        ("[gate]\nrequires = ['compare']", "gate.requires"),
        ("[promotion]\nstages = ['dev', 'dev']", "has 'dev' 2 times"),
        ("[promotion]\nstages = ['dev', 'staging']\nstage = 'stagin'", "Did you mean 'staging'?"),
        ("[exit_plan]\nforward_rehearsed = 'lately'", "is not a date"),
    ],
)
def test_what_cannot_be_read_is_named(project: Project, text: str, line: str) -> None:
    mistakes = "\n".join(project.mistakes(f"{SMALLEST}\n{text}\n"))
    assert re.search(line.replace("[0]", r"\[0\]"), mistakes)


def test_a_password_in_a_step_is_not_shown(project: Project) -> None:
    plan = "[[exit_plan.steps]]\nname = 'a'\nrun = ['psql', '--password', 'hunter2-x']\nundo = 'none'\n"
    settings = project.load(f"{SMALLEST}\n{plan}")
    assert "hunter2-x" in secrets_of(settings)
    assert "hunter2-x" not in effective_toml(settings)
