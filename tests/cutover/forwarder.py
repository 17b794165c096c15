"""A switch before two servers: each request goes to the port that a file names now, also on a kept connection.

python tests/cutover/forwarder.py LISTEN_PORT FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

CHUNK = 65536


class Switch:
    """Connections to whatever the file names; HTTP/1.1 without pipelining: what comes after an answer is a request."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: set[asyncio.StreamWriter] = set()  # clients whose request has no answer yet

    async def serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        port, upstream, pump = 0, None, None
        try:
            while request := await client.read(CHUNK):
                # The rest of a request goes where it began: a body may come in a segment of its own.
                wanted = port if answer in self._waiting else int(self._file.read_text())
                self._waiting.add(answer)
                if upstream is None or wanted != port or upstream.is_closing() or (pump and pump.done()):
                    if upstream is not None:
                        upstream.close()
                    port = wanted
                    reader, upstream = await asyncio.open_connection("127.0.0.1", port)
                    pump = asyncio.create_task(self._pump(reader, answer))
                upstream.write(request)
                await upstream.drain()
        except OSError:
            pass
        finally:
            self._waiting.discard(answer)
            for writer in (upstream, answer):
                if writer is not None:
                    writer.close()

    async def _pump(self, reader: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(CHUNK):
                self._waiting.discard(answer)
                answer.write(piece)
                await answer.drain()
        except OSError:
            answer.close()


async def main(port: int, file: Path) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(Switch(file).serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
