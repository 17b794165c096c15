"""What a database's URL says, and a way in that leads nowhere else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import OperationalError

from rehearse.allowlist import AllowList
from rehearse.databases import (
    DatabaseUrl,
    Way,
    engine_to,
    is_database,
    read_database_url,
    shown_url,
    way_to,
)
from rehearse.errors import ConfigError, NotReady, TargetRefused

CANARY = "canary-4711"


def resolving(**names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    return lambda name: names.get(name.replace("-", "_"), ())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db/shop", DatabaseUrl("postgresql+psycopg", "db", 5432, "shop")),
        (
            "postgresql+psycopg://me:p%40ss%2Fw@DB.example.:6432/shop?sslmode=require",
            DatabaseUrl(
                "postgresql+psycopg", "db.example", 6432, "shop", "me", "p@ss/w", {"sslmode": "require"}
            ),
        ),
        ("postgresql://[::1]:5433/shop", DatabaseUrl("postgresql+psycopg", "::1", 5433, "shop")),
        ("sqlite:///data/shop.db", DatabaseUrl("sqlite", None, None, "data/shop.db")),
        ("sqlite:////data/shop.db", DatabaseUrl("sqlite", None, None, "/data/shop.db")),
        (
            "mysql+pymysql://me:pw@127.0.0.1:3306/shop?charset=utf8mb4",
            DatabaseUrl("mysql+pymysql", "127.0.0.1", 3306, "shop", "me", "pw", {"charset": "utf8mb4"}),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_url_is_read_into_its_parts(url: str, expected: DatabaseUrl) -> None:
    assert read_database_url(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://db-a,db-b/shop", "host"),
        ("postgresql://db-a:5432,db-b:5432/shop", "one host"),
        ("postgresql://db/shop?host=evil", "parameter 'host'"),
        ("postgresql://db/shop?hostaddr=10.0.0.1", "parameter 'hostaddr'"),
        ("postgresql://db/shop?port=1", "parameter 'port'"),
        ("postgresql://db/shop?service=production", "parameter 'service'"),
        ("postgresql://db/shop?passfile=/etc/x", "parameter 'passfile'"),
        ("postgresql://db/shop?options=-crehearse.env%3Dstaging", "parameter 'options'"),
        ("postgresql://db/shop?dbname=host%3Devil", "parameter 'dbname'"),
        ("postgresql://db/shop?ssl_mode=require", "Did you mean 'sslmode'"),
        ("postgresql://db/shop?sslmode=a&sslmode=b", "twice"),
        ("postgresql:///shop", "names no host"),
        ("postgresql://%2Ftmp/shop", "host"),
        ("postgresql://127.1/shop", "unusual form of an IPv4"),
        ("postgresql://db:0/shop", "port outside"),
        ("postgresql://db", "names no database"),
        (f"postgresql://me:{CANARY}@x@db/shop", "percent-encoded"),
        (f"postgresql://me:{CANARY}/x@db/shop", "percent-encoded"),
        (f"postgresql://me:{CANARY}#x@db/shop", "percent-encoded"),
        (f"postgresql://me:{CANARY} x@db/shop", "has a space"),
        (f"postgresql://me:{CANARY}%0ax@db/shop", "control character"),
        (f"postgresql://me:{CANARY}", "is not a URL of one database"),
        ("postgres://db/shop", "Did you mean 'postgresql'"),
        ("postgresql+psycopg2://db/shop", "Did you mean 'postgresql+psycopg'"),
        ("mysql://db:3306/shop", "mysql+pymysql"),
        ("mysql+pymysql://db/shop", "has no port"),
        ("mysql+pymysql://db:3306/shop?unix_socket=/x", "parameter 'unix_socket'"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///shop.db?mode=rwc", "must name a file"),
        ("sqlite://shop.db", "must name a file"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_and_no_password_is_said(url: str, why: str) -> None:
    assert is_database(url)
    with pytest.raises(ValueError, match=re.escape(why)) as error:
        read_database_url(url)
    assert CANARY not in str(error.value)


@pytest.mark.parametrize("url", ["http://a", "HTTPS://a", "ws://a", "ftp://a", "file:///a", "a:80", ""])
def test_what_is_not_a_database_is_read_as_http(url: str) -> None:
    assert not is_database(url)


def test_a_password_is_not_shown() -> None:
    url = f"postgresql://me:{CANARY}@db/shop"
    assert shown_url(url) == "postgresql://db/shop"
    assert shown_url("http://shop/x") == "http://shop/x"
    assert CANARY not in repr(read_database_url(url))


def test_every_address_of_the_host_must_be_allowed() -> None:
    url = read_database_url("postgresql://db-old/shop")
    allowed = AllowList(("db-old",))
    both = resolving(db_old=("10.0.0.1", "10.0.0.2", "10.0.0.1"))
    assert way_to(url, allowed, both).addresses == ("10.0.0.1", "10.0.0.2")
    with pytest.raises(TargetRefused, match="not on the allow-list"):
        way_to(url, AllowList(("db-new",)), both)
    with pytest.raises(TargetRefused, match=r"10\.0\.0\.2"):
        way_to(url, AllowList(("db-old",), ("10.0.0.2",)), both)
    with pytest.raises(TargetRefused, match="allow-list"):
        way_to(url, AllowList(("db-old:5433",)), both)


def test_the_other_sides_database_is_refused() -> None:
    url = read_database_url("postgresql://db-old/shop")
    with pytest.raises(TargetRefused, match="other side"):
        way_to(url, AllowList(("db-old",), (), ("db-old:5432",)), resolving(db_old=("10.0.0.1",)))


@pytest.mark.parametrize("variable", ["PGSERVICE", "PGSERVICEFILE"])
def test_a_variable_that_could_lead_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "production")
    with pytest.raises(TargetRefused, match=variable):
        way_to(read_database_url("postgresql://127.0.0.1/shop"), AllowList(("127.0.0.1",)))


def test_libpq_gets_addresses_and_has_nothing_left_to_look_up() -> None:
    seen: list[dict[str, object]] = []
    url = read_database_url("postgresql://me:p%40ss@db-old:6432/shop?sslmode=verify-full")
    engine = engine_to(Way(url, ("10.0.0.1", "10.0.0.2")), 2.5, side_effects=False)
    stop_before_connecting(engine, seen)
    assert seen == [
        {
            "host": "db-old,db-old",
            "hostaddr": "10.0.0.1,10.0.0.2",
            "port": "6432,6432",
            "dbname": "shop",
            "user": "me",
            "password": "p@ss",
            "sslmode": "verify-full",
            "gssencmode": "disable",
            "connect_timeout": 3,
            "options": "-c statement_timeout=2500 -c default_transaction_read_only=on",
        }
    ]
    assert engine.url == make_url("postgresql+psycopg://")


def stop_before_connecting(engine: Engine, seen: list[dict[str, object]]) -> None:
    from sqlalchemy import event

    class Stopped(Exception):
        pass

    @event.listens_for(engine, "do_connect")
    def _(_dialect: object, _record: object, arguments: list[str], parameters: dict[str, object]) -> None:
        assert arguments in ([], [""])
        seen.append({name: value for name, value in parameters.items() if name != "context"})
        raise Stopped

    with pytest.raises(Stopped):
        engine.connect()


def test_with_side_effects_nothing_is_read_only() -> None:
    seen: list[dict[str, object]] = []
    engine = engine_to(Way(read_database_url("postgresql://db/shop"), ("10.0.0.1",)), 1.0, side_effects=True)
    stop_before_connecting(engine, seen)
    assert seen[0]["options"] == "-c statement_timeout=1000"


def test_a_host_without_an_address_is_not_ready() -> None:
    with pytest.raises(NotReady, match="'db' has no address"):
        engine_to(Way(read_database_url("postgresql://db/shop")), 1.0, side_effects=True)


def test_a_database_that_cannot_be_kept_to_reads_needs_side_effects() -> None:
    way = Way(read_database_url("mysql+pymysql://127.0.0.1:3306/shop"), ("127.0.0.1",))
    with pytest.raises(ConfigError, match=r"mysql cannot be kept to reads.*safety\.side_effects"):
        engine_to(way, 1.0, side_effects=False)


def test_a_driver_that_is_not_installed_is_named() -> None:
    way = Way(read_database_url("mysql+nosuchdriver://127.0.0.1:3306/shop"), ("127.0.0.1",))
    with pytest.raises(ConfigError, match="nosuchdriver"):
        engine_to(way, 1.0, side_effects=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a shop?.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (x)")
        connection.commit()
    return path


def test_sqlite_is_only_read_without_side_effects(file: Path) -> None:
    way = Way(DatabaseUrl("sqlite", None, None, str(file)))
    with engine_to(way, 1.0, side_effects=False).connect() as connection:
        assert connection.exec_driver_sql("select count(*) from t").scalar_one() == 0
        with pytest.raises(OperationalError, match="readonly"):
            connection.exec_driver_sql("insert into t values (1)")
    with engine_to(way, 1.0, side_effects=True).connect() as connection:
        connection.exec_driver_sql("insert into t values (1)")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (1,)


def test_a_sqlite_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    way = Way(DatabaseUrl("sqlite", None, None, str(tmp_path / "shop.db")))
    with pytest.raises(OperationalError, match="unable to open"):
        engine_to(way, 1.0, side_effects=True).connect()
    assert list(tmp_path.iterdir()) == []
