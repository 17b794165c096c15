"""Real servers on loopback for tests: they count what reaches them, down to the connection; some break the rules."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
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
    body: bytes = b'{"version": "1.0"}'
    hang: threading.Event = field(default_factory=threading.Event)  # set: answer nothing until released
    released: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)  # of each request
    hosts: list[str] = field(default_factory=list)  # the same

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, object]:
        plain, address = super().get_request()
        if self.tls is None:
            return plain, address
        secured = self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            secured.do_handshake()
        except OSError:
            _linger(secured)
            raise
        return secured, address

    def process_request(self, request: object, client_address: object) -> None:
        self.site.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the tests."""


def _linger(refused: socket.socket) -> None:
    """Let the alert arrive: a close with something unread is a reset, which may outrun it."""
    with refused, suppress(OSError):
        refused.settimeout(1.0)
        refused.shutdown(socket.SHUT_WR)
        while refused.recv(1 << 16):
            pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: 40 ms a request on a kept connection
    server: _Server

    def _answer(self) -> None:
        site = self.server.site
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        site.requests.append(f"{self.command} {self.path}")
        site.authorizations.append(self.headers.get("Authorization", ""))
        site.hosts.append(self.headers.get("Host", ""))
        if site.hang.is_set():
            site.released.wait(30)
        if site.delay_s:
            time.sleep(site.delay_s)
        body = site.body
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


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(
    host: str = "127.0.0.1",
    certificate: tuple[Path, Path] | None = None,
    client_ca: Path | None = None,
    newest_tls: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    **behaviour: object,
) -> Iterator[Site]:
    """A server on a free port of `host` until the block ends; with a (certificate, key) it speaks TLS, and with a
    `client_ca` only to those who show a certificate that this one vouches for."""
    server = _Server((host, 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.maximum_version = newest_tls
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        server.tls = context
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


class Act(Enum):
    """What a scripted server does instead of answering."""

    CLOSE = auto()  # reads a request, then closes
    RESET = auto()  # reads a request, then resets the connection
    CLOSE_AT_ONCE = auto()  # closes without reading
    SILENCE = auto()  # reads a request, and says nothing


@dataclass(frozen=True)
class Early:
    """Answers when it has read the head of a request; reads the rest afterwards."""

    answer: bytes


Step = bytes | Act | Early


@dataclass
class Stage:
    """A server that plays a script: for each connection a list of answers, sent as they stand."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def playing(*scripts: Sequence[Step]) -> Iterator[Stage]:
    """A server that plays `scripts`, one for each connection in turn; further connections are closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stage = Stage(listener.getsockname()[1])
        thread = threading.Thread(target=_play_all, args=(listener, stage, list(scripts)), daemon=True)
        thread.start()
        try:
            yield stage
        finally:
            stage.released.set()


def _play_all(listener: socket.socket, stage: Stage, scripts: list[Sequence[Step]]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        stage.connections += 1
        script = scripts.pop(0) if scripts else [Act.CLOSE_AT_ONCE]
        threading.Thread(target=_play, args=(connection, stage, script), daemon=True).start()


def _play(connection: socket.socket, stage: Stage, script: Sequence[Step]) -> None:
    with connection:
        for step in script:
            if step is Act.CLOSE_AT_ONCE:
                return
            if isinstance(step, Early):
                _read_request(connection, step.answer)
                continue
            request = _read_request(connection)
            if not request:
                return
            stage.requests.append(request)
            if isinstance(step, bytes):
                connection.sendall(step)
            elif step is Act.SILENCE:
                stage.released.wait(30)
            else:
                if step is Act.RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
        if not script or not isinstance(script[-1], Act):
            stage.released.wait(30)  # stays open


def _read_request(connection: socket.socket, early_answer: bytes = b"") -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return b""
        received += data
    connection.sendall(early_answer)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", received)
    body_end = received.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(received) < body_end:
        received += connection.recv(min(65536, body_end - len(received)))
    return received
