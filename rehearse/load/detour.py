"""A fault proxy on the way to the target: connections lead there, and nothing else knows. Runs in the worker only.

Names, `Host` headers and certificates stay those of the target, because only the answer of the resolver is another one:
what curl calls --connect-to.
"""

from __future__ import annotations

from typing import Any

import gevent

from rehearse.allowlist import host_and_port, normal_host

Address = tuple[str, int]


class Detour:
    """gevent's resolver, but for one host and port, which lead `through` somewhere else."""

    def __init__(self, resolver: Any, place: Address, through: Address) -> None:
        self._resolver = resolver
        self._place = place
        self._through = through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)

    def getaddrinfo(self, host: Any, port: Any, *options: Any, **more: Any) -> Any:
        """See socket.getaddrinfo."""
        if self._leads_to_place(host, port):
            host, port = self._through
        return self._resolver.getaddrinfo(host, port, *options, **more)

    def _leads_to_place(self, host: Any, port: Any) -> bool:
        text = host.decode("latin-1") if isinstance(host, bytes) else str(host or "")
        try:
            return str(port) == str(self._place[1]) and normal_host(text) == self._place[0]
        except ValueError:
            return False


def lead_through(url: str, through: Address) -> None:
    """From now on connections of this process to the target at `url` lead to a proxy before it."""
    hub = gevent.get_hub()
    hub.resolver = Detour(hub.resolver, host_and_port(url), through)
