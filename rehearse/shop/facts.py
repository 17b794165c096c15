"""What the shop tells about itself: rows per table, and which requests it answered."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import func, select

from rehearse.shop.tables import COUNTED_TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine, Table
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

UNCOUNTED_PATHS = frozenset({"/counters", "/health"})


@dataclass(frozen=True, slots=True)
class RowCount:
    """The rows of a table up to `last_id`; no row is ever deleted, so counting them once is enough."""

    table: Table
    last_id: int
    rows: int

    def now(self, connection: Connection) -> int:
        """The rows of the table at this moment."""
        newer = select(func.count()).select_from(self.table).where(self.table.c.id > self.last_id)
        return self.rows + connection.scalars(newer).one()


def count_rows(engine: Engine) -> list[RowCount]:
    """Counts every table of the shop."""
    with engine.connect() as connection:
        return [_count_rows(connection, table) for table in COUNTED_TABLES]


def _count_rows(connection: Connection, table: Table) -> RowCount:
    last_id, rows = connection.execute(select(func.max(table.c.id), func.count()).select_from(table)).one()
    return RowCount(table, last_id or 0, rows)


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """How many requests were answered, per "METHOD /route"."""

    by_route: Counter[str] = field(default_factory=Counter)

    def summary(self) -> Mapping[str, object]:
        """As `GET /counters` answers it."""
        return {"total": self.by_route.total(), "routes": dict(sorted(self.by_route.items()))}


class RequestWitness:
    """Numbers every request, and counts it when it ends. Runs in the event loop only."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = uuid4().hex
        try:
            await self._answer(scope, receive, send)
        finally:
            if scope["path"] not in UNCOUNTED_PATHS:
                self._counts.by_route[_route(scope)] += 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if not has_started:
                raise
            # The error page is out; raised further, the error would make uvicorn break a good connection.
            log.exception(_route(scope))


def _route(scope: Scope) -> str:
    # A path that no route knows would make a new entry for each typing error.
    return f"{scope['method']} {getattr(scope.get('route'), 'path', '(unknown)')}"
