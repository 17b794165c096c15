"""docs/configuration.md says what the models say, and its examples work."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rehearse.config import load_settings, policy_of
from rehearse.config.keys import TABLE, TABLES, Key, all_keys, written
from rehearse.config.objectives import read_objective
from rehearse.config.reference import BEGIN, END, rewrite
from rehearse.config.sources import FILE_NAME
from rehearse.model import Metric, Mode, RigLimits, Side
from tests.config.conftest import Project, with_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
VALUES = [key for key in all_keys() if key.kind not in (TABLE, TABLES)]


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_tables_of_the_models(tmp_path: Path) -> None:
    copy = tmp_path / "configuration.md"
    copy.write_text(page(), encoding="utf-8")
    rewrite(copy)
    again = "run: python -m rehearse.config.reference docs/configuration.md"
    assert copy.read_text(encoding="utf-8") == page(), again


def test_every_key_is_on_the_page_and_every_key_on_the_page_exists() -> None:
    heading, documented = "", set()
    for line in page().partition(BEGIN)[2].partition(END)[0].splitlines():
        if line.startswith("### "):
            heading = line.strip("# `[]").replace("At the top", "")
        elif found := re.match(r"\| `([^`]+)` \|", line):
            documented.add(f"{heading}.{found[1]}".lstrip("."))
    expected = {written([part for part in key.path if part != "[]"]).replace("*", "NAME") for key in VALUES}
    assert documented == expected
    assert len(expected) > 60


@pytest.mark.parametrize("key", all_keys(), ids=lambda key: written(key.path))
def test_every_key_has_a_type_and_a_meaning(key: Key) -> None:
    assert key.kind.name
    assert str(key.field.description).endswith(".")


def test_the_example_of_the_page_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "shop.py").write_text("", encoding="utf-8")
    example = page().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / FILE_NAME).write_text(example, encoding="utf-8")
    settings = load_settings(tmp_path / FILE_NAME, {}, {})
    assert settings.safety.allow == ("*.staging.example",)


def test_the_mistakes_of_the_page_are_what_is_said(project: Project) -> None:
    text = with_tables("[load]\nrate = 50\nwarm_up = 5\narrivals = 'poison'")
    said = page().partition("```text\n")[2].partition("```")[0]
    assert sorted(project.mistakes(text, {"REHEARSE_LOAD_RATE": "80"})) == sorted(said.splitlines())


@pytest.mark.parametrize("metric", list(Metric))
def test_the_objectives_of_the_page_can_be_read(metric: Metric) -> None:
    name = metric.value.replace(" ", "_")
    rows = [line for line in page().partition("**Objectives**")[2].splitlines() if line.startswith("| `")]
    row = next(row for row in rows if f"`{name}`" in row)
    rules = re.findall(r'`"([^"]+)"`', row)
    assert [read_objective(metric, rule).metric for rule in rules] == [metric, metric]


# --- the repository's own file


def test_the_repositorys_own_file_needs_no_variable() -> None:
    settings = load_settings(ROOT / FILE_NAME, {}, {})
    assert settings.resolved_mode is Mode.PAIRED
    assert [target.url for target in settings.targets] == ["http://127.0.0.1:8101", "http://127.0.0.1:8102"]
    assert settings.target(Side.CANDIDATE).start is not None
    assert policy_of(settings).shares_host
    assert policy_of(settings).rig.max_rig_lag_p99_s > RigLimits().max_rig_lag_p99_s


def test_the_repositorys_own_file_lets_variables_choose_version_ports_and_python() -> None:
    env = {"SHOP_CANDIDATE_VERSION": "2.0", "SHOP_CANDIDATE_PORT": "9", "SHOP_PYTHON": ".venv/bin/python"}
    start = load_settings(ROOT / FILE_NAME, env, {}).target(Side.CANDIDATE).start or ()
    assert start[:7] == (".venv/bin/python", "-m", "rehearse.shop", "serve", "--version", "2.0", "--port")
    assert start[7] == "9"


def test_the_repositorys_own_file_can_leave_starting_to_others() -> None:
    env = {"REHEARSE_TARGETS__BASELINE__START": "", "REHEARSE_TARGETS__CANDIDATE__START": ""}
    settings = load_settings(ROOT / FILE_NAME, env, {})
    assert [target.start for target in settings.targets] == [None, None]


def test_the_repositorys_own_file_says_why_at_every_block() -> None:
    """It is the example that users copy."""
    text = (ROOT / FILE_NAME).read_text(encoding="utf-8")
    for table in tomllib.loads(text):
        block = re.search(rf"(^|\n)((#[^\n]*\n)*\n?(#[^\n]*\n)*)?\[+{table}[^\n]*\n([^\n]+\n)+", text)
        assert table == "title" or (block and "#" in block[0]), f"{table} has no comment"
