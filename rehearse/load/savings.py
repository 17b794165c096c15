"""What Locust and its HTTP client do for nobody, left out: FastHttpUser costs less, and behaves the same.

Runs in the worker only. Each saving replaces one function by a shorter way to the same result, for the case that most
requests are; every other case goes the original way. `bench/load/throughput.py` says what they are worth, and
tests/load/test_savings.py compares behaviour with and without them. A saving that does not fit the installed version
is left out.
"""

from __future__ import annotations

import inspect
import logging
import ssl
from collections.abc import Callable, Iterator
from functools import lru_cache
from http.cookiejar import CookieJar
from typing import Any

from geventhttpclient.client import IDEMPOTENT_METHODS, HTTPClient
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from geventhttpclient.url import URL
from httptools import HttpParserError, HttpParserUpgrade
from locust.contrib import fasthttp
from locust.env import Environment
from locust.runners import LocalRunner

from rehearse.load.lean_messages import headers_of
from rehearse.load.wire import ConnectionClosed, TruncatedAnswer, Wire, connect

_MAX_KNOWN = 512  # request heads that one connection pool remembers; addresses with ids in them have no end
log = logging.getLogger(__name__)


def save() -> None:
    """Put every saving in place. What this leaves as it was is in the log."""
    if fasthttp.CookieJar is CookieJar:  # type: ignore[attr-defined]  # it imports it from the standard library
        fasthttp.CookieJar = SparingJar  # type: ignore[attr-defined]  # it imports it from the standard library
    replace(fasthttp.FastRequest, "set_url", _set_url)
    replace(HTTPClient, "_build_request", _build_request)
    replace(HTTPClient, "close", _close)
    if replace(fasthttp.LocustUserAgent, "_urlopen", _urlopen):
        session = fasthttp.FastHttpSession
        session.request = _stream_is_noted(session.request)  # type: ignore[method-assign]


def replace(owner: Any, name: str, ours: Callable[..., Any]) -> bool:
    """Put `ours` in the place of Locust's or its client's own function, if that has the same parameters.

    Another version may have others, and a scenario may have put a function of its own there.
    """
    theirs: Any = getattr(owner, name, None)
    if not _is_theirs(theirs) or _parameters(theirs) != _parameters(ours):
        log.warning("%s.%s is not what it was: it stays as it is, and costs more", owner.__name__, name)
        return False
    _originals.setdefault(ours, theirs)
    setattr(owner, name, ours)
    return True


def _is_theirs(function: Any) -> bool:
    return getattr(function, "__module__", "").split(".")[0] in {"locust", "geventhttpclient"}


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


_originals: dict[Callable[..., Any], Callable[..., Any]] = {}


def runner_of(environment: Environment) -> LocalRunner:
    """Locust's runner, without its statistics: ours are better, and nobody reads these, until somebody does."""
    request = environment.events.request
    before = list(request._handlers)
    runner = environment.create_local_runner()
    listeners = [handler for handler in request._handlers if handler not in before]
    for listener in listeners:
        request.remove_listener(listener)  # type: ignore[no-untyped-call]
    environment.stats = StatsOnDemand(environment, listeners)  # type: ignore[assignment]  # until they are read
    return runner


class StatsOnDemand:
    """Stands where a scenario looks for Locust's statistics: whoever looks starts them."""

    def __init__(self, environment: Any, listeners: list[Callable[..., None]]) -> None:
        self._environment, self._listeners, self._stats = environment, listeners, environment.stats

    def clear_all(self) -> None:
        """Nothing was counted."""

    reset_all = clear_all

    def __getattr__(self, name: str) -> object:
        if self._environment.stats is self:
            log.warning("the scenario reads Locust's own statistics: they count from now on")
            self._environment.stats = self._stats
            for listener in self._listeners:
                self._environment.events.request.add_listener(listener)
        return getattr(self._stats, name)


