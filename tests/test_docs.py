"""The documents are true: their links lead somewhere, their commands exist, their examples work."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from rehearse import __version__
from rehearse.cli import app
from rehearse.config import load_settings
from rehearse.errors import ExitCode
from rehearse.model import Mode

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^\$ |`)(rehearse [a-z][^`#\n]*)", re.MULTILINE)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_in_a_document_exists_with_its_options(document: Path) -> None:
    group = typer.main.get_command(app)
    for line in COMMAND.findall(document.read_text(encoding="utf-8")):
        words = shlex.split(line.strip())[1:]
        context = typer.Context(group)
        command = group
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{line!r}: there is no {words[0]!r}"
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, f"{line!r}: {used - known}"


def test_every_command_is_in_the_changelog() -> None:
    group = typer.main.get_command(app)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for name in group.commands:  # type: ignore[attr-defined]  # a group
        assert f"rehearse {name}" in changelog


def test_the_first_screen_of_the_readme_is_a_sentence_and_the_commands_with_their_output() -> None:
    lines = README.splitlines()
    assert any(line.startswith("$ make demo") for line in lines[:15])
    assert "DEMO_OUTPUT" not in README
    assert re.search(r"^ABORT: ", README, re.MULTILINE)
    assert re.search(r"^GO: ", README, re.MULTILINE)


def test_the_exit_codes_of_the_readme_are_those_of_the_code() -> None:
    table = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    listed = {int(code) for row in table for code in row.split(",")}
    assert listed == {int(code) for code in ExitCode}


def test_the_readmes_configuration_is_complete_and_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    tomllib.loads(example[1])
    (tmp_path / "rehearse.toml").write_text(example[1], encoding="utf-8")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "visit.py").write_text("", encoding="utf-8")
    settings = load_settings(tmp_path / "rehearse.toml", {}, {})
    assert settings.resolved_mode is Mode.PAIRED


def test_the_architecture_fits_on_one_page_and_names_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    files = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", text)
    assert files
    missing = [file for file in files if not (ROOT / "rehearse" / file).exists()]
    assert missing == []


def test_the_walk_from_compare_to_the_verdict_has_at_most_eight_files() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert 1 <= len(re.findall(r"^\| \d+ \| `", text, re.MULTILINE)) <= 8


def test_the_version_in_the_changelog_is_unreleased_or_ours() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?([^\]\s]+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] in {"Unreleased", __version__}
