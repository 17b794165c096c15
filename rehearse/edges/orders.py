"""What the fault proxy is told, and what it tells back: plain data between `rehearse` and the proxy's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_CONNECTIONS = 2000
FINISHED_KEPT = 1000  # of the newest connections each is told in full; totals are of all


@dataclass(frozen=True, slots=True)
class ProxyOrder:
    """Where a proxy stands. The upstream must be on the allow-list, as any target."""

    upstream_host: str
    upstream_port: int
    allow: tuple[str, ...]
    production: tuple[str, ...] = ()
    listen_host: str = "127.0.0.1"
    listen_port: int = 0  # 0: any free one
    may_listen_beyond_loopback: bool = False  # then others on the network can reach the upstream through it
    seed: int = 1  # chooses which connections a toxicity below 1 is for
    max_connections: int = MAX_CONNECTIONS


@dataclass(frozen=True, slots=True)
class ConnectionCount:
    """One connection: what came in and what was passed on, which faults acted on it, how it ended."""

    number: int
    received_from_client: int = 0  # bytes, as the three below
    passed_to_server: int = 0
    received_from_server: int = 0
    passed_to_client: int = 0
    http_requests: int = 0  # that the client sent, where it speaks HTTP/1 in plain text
    acted: tuple[str, ...] = ()  # names of toxics, in the order in which they took effect
    end: str = "open"

    @property
    def is_lost_response(self) -> bool:
        """The server got all that the client sent and answered, and no byte of the answer reached the client."""
        is_delivered = 0 < self.passed_to_server == self.received_from_client
        return is_delivered and self.received_from_server > 0 and self.passed_to_client == 0


@dataclass(frozen=True, slots=True)
class Counters:
    """The proof: what the proxy saw since it started, and on how many connections each fault really acted."""

    accepted: int = 0
    open: int = 0
    turned_away: int = 0  # beyond `max_connections`
    upstream_failed: int = 0  # the server could not be connected to
    bytes_upstream: int = 0  # passed on
    bytes_downstream: int = 0
    http_requests: int = 0  # that clients sent
    # By the toxic's name. A closed door counts 1 when the proxy itself was refused there: it cannot see who else was.
    injected: Mapping[str, int] = field(default_factory=dict)
    connections: tuple[ConnectionCount, ...] = ()  # those under way, and the newest finished ones

    def acted(self, name: str) -> int:
        """On how many connections the toxic of this name acted; 0 is no proof of anything."""
        return self.injected.get(name, 0)

    def attempts_since(self, earlier: Counters) -> int:
        """How often clients asked since then: in requests where these are seen, and else in connections."""
        return max(self.accepted - earlier.accepted, self.http_requests - earlier.http_requests)

    def after(self, earlier: Counters) -> tuple[ConnectionCount, ...]:
        """The connections that were accepted after `earlier` was taken, as far as they are kept."""
        return tuple(one for one in self.connections if one.number >= earlier.accepted)
