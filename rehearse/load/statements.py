"""The statements of a SqlUser, from a reviewed file: `[[statements]]` with name, sql, weight and parameters.

Everything that is wrong with the file is said at once, and before there is any load.
"""

from __future__ import annotations

import ast
import csv
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from rehearse.errors import ConfigError, nearest

Row = Mapping[str, Any]

REQUEST_TYPE = "SQL"  # stands before a statement's name, as a method stands before a path
KEYS = ("name", "parameters", "sql", "weight")
MAX_WEIGHT = 1000  # Locust keeps one task for each unit of it
MAX_ROWS = 1_000_000
ATTRIBUTE = "statements"
# As SQLAlchemy's text() finds them; `::` is a cast, and `\:` a colon.
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_EXAMPLE = "[[statements]]\nname = 'order by id'\nsql = 'select * from orders where id = :id'"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, and the rows that its parameters are taken from; one empty row when it has none."""

    name: str
    sql: str
    weight: int
    rows: tuple[Row, ...]


class RowDeck:
    """Deals the parameters of one statement in a seeded order, all of them before any comes again.

    With the same seed the n-th run of a statement has the same parameters on both sides.
    """

    def __init__(self, rows: Sequence[Row], seed: str) -> None:
        self._rows = rows
        self._rng = Random(seed)
        self._deck: list[Row] = []

    def draw(self) -> Row:
        """The next row."""
        if not self._deck:
            self._deck = list(self._rows)
            self._rng.shuffle(self._deck)
        return self._deck.pop()


def read_statements(path: Path) -> tuple[Statement, ...]:
    """The statements of a file. Raises ConfigError with one line for each mistake."""
    tables = _tables(path)
    mistakes: list[str] = []
    statements = []
    for number, table in enumerate(tables):
        reader = _Reader(path, number, table)
        statement = reader.statement()
        mistakes += reader.mistakes
        statements += [statement] if statement is not None else []
    names = [statement.name for statement in statements]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            mistakes.append(
                f"{path.name}: {names.count(name)} statements are named {name!r}; reports could not tell"
            )
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return tuple(statements)


def _tables(path: Path) -> list[object]:
    document = _document(path)
    for key in document:
        if key != ATTRIBUTE:
            raise ConfigError(f"{path.name}: {key}: is an unknown key. {nearest(key, [ATTRIBUTE])}")
    tables = document.get(ATTRIBUTE)
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{path.name}: has no statements; write them like\n{_EXAMPLE}")
    return tables


def _document(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; statements are named by file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: is not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:  # it names the line
        raise ConfigError(f"{path.name}: is not valid TOML: {error}") from None


class _Reader:
    """Reads one table of the file, and keeps what is wrong with it."""

    def __init__(self, path: Path, number: int, table: object) -> None:
        self._path = path
        self._table = table if isinstance(table, dict) else {}
        name = self._table.get("name")
        named = f" ({name!r})" if isinstance(name, str) else ""
        self._where = f"{path.name}: {ATTRIBUTE}[{number}]{named}"
        self.mistakes: list[str] = [] if isinstance(table, dict) else [f"{self._where}: is not a table"]

    def statement(self) -> Statement | None:
        """The statement; None when something is wrong with it."""
        if self.mistakes:
            return None
        for key in self._table:
            if key not in KEYS:
                self._note(key, f"is an unknown key. {nearest(key, KEYS)}")
        name, sql, weight = self._text("name"), self._text("sql"), self._weight()
        rows = self._rows(_parameters_of(sql)) if sql else ()
        return None if self.mistakes else Statement(name, sql, weight, rows)

    def _note(self, key: str, sentence: str) -> None:
        self.mistakes.append(f"{self._where}: {key}: {sentence}")

    def _text(self, key: str) -> str:
        value = self._table.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        self._note(key, "is missing" if value is None else f"{value!r} is not a text, or is blank")
        return ""

    def _weight(self) -> int:
        value = self._table.get("weight", 1)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_WEIGHT:
            return value
        self._note("weight", f"{value!r} is not a whole number from 1 to {MAX_WEIGHT}")
        return 1

    def _rows(self, wanted: tuple[str, ...]) -> tuple[Row, ...]:
        given = self._table.get("parameters")
        if given is None:
            if wanted:
                self._note("parameters", f"is missing; the sql has {_listed(wanted)}")
            return ({},)
        rows = list(self._of_csv(given) if isinstance(given, str) else self._of_list(given))
        if not rows and not self.mistakes:
            self._note("parameters", "has no rows")
        if rows:
            self._check_names(rows, wanted)
        return tuple(rows)

    def _of_list(self, given: object) -> Iterator[Row]:
        if not isinstance(given, list):
            self._note("parameters", "is no list of rows, such as [{ id = 7 }, { id = 8 }], and no CSV file")
            return
        for position, row in enumerate(given):
            if not isinstance(row, dict):
                self._note(f"parameters[{position}]", "is not a row such as { id = 7 }")
                return
            for name, value in row.items():
                if isinstance(value, dict):
                    self._note(f"parameters[{position}].{name}", "is a table; a parameter is one value")
            yield row

    def _of_csv(self, given: str) -> Iterator[Row]:
        """The columns are the parameters. As in PostgreSQL's own CSV, an empty cell is NULL."""
        path = self._path.parent / given
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from self._csv_rows(csv.DictReader(file, strict=True), given)
        except OSError as error:
            self._note(
                "parameters",
                f"{given!r} cannot be read: {error.strerror}; it is looked for next to this file",
            )
        except (csv.Error, UnicodeDecodeError) as error:
            self._note("parameters", f"{given!r} is not a CSV file in UTF-8: {error}")

    def _csv_rows(self, reader: csv.DictReader[str], given: str) -> Iterator[Row]:
        for count, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                self._note(
                    "parameters", f"{given!r}: line {reader.line_num} has more or fewer cells than the first"
                )
                return
            if count > MAX_ROWS:
                self._note("parameters", f"{given!r} has more than {MAX_ROWS} rows; take a sample of them")
                return
            yield {name: value or None for name, value in row.items()}

    def _check_names(self, rows: list[Row], wanted: tuple[str, ...]) -> None:
        """Each row has what the sql asks for, and nothing else: a misspelt column would be no parameter at all."""
        for position, row in enumerate(rows):
            for name in wanted:
                if name not in row:
                    self._note(f"parameters[{position}]", f"has no {name!r}, and the sql has :{name}")
            for name in row:
                if name not in wanted:
                    hint = nearest(name, wanted) if wanted else "The sql has no parameters."
                    self._note(f"parameters[{position}]", f"has {name!r}, and the sql has no :{name}. {hint}")
            if self.mistakes:
                return  # the other rows would say the same


