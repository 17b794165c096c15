"""Load whose credentials are renewed while it runs: a new token reaches the workers before the old one expires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Thread
from types import TracebackType
from typing import Self

from rehearse.errors import NotReady
from rehearse.load.engine import LoadEngine, LoadEvent, LoadSession, Tick, Trouble
from rehearse.load.orders import LoadOrder
from rehearse.model import Incident, ReasonCode, Side
from rehearse.tokens import TokenSource


@dataclass(frozen=True, slots=True)
class RenewingEngine:
    """A LoadEngine whose sides have tokens."""

    engine: LoadEngine
    sources: Mapping[Side, TokenSource]

    def start(self, order: LoadOrder) -> LoadSession:
        """Begin one round."""
        sides = {one.side for one in order.sides}
        own = {side: source for side, source in self.sources.items() if side in sides}
        began_with = {side: source.current() for side, source in own.items()}
        return RenewingSession(self.engine.start(order), own, began_with)


@dataclass(slots=True)
class RenewingSession:
    """A LoadSession of a RenewingEngine."""

    session: LoadSession
    sources: Mapping[Side, TokenSource]
    told: dict[Side, Mapping[str, str]]
    _renewals: dict[Side, Thread] = field(default_factory=dict)
    _expired: set[Side] = field(default_factory=set)

    def events(self) -> Iterator[LoadEvent]:
        """Every event; and trouble when a token has expired and no other one can be had."""
        for event in self.session.events():
            yield event
            if isinstance(event, Tick):
                yield from self._look()

    def _look(self) -> Iterator[LoadEvent]:
        for side, source in self.sources.items():
            current = source.current()
            if current != self.told[side]:
                self.session.tell_headers(side, current)
                self.told[side] = current
            if source.is_due() and not self._is_renewing(side):
                self._renewals[side] = Thread(target=_renew, args=(source,), name="token", daemon=True)
                self._renewals[side].start()
            if source.is_expired() and side not in self._expired:
                self._expired.add(side)
                sentence = f"the token of the {side} has expired, and its auth command gave no other one"
                yield Trouble(Incident(ReasonCode.RIG_UNHEALTHY, sentence, side))

    def _is_renewing(self, side: Side) -> bool:
        return side in self._renewals and self._renewals[side].is_alive()

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        """See LoadSession."""
        self.session.tell_headers(side, headers)

    def stop(self, drain_s: float) -> None:
        """See LoadSession."""
        self.session.stop(drain_s)

    def __enter__(self) -> Self:
        self.session.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.session.__exit__(kind, error, trace)


def _renew(source: TokenSource) -> None:
    """In a thread of its own: load must not wait for a command."""
    try:
        source.renew()
    except NotReady:
        return  # it has expired: the session sees that, and says so
