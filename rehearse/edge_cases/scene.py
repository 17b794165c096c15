"""What an edge case of any family is, and what it works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port
from rehearse.config import Settings
from rehearse.config.edges import EdgeCase
from rehearse.edge_cases.load import Load, Loaded
from rehearse.edges.asking import Place
from rehearse.edges.orders import ProxyOrder
from rehearse.edges.proxy import FaultInjector, FaultProxy
from rehearse.model import EdgeFamily, EdgeRecord, Side
from rehearse.sides import headers_of, other_sides, tls_of
from rehearse.targets import ManagedTarget
from rehearse.tokens import remember

S = TypeVar("S")
Standing = Mapping[tuple[str, Side], FaultInjector]  # the proxies before dependencies, for the whole run


@dataclass(frozen=True, slots=True)
class Scene:
    """What a case works with."""

    load: Load
    number: int  # of the case
    sides: tuple[Side, ...]
    standing: Standing
    names: Mapping[Side, str] = field(default_factory=dict)  # how sentences call them
    targets: Mapping[Side, ManagedTarget] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The project's."""
        return self.load.settings

    def place(self, side: Side) -> Place:
        """How to ask a side. Raises like `place_of`."""
        return place_of(self.settings, side)

    def before_target(self, side: Side) -> FaultProxy:
        """A fault proxy of its own before a side."""
        return FaultProxy(proxy_order(self.settings, *host_and_port(self.settings.target(side).url)))


def place_of(settings: Settings, side: Side) -> Place:
    """How to ask a side, logged in where `edges.login` says how. Raises NotReady and TargetRefused."""
    target, login = settings.target(side), settings.edges.login
    allow = AllowList(settings.safety.allow, settings.safety.production, other_sides(settings, target))
    is_encrypted = urlsplit(target.url).scheme == "https"
    verify = tls_of(settings, target).context() if is_encrypted else True
    place = Place(target.url, allow, headers_of(settings, target), verify, settings.load.timeout_s)
    if login is None:
        return place
    place = place.logged_in(login.path, login.body.get_secret_value(), login.token)
    remember(place.headers["Authorization"].removeprefix("Bearer "))
    return place


def proxy_order(
    settings: Settings, host: str, port: int, listen: tuple[str, int] = ("127.0.0.1", 0)
) -> ProxyOrder:
    """A proxy to somewhere, under the project's allow-list."""
    safety = settings.safety
    return ProxyOrder(host, port, safety.allow, safety.production, *listen, seed=settings.load.seed)


class Kind(Protocol[S]):
    """One edge case of some family."""

    @property
    def planned(self) -> EdgeRecord:
        """Its record with nothing done yet."""
        ...

    @property
    def seen_type(self) -> type[S]:
        """What its sides' behaviour is kept as."""
        ...

    def see(self, scene: Scene) -> tuple[Mapping[Side, S], Loaded]:
        """Inject, under load, and say what was seen. Raises RehearseError when it cannot be done."""
        ...

    def rule(self, scene: Scene, candidate: S, baseline: S | None) -> EdgeRecord:
        """What it comes to."""
        ...

    def is_disturbed(self, seen: S) -> bool:
        """Whether a side is still not what it was: the next case needs a fresh process."""
        ...


def planned_record(case: EdgeCase, family: EdgeFamily) -> EdgeRecord:
    """The record of a case with nothing done yet."""
    return EdgeRecord(case.id, family, case.why, case.required, case.ref)
