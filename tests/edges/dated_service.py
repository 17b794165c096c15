"""A service that tells the time by its own clock and is gone wrong from some day on: `dated_service.py PORT [DAY]`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Every path is answered alike; `Date` is the base class's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        now = datetime.now(UTC)
        is_broken = now.date().isoformat() >= sys.argv[2] if len(sys.argv) > 2 else False
        body = f'{{"now": "{now.isoformat()}", "day": "{now.date()}"}}'.encode()
        self.send_response(500 if is_broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
