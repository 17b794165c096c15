"""An engine whose events somebody else sees first: who watches a run without being a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rehearse.load.engine import LoadEngine, LoadEvent, LoadSession
from rehearse.load.orders import LoadOrder
from rehearse.model import Side


@dataclass(frozen=True, slots=True)
class TappedEngine:
    """A LoadEngine; what `see` raises ends the load."""

    engine: LoadEngine
    see: Callable[[LoadEvent], None]

    def start(self, order: LoadOrder) -> LoadSession:
        """Begin one round."""
        return TappedSession(self.engine.start(order), self.see)


@dataclass(frozen=True, slots=True)
class TappedSession:
    """A LoadSession of a TappedEngine."""

    session: LoadSession
    see: Callable[[LoadEvent], None]

    def events(self) -> Iterator[LoadEvent]:
        """Every event, after `see` has seen it."""
        for event in self.session.events():
            self.see(event)
            yield event

    def stop(self, drain_s: float) -> None:
        """Send no further arrivals."""
        self.session.stop(drain_s)

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        """See LoadSession."""
        self.session.tell_headers(side, headers)

    def __enter__(self) -> Self:
        self.session.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.session.__exit__(kind, error, trace)
