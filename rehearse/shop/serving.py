"""One shop as a process: ready its database, serve, and end when told to or left alone."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import uvicorn
from starlette.concurrency import run_in_threadpool

from rehearse.shop.app import create_app
from rehearse.shop.migration import migrate
from rehearse.shop.seeding import seed
from rehearse.shop.tables import connect
from rehearse.shop.versions import BEHAVIOURS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PARENT_POLL_S = 0.5
SHUTDOWN_S = 2
# Clients of a load test pause for seconds; a shorter limit would look like connections that break.
KEEP_ALIVE_S = 120


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Which version to serve, where, on which database."""

    version: str
    host: str
    port: int
    database_url: str
    exits_with_parent: bool
    slowness: float = 1.0  # each answer takes this many times as long: an upgrade that does nothing but that


class OneLineFormatter(logging.Formatter):
    """One line per record and no traceback: a broken version under load makes hundreds of them."""

    def format(self, record: logging.LogRecord) -> str:
        """The moment, the message, then the error that came with it and the one that it hides."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        words = f"{moment} {record.levelname} {record.getMessage().strip()}"
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            words += f": {error!r}"
            error = error.__context__
        return " ".join(words.split())


class Slowed:
    """The same app, each of whose answers begins `times` as late. Nothing else changes, and no core is busier."""

    def __init__(self, app: ASGIApp, times: float) -> None:
        self._app = app
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                # In a thread: the event loop's own timers are a millisecond wide, which is half an answer.
                more_s = (self._times - 1) * (time.perf_counter() - began_s)
                await run_in_threadpool(time.sleep, more_s)
            await send(message)

        await self._app(scope, receive, send_later)


def serve(settings: ServeSettings) -> None:
    """Runs the shop until SIGTERM or SIGINT."""
    if settings.exits_with_parent:
        threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    _log_one_line_each()
    engine = connect(settings.database_url)
    seed(engine)
    migrate(engine, BEHAVIOURS[settings.version])
    app: ASGIApp = create_app(engine, settings.version)
    if settings.slowness > 1:
        app = Slowed(app, settings.slowness)
    uvicorn.Server(server_config(app, settings)).run()


def server_config(app: ASGIApp, settings: ServeSettings) -> uvicorn.Config:
    """How the shop is served, in a process of its own or in a test."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        # Set by the server, so that even an answer that no handler wrote has them.
        headers=[("X-Shop-Version", settings.version), ("X-Rehearse-Env", "staging")],
    )


def _log_one_line_each() -> None:
    """Warnings, errors, and when the server began and ceased to take connections."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)


def _exit_with_parent(parent_id: int) -> None:
    while os.getppid() == parent_id:
        time.sleep(PARENT_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * SHUTDOWN_S)
    os._exit(1)
