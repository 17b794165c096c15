"""How a check reaches a side: as the load does, and nowhere that the allow-list does not name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port
from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.databases import engine_to, is_database, read_database_url, way_to
from rehearse.errors import TargetRefused
from rehearse.forward_proxy import check_way

if TYPE_CHECKING:
    import ssl

    import httpx
    from sqlalchemy import Engine

    from rehearse.tls import TlsOrder

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
Refuse = Callable[[str], None]  # told of each refusal, because a check may swallow the exception


def client_for(context: CheckContext, side: CheckedSide, on_refusal: Refuse = lambda _: None) -> httpx.Client:
    """An HTTP client bound to one side. Raises TargetRefused unless that may be asked."""
    from rehearse.checks.side_client import SideClient

    allow_list = AllowList(context.allow, context.production, side.other_sides)
    check_way(side.url, side.proxy, allow_list)
    began_with = dict(side.headers)

    def before(request: httpx.Request) -> None:
        """At every request, those after a redirect among them."""
        try:
            allow_list.check_url(str(request.url))
            _check_method(context, request.method)
        except TargetRefused as refusal:
            on_refusal(str(refusal))
            raise
        is_own_host = host_and_port(str(request.url)) == host_and_port(side.url)
        for name, value in began_with.items():
            if not is_own_host:
                request.headers.pop(name, None)
            elif request.headers.get(name) == value:  # and not one that the check chose
                request.headers[name] = side.headers[name]  # a token may have been renewed meanwhile

    return SideClient(
        side.tls,
        base_url=side.url,
        headers=began_with,
        timeout=context.request_timeout_s,
        verify=_tls(side.tls) if urlsplit(side.url).scheme == "https" else True,
        trust_env=False,  # no proxy from the environment: it could lead elsewhere
        proxy=side.proxy,
        event_hooks={"request": [before]},
    )


def engine_for(context: CheckContext, side: CheckedSide) -> Engine:
    """An engine of one side's database; without side effects it only reads. Raises TargetRefused or NotReady."""
    way = way_to(read_database_url(side.url), AllowList(context.allow, context.production, side.other_sides))
    return engine_to(way, context.request_timeout_s, context.side_effects)


def is_http(side: CheckedSide) -> bool:
    """Whether it is asked over HTTP, and not by SQL."""
    return not is_database(side.url)


def _check_method(context: CheckContext, method: str) -> None:
    if not context.side_effects and method.upper() not in SAFE_METHODS:
        allowed = ", ".join(SAFE_METHODS)
        raise TargetRefused(
            f"a check sends {method}, but without safety.side_effects = true only {allowed} are sent"
        )


@cache
def _tls(order: TlsOrder) -> ssl.SSLContext:
    return order.context()
