"""Databases as targets: what their URL says, where it leads, and a way in that leads nowhere else.

A database's own library opens its sockets where Python's audit hook cannot see them, and it has many ways to be led
elsewhere: further hosts, services, parameters of the URL, variables. So there is one strict reader of the URL, every
address is checked here, and the library is handed addresses: it has nothing left to look up.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from rehearse.allowlist import AllowList, is_loopback, normal_host, system_resolve
from rehearse.errors import ConfigError, NotReady, TargetRefused, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

POSTGRESQL, SQLITE = "postgresql", "sqlite"
CAN_BE_KEPT_TO_READS = (POSTGRESQL, SQLITE)
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
}
_POSTGRESQL_PORT = 5432
_EXAMPLE = "postgresql+psycopg://user:${DB_PASSWORD}@host/database"
_SCHEME = re.compile(r"[a-z][a-z0-9_]*(?:\+[a-z0-9_]+)?")
_IS_DATABASE = re.compile(r"postgres|sqlite|(?:mysql|mariadb|mssql|oracle)\Z|[a-z0-9_]+\+")
_SERVER = re.compile(
    r"(?:(?P<user>[^:/@?#]*)(?::(?P<password>[^:/@?#]*))?@)?"
    r"(?P<host>\[[^\[\]/@]*\]|[^\[\]:/@?#]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<database>[^/@?#]*))?(?:\?(?P<query>[^@?#]*))?"
)
# What a URL may say besides: nothing of it names a host, a file with hosts, or options that undo ours.
_PARAMETERS = {
    POSTGRESQL: (
        "application_name channel_binding require_auth sslcert sslkey sslmode sslnegotiation sslrootcert"
        " target_session_attrs".split()
    ),
}
_OTHER_PARAMETERS = ["charset"]
# Variables by which libpq takes its parameters, hosts among them, from a file.
_LEADS_ELSEWHERE = ("PGSERVICE", "PGSERVICEFILE")
_SHORTEST_CONNECT_S = 2  # libpq takes less for 2


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """One database, as its URL names it. Without a host it is a file."""

    driver: str  # what SQLAlchemy calls it: "postgresql+psycopg"
    host: str | None
    port: int | None
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def dialect(self) -> str:
        """The kind of database, whatever driver speaks to it."""
        return self.driver.partition("+")[0]

    @property
    def is_on_loopback(self) -> bool:
        """True for this machine itself; a file is on it."""
        return self.host is None or is_loopback(self.host)


def is_database(url: str) -> bool:
    """Whether a target's URL names a database, and not an HTTP service."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and _IS_DATABASE.match(scheme.lower()) is not None


def read_database_url(text: str) -> DatabaseUrl:
    """What a database's URL says; ValueError, the end of a sentence about it, when readers could disagree.

    The message never holds a part of the URL that could be a password.
    """
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("has a space, a backslash or a control character in it")
    scheme, _, rest = text.partition("://")
    driver = _driver(scheme)
    if driver == SQLITE:
        return DatabaseUrl(SQLITE, None, None, _file(rest))
    found = _SERVER.fullmatch(rest)
    if not found:
        raise ValueError(
            f"is not a URL of one database; write it like '{_EXAMPLE}'. In user and password each of @ : / ? # is"
            " percent-encoded (%40 is @), and there is one host"
        )
    url = DatabaseUrl(
        driver,
        _host(found["host"]),
        _port(found["port"], driver),
        _decoded(found["database"]) or "",
        _decoded(found["user"]),
        _decoded(found["password"]),
    )
    if not url.database:
        raise ValueError(f"names no database; write it like '{_EXAMPLE}'")
    return replace(url, parameters=_parameters(found["query"] or "", url.dialect))


def _driver(scheme: str) -> str:
    if not _SCHEME.fullmatch(scheme):
        raise ValueError(f"does not start with http://, https:// or a database like '{_EXAMPLE}'")
    if scheme in _DRIVERS:
        return _DRIVERS[scheme]
    if scheme.startswith(("postgres", "sqlite")):
        raise ValueError(f"starts with {scheme}://, which is not supported. {nearest(scheme, _DRIVERS)}")
    if "+" not in scheme:
        raise ValueError(f"starts with {scheme}://; name SQLAlchemy's driver too, such as mysql+pymysql://")
    return scheme


def _file(rest: str) -> str:
    path = rest.removeprefix("/")
    if not rest.startswith("/") or path in ("", ":memory:") or "?" in path or "#" in path:
        raise ValueError("must name a file and nothing else: sqlite:///folder/file.db")
    return path


def _host(text: str) -> str:
    if not text:
        raise ValueError("names no host; a socket file cannot be checked: write 127.0.0.1 for this machine")
    try:
        return normal_host(text)
    except ValueError as error:
        raise ValueError(f"names a host that {error}") from None


def _port(text: str | None, driver: str) -> int:
    if text is None and driver.startswith(POSTGRESQL):
        return _POSTGRESQL_PORT
    if text is None:
        raise ValueError("has no port; write it, because what is connected to is compared with safety.allow")
    if not 0 < int(text) < 65536:
        raise ValueError("has a port outside 1..65535")
    return int(text)


def _decoded(text: str | None) -> str | None:
    if text is None:
        return None
    plain = unquote(text)
    if not plain.isprintable():
        raise ValueError("has a control character in it, percent-encoded")
    return plain


