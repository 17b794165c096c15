"""What load tells, event by event, and where it comes from.

`ScriptedEngine` plays back prepared events, so that a whole rehearsal runs in a unit test; the real one is
`load/locust_engine.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from rehearse.load.orders import LoadOrder
from rehearse.model import Arrivals, Block, Incident, Sample, Sampling, Side, WorkerFinal


@dataclass(frozen=True, slots=True)
class LoadStarted:
    """All workers are ready and the common start is set; `rig` is the fingerprint of the load generator."""

    rig: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BlockClosed:
    """A block of one side is whole."""

    block: Block


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Completions of one worker in one 0.5 s bin."""

    side: Side
    bin: int
    requests: int
    errors: int
    answered: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes: `at_s` since the common start."""

    at_s: float


@dataclass(frozen=True, slots=True)
class WorkerDone:
    """A worker's closing account."""

    final: WorkerFinal


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong that makes the evidence incomplete."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Sampled:
    """One answer, for the response contract."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class SamplesCounted:
    """A worker's account of its samples, at its end."""

    sampling: Sampling


LoadEvent = LoadStarted | BlockClosed | LiveCounts | Tick | WorkerDone | Trouble | Sampled | SamplesCounted


class LoadSession(AbstractContextManager["LoadSession"], Protocol):
    """One round of load under way. Leaving the context stops it at once."""

    def events(self) -> Iterator[LoadEvent]:
        """What happens, until every worker has closed its account. Raises TargetRefused."""
        ...

    def stop(self, drain_s: float) -> None:
        """Send no further arrivals; what is in flight has `drain_s` to be answered."""
        ...

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        """From now on this side's requests have these headers instead of those of the same names."""
        ...


class LoadEngine(Protocol):
    """Where load comes from."""

    def start(self, order: LoadOrder) -> LoadSession:
        """Begin one round."""
        ...


@dataclass(slots=True)
class ScriptedSession:
    """Plays back events; `stop` ends the playing of blocks, and the closing accounts are of what was played."""

    script: Sequence[LoadEvent]
    is_stopped: bool = False
    played: list[Block] = field(default_factory=list)
    headers_told: list[tuple[Side, Mapping[str, str]]] = field(default_factory=list)

    def events(self) -> Iterator[LoadEvent]:
        """The script, cut short once stopped."""
        for event in self.script:
            if self.is_stopped and isinstance(event, BlockClosed | LiveCounts):
                continue
            if self.is_stopped and isinstance(event, WorkerDone):
                yield WorkerDone(self._cut_short(event.final))
                continue
            if isinstance(event, BlockClosed):
                self.played.append(event.block)
            yield event

    def _cut_short(self, final: WorkerFinal) -> WorkerFinal:
        own = [block for block in self.played if block.side is final.side]
        arrivals = sum((block.arrivals for block in own), Arrivals())
        return replace(final, arrivals=arrivals, blocks_closed=len(own))

    def stop(self, drain_s: float) -> None:  # noqa: ARG002  # the protocol's signature
        """Remember that it was stopped."""
        self.is_stopped = True

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        """Remember what was told."""
        self.headers_told.append((side, headers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class ScriptedEngine:
    """One prepared script per round; the fake of LoadEngine."""

    scripts: Sequence[Sequence[LoadEvent]]

    def start(self, order: LoadOrder) -> ScriptedSession:
        """The script of the order's round."""
        return ScriptedSession(self.scripts[order.round])
