"""What is installed: one version, locked packages, all data files, and a container set-up that names real things."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import rehearse
from rehearse.shop.versions import BEHAVIOURS
from tests.presence import absent

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ["requirements.lock", "requirements-run.lock"]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9_-]+")


def locked(lock: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / lock).read_text(encoding="utf-8")))


def names(requirements: list[str | dict[str, str]]) -> set[str]:
    found = (NAME.match(line) for line in requirements if isinstance(line, str))
    return {match.group().lower().replace("_", "-") for match in found if match}


def test_the_version_is_written_in_one_place() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "rehearse/__init__.py"


def test_the_installed_distribution_has_the_packages_version() -> None:
    try:
        installed = version("upgrade-rehearsal")
    except PackageNotFoundError:
        absent("the distribution is not installed here")
    assert installed == rehearse.__version__


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "rehearse" / "py.typed").is_file()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", text.strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|--(extra-)?index|--find-links|file:", text)


def test_the_image_gets_the_versions_that_the_tests_ran_with() -> None:
    assert locked("requirements-run.lock").items() <= locked("requirements.lock").items()


def test_everything_that_is_asked_for_is_locked() -> None:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    runtime = names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))
    assert runtime | names(groups["build"]) <= locked("requirements-run.lock").keys()
    assert runtime | names(groups["dev"]) | names(groups["build"]) <= locked("requirements.lock").keys()


def test_the_image_is_built_from_files_that_it_may_see() -> None:
    allowed = {line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*)$", read("Dockerfile"), re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_composed_shops_are_versions_that_exist() -> None:
    named = re.findall(r'"--version", "(?:\$\{SHOP_CANDIDATE_VERSION:-)?([\d.]+)', read("docker-compose.yml"))
    assert len(named) == 2
    assert set(named) <= set(BEHAVIOURS)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
