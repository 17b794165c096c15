"""A single-threaded HTTP server that stalls: the system under test of bench/load/omission.py.

    python -m bench.load.slow_server PORT SERVICE_MS STALL_EVERY STALL_MS

Every request takes SERVICE_MS of the only thread; each STALL_EVERYth one takes STALL_MS.
"""

from __future__ import annotations

import asyncio
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"


class Server(asyncio.Protocol):
    """Answers every request on a kept-alive connection with two bytes."""

    served = 0
    service_s = 0.001
    stall_every = 0
    stall_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; the load has no bodies."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            _, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._serve()

    def _serve(self) -> None:
        Server.served += 1
        is_stall = Server.stall_every and Server.served % Server.stall_every == 0
        busy_s = Server.stall_s if is_stall else Server.service_s
        time.sleep(busy_s)
        self._transport.write(ANSWER)


async def main() -> None:
    """Serve until killed."""
    port, service_ms, stall_every, stall_ms = (float(word) for word in sys.argv[1:5])
    Server.service_s, Server.stall_every, Server.stall_s = (
        service_ms / 1000,
        int(stall_every),
        stall_ms / 1000,
    )
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
