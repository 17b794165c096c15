"""Rows that must survive: written before and during an upgrade, and looked for after it and after its undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import SystemRandom
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import quote

import httpx

from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.cutovers import RowCount, RowsSeen
from rehearse.errors import NotReady

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST_ROWS = 500  # half of them before the first step, so that it cannot use them up
PLACE = "{row}"
_FEW = 5
_LARGEST_ANSWER = 1 << 20
_GONE = (404, 410)
NewClient = Callable[[], httpx.Client]


class RowWriter(Protocol):
    """Where rows come from."""

    def write(self, row: int) -> None:
        """Returns when the system says that it has taken it. Raises NotReady when it does not say so."""
        ...


class RowReader(Protocol):
    """Where rows are looked for."""

    tells_apart: ClassVar[bool]  # it looks for each row, and does not count

    def begin(self) -> None:
        """Before the first is written. Raises NotReady."""
        ...

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        """How many of them are gone, and which, where that can be told. Raises NotReady when it cannot be asked."""
        ...


# --- by requests --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpWriter:
    """One request for each row; any answer of 200 to 299 says that it was taken."""

    new_client: NewClient
    path: str
    method: str = "POST"
    body: str = ""
    key_header: str | None = None

    def write(self, row: int) -> None:
        """See RowWriter."""
        headers = {"Content-Type": "application/json"} if self.body else {}
        headers |= {self.key_header: str(row)} if self.key_header else {}
        answer = _asked(
            self.new_client,
            self.method,
            self.path.replace(PLACE, quote(str(row))),
            self.body.replace(PLACE, str(row)).encode(),
            headers,
        )
        if not answer.is_success:
            raise NotReady(f"{self.method} {self.path} answers {answer.status_code}")


@dataclass(frozen=True, slots=True)
class HttpReader:
    """Asks for each row; its number stands in the answer while it is there."""

    tells_apart: ClassVar[bool] = True
    new_client: NewClient
    path: str

    def begin(self) -> None:
        """See RowReader."""

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        """See RowReader."""
        gone = [row for row in rows if not self._is_there(row)]
        return len(gone), gone

    def _is_there(self, row: int) -> bool:
        answer = _asked(self.new_client, "GET", self.path.replace(PLACE, quote(str(row))))
        if answer.status_code in _GONE:
            return False
        if not answer.is_success:
            raise NotReady(f"GET {self.path} answers {answer.status_code}")
        return str(row) in answer.text[:_LARGEST_ANSWER]


@dataclass(slots=True)
class HttpCounter:
    """A number in the JSON of a path, which may not fall behind what was written."""

    tells_apart: ClassVar[bool] = False
    new_client: NewClient
    path: str
    value: str
    _at_begin: int | None = None

    def begin(self) -> None:
        """See RowReader."""
        self._at_begin = self._count()

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        """See RowReader."""
        if self._at_begin is None:
            raise NotReady(f"nobody counted at {self.path} before the first row was written")
        return max(0, self._at_begin + len(rows) - self._count()), ()

    def _count(self) -> int:
        answer = _asked(self.new_client, "GET", self.path)
        if not answer.is_success:
            raise NotReady(f"GET {self.path} answers {answer.status_code}")
        try:
            found: JsonData = parse_json(answer.content[:_LARGEST_ANSWER])
        except CodecError:
            raise NotReady(f"GET {self.path} does not answer with JSON") from None
        for name in self.value.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, bool) or not isinstance(found, int):
            raise NotReady(f"GET {self.path} has no whole number at {self.value!r}")
        return found


def _asked(
    new_client: NewClient, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    try:
        with new_client() as client:
            return client.request(method, path, content=body or None, headers=dict(headers or {}))
    except httpx.HTTPError as error:
        raise NotReady(f"{method} {path.partition('?')[0]} has no answer: {type(error).__name__}") from None


# --- by statements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SqlWriter:
    """One statement for each row; `:row` in it is its number."""

    engine: Engine
    sql: str

    def write(self, row: int) -> None:
        """See RowWriter."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.engine.connect() as connection:
                connection.execute(text(self.sql), {"row": row})
        except SQLAlchemyError as error:
            raise NotReady(f"the row was not written: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class SqlReader:
    """A query for each row, which returns something while it is there."""

    tells_apart: ClassVar[bool] = True
    engine: Engine
    sql: str

    def begin(self) -> None:
        """See RowReader."""

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        """See RowReader."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.engine.connect() as connection:
                query = text(self.sql)
                gone = [row for row in rows if connection.execute(query, {"row": row}).first() is None]
        except SQLAlchemyError as error:
            raise NotReady(f"the rows could not be looked for: {type(error).__name__}") from None
        return len(gone), gone


# --- writing while steps run --------------------------------------------------------------------------------------


@dataclass(slots=True)
class RowKeeper:
    """Writes a row every `every_s` in a thread of its own, and knows which of them the system said it has."""

    writer: RowWriter
    reader: RowReader
    every_s: float
    _first: int = field(default_factory=lambda: SystemRandom().randrange(100_000_000, 2_000_000_000))
    _taken: list[int] = field(default_factory=list)
    _refused: int = 0
    _at_upgrade: RowCount | None = None  # when the first step began
    _guard: Lock = field(default_factory=Lock)
    _is_over: Event = field(default_factory=Event)

    def begin(self) -> None:
        """Start writing. Raises NotReady when nothing can be looked for, or the first row is not taken."""
        self.reader.begin()
        self._refuse_ghosts()
        self.writer.write(self._first)
        self._taken.append(self._first)
        Thread(target=self._write, name="rows", daemon=True).start()

    def upgrade_begins(self) -> None:
        """What is taken from now on is taken while the upgrade goes on."""
        with self._guard:
            self._at_upgrade = self._count()

    def end(self) -> None:
        """Write no more."""
        self._is_over.set()

    def look(self, when: str) -> RowsSeen:
        """Whether all that were taken so far are there."""
        with self._guard:
            taken, before, since = tuple(self._taken), self._at_upgrade or self._count(), self._since()
        seen = RowsSeen(when, len(taken), before=before, since=since)
        try:
            self._refuse_ghosts()
            count, gone = self.reader.missing(taken)
        except NotReady as error:
            return replace(seen, trouble=str(error))
        few = tuple(f"row {row}, number {taken.index(row) + 1} of {len(taken)}" for row in gone[:_FEW])
        return replace(seen, missing=few, missing_count=count)

    def _refuse_ghosts(self) -> None:
        """Who finds a row that was never written would not miss one that is gone."""
        ghost = self._first - 1
        if self.reader.tells_apart and self.reader.missing((ghost,))[0] == 0:
            raise NotReady(
                f"cutover.survival.read finds row {ghost}, which was never written: it would not miss any. It must"
                " return nothing, 404, or an answer without the row's number, for a row that is not there"
            )

    def _count(self) -> RowCount:
        return RowCount(len(self._taken), self._refused)

    def _since(self) -> RowCount:
        now, then = self._count(), self._at_upgrade
        return (
            RowCount(now.taken - then.taken, now.refused - then.refused) if then is not None else RowCount()
        )

    def _write(self) -> None:
        """A row that was not taken is no row: it is not missed later."""
        row = self._first
        while not self._is_over.wait(self.every_s):
            with self._guard:
                stretch = self._count() if self._at_upgrade is None else self._since()
            if stretch.taken >= MOST_ROWS // 2:
                continue
            row += 1
            is_taken = self._is_taken(row)
            with self._guard:
                self._taken += [row] if is_taken else []
                self._refused += not is_taken

    def _is_taken(self, row: int) -> bool:
        try:
            self.writer.write(row)
        except NotReady:
            return False
        return True


# --- the fake -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RowsInMemory:
    """Keeps rows in memory and forgets on demand; the fake of RowWriter and RowReader."""

    tells_apart: ClassVar[bool] = True
    rows: set[int] = field(default_factory=set)
    trouble: str = ""
    takes_none: str = ""  # why it refuses to write

    def write(self, row: int) -> None:
        """See RowWriter."""
        if self.trouble or self.takes_none:
            raise NotReady(self.trouble or self.takes_none)
        self.rows.add(row)

    def begin(self) -> None:
        """See RowReader."""

    def missing(self, rows: Sequence[int]) -> tuple[int, Sequence[int]]:
        """See RowReader."""
        if self.trouble:
            raise NotReady(self.trouble)
        gone = [row for row in rows if row not in self.rows]
        return len(gone), gone
