"""HTTP/1 over a plain socket, for what an HTTP client would never send, or would hide."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import h11
import httpx
import pytest

from rehearse.checks.side_client import SideClient
from rehearse.tls import TlsOrder, wants_certificate

TIMEOUT_S = 5.0
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """An answer as it came over the wire, complete and well framed; otherwise `trouble` says what was wrong."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    trouble: str = ""

    @property
    def kind(self) -> str:
        """ "2xx", "4xx", "no answer"."""
        return "no answer" if self.status is None or self.trouble else f"{self.status // 100}xx"

    @property
    def shown(self) -> str:
        """The end of a sentence."""
        return f"answers {self.status}" if not self.trouble else f"gives no whole answer ({self.trouble})"

    def values(self, name: str) -> list[str]:
        """Every value of a header, in the order of the lines."""
        return [value for header, value in self.headers if header == name]


class Connection:
    """One connection to the host of a client, which this never changes. Certificates have checks of their own."""

    def __init__(self, client: httpx.Client) -> None:
        """Connects. Raises OSError."""
        self._client = client
        url = client.base_url
        port = url.port or (443 if url.scheme == "https" else 80)
        self._socket = socket.create_connection((url.host, port), TIMEOUT_S)
        if url.scheme == "https":
            tls = client.tls if isinstance(client, SideClient) else TlsOrder()
            context = replace(tls, verify=False).context()
            self._socket = context.wrap_socket(self._socket, server_hostname=url.host)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def get(
        self, target: str, connection: str = "keep-alive", version: str = "HTTP/1.1", has_host: bool = True
    ) -> WireAnswer:
        """GET with the client's own headers; never raises for what the server does."""
        request = self._client.build_request("GET", target)
        dropped = {"connection", "accept-encoding", *(() if has_host else ("host",))}
        if "cookie" not in self._client.headers:  # else it is how the client logs in
            dropped.add("cookie")
        lines = [f"GET {request.url.raw_path.decode('ascii')} {version}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name not in dropped]
        lines += [f"Connection: {connection}", "", ""]
        try:
            self._socket.sendall("\r\n".join(lines).encode("latin-1"))
            return self._read()
        except (OSError, h11.RemoteProtocolError) as error:
            return _no_answer(error)

    def is_closed(self) -> bool:
        """Whether the server closes its end, within the time limit."""
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def _read(self) -> WireAnswer:
        # The parser wants to have sent a request itself; what really was sent may be one that it would refuse.
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "any")]))
        parser.send(h11.EndOfMessage())
        answer = WireAnswer(None, trouble="the connection was closed")
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(self._socket.recv(READ_BYTES))
            elif isinstance(event, h11.Response):
                headers = tuple((name.decode(), value.decode("latin-1")) for name, value in event.headers)
                answer = WireAnswer(event.status_code, headers)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return answer


def get_once(
    client: httpx.Client, target: str, version: str = "HTTP/1.1", has_host: bool = True
) -> WireAnswer:
    """One GET on a connection of its own, which the server is asked to close."""
    try:
        with Connection(client) as connection:
            return connection.get(target, "close", version, has_host)
    except OSError as error:
        return _no_answer(error)


def _no_answer(error: Exception) -> WireAnswer:
    words = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLError) and wants_certificate(words):
        pytest.skip("the target wants to see a client certificate: name one in tls.cert of its table")
    return WireAnswer(None, trouble=words)
