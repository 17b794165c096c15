"""Declared checks for tests: a probe out of the text of its table, and the mistakes of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from rehearse.checks.declaration import DeclaredCheck, read_declaration
from rehearse.errors import ConfigError

P = TypeVar("P")

HEAD = '[[check]]\nid = "T-1"\nstory = "It broke once."\n'


def read(folder: Path, text: str, **env: str) -> tuple[DeclaredCheck, ...]:
    """The checks of a file with that text, in a project in `folder`."""
    file = folder / "checks" / "declared.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return read_declaration(file, folder, env)


def probe(folder: Path, kind: type[P], table: str) -> P:
    """The probe of the only check of a file, from the keys of its table."""
    name = kind.__name__.removesuffix("Probe").lower()
    found = read(folder, f"{HEAD}[check.{name}]\n{table}\n")[0].probe
    assert isinstance(found, kind)
    return found


def mistakes(folder: Path, text: str, **env: str) -> str:
    """What the file's author is told."""
    with pytest.raises(ConfigError) as found:
        read(folder, text, **env)
    return str(found.value)
