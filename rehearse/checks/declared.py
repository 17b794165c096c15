"""Declared checks as pytest items: each TOML file is a module, and each [[check]] in it a test function.

They reach the side under test through the fixtures that functions in Python have: `candidate`, `database`, and what
these are made of. A check fails with one sentence, by `pytest.fail`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import httpx
import pytest

from rehearse.allowlist import AllowList
from rehearse.checks.declaration import DeclaredCheck, read_declaration
from rehearse.checks.fixtures import Access
from rehearse.checks.probes.command import CommandProbe
from rehearse.checks.probes.file import FileProbe
from rehearse.checks.probes.http import HttpProbe
from rehearse.checks.probes.reach import Place, place_of
from rehearse.checks.probes.sql import SqlProbe
from rehearse.checks.probes.tcp import TcpProbe
from rehearse.checks.probes.tls import TlsProbe
from rehearse.checks.tolerance import cut
from rehearse.errors import ConfigError, RehearseError
from rehearse.model import Side

if TYPE_CHECKING:
    from sqlalchemy import Engine

LONGEST_SENTENCE = 400
_MOST_COMPLAINTS = 5
_SHARE_OF_DEADLINE = 0.8  # a command ends before its check is ended from outside, and its children with it


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
        "story": check.story,
        "broke_on": check.broke_on,
        "component": check.component,
        "severity": check.severity,
        "ref": check.ref,
        "expires": check.expires,
    }
    return pytest.mark.breakage(**{key: value for key, value in said.items() if value})


# --- what pytest calls, with the fixtures that the kind of probe needs


def _function(check: DeclaredCheck, root: Path) -> Callable[..., None]:
    match check.probe:
        case HttpProbe() as probe:
            return _asking_http(probe)
        case SqlProbe() as probe:
            return _asking_sql(probe)
        case TcpProbe() | TlsProbe() as probe:
            return _asking_a_port(probe)
        case CommandProbe() as probe:
            return _running(probe, root)
        case FileProbe() as probe:
            return _reading(probe, root)


def _asking_http(probe: HttpProbe) -> Callable[..., None]:
    def check(candidate: httpx.Client) -> None:
        _hold(probe.what, probe.complaints(candidate))

    return check


def _asking_sql(probe: SqlProbe) -> Callable[..., None]:
    def check(database: Mapping[str, Engine]) -> None:
        _hold(probe.what, probe.complaints(database["candidate"]))

    return check


def _asking_a_port(probe: TcpProbe | TlsProbe) -> Callable[..., None]:
    def check(rehearse_access: Access) -> None:
        try:
            place = _place(probe, rehearse_access)
            complaints = list(probe.complaints(place))
        except RehearseError as error:
            rehearse_access.refusals.append(str(error))
            pytest.fail(str(error), pytrace=False)
        _hold(probe.what(place), complaints)

    return check


def _place(probe: TcpProbe | TlsProbe, access: Access) -> Place:
    side, context = access.side(Side.CANDIDATE), access.context
    allow_list = AllowList(context.allow, context.production, side.other_sides)
    return place_of(side, probe.host, probe.port, allow_list)


def _running(probe: CommandProbe, root: Path) -> Callable[..., None]:
    def check(rehearse_access: Access) -> None:
        longest_s = _SHARE_OF_DEADLINE * rehearse_access.context.timeout_s
        _hold(probe.what, probe.complaints(rehearse_access.side(Side.CANDIDATE), root, longest_s))

    return check


def _reading(probe: FileProbe, root: Path) -> Callable[..., None]:
    def check(rehearse_access: Access) -> None:
        _hold(probe.what, probe.complaints(rehearse_access.side(Side.CANDIDATE), root))

    return check


def _hold(what: str, complaints: Iterable[str]) -> None:
    """Fail with one sentence about everything that is not as expected."""
    found = list(complaints)
    if found:
        more = f"; and {len(found) - _MOST_COMPLAINTS} more" if len(found) > _MOST_COMPLAINTS else ""
        sentence = f"{what}: {'; '.join(found[:_MOST_COMPLAINTS])}{more}"
        pytest.fail(cut(sentence, LONGEST_SENTENCE), pytrace=False)
