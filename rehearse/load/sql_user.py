"""Users that run SQL: for rehearsing the upgrade of a database itself. Runs in the worker only.

    from rehearse.load import SqlUser

    class Shop(SqlUser):
        statements = "statements.toml"

psycopg waits through gevent, so that many users run statements at once. SQLite has nothing to wait for: a statement
holds up all users until it is done, which is enough for tests on loopback and for nothing else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter, time
from typing import Any, ClassVar

import gevent
from locust import User  # patches the process, before any driver is loaded
from locust.env import Environment
from sqlalchemy import Connection, Engine, Row, TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import Executable

from rehearse.allowlist import system_resolve
from rehearse.databases import Way, engine_to, is_database, read_database_url
from rehearse.errors import RehearseError
from rehearse.load.failures import KnownFailure
from rehearse.load.statements import REQUEST_TYPE, RowDeck, Statement, read_statements
from rehearse.model import RequestOutcome

GRACE_S = 0.5  # how much longer than the database itself we wait for it to end a statement
ALONE_TIMEOUT_S = 60.0
_CANCELLED = "57014"  # SQLSTATE query_canceled: by the statement_timeout, or by a person
_READ_ONLY = ("25006", "SQLITE_READONLY")  # SQLSTATE read_only_sql_transaction
_log = logging.getLogger(__name__)


def _say(message: str) -> None:
    _log.error("%s", message)


def _not_watched(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Access:
    """How a class of users reaches its database, and what it may do there."""

    way: Way
    timeout_s: float
    side_effects: bool = False
    seed: str = "alone"
    refuse: Callable[[str], None] = (
        _say  # ends the load: a statement wants what the configuration does not allow
    )
    in_flight: Callable[[str], AbstractContextManager[None]] = (
        _not_watched  # around each statement, by its name
    )


class NoAnswer(Exception):
    """The database neither answered nor ended the statement itself; its connection is given up."""


class TransactionLost(Exception):
    """What belongs to one transaction cannot be done or committed any more."""


class SqlClient:
    """One user's connection. Every statement is booked under its name; all of its rows are read meanwhile.

    One statement at a time: what runs at once is as many users.
    """

    def __init__(self, user: SqlUser) -> None:
        self._user = user
        self._connection: Connection | None = None
        self._in_transaction = False

    def execute(
        self, name: str, statement: str | Executable, parameters: Mapping[str, Any] | None = None
    ) -> list[Row[Any]]:
        """Run one statement, a transaction of its own unless inside `transaction`; its rows, none for a write.

        Raises what SQLAlchemy raises, after it has been booked.
        """
        ready = _text(statement) if isinstance(statement, str) else statement
        with self._booked(name) as booking, self._deadline():
            result = self._connected().execute(ready, dict(parameters or {}))
            rows = list(result.all()) if result.returns_rows else []
            booking.rows = len(rows) if result.returns_rows else max(result.rowcount, 0)
        return rows

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """From BEGIN to COMMIT, booked as a whole besides its statements. What is raised inside rolls it back."""
        if self._in_transaction:
            raise TransactionLost(f"{name!r} begins inside a transaction; run 'savepoint ...' instead")
        with self._booked(name):
            self._run("BEGIN")
            self._in_transaction = True
            try:
                yield
                self._commit(name)
            except Exception:
                self._roll_back()
                raise
            except BaseException:  # the user is ended: no time to talk
                self.close()
                raise
            finally:
                self._in_transaction = False

    def connect(self) -> None:
        """Connect before the first statement, so that it is not part of its time. A failure shows in the load."""
        try:
            with self._deadline():
                self._connected()
        except (SQLAlchemyError, NoAnswer) as error:
            _log.warning("no connection yet: %s", _first_line(error))

    def close(self) -> None:
        """Let the connection go, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            if self._in_transaction:
                raise TransactionLost("the connection was lost inside a transaction")
            self._connection = self._user.engine().connect()
        return self._connection

    def _run(self, sql: str) -> None:
        with self._deadline():
            self._connected().exec_driver_sql(sql)

    def _commit(self, name: str) -> None:
        # PostgreSQL answers the COMMIT of a failed transaction with a quiet rollback.
        if self._connection is not None and _has_failed(self._connection):
            raise TransactionLost(
                f"{name!r}: a statement in it failed, so that nothing of it can be committed"
            )
        self._run("COMMIT")

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._run("ROLLBACK")
        except (SQLAlchemyError, NoAnswer):
            self.close()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """The database ends a statement itself; this is for when it does not even do that."""
        limit_s = self._user.how().timeout_s + GRACE_S
        try:
            with gevent.Timeout(limit_s, NoAnswer(f"no answer within {limit_s:g} s")):
                yield
        except SQLAlchemyError:
            if self._connection is not None and self._connection.invalidated:
                self.close()
            raise
        except BaseException:  # it was left in the middle of an answer
            self.close()
            raise

    @contextmanager
    def _booked(self, name: str) -> Iterator[_Booking]:
        how, booking, began_at, began = self._user.how(), _Booking(), time(), perf_counter()
        with how.in_flight(name):  # knows of a cancelled one, which has no event
            try:
                yield booking
            except Exception as error:
                took_s = perf_counter() - began
                self._fire(name, took_s, began_at, booking, _explained(error, took_s, how.timeout_s))
                self._refuse_writes(name, error, how)
                raise
            self._fire(name, perf_counter() - began, began_at, booking, None)

    def _refuse_writes(self, name: str, error: Exception, how: Access) -> None:
        if not how.side_effects and _code(error).startswith(_READ_ONLY):
            how.refuse(
                f"the statement {name!r} writes, but without safety.side_effects = true a database is only read"
            )

    def _fire(
        self, name: str, took_s: float, began_at: float, booking: _Booking, failure: KnownFailure | None
    ) -> None:
        self._user.environment.events.request.fire(
            request_type=REQUEST_TYPE,
            name=name,
            response_time=took_s * 1000,
            response_length=booking.rows,
            exception=failure,
            context=self._user.context(),
            start_time=began_at,
        )


