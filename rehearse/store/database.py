"""One open SQLite file or PostgreSQL database: connections, transactions, failures as StoreError."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from rehearse.errors import ConfigError, DiskFull, StoreError, nearest
from rehearse.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection as SQLiteConnection

    from sqlalchemy.pool import ConnectionPoolEntry

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_WAIT_S = 30  # for another process that is writing
_CONNECT_S = 10
_MIGRATION_LOCK = 0x72656865  # any number that everybody who migrates PostgreSQL takes

# How SQLite says it -> what it means and what to do.
_SQLITE_SAYS = {
    "not a database": "is not a SQLite database. Move the file away, or use another store url",
    "malformed": "is damaged. Restore a copy of the file, or move it away to start a new store",
    "readonly": "cannot be written. Give this user the file and its folder, or use another store url",
    "unable to open": "cannot be opened. Give this user the file and its folder, or use another store url",
    "locked": f"was in use by another process for {_WAIT_S} s. Wait for it to end, then try again",
    "is full": "cannot grow: the disk is full. Make room, then try again",
    "No space left": "cannot grow: the disk is full. Make room, then try again",
    "disk I/O error": "cannot be written or read: look at its disk",
    "no such": "is damaged: its schema is not complete. Restore a copy, or move it away to start a new store",
}
# How SQLite, PostgreSQL and the operating system say it.
_LEAST_BYTES = 64 * 1024  # SQLite extends its files by no more than this
_DISK_FULL = ("disk is full", "disk full", "No space left")


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database. `writing()` commits when it closes; `reading()` never blocks a writer."""

    shown_url: str  # without password
    readers: Engine
    writers: Engine
    file: Path | None  # None: PostgreSQL
    file_identity: tuple[int, int] | None

    @classmethod
    def open(cls, url: str) -> Database:
        """Create what is missing and migrate. Raises ConfigError for the url, StoreError for the database."""
        parsed = _parsed(url)
        shown_url = _shown(parsed)
        file = Path(parsed.database or "") if parsed.drivername == "sqlite" else None
        with reported(parsed):
            if file is None:
                _migrate(parsed, shown_url)
            else:
                _prepare_file(file, parsed)
            engine = _engine(parsed, QueuePool)
            return cls(shown_url, _readers(engine), _writers(engine), file, _identity(file))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent look."""
        with self._session(self.readers) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: all of it is on disk when this closes, or none of it."""
        with self._session(self.writers) as session, session.begin():
            yield session
        self._refuse_moved_file()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        with reported(engine.url):
            self._refuse_moved_file()
            with Session(engine, expire_on_commit=False) as session:
                yield session

    def _refuse_moved_file(self) -> None:
        # SQLite would go on writing to a deleted file, and all of it would be lost.
        now = self.file and _identity(self.file)
        if self.file and (now is None or now != self.file_identity):
            raise StoreError(
                f"{self.shown_url} was deleted or replaced while it was open: what was recorded is lost. "
                "Run again, and leave the file alone meanwhile."
            )

    def close(self) -> None:
        """Close every connection; the last process to do so tidies the write-ahead log away."""
        self.readers.dispose()


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """Failures of the database or of the file system inside become one StoreError."""
    try:
        yield
    except DBAPIError as error:
        raise _error(url, str(error.orig)) from error
    except (SQLAlchemyError, OSError, UnicodeError) as error:
        raise _error(url, str(error)) from error


def _error(url: URL, said: str) -> StoreError:
    if _has_no_room(url) and "disk I/O error" in said:  # as SQLite calls it for one of its files
        said = "database or disk is full"
    is_full = any(words in said for words in _DISK_FULL)
    return (DiskFull if is_full else StoreError)(_explained(url, said))


def _has_no_room(url: URL) -> bool:
    if url.drivername != "sqlite" or not url.database:
        return False
    with suppress(OSError):
        system = os.statvfs(Path(url.database).parent)
        return system.f_bavail * system.f_frsize < _LEAST_BYTES
    return False


def _explained(url: URL, said: str) -> str:
    first_line = said.strip().partition("\n")[0]
    for secret in (url.password, url.query.get("password"), url.query.get("sslpassword")):
        first_line = first_line.replace(str(secret), "***") if secret else first_line
    if url.drivername == "sqlite":
        for words, meaning in _SQLITE_SAYS.items():
            if words in first_line:
                return f"{_shown(url)} {meaning} ({first_line})."
    return f"{_shown(url)} cannot be used: {first_line}. Check that it runs and that the store url is right."


