"""Where settings come from, and which source wins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rehearse.config import load_settings
from rehearse.errors import ConfigError
from rehearse.model import Mode, Side
from tests.config.conftest import SMALLEST, Project, with_tables

PRECEDENCE = [
    ("", {}, {}, 1),
    ("seed = 2", {}, {}, 2),
    ("seed = 2", {"REHEARSE_LOAD__SEED": "3"}, {}, 3),
    ("seed = 2", {"REHEARSE_LOAD__SEED": "3"}, {"load.seed": "4"}, 4),
    ("seed = 2", {"REHEARSE_LOAD__SEED": "3"}, {"load.seed": 4}, 4),
    ("seed = 2", {"REHEARSE_LOAD__SEED": "3"}, {"load.seed": None}, 3),
    ("seed = 2", {}, {"load.seed": 4}, 4),
    ("", {"REHEARSE_LOAD__SEED": "3"}, {}, 3),
    ("seed = 2", {"REHEARSE_LOAD__SEED": ""}, {}, 1),
    ("seed = 2", {"REHEARSE_LOAD__SEED": "3"}, {"load.seed": ""}, 1),
]


@pytest.mark.parametrize(("key", "env", "overrides", "expected"), PRECEDENCE)
def test_the_command_line_wins_over_variables_over_the_file_over_defaults(
    project: Project, key: str, env: dict[str, str], overrides: dict[str, object], expected: int
) -> None:
    settings = project.load(with_tables(f"[load]\nrate = 50\n{key}"), env, overrides)
    assert settings.load.seed == expected


VARIABLES = [
    ("REHEARSE_LOAD__RATE", "80", ("load", "rate"), 80.0),
    ("REHEARSE_LOAD__WARM_UP", "2s", ("load", "warm_up_s"), 2.0),
    ("REHEARSE_LOAD__RIG__MAX_STALL", "1s", ("load", "rig", "max_stall_s"), 1.0),
    ("REHEARSE_TITLE", "[draft] 5", ("title",), "[draft] 5"),
    ("REHEARSE_TITLE", "5", ("title",), "5"),
    ("REHEARSE_MODE", "recorded", ("mode",), Mode.RECORDED),
    ("REHEARSE_JUDGE__CRITICAL", '["GET /x"]', ("judge", "critical"), ("GET /x",)),
    ("REHEARSE_EXIT_PLAN__TEXT", '{"a" = 1}', ("exit_plan", "text"), '{"a" = 1}'),
    ("REHEARSE_BASELINE__MAX_AGE", "2d", ("baseline", "max_age_s"), 172800.0),
]


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"), VARIABLES, ids=[case[0] for case in VARIABLES]
)
def test_a_variable_is_read_as_its_key_wants_it(
    project: Project, name: str, value: str, path: tuple[str, ...], expected: object
) -> None:
    found: object = project.load(SMALLEST, {name: value})
    for attribute in path:
        found = getattr(found, attribute)
    assert found == expected


def test_variables_reach_the_targets_that_the_file_names(project: Project) -> None:
    text = with_tables(
        "[targets.my-staging]\nurl = 'http://a'\nrole = 'candidate'\nstart = ['a']\nfacts = '/version'",
        "[targets.my-staging.headers]\nX-Api-Key = 'x'",
    ).replace('[targets.candidate]\nurl = "http://127.0.0.1:8102"\n', "")
    env = {
        "REHEARSE_TARGETS__MY_STAGING__URL": "http://b",
        "REHEARSE_TARGETS__MY_STAGING__START": "",
        "REHEARSE_TARGETS__MY_STAGING__RESTART": "['docker', 'compose', 'restart']",
        "REHEARSE_TARGETS__MY_STAGING__FACTS": "['cat', 'VERSION']",
        "REHEARSE_TARGETS__MY_STAGING__HEADERS__X_API_KEY": "y",
    }
    target = project.load(text, env).target(Side.CANDIDATE)
    assert target.url == "http://b"
    assert target.start is None
    assert target.restart == ("docker", "compose", "restart")
    assert target.facts == ("cat", "VERSION")
    assert target.headers["X-Api-Key"].get_secret_value() == "y"


def test_a_quoted_key_reaches_an_endpoint(project: Project) -> None:
    settings = project.load(SMALLEST, {}, {'objectives.endpoints."GET /a.b".p95': "<=+7%"})
    [rule] = settings.objectives.endpoints["GET /a.b"].rules
    assert rule.margin == 0.07


def test_variables_of_tests_and_of_others_are_no_concern(project: Project) -> None:
    assert project.load(SMALLEST, {"REHEARSE_TEST_X": "1", "PATH": "/bin"}) == project.load()


# --- ${VAR} in the file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME}", "shop"),
        ("a ${NAME} b ${NAME}", "a shop b shop"),
        ("${NAME:-x}", "shop"),
        ("${UNSET:-a default: with {it}", "a default: with {it"),
        ("x${UNSET:-}", "x"),
        ("x${EMPTY:-default}", "xdefault"),
        ("$${NAME}", "${NAME}"),
        ("$NAME $$ 5$", "$NAME $$ 5$"),
    ],
)
def test_variables_are_filled_in(project: Project, text: str, expected: str) -> None:
    assert project.load(with_tables(f"title = '{text}'"), {"NAME": "shop", "EMPTY": ""}).title == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${UNSET}", "title: the variable UNSET is not set or empty; set it, or write ${UNSET:-default}"),
        ("${EMPTY}", "title: the variable EMPTY is not set or empty"),
        ("${NAME", "title: holds '${' without ${VARIABLE}; for just these two, write '$${'"),
        ("${a b}", "title: holds '${' without ${VARIABLE}"),
        ("${}", "title: holds '${' without ${VARIABLE}"),
    ],
)
def test_what_cannot_be_filled_in_is_a_mistake(project: Project, text: str, expected: str) -> None:
    [line] = project.mistakes(with_tables(f"title = '{text}'"), {"NAME": "shop", "EMPTY": ""})
    assert line.startswith(f"rehearse.toml: {expected}")


@pytest.mark.parametrize("header", ["Authorization", "Cookie", "X-Api-Key"])
def test_a_secret_that_is_not_set_is_named(project: Project, header: str) -> None:
    keys = f"url = 'http://127.0.0.1:8102'\nheaders = {{ {header} = 'Bearer ${{STAGING_TOKEN}}' }}"
    [line] = project.mistakes(with_tables(f"[targets.candidate]\n{keys}"), {})
    where = f"rehearse.toml: targets.candidate.headers.{header}"
    assert line.startswith(f"{where}: the variable STAGING_TOKEN is not set or empty")


def test_what_a_variable_holds_is_not_filled_in_again(project: Project) -> None:
    assert project.load(with_tables("title = '${A}'"), {"A": "${B}"}).title == "${B}"


def test_variables_are_filled_in_inside_lists_and_tables(project: Project) -> None:
    table = "[targets.baseline]\nurl = '${URL}'\nstart = ['${PY:-python3}', '-m', '${APP}']"
    target = project.load(with_tables(table), {"URL": "http://a", "APP": "shop"}).target(Side.BASELINE)
    assert (target.url, target.start) == ("http://a", ("python3", "-m", "shop"))


# --- which file


def test_without_a_path_the_file_of_the_current_folder_is_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(SMALLEST)
    project.write("not TOML", "pyproject.toml")
    monkeypatch.chdir(project.root)
    settings = load_settings(None, {}, {})
    assert settings.source == project.root / "rehearse.toml"
    assert settings.root == project.root


def test_without_that_file_the_shared_one_is_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = re.sub(r"^(\[+)", r"\1tool.rehearse.", SMALLEST, flags=re.MULTILINE)
    project.write(f"[project]\nname = 'x'\n{shared}", "pyproject.toml")
    monkeypatch.chdir(project.root)
    assert load_settings(None, {}, {}).load.rate == 50
    project.write(f"{shared}\nrats = 1", "pyproject.toml")
    with pytest.raises(
        ConfigError, match=r"^pyproject\.toml: tool\.rehearse\.scenarios\[0\]\.rats: is an unknown"
    ):
        load_settings(None, {}, {})


def test_without_any_file_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no such file in .* Write one"):
        load_settings(None, {}, {})
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: has no table \[tool\.rehearse\]"):
        load_settings(None, {}, {})


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.toml: cannot be read: No such file or directory"):
        load_settings(tmp_path / "nope.toml", {}, {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {}, {})
    (tmp_path / "bytes.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(ConfigError, match=r"bytes\.toml: is not UTF-8 text \(byte 9\)"):
        load_settings(tmp_path / "bytes.toml", {}, {})


def test_invalid_toml_names_its_line(project: Project) -> None:
    [line] = project.mistakes("title = 'x'\nload = [\n")
    assert line.startswith("rehearse.toml: is not valid TOML: ")
    [line] = project.mistakes("title = 'x'\ntitle = 'y'\n")
    assert "line 2" in line


def test_paths_are_relative_to_the_file_and_not_to_the_current_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    settings = project.load()
    assert settings.scenarios[0].file == project.root / "shop.py"
    assert settings.report.dir == project.root / "reports"
    assert settings.store.url.get_secret_value() == f"sqlite:///{project.root}/.rehearse/rehearse.db"


@pytest.mark.parametrize(
    "url", ["sqlite:////var/lib/x.db", "sqlite:///:memory:", "postgresql+psycopg://u:p@db.example/rehearse"]
)
def test_another_store_is_taken_as_it_is(project: Project, url: str) -> None:
    assert project.load(with_tables(f"[store]\nurl = '{url}'")).store.url.get_secret_value() == url


def test_importing_the_configuration_imports_nothing_heavy() -> None:
    code = "import sys, rehearse.config; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "numpy",
        "scipy",
        "sqlalchemy",
        "locust",
        "gevent",
        "httpx",
        "jinja2",
        "pydantic_settings",
        "rich",
    }
    assert heavy & set(done.stdout.split()) == set()
