"""A forward proxy that stands between `rehearse` and a target: where it is, and that it may be used.

Behind it nobody here sees which address a name leads to. So what it is asked for is compared by name, at each request
and after each redirect, and the proxy itself by name and by address, as a target without one would be.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from rehearse.allowlist import AllowList, host_and_port, system_resolve
from rehearse.redaction import HIDDEN


def place_of_proxy(url: str) -> tuple[str, int]:
    """Its host and port. Raises ValueError, the end of a sentence, for what is no proxy's URL."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("is not a proxy; write it like 'http://proxy.example.internal:3128'")
    return host_and_port(urlunsplit(("http", parts.netloc.rpartition("@")[2], "", "", "")))


def shown_proxy(url: str) -> str:
    """Its URL as messages and reports have it."""
    user, at, place = urlsplit(url).netloc.rpartition("@")
    return f"http://{HIDDEN if user else ''}{at}{place}"


def check_way(url: str, proxy: str | None, allow_list: AllowList) -> None:
    """Return only if `url` may be asked, directly or through this proxy. Raises TargetRefused."""
    allow_list.check_url(url)
    host, port = host_and_port(url)
    if proxy is not None:
        host, port = place_of_proxy(proxy)
        allow_list.check_host(host, port)
    for address in system_resolve(host):
        allow_list.check_address(address, port)