def file_is_there(url: str) -> bool:
    """False for a SQLite file that does not exist yet; whether a server answers is not asked here."""
    parsed = _parsed(url)
    return parsed.drivername != "sqlite" or Path(parsed.database or "").exists()


# the url


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            "the store url cannot be read. Write it as sqlite:///folder/file.db or "
            "postgresql+psycopg://user:password@host/database."
        ) from error
    if parsed.drivername not in _DRIVERS:
        hint = nearest(parsed.drivername, _DRIVERS)
        raise ConfigError(f"the store url begins with {parsed.drivername!r}. {hint}")
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    return _with_absolute_file(parsed) if parsed.drivername == "sqlite" else parsed


def _with_absolute_file(url: URL) -> URL:
    if not url.database or url.database == ":memory:" or url.query:
        raise ConfigError(
            f"the store url {_shown(url)} must name a file and nothing else: sqlite:///folder/file.db."
        )
    return url.set(database=str(Path(url.database).absolute()))


def _shown(url: URL) -> str:
    # A query may hold a password too.
    return url.set(query={}).render_as_string(hide_password=True)


# connections


def _engine(url: URL, pool: type[Pool], *, has_foreign_keys: bool = True) -> Engine:
    if url.drivername != "sqlite":
        wait = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_S}
        # Pre-ping: a run may leave a connection idle for longer than a firewall keeps it.
        return _created(url, poolclass=pool, connect_args=wait, pool_pre_ping=True)
    engine = _created(url, poolclass=pool)

    @event.listens_for(engine, "connect")
    def _(connection: SQLiteConnection, _entry: ConnectionPoolEntry) -> None:
        _set_up_sqlite(connection, has_foreign_keys=has_foreign_keys)

    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _created(url: URL, **options: object) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, **options)
    except ImportError as error:
        raise ConfigError(
            f"{_shown(url)} needs the PostgreSQL driver: pip install 'upgrade-rehearsal[postgres]'"
        ) from error


def _set_up_sqlite(connection: SQLiteConnection, *, has_foreign_keys: bool) -> None:
    # The driver would begin too late, and not for DDL: `_begin_sqlite` does instead.
    connection.isolation_level = None
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {_WAIT_S * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # In WAL mode, NORMAL does not wait for the disk at a commit: a power cut could undo closed blocks.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if has_foreign_keys else 'OFF'}")


def _begin_sqlite(connection: Connection) -> None:
    # A plain BEGIN that writes later fails when somebody else wrote meanwhile; IMMEDIATE waits its turn.
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _readers(engine: Engine) -> Engine:
    # What several statements read must be of one moment; SQLite's transactions are so by themselves.
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def _writers(engine: Engine) -> Engine:
    return engine.execution_options(is_writing=True)


# opening


def _prepare_file(file: Path, url: URL) -> None:
    if not file.exists():
        _create_file(file, url)
    if file.is_file() and file.stat().st_size == 0:
        raise StoreError(
            f"{_shown(url)} is empty: it was cut short. Restore a copy, or delete it to start a new store."
        )
    _migrate(url, _shown(url))


def _create_file(file: Path, url: URL) -> None:
    """Make the store beside its place, then link it in: a crash leaves none or a whole one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_leftover_log(file, url)
    with TemporaryDirectory(prefix=".new-store-", dir=file.parent) as folder:
        fresh = Path(folder) / file.name
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _migrate(url.set(database=str(fresh)), _shown(url))
        with suppress(FileExistsError):  # another process was first: its store is as good
            os.link(fresh, file)
    _sync_folder(file.parent)


def _refuse_leftover_log(file: Path, url: URL) -> None:
    # SQLite would replay the log of the lost file into the new one. Asked in this order, because a process
    # that has just created the store has linked the file in before its log appears.
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and not file.exists():
        raise StoreError(
            f"{_shown(url)} is gone, but its log {log.name} is still there. Restore a copy of both, or "
            "delete the log to start a new store."
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _migrate(url: URL, shown_url: str) -> None:
    # Foreign keys off: batch mode drops and re-creates a table, which would cascade into the tables below it.
    engine = _engine(url, NullPool, has_foreign_keys=False)
    with _writers(engine).begin() as connection:
        if url.drivername != "sqlite":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        migrate(connection, shown_url)


def _identity(file: Path | None) -> tuple[int, int] | None:
    if file is None or not file.exists():
        return None
    status = file.stat()
    return status.st_dev, status.st_ino
