"""Real HTTP servers on loopback for tests: they count what reaches them, down to the connection."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Site:
    """What a server says and what it has seen. Behaviour can change while it runs."""

    host: str
    port: int
    scheme: str = "http"
    status: int = 200
    delay_s: float = 0.0
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event = field(default_factory=threading.Event)  # set: answer nothing until released
    released: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def process_request(self, request: object, client_address: object) -> None:
        self.site.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        site = self.server.site
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        site.requests.append(f"{self.command} {self.path}")
        if site.hang.is_set():
            site.released.wait(30)
        if site.delay_s:
            time.sleep(site.delay_s)
        body = b'{"version": "1.0"}'
        self.send_response(site.status)
        for name, value in site.headers.items():
            self.send_header(name, value)
        if site.location is not None:
            self.send_header("Location", site.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(
    host: str = "127.0.0.1", certificate: tuple[Path, Path] | None = None, **behaviour: object
) -> Iterator[Site]:
    """A server on a free port of `host` until the block ends; with a (certificate, key) it speaks TLS."""
    server = _Server((host, 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        behaviour["scheme"] = "https"
    site = server.site = Site(host, server.server_address[1], **behaviour)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.released.set()
        server.shutdown()
        server.server_close()
