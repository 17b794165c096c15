"""A real server in a process of its own that goes down, hangs, resets or locks on command, and logs when it did.

    python -m bench.disruption.server

It prints "<monotonic seconds> <word>" for each change, "0 port <number>" first. Commands, one a line on stdin: `down`
(listener and connections closed), `reset` (the same, with resets), `up`, `hang` and `resume` (nothing is answered),
`lock` and `unlock` (nothing that writes is answered), `status <number>`, `version <text>`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
_RESET = struct.pack("ii", 1, 0)


class Server:
    """What is served, and what is in the way of it."""

    def __init__(self) -> None:
        self.status, self.version = 200, "1.0"
        self._hanging, self._locked = asyncio.Event(), asyncio.Event()
        self._hanging.set()
        self._locked.set()
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def obey(self, line: str) -> None:
        """One command; its moment is logged."""
        word, _, value = line.strip().partition(" ")
        match word:
            case "up":
                await self._up()
            case "down" | "reset":
                self._log(word)  # from here on somebody may be turned away
                await self._down(word == "reset")
                return
            case "hang":
                self._hanging.clear()
            case "resume":
                self._hanging.set()
            case "lock":
                self._locked.clear()
            case "unlock":
                self._locked.set()
            case "status":
                self.status = int(value)
            case "version":
                self.version = value
        self._log(line.strip())

    def _log(self, what: str) -> None:
        print(f"{monotonic():.6f} {what}", flush=True)

    async def _up(self) -> None:
        self._listener = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, reuse_address=True, backlog=1024
        )
        if not self._port:
            self._port = self._listener.sockets[0].getsockname()[1]
            print(f"0 port {self._port}", flush=True)

    async def _down(self, is_reset: bool) -> None:
        if self._listener is not None:
            self._listener.close()
        for writer in list(self._open):
            if is_reset:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort() if is_reset else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [one for one in head.lower().splitlines() if one.startswith("content-length:")]
        await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0)
        await self._hanging.wait()
        if not head.startswith("GET"):
            await self._locked.wait()
        body = b'{"app": {"version": "%s"}}' % self.version.encode()
        answer = (
            f"HTTP/1.1 {self.status} X\r\nX-Version: {self.version}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(answer.encode() + body)
        await writer.drain()
        return not writer.is_closing()


async def main() -> None:
    """Obey until stdin ends."""
    server, reader = Server(), asyncio.StreamReader()
    stdin = os.fdopen(os.dup(0), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
    await server.obey("up")
    while line := await reader.readline():
        await server.obey(line.decode())
    os._exit(0)  # whoever hangs, hangs


@dataclass
class Controlled:
    """The server as those hold it who say when it goes down."""

    process: subprocess.Popen[str]
    url: str

    def tell(self, command: str) -> float:
        """Give a command; the moment at which it took effect, by the server's own log."""
        if self.process.stdin is None:
            raise RuntimeError("the server has no stdin")
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self._next(command)

    def _next(self, word: str) -> float:
        if self.process.stdout is None:
            raise RuntimeError("the server has no stdout")
        moment, _, what = self.process.stdout.readline().strip().partition(" ")
        if not what.startswith(word):
            raise RuntimeError(f"the server said {what!r} and not {word!r}")
        return float(moment)


@contextmanager
def controlled() -> Iterator[Controlled]:
    """A server on a free port until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.disruption.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = process.stdout.readline().split()[-1] if process.stdout is not None else "0"
        server = Controlled(process, f"http://127.0.0.1:{port}")
        server._next("up")
        yield server
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


if __name__ == "__main__":
    asyncio.run(main())
