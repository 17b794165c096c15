"""One connection through the fault proxy: a client, a server, and a flow of bytes each way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from rehearse.edges.orders import ConnectionCount
from rehearse.edges.relay import End, Flow
from rehearse.edges.toxics import AT_THE_DOOR, Stream, Toxic


class Connection:
    """A client and a server with the proxy between them; `finished` is told once, at its end."""

    def __init__(
        self,
        number: int,
        seed: int,
        count: Callable[[str], None],
        finished: Callable[[Connection], None],
    ) -> None:
        self.number = number
        self._seed = seed
        self._count = count
        self._finished = finished
        self._acted: dict[str, None] = {}
        self.end = "open"
        self._leave: Callable[[End], None] = End.close
        self.client = End(self, "client")
        self.server = End(self, "server")
        rng = Random(f"{seed}:{number}")
        self._up = Flow(self, Stream.UPSTREAM, self.client, self.server, rng)
        self._down = Flow(self, Stream.DOWNSTREAM, self.server, self.client, rng)

    @property
    def is_over(self) -> bool:
        """Nothing more is passed on."""
        return self.end != "open"

    def hit_by(self, toxics: Iterable[Toxic]) -> tuple[Toxic, ...]:
        """Those of `toxics` that are for this connection."""
        return tuple(toxic for toxic in toxics if toxic.hits(self._seed, self.number))

    def apply(self, toxics: Iterable[Toxic]) -> None:
        """From now on these are in force."""
        hitting = [toxic for toxic in self.hit_by(toxics) if toxic.type not in AT_THE_DOOR]
        for flow in (self._up, self._down):
            if not self.is_over:
                flow.apply(hitting)

    def act(self, name: str) -> None:
        """A toxic took effect here; counted once for each connection."""
        if name not in self._acted:
            self._acted[name] = None
            self._count(name)

    def cut(self, name: str) -> None:
        """A toxic closes both ends; what was passed on still arrives."""
        self.act(name)
        self._over(f"closed by {name}", End.close)

    def reset(self, name: str) -> None:
        """A toxic resets both ends."""
        self.act(name)
        self.abort(f"reset by {name}")

    def abort(self, end: str) -> None:
        """Reset both ends, for another reason than a toxic."""
        self._over(end, End.reset)

    def direction_over(self) -> None:
        """Both ends are closed when both directions are through."""
        if self._up.is_over and self._down.is_over:
            self._over("closed", End.close)

    def lost(self, end: End, error: Exception | None) -> None:
        """A peer that resets its end resets the other one, as without a proxy."""
        if not self.is_over:
            how = "reset" if error is not None else "closed"
            self._over(f"{how} by the {end.name}", End.reset)

    def count(self) -> ConnectionCount:
        """What can be told of it now."""
        return ConnectionCount(
            number=self.number,
            received_from_client=self._up.received,
            passed_to_server=self._up.passed,
            received_from_server=self._down.received,
            passed_to_client=self._down.passed,
            http_requests=self._up.http.count,
            acted=tuple(self._acted),
            end=self.end,
        )

    def leave(self, end: End) -> None:
        """Close or reset an end, as the connection itself was."""
        self._leave(end)

    def _over(self, end: str, leave: Callable[[End], None]) -> None:
        if self.is_over:
            return
        self.end = end
        self._leave = leave
        self._up.stop()
        self._down.stop()
        self._finished(self)
        leave(self.client)
        leave(self.server)
