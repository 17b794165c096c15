"""Writes the files of a new project. What is there already is never touched."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from rehearse.errors import ConfigError
from rehearse.project.answers import Answers

CONFIG, CHECK = "rehearse.toml", "checks/test_first.py"
SCENARIO = "scenarios/visit.py"
SQL_SCENARIO, STATEMENTS = "scenarios/database.py", "scenarios/statements.toml"
CI_FILES = ("github-actions.yml", "gitlab-ci.yml")


def contents_of(answers: Answers, root: Path) -> Mapping[str, bytes]:
    """Every file of the project by its path below `root`. A Locust file that is there already stays where it is."""
    scenario, files_of_it = _scenario(answers, root)
    words = _words(answers, scenario, root)
    return {
        CONFIG: _filled(CONFIG, words),
        **files_of_it,
        CHECK: _filled(CHECK, words),
        **{f"ci/{name}": files("rehearse.project").joinpath("ci", name).read_bytes() for name in CI_FILES},
    }


def refuse_to_overwrite(names: Iterable[str], root: Path) -> None:
    """Raise ConfigError that names what is there already."""
    there = [name for name in names if os.path.lexists(root / name)]
    if there:
        raise ConfigError(
            f"{', '.join(there)}: already there, and `init` overwrites nothing. Move them away, or use another folder."
        )


def write_project(contents: Mapping[str, bytes], root: Path) -> None:
    """Write all of them, or none. Raises ConfigError."""
    refuse_to_overwrite(contents, root)
    written: list[Path] = []
    try:
        for name, content in contents.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        remove(written)
        raise ConfigError(f"{error.filename}: cannot be written ({error.strerror}).") from error


def remove(paths: Iterable[Path]) -> None:
    """Half a project is none."""
    for path in paths:
        path.unlink(missing_ok=True)


def _scenario(answers: Answers, root: Path) -> tuple[str, Mapping[str, bytes]]:
    """Where the scenario is, and what is written for it; a Locust file from elsewhere is copied as it is."""
    given = answers.locust_file
    if given is None and answers.are_databases:
        return SQL_SCENARIO, {name: _filled(name, {}) for name in (SQL_SCENARIO, STATEMENTS)}
    if given is None:
        return SCENARIO, {SCENARIO: _filled(SCENARIO, {"ready": answers.ready})}
    try:
        return given.resolve().relative_to(root.resolve()).as_posix(), {}
    except ValueError:
        name = f"scenarios/{given.name}"
        return name, {name: given.read_bytes()}


def _words(answers: Answers, scenario: str, root: Path) -> Mapping[str, object]:
    return {
        "title": f"{root.resolve().name or 'Service'}: the next upgrade",
        "baseline": _Url(answers.baseline),
        "candidate": None if answers.candidate is None else _Url(answers.candidate),
        "are_databases": answers.are_databases,
        "ready": answers.ready,
        "allow": answers.hosts,
        "production": answers.production,
        "reset": answers.reset,
        "writes": answers.writes,
        "exclude_tags": answers.exclude_tags,
        "scenario_name": re.sub(r"[^A-Za-z0-9]+", "-", Path(scenario).stem).strip("-") or "visit",
        "scenario_file": scenario,
        "is_local": answers.is_local,
        "shares_host": answers.shares_host,
    }


def _filled(name: str, words: Mapping[str, object]) -> bytes:
    """A template in which every `{{ word }}` becomes a literal of TOML or Python: no answer can be more than text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rehearse.project"),
        autoescape=False,  # noqa: S701  # no HTML: `finalize` quotes
        finalize=_toml if name.endswith(".toml") else json.dumps,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(f"{Path(name).name}.jinja").render(words).encode()


class _Url(str):
    """An address that was read: what is `${NAME}` in it is meant as a variable."""

    __slots__ = ()


def _toml(value: object) -> str:
    """JSON of texts and lists of them is TOML. A `${` in them is itself, and no variable, unless it is of a URL."""
    text = json.dumps(value).replace("\x7f", "\\u007f")
    return text if isinstance(value, _Url) else text.replace("${", "$${")
