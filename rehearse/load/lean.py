"""LeanHttpUser: FastHttpUser's interface for those who need more requests from one core. Runs in the worker only.

The same calls and the same answers, without what nobody looks at on the way: requests that repeat are put together
once, headers, text and cookies are read when somebody asks for them, and under `rehearse` no event is fired unless the
scenario listens. What is left out is refused with a message.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.cookiejar import CookieJar
from json import dumps
from time import perf_counter
from types import MappingProxyType
from typing import Any, ClassVar

import gevent.ssl
from geventhttpclient.header import Headers
from geventhttpclient.url import URL
from locust.contrib.fasthttp import FastRequest, LocustBadStatusCode
from locust.env import Environment
from locust.exception import StopTest
from locust.user.users import RestMixin, User

from rehearse import __version__
from rehearse.load.lean_messages import (
    FAILURES,
    BadRedirect,
    LeanCaughtResponse,
    LeanResponse,
    Outgoing,
    basic,
    decoded,
    encoded,
    outgoing,
    unsupported,
    without_credentials,
)
from rehearse.load.pacer import Journey
from rehearse.load.request_hooks import RequestListener, current_journey, without_query
from rehearse.load.wire import Answer, ConnectionClosed, Origin, Wire, connect

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BECOME_GET = frozenset((301, 302, 303))
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))  # RFC 9110, 9.2.2
_MAX_KNOWN = 512  # requests that are kept put together; addresses with ids in them would grow without bound
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class LeanHttpSession:
    """One user's client: a connection for each host, a cookie jar, and the requests it has put together."""

    check_method: ClassVar[Callable[[str], None] | None] = None
    listener: ClassVar[RequestListener | None] = None

    def __init__(self, user: LeanHttpUser, base_url: str) -> None:
        self._idle: dict[Origin, Wire] = {}
        self.user = user
        self.base_url, authorization = without_credentials(base_url)
        self.request_event: Any = user.environment.events.request
        self.request_name: str | None = None
        self.cookiejar = CookieJar()
        self._fields = Headers(
            {"User-Agent": f"rehearse/{__version__}", "Accept-Encoding": "gzip, deflate, br"}
        )
        self._fields.update(user.default_headers or {})
        if authorization:
            self._fields["Authorization"] = authorization
        self._known: dict[object, Outgoing] = {}

    @classmethod
    def report_to(cls, check_method: Callable[[str], None], listener: RequestListener) -> None:
        """From now on `check_method` may refuse each request, and `listener` books each, and those given up."""
        cls.check_method, cls.listener = staticmethod(check_method), listener

    def renew_headers(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Send what is new from now on, where what was given before is still sent."""
        for name, value in after.items():
            if self._fields.get(name) == before.get(name):
                self._fields[name] = value
        self._known.clear()

    def get(self, url: str, **options: Any) -> LeanCaughtResponse:
        """Send a GET request."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> LeanCaughtResponse:
        """Send a HEAD request."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> LeanCaughtResponse:
        """Send an OPTIONS request."""
        return self.request("OPTIONS", url, **options)

    def delete(self, url: str, **options: Any) -> LeanCaughtResponse:
        """Send a DELETE request."""
        return self.request("DELETE", url, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> LeanCaughtResponse:
        """Send a POST request."""
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> LeanCaughtResponse:
        """Send a PUT request."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> LeanCaughtResponse:
        """Send a PATCH request."""
        return self.request("PATCH", url, data=data, **options)

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: str | bytes | Mapping[str, Any] | None = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str | bytes, str | bytes] | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] = _NOTHING,
        params: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> LeanCaughtResponse:  # a LeanResponse without catch_response; typed as FastHttpSession.request is
        """Send a request and wait for its answer; every failure is an answer with status_code 0 and an `error`."""
        if others or stream:
            raise unsupported(f"{next(iter(others), 'stream')}=")
        check_method = type(self).check_method
        if check_method is not None:
            check_method(method)
        if data is None and json is None and auth is None and params is None and not headers:
            request = self._known.get((method, url)) or self._remembered(method, url, (method, url), {})
            if self.cookiejar._cookies:  # type: ignore[attr-defined]  # the only quick way to ask if it is empty
                request = request.carrying(self._cookies_for(request), b"")
        else:
            request = self._put_together(method, url, data, json, auth, params, headers)
        name = name or self.request_name
        label = f"{method} {name}" if name else request.label
        journey = current_journey()
        kind = LeanCaughtResponse if catch_response else LeanResponse
        redirects = self.user.max_redirects if allow_redirects else 0
        response = self._answer_to(request, kind, label, journey, redirects)
        if catch_response:
            response.book = partial(self._book, journey, label, context)  # type: ignore[attr-defined]  # see kind
        else:
            self._book(journey, label, context, response, response.error)
        return response  # type: ignore[return-value]

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Book every request of the with-block under one name."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def iter_lines(self, *_: object, **__: object) -> None:
        """Refused."""
        raise unsupported("iter_lines")

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.popitem()[1].close()

    def __del__(self) -> None:
        self.close()

    # one exchange

    def _answer_to(
        self, request: Outgoing, kind: type[LeanResponse], label: str, journey: Journey | None, redirects: int
    ) -> LeanResponse:
        """The answer or the failure, timed; the journey knows meanwhile what it waits for."""
        sent_at = perf_counter()
        if journey is not None:
            journey.in_flight = (label, sent_at)
        try:
            response = self._followed(request, kind, redirects)
        except FAILURES as error:
            response = kind(request, 0, b"", None)
            response.error = error
        except BaseException as error:  # gevent.Timeout, or the greenlet was killed
            if self.listener is not None and not isinstance(error, Exception):
                self.listener.cancelled(label, perf_counter() - sent_at, error)
            raise
        finally:
            if journey is not None:
                journey.in_flight = None
        response._elapsed_s = perf_counter() - sent_at
        return response

    def _book(
        self,
        journey: Journey | None,
        label: str,
        context: Mapping[str, Any],
        response: LeanResponse,
        error: object,
    ) -> None:
        """Straight into rehearse's books when nobody else listens; else by Locust's event."""
        handlers, listener = self.request_event._handlers, self.listener
        if listener is not None and len(handlers) == 1 and handlers[0] is listener:
            listener.ended(label, response._elapsed_s, error, response, journey)
            return
        asked = response.history[0].request if response.history else response.request
        self.request_event.fire(
            request_type=asked.method,
            name=label.partition(" ")[2],
            context={**self.user.context(), **context},
            response=response,
            exception=error,
            start_time=time.time() - response._elapsed_s,
            url=asked.url,
            response_length=len(response.content or b""),
            response_time=response._elapsed_s * 1000,
        )

    def _followed(self, request: Outgoing, kind: type[LeanResponse], redirects: int) -> LeanResponse:
        """The answer, after the redirects that led to it."""
        response = self._answer(request, kind)
        if not redirects or response.status_code not in _REDIRECTS:
            return response
        history: list[LeanResponse] = []
        while response.status_code in _REDIRECTS:
            location = (response.headers or Headers()).get("location")
            if location is None:
                break
            if len(history) == redirects:
                raise BadRedirect(f"more than {redirects} redirects")
            history.append(response)
            response = self._answer(self._redirected(response, str(location)), kind)
        response.history = tuple(history)
        return response

    def _answer(self, request: Outgoing, kind: type[LeanResponse]) -> LeanResponse:
        status, head, body = self._exchange(request)
        response = kind(request, status, head, body)
        fields = head.lower()
        if b"\r\nset-cookie:" in fields:
            self.cookiejar.extract_cookies(response, _as_seen_by_cookies(request))  # type: ignore[arg-type]
        if b"\r\ncontent-encoding:" in fields:
            response.content = decoded(body, response.headers)
        if status >= 400:
            response.error = LocustBadStatusCode(request.url, code=status)
        return response

    def _exchange(self, request: Outgoing) -> Answer:
        """Over the connection that is open, if there is one; over a new one if the server had just closed it.

        A kept connection may be closed by the server at any moment, also just when a request is sent. Without a
        byte of an answer that says nothing about the request, which is sent once more if it may be (RFC 9110, 9.2.2).
        """
        is_idempotent = request.method in _IDEMPOTENT
        wire = self._idle.pop(request.origin, None)
        if wire is not None:
            if wire.is_usable(look=not is_idempotent):
                try:
                    return self._over(wire, request)
                except ConnectionClosed:
                    if not is_idempotent:
                        raise
            else:
                wire.close()
        return self._over(self._connect(request.origin), request)

    def _over(self, wire: Wire, request: Outgoing) -> Answer:
        try:
            answer = wire.exchange(request.data, request.method == "HEAD")
        except BaseException:
            wire.close()
            raise
        if wire.may_be_kept and request.origin not in self._idle:  # one is enough, also for many greenlets
            self._idle[request.origin] = wire
        else:
            wire.close()
        return answer

    def _connect(self, origin: Origin) -> Wire:
        user = self.user
        return connect(origin, user.tls_context, user.connection_timeout, user.network_timeout)

    # putting requests together

    def _remembered(self, method: str, url: str, key: object, fields: Mapping[str, Any]) -> Outgoing:
        """A request without what changes from one time to the next, put together for many times."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        merged = self._fields.copy()
        merged.update(fields)
        label = f"{method} {without_query(url.removeprefix(self.base_url))}"
        request = self._known[key] = outgoing(method.upper(), URL(self._absolute(url)), merged, label)
        return request

    def _put_together(
        self,
        method: str,
        url: str,
        data: Any,
        json: Any,
        auth: tuple[str | bytes, str | bytes] | None,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> Outgoing:
        """A request that has more to it than a method and an address."""
        fields = Headers(headers or {})
        if auth:
            fields["Authorization"] = basic(*auth)
        if not data and json is not None:
            data = dumps(json)
            fields.setdefault("Content-Type", "application/json")
            fields.setdefault("Accept", "application/json")
        body, content_type = encoded(data)
        if content_type:
            fields.setdefault("Content-Type", content_type)
        if params:
            url = str(URL(self._absolute(url), params=params))
        request = self._framed(method, url, fields)
        return request.carrying(self._cookies_for(request), body)

    def _framed(self, method: str, url: str, fields: Headers) -> Outgoing:
        """The part that is the same for every body; put together once for each set of header fields."""
        key = (method, url, tuple(fields.items()))
        return self._known.get(key) or self._remembered(method, url, key, fields)

    def _absolute(self, url: str) -> str:
        return url if url[:8].lower().startswith(("http://", "https://")) else f"{self.base_url}{url}"

    def _cookies_for(self, request: Outgoing) -> str:
        if not self.cookiejar._cookies or "cookie" in request.fields:  # type: ignore[attr-defined]  # see request
            return ""
        asking = _as_seen_by_cookies(request)
        self.cookiejar.add_cookie_header(asking)
        return str(asking.headers.get("cookie", ""))

    def _redirected(self, response: LeanResponse, location: str) -> Outgoing:
        """The request that a redirect asks for: as browsers and FastHttpUser send it."""
        before = response.request
        fields, method, body = before.fields.copy(), before.method, before.body
        address = URL(before.url).redirect(location)
        if response.status_code in _BECOME_GET:
            method, body = ("HEAD" if method == "HEAD" else "GET"), b""
            fields.discard("content-type")
        fields.discard("cookie")
        if (address.scheme, address.host, address.port) != before.origin:
            fields.discard("authorization")
            fields.discard("host")
        try:
            request = outgoing(method, address, fields, before.label)
        except ValueError as error:
            raise BadRedirect(f"redirected to what is no address: {error}") from error
        return request.carrying(self._cookies_for(request), body)


class LeanHttpUser(User, RestMixin[LeanCaughtResponse]):
    """FastHttpUser's interface at a fraction of its price: a drop-in replacement for most scenarios.

    Refused: streams, files, chunked uploads, proxies, client pools and retries. Each user keeps one connection for
    each host; requests that one user sends at the same time, from greenlets of its own, get connections of their own.
    """

    abstract = True
    network_timeout: float = 60.0
    """How long the server may be silent, in seconds."""
    connection_timeout: float = 60.0
    """How long connecting may take, TLS included, in seconds."""
    max_redirects: int = 30
    insecure: bool = True
    """Without an ssl_context_factory: do not verify certificates. `rehearse` verifies them."""
    default_headers: Mapping[str, str] | None = None
    """Sent with every request."""
    ssl_context_factory: Callable[[], ssl.SSLContext] | None = None
    """Makes the TLS context that all users of the class share."""
    _tls_context: ClassVar[ssl.SSLContext]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("proxy_host", "proxy_port", "client_pool", "max_retries"):
            if getattr(cls, name, None):
                raise unsupported(name)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("no host: set it in the user class, or with --host")
        self.client = LeanHttpSession(self, self.host)

    def tls_context(self) -> ssl.SSLContext:
        """The class's context: made when first needed, because reading certificates takes time."""
        user_class = type(self)
        if "_tls_context" not in user_class.__dict__:
            unverified, verified = gevent.ssl._create_unverified_context, gevent.ssl.create_default_context
            user_class._tls_context = (
                self.ssl_context_factory or (unverified if self.insecure else verified)
            )()
        return user_class._tls_context


def _as_seen_by_cookies(request: Outgoing) -> FastRequest:
    return FastRequest(request.url, method=request.method, headers=Headers())
