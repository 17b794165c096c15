"""What probes see while an upgrade happens: answers and failures, and the outages between them.

All times are seconds of CLOCK_MONOTONIC: one clock for every process of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

INTERVAL_S = 0.1


class SampleOutcome(StrEnum):
    """Whether the system served a probe."""

    OK = "ok"  # answered with a status of 200 to 399 in time
    FAILED = "failed"  # by the system: refused, reset, no answer in time, a status of 400 or more
    RIG = "rig"  # by the rig: neither says anything about the system


@dataclass(frozen=True, slots=True)
class Probe:
    """One request that is sent over and over; what it carries stands in its ProbeRequest."""

    name: str
    method: str = "GET"
    path: str = "/"
    is_write: bool = False
    is_fresh: bool = False  # a new connection each time; otherwise connections are kept


@dataclass(frozen=True, slots=True)
class Sample:
    """One sending of one probe."""

    probe: str
    due_s: float
    late_s: float  # after it was due it was sent: the rig's own doing
    took_s: float  # from then on, until it was answered or had failed
    outcome: SampleOutcome
    kind: str = ""  # of what went wrong, in few words: "refused", "status 503"; empty when it was served
    version: str = ""  # that the answer names; a failure can name one too

    @property
    def is_rig(self) -> bool:
        """Whether it says nothing about the system."""
        return self.outcome is SampleOutcome.RIG

    @property
    def sent_s(self) -> float:
        """When it really was sent."""
        return self.due_s + self.late_s

    @property
    def ended_s(self) -> float:
        """When it was answered, or had failed."""
        return self.sent_s + self.took_s


@dataclass(frozen=True, slots=True)
class ProbeLog:
    """Everything that the probes of one stretch of time saw. `is_whole` is false when the prober came to an end that
    nobody asked for; `trouble` says how."""

    probes: tuple[Probe, ...]
    interval_s: float
    began_s: float  # the first probe was due
    ended_s: float  # no probe was due any more
    samples: tuple[Sample, ...] = ()
    is_whole: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Outage:
    """One kind of failure without a served probe in between.

    `from_s` is the first failure and `to_s` the first served answer after it, or the first failure of another kind.
    The true ends lie between these and `served_s`, the last served probe before, and `failed_s`, the last failure.
    """

    probe: str
    kind: str
    from_s: float
    to_s: float
    samples: int
    served_s: (
        float | None
    )  # None: the first failure of an outage of another kind, or no probe was served before
    failed_s: float
    is_over: bool = True  # False: the log ends before any probe was served again

    @property
    def length_s(self) -> float:
        """How long it lasted."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing is known of a probe: no sample, or only such as the rig spoiled."""

    probe: str
    from_s: float
    to_s: float
    kind: str  # what the rig did; "no samples"

    @property
    def length_s(self) -> float:
        """How long nobody looked."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """A stretch of time in which the answers to one probe named one version, perhaps among others.

    It ends when only others answer for a while; a version that comes back later has a second stretch.
    """

    probe: str
    version: str
    first_s: float
    last_s: float
    samples: int


@dataclass(frozen=True, slots=True)
class MixedWindow:
    """A time in which more than one version answered."""

    versions: tuple[str, ...]  # the one that was there first comes first
    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        """How long they had to get on with each other, and with the data."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True)
class Disruption:
    """What one probe went through."""

    probe: Probe
    began_s: float
    ended_s: float
    samples: int
    served: int
    outages: tuple[Outage, ...] = ()
    gaps: tuple[Gap, ...] = ()
    versions: tuple[VersionSeen, ...] = ()
    rig_samples: int = 0
    slowest_s: float | None = None  # of the served ones

    @property
    def stretches(self) -> tuple[tuple[float, float], ...]:
        """Outages that follow each other without a served probe are one to whoever waits."""
        joined: list[tuple[float, float]] = []
        for outage in self.outages:
            if joined and joined[-1][1] >= outage.from_s:
                joined[-1] = (joined[-1][0], max(joined[-1][1], outage.to_s))
            else:
                joined.append((outage.from_s, outage.to_s))
        return tuple(joined)

    @property
    def longest_s(self) -> float:
        """The longest time without a served probe in between."""
        return max((to_s - from_s for from_s, to_s in self.stretches), default=0.0)

    @property
    def total_s(self) -> float:
        """All outages together."""
        return sum(to_s - from_s for from_s, to_s in self.stretches)

    @property
    def out_ratio(self) -> float | None:
        """The share of the time that was an outage: what it takes from an error budget."""
        length_s = self.ended_s - self.began_s
        return self.total_s / length_s if length_s > 0 else None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much outage is accepted; fixed before the run. None: it is not judged. Zero is the claim of no downtime."""

    longest_outage_s: float | None = 0.0
    total_outage_s: float | None = 0.0
