"""A small correct HTTP service on loopback, whose answers a test can spoil one at a time."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SECURITY = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'"}
TAG = '"v1"'


@dataclass(frozen=True)
class Asked:
    """One request, as far as the service looks at it."""

    method: str
    path: str
    query: str
    version: str
    headers: dict[str, str]
    body_bytes: int
    turn: int  # of its connection, from 1 on

    @property
    def parameters(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)


@dataclass(frozen=True)
class Reply:
    """What goes back. `raw` goes out as it stands, and the connection is closed after it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool | None = None  # None: as the client asked
    raw: bytes | None = None
    adds_body: bool = True

    def plus(self, **headers: str) -> Reply:
        """With more headers; `X_Y` is written X-Y."""
        return replace(self, headers=self.headers | {k.replace("_", "-"): v for k, v in headers.items()})

    def minus(self, *names: str) -> Reply:
        return replace(self, headers={k: v for k, v in self.headers.items() if k not in names})


Answering = Callable[[Asked], Reply]


def good(asked: Asked) -> Reply:
    """The known-good service."""
    if asked.version == "HTTP/1.1" and "host" not in asked.headers:
        return page(400, {"error": "no host"})
    if asked.method == "OPTIONS":
        return _preflight(asked)
    if asked.path.endswith("/") and asked.path != "/":
        return Reply(307, headers={"Location": asked.path.rstrip("/")})
    if asked.path == "/orders":
        return _orders(asked)
    if asked.path == "/boom":
        return page(500, {"error": "internal error"})
    if asked.path in {"/health", "/ready"}:
        return page(200, {"status": "ok"})
    if asked.path in {"/", "/products"}:
        return _with_cors(asked, _products(asked))
    return page(404, {"error": "not found"})


def page(status: int, content: object) -> Reply:
    body = json.dumps(content, sort_keys=True).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=utf-8", **SECURITY})


def _products(asked: Asked) -> Reply:
    if asked.headers.get("if-none-match") == TAG:
        return Reply(304, headers={"ETag": TAG})
    wanted = {name: values[-1] for name, values in asked.parameters.items() if name in {"category", "page"}}
    reply = page(200, {"wanted": wanted})
    reply = reply.plus(ETag=TAG, Cache_Control="no-cache, max-age=60", Vary="Accept-Encoding, Origin")
    if "gzip" in asked.headers.get("accept-encoding", ""):
        reply = replace(reply, body=gzip.compress(reply.body)).plus(Content_Encoding="gzip")
    return reply


def _orders(asked: Asked) -> Reply:
    if asked.method != "POST":
        return page(405, {"error": "use POST"}).plus(Allow="POST")
    if asked.body_bytes > 10_000_000:
        return page(413, {"error": "too large"})
    if asked.headers.get("content-type") != "application/json":
        return page(415, {"error": "send JSON"})
    return page(201, {"id": 1})


def _preflight(asked: Asked) -> Reply:
    if "access-control-request-method" not in asked.headers:
        return page(405, {"error": "no preflight"})
    return _with_cors(asked, Reply(204)).plus(Access_Control_Allow_Methods="GET, POST")


def _with_cors(asked: Asked, reply: Reply) -> Reply:
    return (
        reply.plus(Access_Control_Allow_Origin=asked.headers["origin"])
        if "origin" in asked.headers
        else reply
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits 40 ms for the client to have acknowledged its headers
    server: _Server
    turn = 0

    def _reply(self) -> None:
        self.turn += 1
        reply = self.server.answering(self._asked())
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        if "Date" not in reply.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in {204, 304}:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" and reply.status not in {204, 304}:
            self.wfile.write(reply.body)
        if reply.closes is not None:
            self.close_connection = reply.closes

    def _asked(self) -> Asked:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, parts.path, parts.query, self.request_version, headers, length, self.turn)

    do_GET = do_HEAD = do_POST = do_OPTIONS = _reply

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answering: Answering

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the tests."""


@contextmanager
def serving(answering: Answering = good, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The URL of a service on a free port, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answering = answering
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
