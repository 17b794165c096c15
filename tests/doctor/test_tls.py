"""Certificates: what does not verify is named with the way to mend it; what ends soon is a note."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rehearse.config import load_settings
from rehearse.doctor.answering import side_findings
from rehearse.doctor.findings import Examined, Grade
from rehearse.model import Side
from rehearse.sides import allowed_targets
from tests.checks.certificates import certificate
from tests.project import make_project
from tests.servers import serving


def found(folder: Path, tls: str, now: datetime, days: int = 30) -> list[Examined]:
    """What is found on a side with a self-signed certificate of its own."""
    cert = certificate(folder, days)
    with serving(certificate=cert) as site:
        project = make_project(folder, site.url, "http://127.0.0.1:9")
        project.edit("[safety]", f"[targets.baseline.tls]\n{tls}\n\n[safety]")
        settings = load_settings(folder / "rehearse.toml", {}, {})
        (target,) = allowed_targets(settings, (Side.BASELINE,))
        return list(side_findings(settings, target, now))


def test_a_chain_that_nobody_trusts_names_the_setting(tmp_path: Path) -> None:
    first = found(tmp_path, "", datetime.now(UTC))[0]
    assert first.grade is Grade.FIX
    assert "does not verify" in first.sentence
    assert first.remedy.endswith("targets.baseline.tls.ca")


def test_a_certificate_that_verifies_says_until_when(tmp_path: Path) -> None:
    graded = [one.grade for one in found(tmp_path, 'ca = "cert.pem"', datetime.now(UTC))]
    assert graded == [Grade.OK, Grade.OK]


def test_one_that_ends_soon_is_a_note(tmp_path: Path) -> None:
    first = found(tmp_path, 'ca = "cert.pem"', datetime.now(UTC), days=3)[0]
    assert (first.grade, first.remedy) == (Grade.NOTE, "renew it")


def test_one_that_is_not_verified_is_a_note(tmp_path: Path) -> None:
    first = found(tmp_path, "verify = false", datetime.now(UTC))[0]
    assert first.grade is Grade.NOTE


@pytest.mark.parametrize("ahead", [-60, 60])
def test_a_clock_is_told_to_be_ahead_or_behind(tmp_path: Path, ahead: int) -> None:
    now = datetime.now(UTC) - timedelta(seconds=ahead)
    sentences = [one.sentence for one in found(tmp_path, 'ca = "cert.pem"', now)]
    assert any(("ahead of" if ahead > 0 else "behind") in sentence for sentence in sentences)
