"""What must be as it was: a command, a path or a query, asked before an upgrade and after its undo."""

from __future__ import annotations

import re
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rehearse.cutovers import SameAnswer
from rehearse.databases import POSTGRESQL
from rehearse.errors import NotReady
from rehearse.process_groups import begin_group, exit_code_of
from rehearse.redaction import Clean, cut

if TYPE_CHECKING:
    from sqlalchemy import Engine, Inspector

TIMEOUT_S = 60.0
MOST_BYTES = 50_000_000
_BUILT_IN = "information_schema"
_LONGEST = 160  # characters of a line that is shown


class SaysNothing(NotReady):
    """An answer that proves nothing, however often it is given: empty, or no success."""


class Question(Protocol):
    """Something that has an answer."""

    def ask(self) -> str:
        """The answer. Raises NotReady when there is none, SaysNothing for one that proves nothing."""
        ...


@dataclass(frozen=True, slots=True)
class CommandQuestion:
    """What a command prints; it must end with 0."""

    argv: Sequence[str]
    working_dir: Path

    def ask(self) -> str:
        """See Question."""
        with tempfile.TemporaryFile() as said:
            try:
                process = begin_group(
                    self.argv, self.working_dir, subprocess.DEVNULL, said, subprocess.DEVNULL
                )
            except OSError as error:
                raise NotReady(f"{self.argv[0]!r} cannot be run: {error.strerror or error}") from None
            code = exit_code_of(process, TIMEOUT_S)
            if code != 0:
                how = f"ended with exit code {code}" if code is not None else f"took over {TIMEOUT_S:g} s"
                raise NotReady(f"{self.argv[0]!r} {how}")
            said.seek(0)
            answer = said.read(MOST_BYTES + 1)
        if len(answer) > MOST_BYTES:
            raise NotReady(f"{self.argv[0]!r} says more than {MOST_BYTES / 1e6:g} MB")
        return answer.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class PathQuestion:
    """Status and body of one GET."""

    answer: Callable[[str], tuple[int, bytes] | None]
    path: str

    def ask(self) -> str:
        """See Question."""
        found = self.answer(self.path)
        if found is None:
            raise NotReady(f"GET {self.path} has no answer")
        status, body = found
        if status // 100 != 2:
            raise SaysNothing(f"GET {self.path} answers {status}")
        return f"status {status}\n{body.decode(errors='replace')}"


@dataclass(frozen=True, slots=True)
class SqlQuestion:
    """The rows of a query, one a line."""

    engine: Engine
    sql: str

    def ask(self) -> str:
        """See Question."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.engine.connect() as connection:
                return "\n".join(str(tuple(row)) for row in connection.execute(text(self.sql)))
        except SQLAlchemyError as error:
            raise NotReady(f"the query failed: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class SchemaQuestion:
    """Tables with their columns, types, keys, constraints and indexes, one a line, whatever order they were made in."""

    engine: Engine

    def ask(self) -> str:
        """See Question."""
        from sqlalchemy import inspect
        from sqlalchemy.exc import SAWarning, SQLAlchemyError

        try:
            with warnings.catch_warnings(), self.engine.connect() as connection:
                warnings.simplefilter("ignore", SAWarning)  # of types that it does not know
                inspector = inspect(connection)
                # Elsewhere the other schemas are other databases.
                is_postgresql = self.engine.dialect.name == POSTGRESQL
                schemas = inspector.get_schema_names() if is_postgresql else [None]
                lines = [
                    line for one in schemas if one != _BUILT_IN for line in _schema_lines(inspector, one)
                ]
        except SQLAlchemyError as error:
            raise NotReady(f"the schema cannot be read: {type(error).__name__}") from None
        return "\n".join(sorted(lines))


def _schema_lines(inspector: Inspector, schema: str | None) -> Iterator[str]:
    from sqlalchemy.engine.reflection import ObjectKind

    parts: Mapping[str, Mapping[tuple[str | None, str], Any]] = {
        "column": inspector.get_multi_columns(schema=schema, kind=ObjectKind.ANY),
        "primary key": inspector.get_multi_pk_constraint(schema=schema),
        "foreign key": inspector.get_multi_foreign_keys(schema=schema),
        "unique": inspector.get_multi_unique_constraints(schema=schema),
        "check": inspector.get_multi_check_constraints(schema=schema),
        "index": inspector.get_multi_indexes(schema=schema),
    }
    for what, tables in parts.items():
        for (_, table), found in tables.items():
            for one in found if isinstance(found, list) else [found]:
                told = ", ".join(f"{key} {one[key]!r}" for key in sorted(one) if one[key] and key != "name")
                place = ".".join(name for name in (schema, table, one.get("name")) if name)
                yield f"{what} {place}: {told}"


@dataclass(slots=True)
class AskedTwice:
    """One question, and what it was answered before. No answer at all is no agreement."""

    name: str
    question: Question
    ignore: str
    clean: Clean
    _before: str | None = None
    _trouble: str = ""

    def ask_before(self) -> None:
        """The first time."""
        try:
            self._before = self._asked()
        except NotReady as error:
            self._trouble = f"before: {error}"

    def ask_after(self) -> SameAnswer:
        """The second time, and how the answers compare."""
        if self._before is None:
            return SameAnswer(self.name, trouble=self.clean(self._trouble or "it was not asked before"))
        try:
            after = self._asked()
        except SaysNothing as error:
            difference = self.clean(f"it had an answer before, and now: {error}")
            return SameAnswer(self.name, _digest(self._before), _digest(""), difference)
        except NotReady as error:
            return SameAnswer(self.name, _digest(self._before), trouble=self.clean(f"after: {error}"))
        difference = self.clean(first_difference(self._before, after))
        return SameAnswer(self.name, _digest(self._before), _digest(after), difference)

    def _asked(self) -> str:
        answer = self.question.ask()
        if not answer.strip():
            raise SaysNothing("the answer is empty")
        if not self.ignore:
            return answer
        kept = "\n".join(line for line in answer.splitlines() if not re.search(self.ignore, line))
        if not kept.strip():
            raise SaysNothing("all of the answer is ignored")
        return kept


def first_difference(before: str, after: str) -> str:
    """The first line that differs, as it was and as it is; empty when they are the same."""
    if before == after:
        return ""
    for number, (was, now) in enumerate(zip_longest(before.splitlines(), after.splitlines()), start=1):
        if was != now:
            return f"line {number} was {_shown(was)} and is {_shown(now)}"
    return "their ends differ"


def _shown(line: str | None) -> str:
    return "not there" if line is None else repr(cut(line, _LONGEST))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