class SparingJar(CookieJar):
    """A cookie jar that looks at a request only when it has cookies, and at an answer only when it brings some."""

    def add_cookie_header(self, request: Any) -> None:
        """Add the cookies that are meant for this request."""
        if self._cookies:  # type: ignore[attr-defined]  # the only quick way to ask if it is empty
            super().add_cookie_header(request)

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep the cookies that this answer sets."""
        headers = response.info()
        if "set-cookie" in headers or "set-cookie2" in headers:
            super().extract_cookies(response, request)


class KnownURL(URL):
    """A URL that takes itself apart once."""

    __slots__ = ("host", "netloc", "port", "quoted_uri", "request_uri", "scheme")

    def __init__(self, url: Any, params: Any = None) -> None:
        super().__init__(url, params)
        for name in ("scheme", "netloc", "host", "port", "request_uri", "quoted_uri"):
            setattr(self, name, getattr(URL, name).__get__(self))


@lru_cache(maxsize=4096)
def _known(url: str) -> KnownURL:
    return KnownURL(url)


def _set_url(self: Any, url: Any, params: Any = None) -> None:
    if params is not None or type(url) is not str:
        _originals[_set_url](self, url, params)
        return
    self.url = url
    self.url_split = known = _known(url)
    self.type, self.host, self.selector = known.scheme, known.netloc, known.request_uri or "/"


def _build_request(
    self: Any,
    method: str,
    request_uri: str,
    body: Any = b"",
    headers: Any = None,
    chunked: bool | None = None,
) -> str:
    """Remembers the head of a request without a body: it is checked and put together once."""
    original = _originals[_build_request]
    if body or chunked or type(headers) is not Headers:
        return str(original(self, method, request_uri, body, headers, chunked))
    heads: dict[object, str] = self.__dict__.setdefault("rehearse_heads", {})
    try:
        key = (method, request_uri, tuple(dict.items(headers)))
        head = heads.get(key)
    except TypeError:  # a field with several lines is a list
        return str(original(self, method, request_uri, body, headers, chunked))
    if head is None:
        if len(heads) >= _MAX_KNOWN:
            heads.clear()
        head = heads[key] = original(self, method, request_uri, body, headers, chunked)
    return head


def _stream_is_noted(original: Callable[..., Any]) -> Callable[..., Any]:
    """A request whose answer is read bit by bit says so to the agent that sends it."""

    def request(self: Any, *args: Any, **options: Any) -> Any:
        self.client.rehearse_streams = bool(options.get("stream", len(args) > 5 and args[5]))
        return original(self, *args, **options)

    return request


def _urlopen(self: Any, request: Any) -> Any:
    """Over a Wire, when nothing about the request is special; over geventhttpclient's own sockets otherwise."""
    url, headers, body = request.url_split, request.headers, request.payload
    client = self.clientpool.get_client(url)
    if isinstance(body, str):
        body = body.encode()
    if (
        client.ssl
        or client.use_proxy
        or not (body is None or isinstance(body, bytes))
        or "expect" in headers
        or "transfer-encoding" in headers
        or getattr(self, "rehearse_streams", False)
    ):
        return _originals[_urlopen](self, request)
    method, body = request.method.upper(), body or b""
    head = client._build_request(method, url.quoted_uri, body=body, headers=headers, chunked=False)
    answered = _exchange(client, method, head.encode("latin-1") + body)
    return self.response_type(answered, request=request, sent_request=head)


def _exchange(client: Any, method: str, message: bytes) -> Answered:
    """As HTTPClient.request does it: a connection that was closed without an answer is replaced, and again."""
    pool = client._connection_pool
    idle: list[Wire] = client.__dict__.setdefault("rehearse_idle", [])
    may_repeat = method in IDEMPOTENT_METHODS
    with pool._semaphore:  # as many connections at a time as with its own sockets
        for attempts_left in range(pool.size + 1, -1, -1):
            wire = _usable(idle, look=not may_repeat) or _connected(client, pool)
            try:
                answer = wire.exchange(message, method == "HEAD")
            except ConnectionClosed as error:
                wire.close()
                if not (may_repeat and attempts_left):
                    raise HTTPConnectionClosed("connection closed.") from error
            except TruncatedAnswer as error:
                wire.close()
                if error.answer is None:
                    raise HTTPParseError(str(error)) from error
                return Answered(*error.answer, missing=HTTPParseError(str(error)))
            except (HttpParserError, HttpParserUpgrade) as error:
                wire.close()
                raise HTTPParseError(str(error)) from error
            except BaseException:
                wire.close()
                raise
            else:
                if wire.may_be_kept:
                    idle.append(wire)
                else:
                    wire.close()
                return Answered(*answer)
    raise HTTPConnectionClosed("connection closed.")


def _close(self: Any) -> None:
    """A scenario closes its connections to be a new visitor."""
    for wire in self.__dict__.pop("rehearse_idle", ()):
        wire.close()
    _originals[_close](self)


def _usable(idle: list[Wire], look: bool) -> Wire | None:
    while idle:
        wire = idle.pop()
        if wire.is_usable(look):
            return wire
        wire.close()
    return None


def _connected(client: Any, pool: Any) -> Wire:
    origin = ("http", client.host, client.port)
    return connect(origin, ssl.create_default_context, pool.connection_timeout, pool.network_timeout)


class Answered:
    """A whole answer, with what FastResponse asks of geventhttpclient's response."""

    message_complete = True
    version = "HTTP/1.1"

    def __init__(self, status: int, head: bytes, body: bytes, missing: Exception | None = None) -> None:
        self._status, self._body, self._at = status, body, 0
        self._missing = missing  # raised by the first who reads the body, when the end of it never came
        self._headers_index = headers_of(head)

    def get_code(self) -> int:
        """The status."""
        return self._status

    def read(self, length: int | None = None) -> bytes:
        """The next bytes of the body; all that are left without a length."""
        if self._missing is not None:
            missing, self._missing = self._missing, None
            raise missing
        start, end = self._at, len(self._body) if length is None else self._at + length
        self._at = min(end, len(self._body))
        return self._body[start:end]

    def readline(self, separator: bytes = b"\r\n") -> bytes:
        """The next bytes up to a separator; none when there is no further one."""
        end = self._body.find(separator, self._at)
        return self.read(end + len(separator) - self._at) if end >= 0 else b""

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(4096):
            yield chunk

    def release(self) -> None:
        """Nothing is held: the connection has been given back."""

    @property
    def length(self) -> int | None:
        """What the server said about the length."""
        said = self._headers_index.get("content-length")
        return int(said) if isinstance(said, str) else None
