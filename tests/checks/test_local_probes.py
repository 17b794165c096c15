"""Command and file probes: real processes, which never outlive their check, and real files."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from rehearse.checks.context import CheckedSide
from rehearse.checks.probes.command import CommandProbe
from rehearse.checks.probes.file import FileProbe
from rehearse.model import Side
from tests.checks.declaring import probe

CANDIDATE = CheckedSide(Side.CANDIDATE, "candidate", "postgresql://me:canary-4711@db.example/shop")


def command(folder: Path, code: str, rest: str) -> list[str]:
    asked = probe(folder, CommandProbe, f"argv = ['{sys.executable}', '-c', '''{code}''']\n{rest}")
    return list(asked.complaints(CANDIDATE, folder))


@pytest.mark.parametrize(
    ("code", "rest", "expected"),
    [
        ("print(1)", "expect.stdout.regex = '^1$'", ""),
        ("print(1)", "expect.stdout.contains = '2'", "stdout: expected '2' in it, not found in its 2 characters"),
        ("1/0", "expect.exit_code = 0", "expected exit code 0, found exit code 1"),
        ("1/0", "expect.exit_code = 1\nexpect.stderr.contains = 'ZeroDivision'", ""),
        ("1/0", "expect.stderr.contains = 'ZeroDivision'", "expected exit code 0, found exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "expect.exit_code = 0", "expected exit code 0, found signal 9"),
        ("import time; time.sleep(60)", "timeout = '200ms'\nexpect.exit_code = 0", "did not end within 0.2 s"),
        ("while True: print('x' * 9999)", "expect.exit_code = 0", "said more than 1,000,000 bytes"),
        ("import sys; sys.stdin.read()", "expect.exit_code = 0", ""),
    ],
)  # fmt: skip
def test_a_command_is_judged_by_its_end_and_its_words(
    tmp_path: Path, code: str, rest: str, expected: str
) -> None:
    assert "; ".join(command(tmp_path, code, rest)) == expected


def test_a_command_runs_in_the_projects_folder_and_knows_the_side(tmp_path: Path) -> None:
    code = 'import os; print(os.getcwd(), os.environ["REHEARSE_SIDE"], os.environ["REHEARSE_URL"])'
    words = f'["{tmp_path}", "candidate", "postgresql://db.example/shop"]'
    assert (
        command(tmp_path, code, f"expect.stdout.contains = {words}\nexpect.stdout.not_contains = 'canary'")
        == []
    )


def test_a_command_ends_before_its_check_is_ended_from_outside(tmp_path: Path) -> None:
    """Then nobody would be left to end its children."""
    asked = probe(tmp_path, CommandProbe, "argv = ['sleep', '60']\ntimeout = '60s'\nexpect.exit_code = 0")
    assert list(asked.complaints(CANDIDATE, tmp_path, longest_s=0.2)) == ["did not end within 0.2 s"]


def test_what_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    asked = probe(tmp_path, CommandProbe, "argv = ['./no-such-thing']\nexpect.exit_code = 0")
    (said,) = list(asked.complaints(CANDIDATE, tmp_path))
    assert said == "could not be started: No such file or directory"


def test_the_children_of_a_command_do_not_outlive_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys;"
        ' p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]); print(p.pid);'
        ' open("pid", "w").write(str(p.pid))'
    )
    assert command(tmp_path, code, "expect.exit_code = 0") == []
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """A zombie has ended; who adopted it may take its time to say so."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# files

CONTENT = '{"mode": "strict", "hosts": ["a", "b"]}'


def file(folder: Path, table: str) -> list[str]:
    asked = probe(folder, FileProbe, table)
    return list(asked.complaints(CANDIDATE, folder))


@pytest.mark.parametrize(
    ("expectation", "expected"),
    [
        ("exists = true", ""),
        ("absent = true", "expected no such file, found one"),
        (f"sha256 = '{hashlib.sha256(CONTENT.encode()).hexdigest()}'", ""),
        (f"sha256 = '{'0' * 64}'", "expected SHA-256 0000000000000000..., found"),
        ("contains = 'strict'", ""),
        ("contains = 'lax'", "expected 'lax' in it, not found in its"),
        ("not_contains = 'strict'", "expected no 'strict' in it, found at character 10 of"),
        ("regex = '^{'", ""),
        ("mode = '0640'", ""),
        ("mode = '600'", "expected mode 600, found 0640"),
        ("json.'$.mode' = 'strict'", ""),
        ("json.'$.hosts'.length = 3", "$.hosts: expected a length of 3, found an array of 2 items"),
        ("toml.'$.mode' = 'strict'", "expected TOML, found 39 bytes of something else (TOMLDecodeError)"),
    ],
)
def test_each_expectation_of_a_file_can_hold_or_fail(tmp_path: Path, expectation: str, expected: str) -> None:
    (tmp_path / "settings-candidate.json").write_text(CONTENT)
    (tmp_path / "settings-candidate.json").chmod(0o640)
    said = "; ".join(file(tmp_path, f'path = "settings-{{side}}.json"\nexpect.{expectation}'))
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


def test_a_toml_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[tool]\nsince = 2026-03-02\nlist = [1, 2]\n")
    assert (
        file(
            tmp_path,
            "path = 'a.toml'\nexpect.toml.'$.tool.since' = '2026-03-02'\nexpect.toml.'$.tool.list'.length = 2",
        )
        == []
    )


@pytest.mark.parametrize("expectation", ["exists = true", "not_contains = 'x'", "json.'$.a'.absent = true"])
def test_a_file_that_is_not_there_is_never_as_expected(tmp_path: Path, expectation: str) -> None:
    said = file(tmp_path, f'path = "gone"\nexpect.{expectation}')
    assert said == ["expected a file, got none: No such file or directory"]
    assert file(tmp_path, 'path = "gone"\nexpect.absent = true') == []


def test_what_is_no_ordinary_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert file(tmp_path, 'path = "pipe"\nexpect.exists = true') == [
        "expected a file, got none: it is no ordinary file"
    ]
