"""What LeanHttpUser sends and what it gets back: requests put together, answers taken apart when asked.

Runs in the worker only.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from json import loads
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import brotli
from charset_normalizer import detect
from geventhttpclient.header import Headers
from geventhttpclient.url import URL
from httptools import HttpParserError, HttpParserUpgrade
from locust.exception import CatchResponseError, LocustError, ResponseError
from requests.utils import get_encoding_from_headers

from rehearse.load.wire import Origin

_HAVE_A_BODY = frozenset(("POST", "PUT", "PATCH"))
_PORTS = {"http": 80, "https": 443}
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class BadRedirect(OSError):
    """The server sent the client to a place where it cannot go, or around in circles."""


# What ends a request without an answer that can be used; FastHttpUser's set, in this client's terms.
FAILURES = (OSError, HttpParserError, HttpParserUpgrade, zlib.error, brotli.error)


class Outgoing(NamedTuple):
    """One request, put together. `head` lacks the lines that depend on cookies and body, and the blank line."""

    method: str
    url: str
    origin: Origin
    fields: Headers
    head: bytes
    data: bytes  # what is sent
    body: bytes
    label: str  # method and path: what it is called unless the scenario names it

    def carrying(self, cookies: str, body: bytes) -> Outgoing:
        """The same request with cookies and a body."""
        lines = f"Cookie: {cookies}\r\n".encode("latin-1") if cookies else b""
        if body or self.method in _HAVE_A_BODY:
            lines += b"Content-Length: %d\r\n" % len(body)
        return self._replace(data=b"%b%b\r\n%b" % (self.head, lines, body), body=body)


class LeanResponse:
    """An answer. Its interface is FastResponse's; without an answer, status_code is 0 and `error` says why."""

    error: Exception | None = None
    encoding: str | None = None
    """Set it before reading `text` when the server's own statement is wrong."""
    history: tuple[LeanResponse, ...] = ()
    _headers: Headers | None = None
    _elapsed_s = 0.0

    def __init__(self, request: Outgoing, status_code: int, head: bytes, content: bytes | None) -> None:
        self.request = request
        self.status_code = status_code
        self.content = content
        self._head = head

    @property
    def url(self) -> str:
        """The address that answered: after redirects, the last one."""
        return self.request.url

    @property
    def headers(self) -> Headers | None:
        """Header fields by name in any case; None without an answer."""
        if self._headers is None and self._head:
            self._headers = headers_of(self._head)
        return self._headers

    @property
    def ok(self) -> bool:
        """True for a status below 400."""
        return self.status_code < 400

    @property
    def elapsed(self) -> timedelta:
        """From the first byte sent to the last byte received, redirects included."""
        return timedelta(seconds=self._elapsed_s)

    @property
    def text(self) -> str | None:
        """The content, decoded as the server says, or as it looks; None without an answer."""
        if self.content is None:
            return None
        if self.encoding is None:
            said = get_encoding_from_headers(self.headers)  # type: ignore[arg-type]  # any mapping will do
            self.encoding = said or detect(self.content)["encoding"]
        return str(self.content, self.encoding or "utf-8", errors="replace")

    def json(self) -> Any:
        """The content, parsed as JSON."""
        return loads(self.content or b"")

    def info(self) -> Headers | None:
        """The headers, by the name that a cookie jar asks for."""
        return self.headers

    def raise_for_status(self) -> None:
        """Raise what went wrong: no answer, or a status that means failure."""
        if self.error is not None:
            raise self.error

    def success(self) -> None:
        """Refused: see LeanCaughtResponse."""
        raise LocustError("to decide about a request, pass catch_response=True and use a with-block")

    def failure(self, reason: object) -> None:
        """Refused: see LeanCaughtResponse."""
        del reason
        self.success()


class LeanCaughtResponse(LeanResponse):
    """The answer to a request with catch_response=True: the with-block decides what it is booked as."""

    js: Any = None
    _verdict: bool | Exception | None = None
    _is_entered = False
    book: Callable[[LeanResponse, object], None]
    """Where the with-block's decision goes."""

    def __enter__(self) -> Self:
        self._is_entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Book it: as the block decided; else as the answer says. Other exceptions are not ours to judge."""
        if self._verdict is not None:
            self.book(self, None if self._verdict is True else self._verdict)
            return error is None
        if error is None:
            self.book(self, self.error)
            return True
        if isinstance(error, ResponseError):
            self.book(self, error)
            return True
        return False

    def success(self) -> None:
        """Book it as a success, whatever its status is."""
        self._decide(True)

    def failure(self, reason: object) -> None:
        """Book it as a failure; a reason that is no exception becomes one."""
        self._decide(reason if isinstance(reason, Exception) else CatchResponseError(reason))

    def raise_for_status(self) -> None:
        """Raise what went wrong, by the block's decision if there is one."""
        if isinstance(self._verdict, Exception):
            raise self._verdict
        if self._verdict is None:
            super().raise_for_status()

    def _decide(self, verdict: bool | Exception) -> None:
        if not self._is_entered:
            raise LocustError("a request can be decided about only inside its with-block")
        self._verdict = verdict


