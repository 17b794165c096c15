"""docs/first-rehearsal.md is a transcript: its files and commands, run as they stand, end as it says."""

from __future__ import annotations

import ast
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rehearse.config import load_settings
from rehearse.process_groups import end_group

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "first-rehearsal.md").read_text(encoding="utf-8")
FILES = dict(
    zip(("notes.py", "locustfile.py"), re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), strict=True)
)
PORTS = ("8101", "8102")
BREAK = "GET /notes 200 $[*].created: integer became string"


@dataclass(frozen=True)
class Step:
    """One command of the page, and what it is said to print."""

    words: tuple[str, ...]
    said: list[str]


def steps() -> Iterator[Step]:
    """Every command in order."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for command in re.findall(r"^\$ (.*(?:\n(?!\$ ).*)*)", block, re.MULTILINE):
            first, _, said = command.partition("\n")
            yield Step(tuple(shlex.split(first)), said.strip().splitlines())


def step_of(*words: str) -> Step:
    (found,) = [step for step in steps() if step.words[: len(words)] == words]
    return found


def test_the_page_shows_the_whole_way_to_a_verdict() -> None:
    commands = [step.words[1] for step in steps() if step.words[0] == "rehearse"]
    assert commands == ["init", "doctor", "compare"]
    assert step_of("rehearse", "compare").said[0].startswith("ABORT")
    assert BREAK in "".join(step_of("rehearse", "compare").said)
    assert step_of("echo").said == ["10"]
    assert all(ast.parse(source) for source in FILES.values())


def test_init_says_and_writes_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(FILES["locustfile.py"])
    step = step_of("rehearse", "init")
    done = run(tmp_path, step.words)
    assert done.stdout.splitlines() == step.said
    settings = load_settings(tmp_path / "rehearse.toml", {}, {})
    assert [target.url for target in settings.targets] == [f"http://127.0.0.1:{port}" for port in PORTS]


@pytest.mark.live
@pytest.mark.timeout(300)
def test_the_transcript_ends_as_it_says(tmp_path: Path) -> None:
    for name, source in FILES.items():
        (tmp_path / name).write_text(source)
    ports = {port: free_port() for port in PORTS}
    with ExitStack() as stack:
        for step in steps():
            words = tuple(_at_free_ports(word, ports) for word in step.words)
            if words[-1] == "&":
                stack.enter_context(running(tmp_path, words[1:-1]))
            elif words[0] == "rehearse":
                done = run(tmp_path, words)
                assert kinds(done.stdout.splitlines()) == kinds(step.said), done.stdout
                assert BREAK not in "".join(step.said) or BREAK in done.stdout
                assert done.returncode == (10 if words[1] == "compare" else 0), done.stderr


def kinds(lines: list[str]) -> list[str]:
    """What does not depend on the machine: what was looked at and proposed, and the verdict; not how much."""
    words = ("ok", "propose", "keep", "ready", "ABORT", "wrote", "assumed")
    told = [line for line in lines if line.startswith(words) and " rig " not in line]
    heads = [re.split(r"[:=]", line)[0].replace("keep", "propose").strip() for line in told]
    return [re.sub(r"[\d.]+", "N", head) for head in heads]


def run(folder: Path, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """One `rehearse` command, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@contextmanager
def running(folder: Path, words: tuple[str, ...]) -> Iterator[None]:
    """A service, until the block ends."""
    process = subprocess.Popen([sys.executable, *words], cwd=folder, start_new_session=True)
    try:
        wait_for(int(words[-1]))
        yield
    finally:
        end_group(process)


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nobody listens at {port}"
            time.sleep(0.05)
        else:
            return


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def _at_free_ports(word: str, ports: dict[str, str]) -> str:
    for port, free in ports.items():
        word = word.replace(port, free)
    return word
