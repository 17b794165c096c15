"""Declared checks as pytest items: each TOML file is a module, and each [[check]] in it a test function.

They reach the side under test through the same fixtures as functions in Python: `candidate`, `database`, and
`check_context`, which says what is under test now and what may be reached at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.declaration import DeclaredCheck, read_declaration
from rehearse.checks.probes.command import CommandProbe
from rehearse.checks.probes.file import FileProbe
from rehearse.checks.probes.http import HttpProbe
from rehearse.checks.probes.reach import place_of
from rehearse.checks.probes.sql import SqlProbe
from rehearse.checks.probes.tcp import TcpProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.checks.tolerance import cut
from rehearse.errors import ConfigError, TargetRefused
from rehearse.model import Side

FOLDER = "checks"
LONGEST_SENTENCE = 600
_MOST_COMPLAINTS = 5


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> DeclaredFile | None:
    """A TOML file in a folder named `checks`, or one that is named on the command line, holds declared checks."""
    is_one = FOLDER in file_path.parent.parts or parent.session.isinitpath(file_path)
    if file_path.suffix == ".toml" and is_one:
        found: DeclaredFile = DeclaredFile.from_parent(parent, path=file_path)
        return found
    return None


class DeclaredFile(pytest.Module):
    """A TOML file of checks. To pytest it is a module, so that fixtures of every scope work in it."""

    def _getobj(self) -> ModuleType:
        """Nothing is imported: the file is data."""
        return ModuleType(self.path.stem)

    def collect(self) -> Iterator[DeclaredItem]:
        """One item for each check. Raises CollectError with all that is wrong with the file."""
        try:
            checks = read_declaration(self.path, self.config.rootpath, os.environ)
        except ConfigError as error:
            raise self.CollectError(str(error)) from None
        lines = _lines_of(self.path)
        for number, check in enumerate(checks):
            function = _function(check, self.config.rootpath)
            item: DeclaredItem = DeclaredItem.from_parent(self, name=check.id, callobj=function)
            item.line = lines[number] if len(lines) == len(checks) else 0
            item.add_marker(_breakage(check))
            yield item


class DeclaredItem(pytest.Function):
    """One declared check."""

    line = 0

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands: in the TOML file, and not in ours."""
        return self.path, self.line, self.name


def _lines_of(path: Path) -> list[int]:
    """The line of each [[check]]; counted from 0, as pytest does."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*check\s*\]\]", line)]


def _breakage(check: DeclaredCheck) -> pytest.MarkDecorator:
    said = {
        "id": check.id,
        "broke_on": check.broke_on or "",
        "component": check.component,
        "severity": check.severity,
        "ref": check.ref,
        "expires": check.expires or "",
        "story": check.story,
    }
    return pytest.mark.breakage(**{key: value for key, value in said.items() if value})


def _function(check: DeclaredCheck, root: Path) -> Callable[..., None]:
    """What pytest calls, with the fixtures that the check's probe needs; its docstring is the story."""
    function = _FUNCTIONS[type(check.probe)](check.probe, root)
    function.__name__, function.__doc__ = f"check_{check.id}", check.story
    return function


def _http(probe: HttpProbe, _: Path) -> Callable[..., None]:
    def ask(candidate: httpx.Client) -> None:
        _hold(probe.what, probe.complaints(candidate))

    return ask


def _sql(probe: SqlProbe, _: Path) -> Callable[..., None]:
    def ask(database: Any) -> None:  # noqa: ANN401  # what the fixture gives: the engines of both sides
        _hold(probe.what, probe.complaints(database.candidate))

    return ask


def _tcp(probe: TcpProbe | TlsProbe, _: Path) -> Callable[..., None]:
    def ask(check_context: CheckContext) -> None:
        allow_list = AllowList(check_context.allow, check_context.production)
        place = place_of(_asked(check_context), probe.host, probe.port, allow_list)
        _hold(probe.what(place), probe.complaints(place))

    return ask


def _local(probe: CommandProbe | FileProbe, root: Path) -> Callable[..., None]:
    def ask(check_context: CheckContext) -> None:
        _hold(probe.what, probe.complaints(_asked(check_context), root))

    return ask


_FUNCTIONS: dict[type, Callable[[Any, Path], Callable[..., None]]] = {
    HttpProbe: _http,
    SqlProbe: _sql,
    TcpProbe: _tcp,
    TlsProbe: _tcp,
    CommandProbe: _local,
    FileProbe: _local,
}


def _asked(context: CheckContext) -> CheckedSide:
    """The side under test."""
    if context.under_test is Side.CANDIDATE:
        return context.candidate
    if context.baseline is None:
        raise TargetRefused("refused: there is no baseline to ask")
    return context.baseline


def _hold(what: str, complaints: Iterator[str]) -> None:
    """Fail with one sentence about everything that is not as expected."""
    found = list(complaints)
    if found:
        more = f"; and {len(found) - _MOST_COMPLAINTS} more" if len(found) > _MOST_COMPLAINTS else ""
        sentence = f"{what}: {'; '.join(found[:_MOST_COMPLAINTS])}{more}"
        pytest.fail(cut(sentence, LONGEST_SENTENCE), pytrace=False)
