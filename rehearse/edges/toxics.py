"""What the fault proxy can do to a connection, by Toxiproxy's names, and what several of them come to together.

Pure data: no clock, no socket. A toxic is written as in Toxiproxy's JSON, so that what is known from there holds here:

    {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 1000, "jitter": 50}}

Two differences. Nothing is ever taken out of the middle of a stream: a `timeout` holds bytes back until it closes the
connection, or is removed. And closing one direction leaves the other open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from rehearse.errors import ConfigError, nearest

_MS_PER_S = 1000.0
_US_PER_S = 1_000_000.0
_LARGEST = 2**31 - 1  # milliseconds, bytes: far beyond any rehearsal, and no overflow anywhere


class Stream(StrEnum):
    """Which way bytes flow."""

    UPSTREAM = "upstream"  # from the client to the server
    DOWNSTREAM = "downstream"  # from the server to the client


class ToxicType(StrEnum):
    """What is done. The last two are not Toxiproxy's; `down` is its `enabled = false`."""

    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    SLOW_CLOSE = "slow_close"
    TIMEOUT = "timeout"
    RESET_PEER = "reset_peer"
    SLICER = "slicer"
    LIMIT_DATA = "limit_data"
    DOWN = "down"
    REFUSE = "refuse"
    ACCEPT_THEN_HANG = "accept_then_hang"


# Attributes with their defaults, in the units that Toxiproxy gives them.
ATTRIBUTES: Mapping[ToxicType, Mapping[str, int]] = {
    ToxicType.LATENCY: {"latency": 0, "jitter": 0},  # ms
    ToxicType.BANDWIDTH: {"rate": 0},  # KB/s, of 1,000 bytes
    ToxicType.SLOW_CLOSE: {"delay": 0},  # ms
    ToxicType.TIMEOUT: {"timeout": 0},  # ms; 0 holds until the toxic is removed
    ToxicType.RESET_PEER: {"timeout": 0},  # ms after the first byte
    ToxicType.SLICER: {"average_size": 0, "size_variation": 0, "delay": 0},  # bytes, bytes, us
    ToxicType.LIMIT_DATA: {"bytes": 0},
    ToxicType.DOWN: {},
    ToxicType.REFUSE: {},
    ToxicType.ACCEPT_THEN_HANG: {},
}
_AT_LEAST_ONE = {(ToxicType.BANDWIDTH, "rate"), (ToxicType.SLICER, "average_size")}
# They are about the door, not about a connection: nobody is let in, so nobody can be chosen by chance.
AT_THE_DOOR = frozenset({ToxicType.DOWN, ToxicType.REFUSE})


@dataclass(frozen=True, slots=True)
class Toxic:
    """One condition. `toxicity` is the share of connections that it is for. Raises ConfigError."""

    type: ToxicType
    attributes: Mapping[str, int] = field(default_factory=dict)
    stream: Stream = Stream.DOWNSTREAM
    toxicity: float = 1.0
    name: str = ""  # what counters call it; left out: "latency_downstream"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"{self.type}_{self.stream}")
        known = ATTRIBUTES[self.type]
        for key, value in self.attributes.items():
            self._check_attribute(key, value)
        object.__setattr__(self, "attributes", {**known, **self.attributes})
        for kind, key in _AT_LEAST_ONE:
            if kind is self.type and self.attributes[key] < 1:
                raise ConfigError(
                    f"toxic {self.name}: {key} must be 1 or more, it is {self.attributes[key]}."
                )
        if not 0.0 <= self.toxicity <= 1.0:
            raise ConfigError(f"toxic {self.name}: toxicity is a share from 0 to 1, not {self.toxicity}.")
        if self.type in AT_THE_DOOR and self.toxicity != 1.0:
            raise ConfigError(f"toxic {self.name}: the door is open or closed, for all; leave toxicity at 1.")

    def _check_attribute(self, key: str, value: object) -> None:
        known = ATTRIBUTES[self.type]
        if key not in known:
            raise ConfigError(
                f"toxic {self.name}: {self.type} has no attribute {key!r}. {nearest(key, known)}"
            )
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            raise ConfigError(f"toxic {self.name}: {key} is a whole number from 0 up, not {value!r}.")

    def hits(self, seed: int, connection: int) -> bool:
        """Whether it is for this connection: the same seed chooses the same connections."""
        return Random(f"{seed}:{self.name}:{connection}").random() < self.toxicity

    def as_json(self) -> dict[str, object]:
        """As Toxiproxy writes it."""
        return {
            "name": self.name,
            "type": str(self.type),
            "stream": str(self.stream),
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
        }


