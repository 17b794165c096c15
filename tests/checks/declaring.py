"""Declared checks for tests: a probe out of the text of its table, and the mistakes of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.checks.declaration import DeclaredCheck, Probe, read_declaration
from rehearse.errors import ConfigError

HEAD = '[[check]]\nid = "T-1"\nstory = "It broke once."\n'


def read(folder: Path, text: str, **env: str) -> tuple[DeclaredCheck, ...]:
    """The checks of a file with that text, in a project in `folder`."""
    file = folder / "checks" / "declared.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return read_declaration(file, folder, env)


def probe(folder: Path, kind: str, table: str) -> Probe:
    """The probe of the only check of a file, from the keys of its table."""
    return read(folder, f"{HEAD}[check.{kind}]\n{table}\n")[0].probe


def mistakes(folder: Path, text: str, **env: str) -> str:
    """What the file's author is told."""
    with pytest.raises(ConfigError) as found:
        read(folder, text, **env)
    return str(found.value)
