"""How an edge case asks one side itself: with that side's headers, and nowhere that the allow-list does not name."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import httpx

from rehearse.allowlist import AllowList, host_and_port, system_resolve
from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.errors import NotReady

_FIRST, _ROUND_TRIPS = 1, 15  # the first one connects


@dataclass(frozen=True, slots=True)
class Place:
    """One side, as its clients reach it. `headers` may hold secrets."""

    url: str
    allow_list: AllowList
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: ssl.SSLContext | bool = True
    timeout_s: float = 10.0

    def new_client(self, through: tuple[str, int] | None = None) -> httpx.Client:
        """A client of the side, or of it `through` a fault proxy. Raises TargetRefused."""
        self.check_allowed()
        headers = {"Accept-Encoding": "identity", **self.headers}
        base_url, hooks = self.url, {}
        if through is not None:
            place = urlsplit(self.url)
            headers.setdefault("Host", place.netloc)
            hooks["request"] = [_named(place.hostname or "")]
            base_url = f"{place.scheme}://{through[0]}:{through[1]}{place.path}"
        return httpx.Client(
            base_url=base_url,
            headers=headers,
            event_hooks=hooks,
            timeout=self.timeout_s,
            verify=self.verify,
            trust_env=False,  # no proxy from the environment: it could lead elsewhere
            follow_redirects=False,
        )

    def check_allowed(self) -> None:
        """Raise TargetRefused unless it is on the allow-list, by name and after DNS."""
        self.allow_list.check_url(self.url)
        host, port = host_and_port(self.url)
        for address in system_resolve(host):
            self.allow_list.check_address(address, port)

    def logged_in(self, path: str, body: str, token_at: str) -> Place:
        """The same with a token of its own. Raises NotReady when it is not told one."""
        headers = {"Content-Type": "application/json"}
        try:
            with self.new_client() as client:
                found = client.post(path, content=body.encode(), headers=headers)
        except httpx.HTTPError as error:
            raise NotReady(f"edges.login: {path} does not answer: {type(error).__name__}") from None
        if found.status_code >= 300:
            raise NotReady(f"edges.login: {path} answers {found.status_code}")
        token = _text_at(found.content, token_at)
        if token is None:
            raise NotReady(f"edges.login: {path} answers without a text at {token_at!r}")
        return replace(self, headers={**self.headers, "Authorization": f"Bearer {token}"})


def added_s(place: Place, through: tuple[str, int], path: str) -> float | None:
    """What the way through a proxy adds to a round trip on a kept connection (median); None when nobody answers."""
    try:
        with place.new_client() as direct, place.new_client(through) as around:
            took = [(_took_s(direct, path), _took_s(around, path)) for _ in range(_FIRST + _ROUND_TRIPS)]
    except httpx.HTTPError:
        return None
    straight_s, around_s = (median(pair[way] for pair in took[_FIRST:]) for way in (0, 1))
    return max(0.0, around_s - straight_s)


def _took_s(client: httpx.Client, path: str) -> float:
    began_s = perf_counter()
    client.get(path)
    return perf_counter() - began_s


def _named(host: str) -> Callable[[httpx.Request], None]:
    """TLS asks for the target's certificate, wherever the connection leads."""

    def name(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = host

    return name


def _text_at(body: bytes, place: str) -> str | None:
    try:
        found = value_at(parse_json(body), place)
    except CodecError:
        return None
    return found if isinstance(found, str) else None


def value_at(document: JsonData, place: str) -> JsonData:
    """What stands at a place of a JSON document, "data.token"; None where there is nothing."""
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