@dataclass(slots=True)
class _Booking:
    rows: int = 0


class SqlUser(User):
    """A Locust user whose `client` runs SQL.

    With `statements`, the name of a file next to the scenario, its tasks are made of that file. Without, write tasks
    as for any user: `self.client.execute("order by id", "select * from orders where id = :id", {"id": 7})`.
    """

    abstract = True
    needs_database: ClassVar[bool] = True
    statements: ClassVar[str | None] = None
    access: ClassVar[Access | None] = None  # set by `rehearse`
    _engine: ClassVar[Engine | None] = None
    _decks: ClassVar[dict[str, RowDeck]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._decks = {}
        file = cls.__dict__.get("statements")
        if file is not None:
            found = read_statements(_folder_of(cls) / file)
            cls.tasks = [*cls.tasks, *(task for one in found for task in [_task(one)] * one.weight)]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = SqlClient(self)

    def on_start(self) -> None:
        """Connect. What overrides this calls it, or else the first statement pays for the connection."""
        self.client.connect()

    def on_stop(self) -> None:
        """Let the connection go."""
        self.client.close()

    def how(self) -> Access:
        """How this class reaches its database; without `rehearse`, its host and nothing but reads."""
        if type(self).access is None:
            type(self).access = _alone(self.environment.host or self.host or "")
        access = type(self).access
        if access is None:
            raise RehearseError("a SqlUser without access")
        return access

    def engine(self) -> Engine:
        """One for all users of the class: they share what it learns of the database, and no connection."""
        cls = type(self)
        if cls._engine is None:
            how = self.how()
            cls._engine = engine_to(how.way, how.timeout_s, how.side_effects)
        return cls._engine

    def deal(self, statement: Statement) -> Mapping[str, Any]:
        """The next parameters of a statement."""
        cls = type(self)
        deck = cls._decks.get(statement.name)
        if deck is None:
            seed = f"{self.how().seed}:{cls.__name__}:{statement.name}"
            deck = cls._decks[statement.name] = RowDeck(statement.rows, seed)
        return deck.draw()


def _task(statement: Statement) -> Callable[[SqlUser], None]:
    def run(user: SqlUser) -> None:
        # It is booked; a traceback for each would only fill the log.
        with suppress(SQLAlchemyError, NoAnswer):
            user.client.execute(statement.name, statement.sql, user.deal(statement))

    run.__name__ = statement.name
    return run


def _folder_of(user_class: type) -> Path:
    """Where the scenario is: it names its files relative to itself."""
    file = getattr(sys.modules.get(user_class.__module__), "__file__", None)
    return Path(file).parent if file else Path()


def _alone(host: str) -> Access:
    if not is_database(host):
        raise RehearseError(f"a SqlUser needs the URL of a database as its host, not {host[:60]!r}")
    url = read_database_url(host)
    addresses = () if url.host is None else tuple(dict.fromkeys(system_resolve(url.host)))
    return Access(Way(url, addresses), ALONE_TIMEOUT_S)


@lru_cache(maxsize=1000)
def _text(sql: str) -> TextClause:
    return text(sql)


def _has_failed(connection: Connection) -> bool:
    """Whether PostgreSQL has given the transaction up; SQLite goes on after a failed statement."""
    status = getattr(
        getattr(connection.connection.driver_connection, "info", None), "transaction_status", None
    )
    return getattr(status, "name", "") == "INERROR"


def _explained(error: Exception, took_s: float, timeout_s: float) -> KnownFailure:
    """What the failure is called; never its message, which may hold the parameters."""
    cause = getattr(error, "orig", None) or error
    code, name = _code(error), type(cause).__name__
    is_cancelled_late = code == _CANCELLED and took_s >= 0.9 * timeout_s
    if is_cancelled_late or isinstance(error, NoAnswer) or "timeout" in name.lower():
        return KnownFailure(RequestOutcome.TIMEOUT, "timeout", bool(code))
    return KnownFailure(RequestOutcome.ERROR, f"{name} ({code})" if code else name, bool(code))


def _code(error: Exception) -> str:
    """The database's own code: SQLSTATE, or SQLite's; none when it did not answer."""
    cause = getattr(error, "orig", None)
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or "")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