def _parameters_of(sql: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_PARAMETER.findall(sql)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f":{name}" for name in names)


# --- what a scenario reads


def files_of(scenario: Path) -> tuple[Path, ...]:
    """The files that the SqlUser classes of a scenario read; found without running it.

    A recording with other statements, or other parameters, is of another load: these files belong to its provenance.
    Raises ConfigError for what is wrong with them.
    """
    files = []
    for path in _statement_files(scenario):
        read_statements(path)  # what is wrong with it is better said now than by a worker
        given = [table.get("parameters") for table in _tables(path) if isinstance(table, dict)]
        files += [path, *(path.parent / file for file in given if isinstance(file, str))]
    return tuple(dict.fromkeys(files))


def _statement_files(scenario: Path) -> Iterator[Path]:
    """Every `statements = "file"` in a class; what is computed instead cannot be known before it runs."""
    try:
        tree = ast.parse(scenario.read_bytes())
    except SyntaxError:
        return  # the worker says so, with the line
    for found in ast.walk(tree):
        for step in found.body if isinstance(found, ast.ClassDef) else []:
            value = _assigned(step)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield scenario.parent / value.value


def _assigned(step: ast.stmt) -> ast.expr | None:
    targets = (
        step.targets
        if isinstance(step, ast.Assign)
        else [step.target]
        if isinstance(step, ast.AnnAssign)
        else []
    )
    is_ours = any(isinstance(target, ast.Name) and target.id == ATTRIBUTE for target in targets)
    return step.value if is_ours and isinstance(step, ast.Assign | ast.AnnAssign) else None
