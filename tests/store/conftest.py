"""Every promise of the store holds on both databases; PostgreSQL runs when there is a server for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearse.store import Store
from tests.store.examples import sqlite_url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of a store that does not exist yet."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return sqlite_url(tmp_path / ".rehearse" / "rehearse.db")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A new, empty store."""
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a SQLite store will be."""
    return tmp_path / ".rehearse" / "rehearse.db"


@pytest.fixture
def local_store(file: Path) -> Iterator[Store]:
    """A new SQLite store: enough for what is refused before any database is asked."""
    with Store.open(sqlite_url(file)) as opened:
        yield opened
