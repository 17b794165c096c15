"""Connections that TCP and TLS probes make themselves: to checked addresses only, so nothing is left to look up."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rehearse.allowlist import AllowList, host_and_port, system_resolve
from rehearse.checks.context import CheckedSide
from rehearse.databases import is_database, read_database_url
from rehearse.errors import ConfigError
from rehearse.tls import TlsOrder


@dataclass(frozen=True, slots=True)
class Place:
    """A host and a port that may be connected to, if the allow-list says so."""

    host: str
    port: int
    allow_list: AllowList
    tls: TlsOrder = field(default_factory=TlsOrder)  # whom to trust, and what to show of ourselves
    resolve: Callable[[str], Sequence[str]] = system_resolve

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection to the first address that accepts one. Raises TargetRefused, and OSError."""
        self.allow_list.check_host(self.host, self.port)
        addresses = tuple(dict.fromkeys(self.resolve(self.host)))
        for address in addresses:  # all of them before any: which one answers is left to chance
            self.allow_list.check_address(address, self.port, self.resolve)
        failures: list[OSError] = []
        for address in addresses:
            try:
                return socket.create_connection((address, self.port), timeout_s)
            except OSError as error:
                failures.append(error)
        if not failures:
            raise OSError(f"the host {self.host!r} has no address")
        # Refused means refused at each of them: silence at one proves nothing.
        raise next(
            (error for error in failures if not isinstance(error, ConnectionRefusedError)), failures[0]
        )


def place_of(side: CheckedSide, host: str | None, port: int | None, allow_list: AllowList) -> Place:
    """What a probe names; what it leaves out is that of the side under test. Raises ConfigError for a file."""
    if host is not None and port is not None:
        return Place(host, port, allow_list)
    if side.proxy is not None and host is None:
        raise ConfigError(
            f"the {side.side} target {side.name!r} has a proxy, and this probe connects by itself: name a `host` in the"
            " check, or ask over HTTP"
        )
    own_host, own_port = _own(side)
    tls = TlsOrder() if host else side.tls  # no other host is shown the target's client certificate
    return Place(host or own_host, port or own_port, allow_list, tls)


def _own(side: CheckedSide) -> tuple[str, int]:
    if not is_database(side.url):
        return host_and_port(side.url)
    url = read_database_url(side.url)
    if url.host is None or url.port is None:
        raise ConfigError(
            f"the {side.side} target {side.name!r} is a file: name a `host` and a `port` in the check"
        )
    return url.host, url.port
