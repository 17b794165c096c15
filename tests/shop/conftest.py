"""Shops to ask: each version served from this process, on a copy of one small database."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine, make_url, text

from rehearse.shop.app import create_app
from rehearse.shop.migration import migrate
from rehearse.shop.seeding import PASSWORD, seed
from rehearse.shop.serving import ServeSettings, server_config
from rehearse.shop.tables import connect
from rehearse.shop.versions import BEHAVIOURS

FEW_ORDERS = 5_000
POSTGRES_URL = os.environ.get("REHEARSE_TEST_POSTGRES_URL")
POSTGRES_SCHEMA = "rehearse_shop_test"

Serve = Callable[[str, Engine], AbstractContextManager[httpx.Client]]


@contextmanager
def _serving(version: str, engine: Engine) -> Iterator[httpx.Client]:
    """A client, logged in, of one version on this database (which is migrated)."""
    migrate(engine, BEHAVIOURS[version])
    settings = ServeSettings(version, "127.0.0.1", 0, str(engine.url), exits_with_parent=False)
    server = uvicorn.Server(server_config(create_app(engine, version), settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=_address(server), timeout=20) as client:
            login = client.post("/login", json={"user": "clerk-1", "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {login.json()['token']}"
            yield client
    finally:
        server.should_exit = True
        thread.join()


def _address(server: uvicorn.Server) -> str:
    give_up_at_s = time.monotonic() + 60
    while not server.started and time.monotonic() < give_up_at_s:
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    return f"http://{host}:{port}"


@pytest.fixture(scope="session")
def seeded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file as 1.0 has it, with few orders; to be copied."""
    path = tmp_path_factory.mktemp("shop") / "seeded.db"
    engine = connect(f"sqlite:///{path}")
    seed(engine, FEW_ORDERS)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def shops(seeded_file: Path) -> Iterator[dict[str, httpx.Client]]:
    """One running shop per version, each on a database of its own."""
    with ExitStack() as stack:
        clients = {}
        for version in BEHAVIOURS:
            path = seeded_file.with_name(f"{version}.db")
            shutil.copy(seeded_file, path)
            engine = connect(f"sqlite:///{path}")
            stack.callback(engine.dispose)
            clients[version] = stack.enter_context(_serving(version, engine))
        yield clients


@pytest.fixture
def good_shop(shops: dict[str, httpx.Client]) -> httpx.Client:
    """The known-good version."""
    return shops["1.0"]


@pytest.fixture
def serve() -> Serve:
    """Migrates a database to one version and serves it, as a context manager."""
    return _serving


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgres),
    ]
)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind; PostgreSQL in a schema of its own, dropped at the end."""
    if request.param == "sqlite":
        engine = connect(f"sqlite:///{tmp_path / 'shop.db'}")
        yield engine
        engine.dispose()
    else:
        assert POSTGRES_URL is not None
        yield from _empty_postgres(POSTGRES_URL)


def _empty_postgres(url: str) -> Iterator[Engine]:
    owner = connect(url)
    with owner.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {POSTGRES_SCHEMA} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {POSTGRES_SCHEMA}"))
    in_schema = make_url(url).update_query_dict({"options": f"-csearch_path={POSTGRES_SCHEMA}"})
    engine = connect(in_schema.render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    with owner.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {POSTGRES_SCHEMA} CASCADE"))
    owner.dispose()
