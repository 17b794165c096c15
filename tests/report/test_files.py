"""Files that are whole or not there, private, and what their schema says."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rehearse import cutovers, disruptions, model, report
from rehearse.codec import from_bytes, to_bytes
from rehearse.model import Decision, Result
from rehearse.report.files import ReportError, write_reports
from rehearse.report.html import render_html
from tests.report.contracts import everything
from tests.report.cutovers import cutover
from tests.report.examples import EXAMPLES, abort, empty, go
from tests.report.pages import HOSTILE, Make, with_texts

NOUNS: dict[str, type] = {**vars(disruptions), **vars(cutovers), **vars(model)}
SCHEMA = json.loads((Path(report.__file__).parent / "result.schema.json").read_text(encoding="utf-8"))
FILES = ["report.html", "result.json", "summary.md", "junit.xml", "metrics.txt"]


def _problems(data: object) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(data)]


# writing


def test_all_files_are_written_and_named_the_page_first(tmp_path: Path) -> None:
    paths = write_reports(abort(), tmp_path / "runs" / "r1")
    assert [path.name for path in paths] == FILES
    assert paths[0].read_text(encoding="utf-8") == render_html(abort())
    assert from_bytes(Result, paths[1].read_bytes()) == abort()
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(FILES)


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    paths = write_reports(go(), tmp_path / "reports")
    assert stat.S_IMODE((tmp_path / "reports").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * len(FILES)


def test_writing_again_replaces_and_gives_the_same_bytes(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_reports(go(), tmp_path)]
    assert [path.read_bytes() for path in write_reports(go(), tmp_path)] == first
    write_reports(abort(), tmp_path)
    assert b'"ABORT"' in (tmp_path / "result.json").read_bytes()


def test_a_disk_that_fails_leaves_the_old_files_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(go(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="No space left on device"):
        write_reports(abort(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_error_names_the_folder_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(ReportError, match=r"taken.*rehearse report 2026-11-21-0331-shop-7c1f"):
        write_reports(go(), tmp_path / "taken")


def test_each_file_is_forced_to_the_disk_before_it_is_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("sync")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        steps.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_reports(go(), tmp_path)
    assert steps == [step for name in FILES for step in ("sync", name)] + ["sync"]


# the schema


@pytest.mark.parametrize(
    "make",
    [*EXAMPLES.values(), empty, everything, cutover],
    ids=[*EXAMPLES, "EMPTY", "EVERYTHING", "CUTOVER"],
)
def test_result_json_is_what_its_schema_says(make: Make) -> None:
    assert _problems(json.loads(to_bytes(make()))) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_valid_texts(text: str) -> None:
    for make in (everything, cutover):
        assert _problems(json.loads(to_bytes(with_texts(make(), lambda original: text + original)))) == []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def _objects(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Result", schema
    yield from ((name, part) for name, part in schema["$defs"].items() if "properties" in part)


@pytest.mark.parametrize(("name", "part"), list(_objects(SCHEMA)), ids=[name for name, _ in _objects(SCHEMA)])
def test_the_schema_has_every_field_of_the_model_and_no_other(name: str, part: dict[str, Any]) -> None:
    kind = NOUNS[name]
    assert is_dataclass(kind)
    assert list(part["properties"]) == part["required"] == [field.name for field in fields(kind)]
    assert part["additionalProperties"] is False


def test_the_schema_has_every_word_of_the_model() -> None:
    words = {name: part["enum"] for name, part in SCHEMA["$defs"].items() if "enum" in part}
    assert "Decision" in words
    for name, listed in words.items():
        kind = NOUNS[name]
        assert issubclass(kind, Enum)
        assert listed == [member.value for member in kind]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict", "decision"), "MAYBE"),
        (("verdict", "pairs_used"), -1),
        (("load_s",), "long"),
        (("sides", 0, "arrivals", "planned"), 1.5),
        (("timeline", 0, "error_ratio"), 2),
        (("curves", 0, "points", 0), [0.5]),
        (("schema_version",), 2),
        (("surprise",), 1),
    ],
)
def test_the_schema_refuses_what_is_no_result(path: tuple[Any, ...], value: object) -> None:
    data = deepcopy(json.loads(to_bytes(go())))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert _problems(data)


def test_the_json_says_the_verdict_word() -> None:
    for make in EXAMPLES.values():
        assert json.loads(to_bytes(make()))["verdict"]["decision"] == make().verdict.decision
    assert {make().verdict.decision for make in EXAMPLES.values()} == set(Decision)
