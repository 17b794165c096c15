"""The migrations: they make what tables.py says, keep the rows, go back, and refuse what is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, String, Text, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from rehearse.errors import NotReady, StoreError
from rehearse.model import RunKind
from rehearse.store import Store
from rehearse.store.schema import HEAD, VERSION_TABLE, alembic_config, migrate
from rehearse.store.tables import Base
from tests.store.examples import ABORT, block, finished, keep, record, sqlite_url


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A plain connection, as another program would have; committed at the end."""
    engine = create_engine(make_url(url).set(drivername=url.partition(":")[0]), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def context_of(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(
        connection,
        opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True},
    )


def test_the_migrations_make_what_the_tables_say(store: Store, store_url: str) -> None:
    with connected(store_url) as connection:
        assert compare_metadata(context_of(connection), Base.metadata) == []


def test_every_constraint_has_its_conventional_name(store: Store, store_url: str) -> None:
    expected = {
        str(constraint.name) for table in Base.metadata.tables.values() for constraint in table.constraints
    }
    with connected(store_url) as connection:
        look = inspect(connection)
        found = {
            str(each["name"])
            for table in Base.metadata.tables
            for each in (
                look.get_pk_constraint(table),
                *look.get_unique_constraints(table),
                *look.get_foreign_keys(table),
            )
        }
    assert found == expected


def test_there_is_one_line_of_migrations_and_its_end_is_known() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]


def test_the_way_back_and_forth_with_rows_in_the_tables(store_url: str) -> None:
    with Store.open(store_url) as store:
        keep(store, record())
        store.name_baseline("main", "run-1")
    with connected(store_url) as connection:
        command.downgrade(alembic_config(connection), "base")
        assert set(inspect(connection).get_table_names()) == {VERSION_TABLE}
    with Store.open(store_url) as store:
        assert store.runs() == ()
        keep(store, record())
        store.verify("run-1")


@pytest.mark.parametrize("revision", ["0003", "0002", "0001"])
def test_a_store_of_an_older_rehearse_keeps_its_runs_and_their_digests(store_url: str, revision: str) -> None:
    """Down with data in the tables, and up again; before 0002 there were no exhibits to keep."""
    with Store.open(store_url) as store:
        for run_id, kind in (("base", RunKind.BASELINE), ("compared", RunKind.COMPARISON)):
            store.begin_run(record(run_id, kind))
            store.add_block(run_id, block())
            store.update_run(finished(record(run_id, kind)))
        store.update_run(replace(store.run("compared"), verdict=ABORT))
        store.name_baseline("main", "base")
        before = store.summaries(9)
        assert before[0].title.startswith("Django 5.2")
    with connected(store_url) as connection:
        command.downgrade(alembic_config(connection), revision)
        assert "candidate" not in {column["name"] for column in inspect(connection).get_columns("runs")}
        assert not inspect(connection).has_table("sign_offs")
    with Store.open(store_url) as store:
        assert store.summaries(9) == before
        assert [one.decision for one in before] == ["ABORT", None]
        assert store.baseline("main").run_id == "base"
        store.verify("compared")


def test_a_damaged_run_does_not_stop_an_upgrade_and_is_found_when_it_is_read(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
    with connected(sqlite_url(file)) as connection:
        command.downgrade(alembic_config(connection), "0002")
        connection.execute(text("UPDATE runs SET document = 'x'"))
    with Store.open(sqlite_url(file)) as store:
        assert [(one.run_id, one.title) for one in store.summaries(9)] == [("run-1", "")]
        with pytest.raises(StoreError, match="run run-1 cannot be read"):
            store.run("run-1")


def test_opening_a_current_store_changes_nothing(store_url: str) -> None:
    with Store.open(store_url) as store:
        kept = keep(store, record())
    with Store.open(store_url) as store:
        assert store.runs() == (kept,)


def test_a_later_migration_keeps_the_rows_below_the_table_that_it_rebuilds(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch mode drops and re-creates `runs`; blocks cascade from it, and must still be there."""

    def add_a_column(connection: Connection, shown_url: str) -> None:
        with Operations(context_of(connection)).batch_alter_table("runs", recreate="auto") as batch:
            batch.add_column(Column("note", Text(), nullable=False, server_default=""))
            batch.alter_column("verdict", type_=String(10_000_000))
        migrate(connection, shown_url)

    with Store.open(store_url) as store:
        keep(store, record())
        store.name_baseline("main", "run-1")
    monkeypatch.setattr("rehearse.store.database.migrate", add_a_column)
    with Store.open(store_url) as store:
        assert store.baseline("main") == finished(record())
        assert store.blocks("run-1") == (block(0), block(1), block(2))


def test_a_migration_that_fails_leaves_everything_as_it_was(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_half_way(connection: Connection, shown_url: str) -> None:
        connection.execute(text("DROP TABLE blocks"))
        connection.execute(text("DROP TABLE no_such_table"))

    with Store.open(store_url) as store:
        keep(store, record())
    with monkeypatch.context() as patched:
        patched.setattr("rehearse.store.database.migrate", fail_half_way)
        with pytest.raises(StoreError, match="no_such_table"):
            Store.open(store_url)
    with Store.open(store_url) as store:
        store.verify("run-1")


def test_a_store_of_a_newer_rehearse_is_left_alone(store_url: str) -> None:
    Store.open(store_url).close()
    with connected(store_url) as connection:
        connection.execute(text("UPDATE rehearse_version SET version_num = '0009'"))
    with pytest.raises(
        StoreError,
        match=rf"was written by a newer rehearse: its schema is 0009, and this one knows up to {HEAD}",
    ):
        Store.open(store_url)


def test_a_database_of_something_else_is_left_alone(store_url: str) -> None:
    if store_url.startswith("sqlite"):
        Path(make_url(store_url).database or "").parent.mkdir()
    with connected(store_url) as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER)"))
    with pytest.raises(StoreError, match="is not a rehearse store: it holds the tables orders and no"):
        Store.open(store_url)
    with connected(store_url) as connection:
        assert inspect(connection).get_table_names() == ["orders"]


def test_a_reference_into_nothing_stops_an_upgrade(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def upgrade_badly(config: Config, revision: str) -> None:
        upgrade(config, revision)
        config.attributes["connection"].execute(text("INSERT INTO baselines VALUES (1, 'main', 77)"))

    Store.open(sqlite_url(file)).close()
    with connected(sqlite_url(file)) as connection:
        command.downgrade(alembic_config(connection), "base")
    monkeypatch.setattr(command, "upgrade", upgrade_badly)
    with pytest.raises(StoreError, match=r"a row of baselines refers to a missing row of runs. Nothing was"):
        Store.open(sqlite_url(file))
    monkeypatch.undo()
    with Store.open(sqlite_url(file)) as store, pytest.raises(NotReady, match=r"There are none"):
        store.baseline("main")


def test_the_migrations_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("sqlite:///x.db").close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
