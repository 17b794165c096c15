"""Calls squawk on SQL files, and reads its JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, TypeAdapter, ValidationError

from rehearse.errors import ConfigError
from rehearse.migrations.linting import Linted, Ran, Run, Sources, unsafe
from rehearse.migrations.rules import SQUAWK, rule_named

TOOL = "squawk"
_NOT_SQL = "syntax-error"


class _Violation(BaseModel):
    """One element of squawk's JSON; other fields are let be."""

    file: str
    line: int
    message: str
    rule_name: str


_VIOLATIONS = TypeAdapter(list[_Violation])


def lint_sql(sources: Sources, root: Path, run: Run) -> tuple[Linted, ...]:
    """One outcome for all files; none when no SQL is named. Raises ConfigError when a pattern fits no file."""
    if not sources.sql:
        return ()
    files = sql_files(sources.sql, root)
    if sources.since:
        files, trouble = _changed_since(sources.since, files, root, run)
        if trouble or not files:
            return (Linted(TOOL, trouble=trouble),)
    empty = [name for name in files if not (root / name).read_bytes().strip()]
    if empty:
        return (Linted(TOOL, trouble=f"{empty[0]} is empty: a migration that does nothing, or half of one"),)
    squawk = program()
    if squawk is None:
        return (Linted(TOOL, trouble="squawk is not installed: pip install 'upgrade-rehearsal[migrations]'"),)
    with TemporaryDirectory() as folder:  # a .squawk.toml could leave files out, and nothing would show it
        config = Path(folder) / "squawk.toml"
        config.touch()
        argv = [squawk, "--config", str(config), "--reporter", "Json"]
        argv += ["--assume-in-transaction"] if sources.in_transaction else []
        return (
            read_output(run([*argv, "--", *map(escape, files)], root), files),
        )  # it reads names as patterns


def sql_files(patterns: Iterable[str], root: Path) -> tuple[str, ...]:
    """The files, in order of their names, relative to `root` where they lie in it. Raises ConfigError."""
    found: dict[str, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        base, rest = (
            (Path(path.anchor), str(path.relative_to(path.anchor))) if path.anchor else (root, pattern)
        )
        names = sorted(
            str(one if path.anchor else one.relative_to(root)) for one in base.glob(rest) if one.is_file()
        )
        if not names:
            raise ConfigError(f"{pattern!r}: no file fits; name SQL files like 'migrations/*.sql'")
        found |= dict.fromkeys(names)
    return tuple(found)


def read_output(ran: Ran, files: Iterable[str]) -> Linted:
    """What a run of squawk says: an empty list only counts when it also ended well."""
    names = tuple(files)
    try:
        violations = _VIOLATIONS.validate_json(ran.out)
    except ValidationError:
        return Linted(TOOL, trouble=f"squawk gave no result that can be read ({ran.last_words})")
    if ran.code != (1 if violations else 0):
        return Linted(
            TOOL, trouble=f"squawk contradicts itself: {len(violations)} findings ({ran.last_words})"
        )
    return Linted(
        TOOL,
        migrations=len(names),
        unsafe=tuple(
            unsafe(TOOL, f"{one.file}:{one.line + 1}", rule, one.message)
            for one in violations
            if (rule := rule_named(one.rule_name, SQUAWK)) is not None and rule.dangers
        ),
        trouble=next(filter(None, map(_trouble_of, violations)), ""),
    )


def _trouble_of(one: _Violation) -> str:
    if one.rule_name == _NOT_SQL:
        return f"{one.file}:{one.line + 1} cannot be read as PostgreSQL ({one.message}): what it does is not known"
    if rule_named(one.rule_name, SQUAWK) is None:
        return f"squawk has a rule that rehearse does not know: {one.rule_name} ({one.file}:{one.line + 1})"
    return ""


def _changed_since(
    revision: str, files: tuple[str, ...], root: Path, run: Run
) -> tuple[tuple[str, ...], str]:
    ran = run(
        ["git", "diff", "--relative", "--name-only", "--diff-filter=AMR", "-z", revision, "--", *files], root
    )
    if ran.code != 0:
        return (), f"git does not say what changed since {revision} ({ran.last_words})"
    changed = set(ran.out.split("\0"))
    return tuple(name for name in files if name in changed), ""


def program() -> str | None:
    """Where squawk is: the one that was installed beside us goes first. None when it is not installed."""
    return shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
