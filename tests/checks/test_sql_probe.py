"""A SQL probe against a real SQLite file and a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rehearse.allowlist import AllowList
from rehearse.checks.probes.sql import SqlProbe
from rehearse.databases import engine_to, read_database_url, way_to
from tests.checks.declaring import probe

ORDERS = """
create table orders (id integer primary key, total numeric, note text);
insert into orders values (1, 10.5, 'a'), (2, 20, null);
"""


def engine_of(url: str) -> Engine:
    return engine_to(way_to(read_database_url(url), AllowList(("127.0.0.1",))), 5.0, side_effects=False)


@pytest.fixture
def sqlite(tmp_path: Path) -> Engine:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(ORDERS)
    return engine_of(f"sqlite:///{tmp_path / 'shop.db'}")


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[Engine, str], list[str]]:
    def complaints(engine: Engine, table: str) -> list[str]:
        return list(probe(tmp_path, SqlProbe, table).complaints(engine))

    return complaints


Ask = Callable[[Engine, str], list[str]]


@pytest.mark.parametrize(
    ("query", "expectation", "expected"),
    [
        ("select id, note from orders", "rows = 2", ""),
        ("select id, note from orders", "rows = [3, inf]", "expected 3 to inf rows, found 2"),
        ("select id, note from orders", "columns = ['id', 'note']", ""),
        ("select id, note from orders", "columns = ['note', 'id']", "expected the columns note, id, found id, note"),
        ("select 1 from orders where id > 5", "empty = true", ""),
        ("select 1 from orders", "empty = true", "expected no rows, found 2"),
        ("select sum(total) from orders", "scalar = 30.5", ""),
        ("select sum(total) from orders", "scalar.range = [0, 10]", "expected a number from 0 to 10, found 30.5"),
        ("select count(*) from orders", "scalar = 3", "expected 3, found 2"),
        ("select note from orders where id = 1", "scalar.regex = '^b'", "expected a text that matches '^b', found 'a'"),
        ("select id from orders", "scalar = 1", "expected a single value, found 2 rows of 1 columns"),
        ("select id from orders where id > 5", "scalar = 1", "expected a single value, found 0 rows of 1 columns"),
        ("select missing from orders", "rows = 0", "got no answer: no such column: missing"),
        ("delete from orders", "rows = 0", "got no answer: attempt to write a readonly database"),
    ],
)  # fmt: skip
def test_rows_are_compared_with_what_is_expected(
    sqlite: Engine, ask: Ask, query: str, expectation: str, expected: str
) -> None:
    said = ask(sqlite, f'query = "{query}"\nexpect.{expectation}')
    assert "; ".join(said) == expected


def test_a_value_with_the_name_of_a_secret_is_not_shown(sqlite: Engine, ask: Ask) -> None:
    (said,) = ask(sqlite, "query = \"select 'canary-4711' as api_token\"\nexpect.scalar = 1")
    assert said == "expected 1, found a string that is not shown"


def test_a_statement_without_rows_proves_nothing(sqlite: Engine, ask: Ask) -> None:
    (said,) = ask(sqlite, 'query = "begin"\nexpect.rows = 0')
    assert said.startswith("answers no rows at all")


def test_postgresql_is_asked_and_refuses_to_write(postgres_url: str, ask: Ask) -> None:
    engine = engine_of(postgres_url)
    assert ask(engine, "query = \"select 10.50::numeric where 'a%b' like 'a%'\"\nexpect.scalar = 10.5") == []
    (written,) = ask(engine, 'query = "create table t (id int)"\nexpect.rows = 0')
    assert "read-only transaction" in written
    (mistyped,) = ask(engine, 'query = "select missing"\nexpect.rows = 1')
    assert 'column "missing" does not exist' in mistyped


def test_a_database_that_is_gone_is_a_failure_told_apart(ask: Ask) -> None:
    (said,) = ask(engine_of("sqlite:////nowhere/shop.db"), 'query = "select 1"\nexpect.rows = 1')
    assert said == "got no answer: unable to open database file"
