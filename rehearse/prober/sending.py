"""Sends one probe, and says what became of it: served, failed by the system, or spoiled by the rig."""

from __future__ import annotations

import errno
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from socket import gaierror
from time import time_ns
from typing import Protocol
from urllib.parse import urlsplit

import httpcore

from rehearse.disruptions import SampleOutcome
from rehearse.errors import ConfigError, TargetRefused
from rehearse.load.orders import SideOrder
from rehearse.prober.orders import NUMBER, ProbeRequest, ProberOrder, VersionPlace

LARGEST_ANSWER = 1 << 20  # bytes that are read; what is longer was served, and names no version
LONGEST_VERSION = 80
OVERDUE = NO_CONNECTION, NO_ANSWER = "no connection", "no answer"

# https://docs.python.org/3/library/errno.html: what a socket call says when this machine has run out of something.
_OF_THE_RIG = {
    errno.EMFILE: "out of descriptors",
    errno.ENFILE: "out of descriptors",
    errno.EADDRNOTAVAIL: "out of local ports",
    errno.ENOBUFS: "out of memory for sockets",
    errno.ENOMEM: "out of memory for sockets",
}
_OF_THE_SYSTEM = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: NO_CONNECTION,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one sending."""

    outcome: SampleOutcome
    kind: str = ""
    version: str = ""


class Sender(Protocol):
    """Sends probes; however long that takes: who calls it ends it."""

    async def send(self, request: ProbeRequest, phase: Phase) -> Answer:
        """One request. `phase` is kept up to date, for when it is ended from outside."""
        ...

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """From now on these are the target's."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(slots=True)
class Phase:
    """How far a request has come."""

    is_connected: bool = False

    @property
    def overdue(self) -> str:
        """What it is that takes too long."""
        return NO_ANSWER if self.is_connected else NO_CONNECTION

    async def note(self, event: str, _: object) -> None:
        """httpcore's trace: https://www.encode.io/httpcore/extensions/#trace."""
        # A kept connection is there before the first event.
        if event.endswith(("connect_tcp.complete", "send_request_headers.started")):
            self.is_connected = True


@dataclass(slots=True)
class HttpSender:
    """A Sender over HTTP/1.1, with one pool of connections that are kept and one whose connections are not.

    No cookies, so that no load balancer remembers us, and no redirects. Raises ConfigError for what is no target.
    """

    order: ProberOrder
    _kept: httpcore.AsyncConnectionPool = field(init=False)
    _fresh: httpcore.AsyncConnectionPool = field(init=False)
    _headers: dict[str, str] = field(init=False)
    _last_number: int = 0

    def __post_init__(self) -> None:
        self._kept = _pool(self.order.target, most_idle=None)
        self._fresh = _pool(self.order.target, most_idle=0)
        self._headers = dict(self.order.target.headers)

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """See Sender."""
        self._headers.update(headers)

    async def send(self, request: ProbeRequest, phase: Phase) -> Answer:
        """See Sender."""
        try:
            return await self._exchange(request, phase)
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, UnicodeEncodeError) as error:
            name = request.probe.name
            raise ConfigError(f"probe {name!r} cannot be sent: {type(error).__name__}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            return classified(error)
        except ExceptionGroup as group:  # of a connection that was tried at several addresses
            return classified(group)

    async def _exchange(self, request: ProbeRequest, phase: Phase) -> Answer:
        number = self._next_number()
        pool = self._fresh if request.probe.is_fresh else self._kept
        async with pool.stream(
            request.probe.method,
            self.order.target.url.rstrip("/") + request.probe.path.replace(NUMBER, number),
            headers=self._headers_of(request),
            content=request.body.replace(NUMBER, number).encode(),
            extensions={"trace": phase.note},
        ) as response:
            body = await _read(response)
        version = version_in(self.order.version, response.headers, body)
        if 200 <= response.status < 400:
            return Answer(SampleOutcome.OK, version=version)
        return Answer(SampleOutcome.FAILED, f"status {response.status}", version)

    def _headers_of(self, request: ProbeRequest) -> list[tuple[str, str]]:
        own = {name.lower() for name in request.headers}
        targets = [(name, value) for name, value in self._headers.items() if name.lower() not in own]
        return [("User-Agent", "rehearse"), *targets, *request.headers.items()]

    def _next_number(self) -> str:
        """A whole number that no other sample has had, in this run or in an earlier one."""
        self._last_number = max(self._last_number + 1, time_ns() // 1000)
        return str(self._last_number)

    async def close(self) -> None:
        """See Sender."""
        await self._kept.aclose()
        await self._fresh.aclose()


def _pool(target: SideOrder, most_idle: int | None) -> httpcore.AsyncConnectionPool:
    """Who asks bounds how many are open at once: a pool that made requests wait would hide an outage."""
    try:
        return httpcore.AsyncConnectionPool(
            ssl_context=target.tls.context(),
            proxy=_proxy(target.proxy),
            max_connections=None,
            max_keepalive_connections=most_idle,
        )
    except (ValueError, ssl.SSLError, OSError) as error:
        raise ConfigError(f"the probes cannot be sent: {error}") from error


def _proxy(url: str | None) -> httpcore.Proxy | None:
    if url is None:
        return None
    parts = urlsplit(url)
    place = f"http://{parts.netloc.rpartition('@')[2]}"
    user = (parts.username or "", parts.password or "")
    return httpcore.Proxy(place, auth=user if any(user) else None)


async def _read(response: httpcore.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > LARGEST_ANSWER:
            return b""
        parts.append(part)
    return b"".join(parts)


def version_in(place: VersionPlace, headers: list[tuple[bytes, bytes]], body: bytes) -> str:
    """What the answer names as its version; empty when it names none."""
    if place.header:
        name = place.header.lower().encode("latin-1", "replace")
        found: object = next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")
    elif place.key:
        found = _value_at(body, place.key)
    else:
        return ""
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return "".join(one for one in str(found) if one.isprintable())[:LONGEST_VERSION]


def _value_at(body: bytes, key: str) -> object:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # also of bytes that are no text
        return None
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


# --- whose fault it is


def classified(error: BaseException) -> Answer:
    """Whose fault an error is, and what it was. A refusal of the guard is raised again: TargetRefused."""
    chain = list(_causes(error))
    for one in chain:
        if isinstance(one, TargetRefused):
            raise one
    for one in chain:
        if isinstance(one, gaierror):
            return Answer(SampleOutcome.RIG, "name not resolved")
        if isinstance(one, OSError) and one.errno in _OF_THE_RIG:
            return Answer(SampleOutcome.RIG, _OF_THE_RIG[one.errno])
    for one in chain:
        if isinstance(one, ssl.SSLError):
            return Answer(SampleOutcome.FAILED, "TLS failed")
        if isinstance(one, OSError) and one.errno in _OF_THE_SYSTEM:
            return Answer(SampleOutcome.FAILED, _OF_THE_SYSTEM[one.errno])
    return Answer(SampleOutcome.FAILED, _by_class(error))


def _by_class(error: BaseException) -> str:
    if isinstance(error, httpcore.ProxyError):
        return "the proxy refused"
    if isinstance(error, httpcore.RemoteProtocolError):
        return "closed" if "disconnected" in str(error) or "without" in str(error) else "garbled answer"
    return "connection lost" if isinstance(error, httpcore.NetworkError) else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that led to it: httpcore and anyio wrap what the socket said, also in groups."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [one.__cause__, one.__context__, *inner]
