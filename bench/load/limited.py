"""A server of known capacity: `workers` requests at a time, each takes `service_s`; all others wait for their turn.

    python -m bench.load.limited PORT WORKERS SERVICE_MS

More connections than workers change nothing but the wait, so that the capacity is workers / service time, and the
latency at light load is the service time alone. It sleeps instead of working: its capacity is no machine's.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
_END_OF_REQUEST = b"\r\n\r\n"


@dataclass
class LimitedServer:
    """The server, and what it has done."""

    workers: int
    service_s: float
    port: int = 0
    answered: int = 0
    _turns: threading.Semaphore = field(init=False)
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._turns = threading.Semaphore(self.workers)
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=512, reuse_port=False)
        self.port = self._socket.getsockname()[1]

    @property
    def capacity_per_s(self) -> float:
        """What it can do, by construction."""
        return self.workers / self.service_s

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Accept connections until the socket is closed."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """No further connections. `shutdown` wakes the thread that waits for one."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _talk(self, connection: socket.socket) -> None:
        pending = b""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    chunk = connection.recv(65536)
                    pending += chunk
                    while _END_OF_REQUEST in pending:
                        _, _, pending = pending.partition(_END_OF_REQUEST)
                        self._work()
                        connection.sendall(_ANSWER)
                except OSError:
                    return
                if not chunk:
                    return

    def _work(self) -> None:
        """One turn."""
        with self._turns:
            time.sleep(self.service_s)
            self.answered += 1


@contextmanager
def limited(workers: int, service_s: float) -> Iterator[LimitedServer]:
    """The server in a thread, until the block ends."""
    server = LimitedServer(workers, service_s)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def main() -> None:
    """Serve until killed."""
    port, workers, service_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    LimitedServer(workers, service_ms / 1000, port).serve()


if __name__ == "__main__":
    main()
