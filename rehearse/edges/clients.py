"""Clients that are slow or impatient: they hold connections open a byte at a time, or go away before they are answered.

A process that serves one client at a time, or waits for each for ever, fails its other users meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Thread
from urllib.parse import urlsplit

from rehearse.allowlist import host_and_port
from rehearse.edges.asking import Place
from rehearse.errors import NotReady

TRICKLE_S = 0.2  # between two bytes
_JOIN_S = 5.0
_BODY_BYTES = 100_000  # that are promised, and never come
_NARROW_BYTES = 1024  # of a receive buffer; the system makes it a little more
_ANSWERS = 10  # that a slow reader asks for at once: a single one may fit into the system's buffers
_PROVEN = 3  # bytes a client must have sent, or taken, one by one before it counts as slow


class Manner(StrEnum):
    """How a client behaves."""

    SLOW_HEADER = "slow-header"  # the head of a request, a byte at a time
    SLOW_BODY = "slow-body"  # the body of a POST, a byte at a time
    SLOW_READING = "slow-reading"  # the answer, a byte at a time
    GIVE_UP = "give-up"  # asks, and is gone before the answer


@dataclass(slots=True)
class BadClients:
    """So many of them at once, in a thread of their own, on one side; see `edge_cases.faults.Fault`."""

    place: Place
    manner: Manner
    connections: int
    path: str
    patience_s: float = 0.02
    _acted: int = 0
    _stop: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def begin(self) -> None:
        """They come. Raises TargetRefused."""
        self.place.check_allowed()
        self._thread = Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """They go. Raises NotReady."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                raise NotReady("clients that were to go away are still there")

    def acted(self) -> int:
        """How many were slow for long enough, or how many requests were given up."""
        return self._acted

    def asked(self) -> None:
        """They are no dependency."""

    async def _all(self) -> None:
        behave = {Manner.GIVE_UP: self._gives_up, Manner.SLOW_READING: self._reads_slowly}.get(
            self.manner, self._is_slow
        )
        tasks = [asyncio.ensure_future(behave()) for _ in range(self.connections)]
        while not self._stop.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_slow(self) -> None:
        """Again when the server has had enough: that it closes such connections is its good right."""
        while not self._stop.is_set():
            with suppress(OSError):
                _, writer = await self._connected()
                try:
                    writer.write(self._start())
                    await self._trickle(writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(TRICKLE_S)

    async def _trickle(self, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while not writer.is_closing():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(TRICKLE_S)
            sent += 1
            self._acted += sent == _PROVEN and not writer.is_closing()

    async def _reads_slowly(self) -> None:
        """What does not fit into the narrow buffers of this connection stays with the server."""
        while not self._stop.is_set():
            with suppress(OSError):
                reader, writer = await self._connected(_NARROW_BYTES)
                try:
                    writer.write(_ANSWERS * (self._start() + b"\r\n\r\n"))
                    taken = 0
                    while await reader.read(1):
                        await asyncio.sleep(TRICKLE_S)
                        taken += 1
                        self._acted += taken == _PROVEN
                finally:
                    writer.transport.abort()
            await asyncio.sleep(TRICKLE_S)

    async def _gives_up(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):
                reader, writer = await self._connected()
                try:
                    writer.write(self._start() + b"\r\n\r\n")
                    await asyncio.wait_for(reader.read(1), self.patience_s)
                except TimeoutError:
                    self._acted += 1  # not a byte of an answer yet
                finally:
                    writer.transport.abort()
            await asyncio.sleep(self.patience_s)

    async def _connected(
        self, buffer_bytes: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """With a receive buffer of its own size, which must be set before it connects."""
        host, port = host_and_port(self.place.url)
        is_encrypted = urlsplit(self.place.url).scheme == "https"
        context = self.place.verify if isinstance(self.place.verify, ssl.SSLContext) else None
        tls = (context or True) if is_encrypted else None
        if buffer_bytes is None:
            return await asyncio.open_connection(host, port, ssl=tls)
        return await self._narrow(host, port, tls, buffer_bytes)

    @staticmethod
    async def _narrow(
        host: str, port: int, tls: ssl.SSLContext | bool | None, buffer_bytes: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            name = host if tls else None
            return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=1)
        except BaseException:
            sock.close()
            raise

    def _start(self) -> bytes:
        """The head of a request, up to where it is left unfinished."""
        method = "POST" if self.manner is Manner.SLOW_BODY else "GET"
        headers = {"Host": urlsplit(self.place.url).netloc, **self.place.headers}
        path = f"{urlsplit(self.place.url).path}{self.path}"
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if self.manner is Manner.SLOW_BODY:
            lines += ["Content-Type: application/json", f"Content-Length: {_BODY_BYTES}", "", ""]
        elif self.manner is Manner.SLOW_HEADER:
            lines.append("X-Slow: ")
        return "\r\n".join(lines).encode()
