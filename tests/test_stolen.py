"""What counts as a machine that was lent to others, and that a test which failed on it has one more try."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stolen import Reading, most_stolen, read

ROOT = Path(__file__).resolve().parent.parent


def test_the_worst_moment_counts_and_not_the_mean() -> None:
    readings = [Reading(0, 0, 0), Reading(2, 0, 4), Reading(4, 1.2, 8), Reading(6, 1.2, 12)]
    assert most_stolen(readings) == pytest.approx(0.3)
    assert most_stolen(readings[:1]) == most_stolen([]) == 0.0
    assert most_stolen([readings[0], Reading(0.02, 0.01, 0.02)]) == 0.0  # a tick


def test_this_machine_can_be_read() -> None:
    earlier, later = read(), read()
    assert later.at_s >= earlier.at_s
    assert 0 <= later.stolen_s < later.all_s
    assert later.all_s == pytest.approx(earlier.all_s, abs=60)


@pytest.mark.parametrize(("stolen_ratio", "runs", "code"), [(0.3, 2, 0), (0.05, 1, 1)])
def test_a_live_test_has_one_more_try_only_on_a_machine_that_was_lent_to_others(
    tmp_path: Path, stolen_ratio: float, runs: int, code: int
) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests import conftest, stolen\n"
        f"stolen.Watch.since = lambda self, from_s: {stolen_ratio}\n"
        "pytest_runtest_protocol = conftest.pytest_runtest_protocol\n"
        "def pytest_configure(config):\n    config.addinivalue_line('markers', 'live')\n"
    )
    (tmp_path / "test_once.py").write_text(
        "import pathlib, pytest\n\n@pytest.fixture\ndef number(tmp_path_factory):\n"
        "    runs = pathlib.Path('runs')\n    runs.write_text(runs.read_text() + 'x' if runs.exists() else 'x')\n"
        "    return len(runs.read_text())\n\n"
        "@pytest.mark.live\ndef test_one(number):\n    assert number == 2\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:locust",
        "-p",
        "no:cacheprovider",
        "test_once.py",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, len((tmp_path / "runs").read_text())) == (code, runs), done.stdout + done.stderr
    assert ("once more, as 30% of the CPU" in done.stdout) is (runs == 2)
