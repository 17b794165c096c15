"""A small real forward proxy on loopback: passes plain HTTP on, tunnels what asks for CONNECT, knows its own names."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NOT_PASSED_ON = {"connection", "proxy-authorization", "proxy-connection", "keep-alive"}


@dataclass
class Passing:
    """Where a proxy is, which names it knows, and what it was asked for."""

    port: int
    names: Mapping[str, tuple[str, int]]  # "shop.invalid" -> where that really is
    asked: list[str] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    passing: Passing


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _note(self) -> None:
        self.server.passing.asked.append(f"{self.command} {self.path}")
        self.server.passing.credentials.append(self.headers.get("Proxy-Authorization", ""))

    def _pass_on(self) -> None:
        self._note()
        url = urlsplit(self.path)
        place = self.server.passing.names.get(url.hostname or "")
        if place is None:
            self.send_error(502)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        behind = HTTPConnection(*place, timeout=10)
        behind.request(self.command, url.path or "/", body, headers)
        answer = behind.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        behind.close()

    do_GET = do_POST = do_HEAD = _pass_on

    def do_CONNECT(self) -> None:
        self._note()
        place = self.server.passing.names.get(self.path.rpartition(":")[0])
        if place is None:
            self.send_error(502)
            return
        with socket.create_connection(place, 10) as behind:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: behind, behind: self.connection}
            while True:
                for one in select.select(list(ends), [], [], 10)[0]:
                    data = one.recv(1 << 16)
                    if not data:
                        self.close_connection = True
                        return
                    ends[one].sendall(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def passing(names: Mapping[str, tuple[str, int]]) -> Iterator[Passing]:
    """A proxy on a free port until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.passing = Passing(server.server_address[1], names)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.passing
    finally:
        server.shutdown()
        server.server_close()
