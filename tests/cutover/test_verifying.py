"""Checks that the exit plan names: only a check that passed lets anything begin or go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.checks.orders import CheckMessage, Finished, Trouble
from rehearse.checks.runner import ScriptedRunner
from rehearse.cutovers import StepOutcome
from rehearse.cutting_over.orders import in_one_place
from rehearse.cutting_over.verifying import CheckVerifier, Verified
from rehearse.model import CheckOutcome, CheckResult, Severity
from tests.cutover.fakes import project

SOURCE = "checks/test_backup.py::test_age"


def asked(root: Path, *messages: CheckMessage) -> Verified:
    runner = ScriptedRunner([messages])
    settings = in_one_place(project(root))
    return CheckVerifier(settings, runner, str, "2026-11-21", {"AGE": SOURCE}, "checks.log").verify(["AGE"])


def result(outcome: CheckOutcome, severity: Severity = Severity.ABORT) -> Finished:
    return Finished(CheckResult("AGE", SOURCE, "the backup is old", outcome, severity, "it is 9 days old"))


@pytest.mark.parametrize("severity", Severity)
def test_a_check_that_failed_is_broken_whatever_its_severity_is_elsewhere(
    severity: Severity, tmp_path: Path
) -> None:
    found = asked(tmp_path, result(CheckOutcome.FAILED, severity))
    assert found == Verified(StepOutcome.BROKEN, "check AGE: it is 9 days old")


def test_a_check_that_passed_leads_on(tmp_path: Path) -> None:
    assert asked(tmp_path, result(CheckOutcome.PASSED)) == Verified()


@pytest.mark.parametrize("outcome", [CheckOutcome.ERROR, CheckOutcome.NOT_RUN])
def test_a_check_without_an_answer_does_not(outcome: CheckOutcome, tmp_path: Path) -> None:
    assert asked(tmp_path, result(outcome)).outcome is StepOutcome.NOT_VERIFIED


def test_a_check_without_a_result_does_not_and_the_trouble_is_told(tmp_path: Path) -> None:
    found = asked(tmp_path, Trouble("its process died"))
    assert found == Verified(StepOutcome.NOT_VERIFIED, "check AGE: its process died")
