"""Real TCP peers with a fault proxy between them: `client` and `server` are plain sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rehearse.edges.orders import ConnectionCount, ProxyOrder
from rehearse.edges.proxy import FaultProxy

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Bench:
    """A proxy, and the listener that it leads to."""

    proxy: FaultProxy
    listener: socket.socket

    @contextmanager
    def pair(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A client and a server that are connected through the proxy."""
        with self.client() as client:
            server, _ = self.listener.accept()
            with server:
                server.settimeout(TIMEOUT_S)
                yield client, server

    def client(self) -> socket.socket:
        """A client that is connected to the proxy."""
        return socket.create_connection(self.proxy.address, timeout=TIMEOUT_S)

    def last(self) -> ConnectionCount:
        """What the proxy tells of its newest connection."""
        return max(self.proxy.counters().connections, key=lambda one: one.number)


@contextmanager
def bench(**order: object) -> Iterator[Bench]:
    """A proxy before a listener; nobody else connects to either."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.settimeout(TIMEOUT_S)
        port = listener.getsockname()[1]
        made = ProxyOrder("127.0.0.1", port, allow=("127.0.0.1",), **order)  # type: ignore[arg-type]
        with FaultProxy(made) as proxy:
            yield Bench(proxy, listener)


def read_all(end: socket.socket) -> bytes:
    """Until the peer's end of stream."""
    parts = []
    while part := end.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def read_exactly(end: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the peer ends its stream."""
    received = bytearray()
    while len(received) < size and (part := end.recv(size - len(received))):
        received += part
    return bytes(received)
