"""A small real service that takes orders, with breaks of its idempotency to choose from."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class OrdersService:
    """What it does wrong, and what it did."""

    port: int = 0
    forgets_keys: bool = False  # each sending is an order
    looks_before_it_leaps: bool = False  # two at once both find the key unused
    ignores_payload: bool = False  # another order under a used key is answered with the first one's answer
    is_counted: bool = True
    answers: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    placed: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def breaks(self, **chosen: bool) -> None:
        """From now on it does these wrong, and nothing else."""
        for name in ("forgets_keys", "looks_before_it_leaps", "ignores_payload"):
            setattr(self, name, chosen.get(name, False))
        self.is_counted = chosen.get("is_counted", True)

    def place(self, key: str, payload: bytes) -> tuple[int, bytes]:
        """Status and body."""
        if not key or self.forgets_keys:
            return 201, self._take_effect(key)
        if self.looks_before_it_leaps:
            return self._once(key, payload, pause_s=0.1)
        with self.lock:
            return self._once(key, payload, pause_s=0.0)

    def _once(self, key: str, payload: bytes, pause_s: float) -> tuple[int, bytes]:
        known = self.answers.get(key)
        time.sleep(pause_s)
        if known is None:
            answer = self._take_effect(key)
            self.answers[key] = (payload, answer)
            return 201, answer
        if known[0] != payload and not self.ignores_payload:
            return 422, b'{"error": "the key was used for another order"}'
        return 201, known[1]

    def _take_effect(self, key: str) -> bytes:
        self.placed[key] += 1
        return json.dumps({"id": self.placed.total()}).encode()

    def count(self, key: str | None) -> int:
        """Of one key, or of all."""
        if not self.is_counted:
            return 0
        return self.placed.total() if key is None else self.placed[key]


@contextmanager
def taking_orders() -> Iterator[OrdersService]:
    """On a free port of loopback until the block ends."""
    service = OrdersService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*service.place(self.headers.get("Idempotency-Key", ""), payload))

        def do_GET(self) -> None:
            key = parse_qs(urlsplit(self.path).query).get("key", [None])[0]
            self._answer(200, json.dumps({"orders": {"count": service.count(key), "note": "x"}}).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is what this is about."""

    server = Server(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