_KEYS = {"name", "type", "stream", "toxicity", "attributes"}


def read_toxic(data: object) -> Toxic:
    """A toxic from Toxiproxy's JSON. Raises ConfigError."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"a toxic is a table with {', '.join(sorted(_KEYS))}; this is {str(data)[:60]!r}.")
    for key in data:
        if key not in _KEYS:
            raise ConfigError(f"a toxic has no {str(key)[:40]!r}. {nearest(str(key), _KEYS)}")
    attributes, toxicity = data.get("attributes", {}), data.get("toxicity", 1.0)
    if not isinstance(attributes, Mapping):
        raise ConfigError("a toxic's attributes are a table, such as {latency = 1000, jitter = 50}.")
    if isinstance(toxicity, bool) or not isinstance(toxicity, int | float):
        raise ConfigError(f"a toxic's toxicity is a share from 0 to 1, not {toxicity!r}.")
    return Toxic(
        type=ToxicType(_word(data.get("type"), "type", ToxicType)),
        attributes=dict(attributes),
        stream=Stream(_word(data.get("stream", "downstream"), "stream", Stream)),
        toxicity=float(toxicity),
        name=str(data.get("name") or ""),
    )


def _word(given: object, key: str, known: Iterable[str]) -> str:
    words = [str(word) for word in known]
    if given not in words:
        raise ConfigError(f"a toxic's {key} is {str(given)[:40]!r}. {nearest(str(given), words)}")
    return str(given)


def unique(toxics: Iterable[Toxic]) -> tuple[Toxic, ...]:
    """The same toxics; ConfigError when two of them have one name, because counters go by name."""
    found = tuple(toxics)
    names = [toxic.name for toxic in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two toxics are called {name!r}; give each a name of its own.")
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """A limit, and the toxic that it comes from."""

    name: str
    amount: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What all toxics of one direction come to: delays add up, the narrowest limit holds."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slow_close_s: float = 0.0
    slice_bytes: int | None = None
    slice_variation_bytes: int = 0
    slice_delay_s: float = 0.0
    timeouts: tuple[Named, ...] = ()  # seconds; 0 = no end
    resets: tuple[Named, ...] = ()  # seconds after the first byte
    limits: tuple[Named, ...] = ()  # bytes

    def delay_s(self, chance: float) -> float:
        """How long a chunk is held back; `chance` (-1..1) places it within the jitter."""
        return max(0.0, self.latency_s + chance * self.jitter_s)

    def piece_bytes(self, available: int, chance: float) -> int:
        """How much of what is there goes out at once; `chance` (-1..1) varies a slice's size."""
        size = available
        if self.slice_bytes is not None:
            size = min(size, round(self.slice_bytes + chance * self.slice_variation_bytes))
        if self.bytes_per_s is not None:
            size = min(size, int(self.bytes_per_s * _SMOOTH_S))
        return max(1, size)


_SMOOTH_S = 0.05  # a narrow line passes a little at a time, not a second's worth at once
NO_EFFECT = Effect()


def effect_of(toxics: Iterable[Toxic]) -> Effect:
    """All toxics that hit one direction of one connection, as one effect."""
    found = tuple(toxics)
    if not found:
        return NO_EFFECT

    def amounts(kind: ToxicType, key: str) -> list[int]:
        return [toxic.attributes[key] for toxic in found if toxic.type is kind]

    def named(kind: ToxicType, key: str, divisor: float) -> tuple[Named, ...]:
        return tuple(
            Named(toxic.name, toxic.attributes[key] / divisor) for toxic in found if toxic.type is kind
        )

    rates = amounts(ToxicType.BANDWIDTH, "rate")
    return Effect(
        latency_s=sum(amounts(ToxicType.LATENCY, "latency")) / _MS_PER_S,
        jitter_s=sum(amounts(ToxicType.LATENCY, "jitter")) / _MS_PER_S,
        bytes_per_s=min(rates) * 1000.0 if rates else None,
        slow_close_s=sum(amounts(ToxicType.SLOW_CLOSE, "delay")) / _MS_PER_S,
        slice_bytes=min(amounts(ToxicType.SLICER, "average_size"), default=None),
        slice_variation_bytes=max(amounts(ToxicType.SLICER, "size_variation"), default=0),
        slice_delay_s=sum(amounts(ToxicType.SLICER, "delay")) / _US_PER_S,
        timeouts=named(ToxicType.TIMEOUT, "timeout", _MS_PER_S),
        resets=named(ToxicType.RESET_PEER, "timeout", _MS_PER_S),
        limits=named(ToxicType.LIMIT_DATA, "bytes", 1.0),
    )