def _parameters(query: str, dialect: str) -> Mapping[str, str]:
    known = _PARAMETERS.get(dialect, _OTHER_PARAMETERS)
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name in names:
        if name not in known:
            raise ValueError(
                f"has the parameter {name[:40]!r}, which could lead elsewhere or undo a limit. {nearest(name, known)}"
            )
        if names.count(name) > 1:
            raise ValueError(f"has the parameter {name!r} twice")
    return dict(pairs)


def shown_url(url: str) -> str:
    """A target's URL as everybody may read it: a database's without user and password."""
    start, separator, rest = url.partition("://")
    return f"{start}://{rest.rpartition('@')[2]}" if separator and is_database(url) else url


# --- where it leads


@dataclass(frozen=True, slots=True)
class Way:
    """A database, and the addresses at which it may be connected to; a file has none."""

    url: DatabaseUrl
    addresses: tuple[str, ...] = ()


def way_to(
    url: DatabaseUrl, allow_list: AllowList, resolve: Callable[[str], Sequence[str]] = system_resolve
) -> Way:
    """Every address of its host, each one allowed. Raises TargetRefused; no address at all is for `engine_to`."""
    if url.host is None or url.port is None:
        return Way(url)
    for name in _LEADS_ELSEWHERE:
        if os.environ.get(name):
            raise TargetRefused(f"refused: the variable {name} could lead to another database; unset it.")
    allow_list.check_host(url.host, url.port)
    addresses = tuple(dict.fromkeys(resolve(url.host)))
    for address in addresses:
        allow_list.check_address(address, url.port, resolve)
    return Way(url, addresses)


def engine_to(way: Way, timeout_s: float, side_effects: bool) -> Engine:
    """An engine without a pool, for the checked addresses only: each statement is a transaction of its own.

    Unless `side_effects`, the database itself refuses to write; a statement that runs for longer than `timeout_s` is
    ended by PostgreSQL itself. Raises NotReady for a host without an address, and ConfigError for what is missing.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    url = way.url
    if not side_effects and url.dialect not in CAN_BE_KEPT_TO_READS:
        raise ConfigError(only_with_side_effects(url.dialect))
    if url.host is not None and not way.addresses:
        raise NotReady(f"the host {url.host!r} has no address.")
    try:
        engine = create_engine(
            _sqlalchemy_url(way),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # one round trip; what a commit costs is in the statement's time
            connect_args=_connect_args(way, timeout_s, side_effects),
            hide_parameters=True,  # they may be anybody's data, and errors end up in logs
        )
    except (ImportError, NoSuchModuleError) as error:
        extra = ": pip install 'upgrade-rehearsal[postgres]'" if url.dialect == POSTGRESQL else ""
        raise ConfigError(f"the driver of {url.driver}:// is not installed ({error}){extra}") from error
    if url.dialect == SQLITE and not side_effects:
        _keep_to_reads(engine)
    return engine


def only_with_side_effects(dialect: str) -> str:
    """Why a database of another kind is refused."""
    return (
        f"{dialect} cannot be kept to reads as PostgreSQL and SQLite can;"
        " set safety.side_effects = true if it may be written to"
    )


def _sqlalchemy_url(way: Way) -> Any:  # noqa: ANN401  # SQLAlchemy's URL; it is imported only when it is needed
    from sqlalchemy import URL

    url = way.url
    if url.dialect == SQLITE:
        # `mode=rw` never makes a file: a mistyped path is not an empty database that answers quickly.
        query = {"mode": "rw", "uri": "true"}
        return URL.create(SQLITE, database=f"file:{quote(str(Path(url.database).absolute()))}", query=query)
    if url.dialect == POSTGRESQL:
        return URL.create(url.driver)  # all that it needs is in the arguments
    address = way.addresses[0]  # other drivers know of no separate address: they get it as their host
    return URL.create(
        url.driver, url.user, url.password, address, url.port, url.database, query=dict(url.parameters)
    )


def _connect_args(way: Way, timeout_s: float, side_effects: bool) -> dict[str, Any]:
    url = way.url
    if url.dialect == SQLITE:
        return {"timeout": timeout_s, "check_same_thread": False}  # gevent's users share one thread
    if url.dialect != POSTGRESQL:
        return {}
    login = {"user": url.user, "password": url.password}
    return {
        **url.parameters,
        **{name: value for name, value in login.items() if value},
        # libpq verifies certificates by `host`, and connects to `hostaddr` without asking anybody.
        "host": ",".join([str(url.host)] * len(way.addresses)),
        "hostaddr": ",".join(way.addresses),
        "port": ",".join([str(url.port)] * len(way.addresses)),
        "dbname": url.database,
        "gssencmode": "disable",  # Kerberos would talk to a third machine
        "connect_timeout": max(_SHORTEST_CONNECT_S, math.ceil(timeout_s)),
        "options": _options(timeout_s, side_effects),
    }


def _options(timeout_s: float, side_effects: bool) -> str:
    """Settings of each session. They win over those of the role and of the database, and over PGOPTIONS."""
    read_only = "" if side_effects else " -c default_transaction_read_only=on"
    return f"-c statement_timeout={max(1, round(timeout_s * 1000))}{read_only}"


def _keep_to_reads(engine: Engine) -> None:
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _(connection: Any, _entry: object) -> None:  # noqa: ANN401  # sqlite3's, which has no base class
        connection.execute("PRAGMA query_only = ON")
