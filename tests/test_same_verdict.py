"""The same evidence gives the same verdict, byte for byte: in another process, and in another Python."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rehearse.codec import to_bytes
from rehearse.judge.verdict import judge
from tests.judge.evidence import World, paired

ROOT = Path(__file__).resolve().parent.parent
WORLD = World(blocks=10, baseline_errors=0.003, candidate_errors=0.004, slowdown={"POST /orders": 1.04})
JUDGE = """
import hashlib, sys
from rehearse.codec import from_bytes, to_bytes
from rehearse.judge.verdict import judge
from rehearse.model import Evidence
verdict = judge(from_bytes(Evidence, open(sys.argv[1], "rb").read()))
print(hashlib.sha256(to_bytes(verdict)).hexdigest())
"""
OTHERS = (
    os.environ.get("REHEARSE_TEST_OTHER_PYTHON", ""),
    "python3.12",
    "python3.13",
    "python3.14",
    "python3",
)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of evidence, and the fingerprint of its verdict in this process."""
    rehearsed = paired(WORLD, 5, before=WORLD)
    file = tmp_path_factory.mktemp("evidence") / "evidence.json"
    file.write_bytes(to_bytes(rehearsed))
    return file, hashlib.sha256(to_bytes(judge(rehearsed))).hexdigest()


def judged_by(python: str, file: Path, **environment: str) -> str:
    done = subprocess.run(
        [python, "-c", JUDGE, str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_another_process_and_another_order_of_hashing_change_no_byte(
    evidence: tuple[Path, str], seed: str
) -> None:
    file, expected = evidence
    assert judged_by(sys.executable, file, PYTHONHASHSEED=seed) == expected


def test_another_python_changes_no_byte(evidence: tuple[Path, str]) -> None:
    file, expected = evidence
    other = next((python for name in OTHERS if (python := another_python(name)) is not None), None)
    if other is None:
        pytest.skip(
            "no second Python (3.11 or later) with numpy and scipy; REHEARSE_TEST_OTHER_PYTHON may name one"
        )
    assert judged_by(other, file) == expected


def another_python(name: str) -> str | None:
    """Its path, when it is another version than ours that could judge."""
    path = shutil.which(name) if name else None
    if path is None:
        return None
    probe = "import sys, numpy, scipy; print(*sys.version_info[:2])"
    done = subprocess.run([path, "-c", probe], capture_output=True, text=True)
    version = tuple(map(int, done.stdout.split()))
    return path if done.returncode == 0 and version >= (3, 11) and version != sys.version_info[:2] else None