def outgoing(method: str, address: URL, fields: Headers, label: str) -> Outgoing:
    """Put a request together, without its body. Raises ValueError for what is no address or no header."""
    scheme, host = address.scheme, address.host
    if scheme not in _PORTS or not host:
        raise ValueError(f"not an address that HTTP can ask: {scheme or 'no scheme'}://{host}")
    origin = (scheme, host, address.port or _PORTS[scheme])
    target = address.quoted_uri
    line = f"{method} {target if target.startswith('/') else '/' + target} HTTP/1.1"
    if not _TOKEN.issuperset(method) or line.count(" ") != 2 or not line.isprintable():
        raise ValueError(f"not a request line: {line!r}")
    lines = [line, f"Host: {fields.get('host') or _host_field(origin)}"]
    for name, value in fields.items():
        if name.lower() not in {"host", "content-length"}:  # these are ours to say
            lines.append(_line(name, str(value)))
    head = ("\r\n".join(lines) + "\r\n").encode("latin-1")
    return Outgoing(method, str(address), origin, fields, head, b"", b"", label).carrying("", b"")


def _line(name: str, value: str) -> str:
    """What would end a line or a name early could put words into the client's mouth."""
    if not name or not _TOKEN.issuperset(name) or any(character in value for character in "\r\n\0"):
        raise ValueError(f"not a header field: {name!r}")
    if name.lower() in {"transfer-encoding", "upgrade"}:
        raise unsupported(f"the header {name}")
    return f"{name}: {value}"


def _host_field(origin: Origin) -> str:
    scheme, host, port = origin
    shown = f"[{host}]" if ":" in host else host
    return shown if port == _PORTS[scheme] else f"{shown}:{port}"


def headers_of(head: bytes) -> Headers:
    """The header fields of a head that llhttp has accepted: continued lines belong to the line before."""
    text = head.decode("latin-1")
    if "\r\n " in text or "\r\n\t" in text:
        text = text.replace("\r\n ", " ").replace("\r\n\t", " ")
    headers = Headers()
    for line in text.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers.add(name, value.strip(" \t"))
    return headers


def encoded(data: object) -> tuple[bytes, str | None]:
    """(body, its content type unless the scenario says otherwise): as FastHttpUser sends it."""
    if not data:
        return b"", None
    if isinstance(data, Mapping):
        return urlencode(data).encode(), "application/x-www-form-urlencoded; charset=utf-8"
    if isinstance(data, str):
        return data.encode(), "text/plain; charset=utf-8"
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), "application/octet-stream"
    raise unsupported(f"data of type {type(data).__name__}")


def decoded(body: bytes, headers: Headers | None) -> bytes:
    """The content that was encoded on the way, outermost encoding first. Raises zlib.error, brotli.error."""
    for encoding in reversed(",".join((headers or Headers()).getlist("content-encoding")).lower().split(",")):
        if encoding.strip() in {"gzip", "x-gzip"}:
            body = zlib.decompress(body, 16 + zlib.MAX_WBITS) if body else body
        elif encoding.strip() == "deflate":
            body = _inflated(body) if body else body
        elif encoding.strip() == "br":
            body = brotli.decompress(body) if body else body
        elif encoding.strip() not in {"", "identity"}:
            raise OSError(f"unknown content encoding: {encoding.strip()[:40]}")
    return body


def _inflated(body: bytes) -> bytes:
    """Some servers send `deflate` without the zlib header that the standard asks for."""
    try:
        return zlib.decompress(body)
    except zlib.error:
        return zlib.decompress(body, -zlib.MAX_WBITS)


def without_credentials(url: str) -> tuple[str, str | None]:
    """(the address, an Authorization header) of an address that may hold a user name and a password."""
    parts = urlsplit(url)
    if not (parts.username and parts.password):
        return url, None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, basic(unquote(parts.username), unquote(parts.password))


def basic(user: str | bytes, password: str | bytes) -> str:
    """The value of an Authorization header."""
    both = (part.encode("latin-1") if isinstance(part, str) else part for part in (user, password))
    return f"Basic {b64encode(b':'.join(both)).decode('ascii')}"


def unsupported(what: str) -> TypeError:
    """What to raise for what this client leaves out."""
    return TypeError(f"LeanHttpUser does not support {what}: use FastHttpUser for this scenario")
