"""What is recorded under load: requests become series, series blocks, and every arrival is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rehearse.histogram import Histogram


class Side(StrEnum):
    """Which of the two behaviours a recording is of."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Mode(StrEnum):
    """How the two sides are compared: at the same moment, or one against a stored recording."""

    PAIRED = "paired"
    RECORDED = "recorded"


class RequestOutcome(StrEnum):
    """How one request ended. Each outcome has a histogram of its own: failures are not speed."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CENSORED = "censored"  # in flight when the run was cut off: its duration is a lower bound


class Scope(StrEnum):
    """What a series or a cell is about."""

    REHEARSAL = "rehearsal"
    SCENARIO = "scenario"
    TASK = "task"
    ENDPOINT = "endpoint"
    SERIES = "series"  # what a server says of itself, by way of Prometheus


class Phase(StrEnum):
    """What load is for: the rounds that are compared, or the capacity probe after them."""

    ROUND = "round"
    CLIMB = "climb"  # a staircase of rates, each higher than the last, until something breaks
    HOLD = "hold"  # more than the system completes, for long enough to count what it does complete


@dataclass(frozen=True, slots=True)
class ErrorBin:
    """`count` failures of one kind inside one 0.5 s bin (`bin` = floor of 2 x seconds since the start)."""

    kind: str
    bin: int
    count: int


@dataclass(frozen=True, slots=True)
class Series:
    """What one endpoint (service time) or one task or scenario (response time) did in one block."""

    scope: Scope
    name: str
    durations: Mapping[RequestOutcome, Histogram]
    errors: tuple[ErrorBin, ...] = ()

    def count(self, *outcomes: RequestOutcome) -> int:
        """How many ended in one of `outcomes`; all of them when none is named."""
        if not outcomes:
            return sum(histogram.count for histogram in self.durations.values())
        return sum(self.durations[outcome].count for outcome in outcomes if outcome in self.durations)

    @property
    def failed(self) -> int:
        """Everything that did not end well: errors, timeouts, and what was cut off."""
        return self.count(RequestOutcome.ERROR, RequestOutcome.TIMEOUT, RequestOutcome.CENSORED)

    @property
    def judged(self) -> Histogram:
        """The durations that latency is judged on: successes, and timeouts and cut-offs as lower bounds."""
        kept = (RequestOutcome.OK, RequestOutcome.TIMEOUT, RequestOutcome.CENSORED)
        parts = [self.durations[outcome] for outcome in kept if outcome in self.durations]
        return parts[0] if len(parts) == 1 else Histogram.merged(parts)  # no copy of what nobody changes


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The ledger of one block or one recording: every planned arrival is accounted for."""

    planned: int = 0
    dispatched: int = 0
    unsent: int = 0
    ok: int = 0
    error: int = 0
    timeout: int = 0
    censored: int = 0
    concurrency_limited: int = 0  # dispatched late because every user was still waiting for the system

    def __add__(self, other: Arrivals) -> Arrivals:
        return Arrivals(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def imbalance(self) -> str | None:
        """Which of the two ledger equations does not hold, in words; None when both do."""
        if self.planned != self.dispatched + self.unsent:
            return f"planned {self.planned} != dispatched {self.dispatched} + unsent {self.unsent}"
        ended = self.ok + self.error + self.timeout + self.censored
        if self.dispatched != ended:
            return f"dispatched {self.dispatched} != ok + error + timeout + censored {ended}"
        return None


@dataclass(frozen=True, slots=True)
class RigHealth:
    """How well the load generator itself did in one block. None = the operating system cannot tell."""

    rig_lag: Histogram  # lateness that is the rig's own fault
    backlog_lag: Histogram  # lateness because every user was still waiting for the system
    stall_max_s: float  # longest time that the worker's event loop did not turn
    cpu_ratio: float  # CPU of the worker over the block, 1.0 = one core
    steal_ratio: float | None = None  # CPU time that the hypervisor gave to others
    fresh_connections: int | None = None
    stalled_in: str = ""  # what held the event loop in that longest time, where it is known
    queue_wait_ratio: float | None = None  # of the block: the worker could have run, and no core was free
    throttled: int | None = None  # how often a CPU quota stopped the worker
    clock_step_s: float | None = None  # how far the wall clock left the monotonic one
    gc_ratio: float | None = None  # of the block: garbage collection in the worker
    exhausted: int = 0  # requests and tasks that failed because the rig had no descriptor or port left


@dataclass(frozen=True, slots=True)
class Block:
    """A fixed slice of load on one side, by intended start; closed: each of its arrivals has an outcome."""

    side: Side
    round: int
    index: int  # within the round
    is_warm_up: bool
    start_s: float  # since the common start of the round's schedule
    length_s: float
    arrivals: Arrivals
    series: tuple[Series, ...]
    rig: RigHealth
    completed: int = (
        0  # arrivals that ended well while this slice lasted, whenever they were due: the throughput
    )
    phase: Phase = Phase.ROUND


@dataclass(frozen=True, slots=True)
class WorkerFinal:
    """A worker's own closing account; without one, its recording is incomplete."""

    side: Side
    round: int
    worker: int
    arrivals: Arrivals
    blocks_closed: int
    blocks_sent_crc32: int  # over the bytes of all block messages: the parent must come to the same
    unscheduled_requests: int  # outside any arrival, such as a login in on_start
    unscheduled_errors: int
    listener_errors: int  # exceptions inside the recorder itself: lost samples
    abandoned: int = 0  # arrivals of the block that was still open when the load was stopped early
    blocks_acknowledged: int = 0  # when this was written; the last ones may still be on their way
    reports_resent: int = 0  # not acknowledged in time: lost on the way, or `rehearse` was busy


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to the rig, the load or the run itself and that the judge must know."""

    code: str  # a ReasonCode value
    sentence: str
    side: Side | None = None
    is_hard: bool = False  # True: the system is at fault, beyond doubt (the guard fired)
