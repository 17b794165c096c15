"""A project in a folder of its own: the smallest configuration that is right, and ways to change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError

TABLES = {
    "[targets.baseline]": 'url = "http://127.0.0.1:8101"',
    "[targets.candidate]": 'url = "http://127.0.0.1:8102"',
    "[load]": "rate = 50",
    "[[scenarios]]": 'name = "shop"\nfile = "shop.py"',
}


def with_tables(*tables: str) -> str:
    """The smallest configuration, with these tables in place of its own or besides them.

    A text without a table's name is for the top of the file.
    """
    top, chosen = "", dict(TABLES)
    for table in tables:
        name, _, keys = table.strip().partition("\n")
        if name.startswith("["):
            chosen[name] = keys
        else:
            top += f"{table}\n"
    return top + "".join(f"\n{name}\n{keys}\n" for name, keys in chosen.items())


SMALLEST = with_tables()


@dataclass(frozen=True)
class Project:
    """A folder with a scenario in it."""

    root: Path

    def write(self, text: str, name: str = "rehearse.toml") -> Path:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self,
        text: str = SMALLEST,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Settings:
        return load_settings(self.write(text), env or {}, overrides or {})

    def mistakes(
        self,
        text: str = SMALLEST,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> list[str]:
        """The lines of the error, without the folder before the file's name."""
        with pytest.raises(ConfigError) as error:
            self.load(text, env, overrides)
        return str(error.value).replace(f"{self.root}/", "").splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "shop.py").write_text("# a Locust file\n", encoding="utf-8")
    return Project(tmp_path)
