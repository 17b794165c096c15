"""Bringing a database to the newest schema: the migrations, found inside the installed package.

No alembic.ini: the configuration is made here, so that a wheel brings all it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect

from rehearse.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

# A name of our own: `alembic_version` in a shared database may be somebody else's.
VERSION_TABLE = "rehearse_version"
HEAD = "0004"  # the newest migration; said here too, so that a current store is opened without Alembic


def alembic_config(connection: Connection | None = None) -> Config:
    """What Alembic's commands need; `env.py` works on `connection`, inside its transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "rehearse.store:migrations")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection, shown_url: str) -> None:
    """Bring the schema to the newest revision; `connection` is in a transaction that nobody else can be in.

    Raises StoreError for a database that a newer `rehearse` or something else wrote.
    """
    heads = _heads(connection)
    if heads == (HEAD,):
        return
    # Slow to import, and seldom needed.
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    _refuse_unknown(heads, known, shown_url)
    if not heads:
        _refuse_foreign(connection, shown_url)
    command.upgrade(config, "head")
    _refuse_broken_references(connection, shown_url)


def _heads(connection: Connection) -> tuple[str, ...]:
    """The revision that the database is at; nothing for a new one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ()
    return tuple(connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalars())  # noqa: S608


def _refuse_unknown(heads: tuple[str, ...], known: set[str], shown_url: str) -> None:
    unknown = sorted(set(heads) - known)
    if unknown:
        raise StoreError(
            f"{shown_url} was written by a newer rehearse: its schema is {', '.join(unknown)}, and this one "
            f"knows up to {max(known)}. Upgrade rehearse here, or use another store url."
        )


def _refuse_foreign(connection: Connection, shown_url: str) -> None:
    tables = sorted(set(inspect(connection).get_table_names()) - {VERSION_TABLE})
    if tables:
        raise StoreError(
            f"{shown_url} is not a rehearse store: it holds the tables {', '.join(tables[:5])} and no "
            f"{VERSION_TABLE}. Use a database of its own: set another store url."
        )


def _refuse_broken_references(connection: Connection, shown_url: str) -> None:
    # A migration runs with foreign keys off (see database.py), so SQLite has not looked yet.
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken:
        raise StoreError(
            f"{shown_url} cannot be upgraded: a row of {broken[0]} refers to a missing row of {broken[2]}. "
            "Nothing was changed. Restore a copy of the file, or move it away to start a new store."
        )
