"""What a command or a session of pytest imports before it does anything: somebody waits for it each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import make_project

HEAVY = {"alembic", "gevent", "jinja2", "locust", "numpy", "scipy", "sqlalchemy"}


def imported(root: Path, program: str) -> set[str]:
    """The packages that a program has imported by its end."""
    code = f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.mark.parametrize(
    "module",
    [
        "rehearse.checking",
        "rehearse.checks.child",
        "rehearse.checks.fixtures",
        "rehearse.config",
        "rehearse.journal",
        "rehearse.pytest_plugin",
        "rehearse.wiring.judging",
        "rehearse.wiring.orders",
        "rehearse.wiring.records",
    ],
)
def test_a_module_that_every_start_needs_imports_nothing_heavy(tmp_path: Path, module: str) -> None:
    assert imported(tmp_path, f"import {module}") & HEAVY == set()


def test_a_dry_run_imports_no_load_generator(tmp_path: Path) -> None:
    make_project(tmp_path, "http://127.0.0.1:8101", "http://127.0.0.1:8102")
    program = """
import sys
from rehearse.cli import main
sys.argv = ["rehearse", "compare", "--dry-run"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""
    assert imported(tmp_path, program) & {"gevent", "locust"} == set()


CHECK = """
import pytest


@pytest.mark.breakage(id="a")
def test_a(candidate):
    assert str(candidate.base_url) == "http://127.0.0.1:8101"
"""
SESSION = """
import pytest
arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:locust", "-p", "rehearse.pytest_plugin", "checks"]
assert pytest.main(arguments) == 1  # nothing answers there
"""


def test_a_session_of_checks_that_reads_the_configuration_imports_nothing_heavy(tmp_path: Path) -> None:
    make_project(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_a.py").write_text(CHECK)
    found = imported(tmp_path, SESSION)
    assert {"httpx", "pydantic"} <= found, "it read the configuration, and made a client"
    assert found & HEAVY == set()
