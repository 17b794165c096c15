"""The nouns, in pipeline order: what is recorded, what is judged, what is reported.

Every value is frozen. Durations are seconds (`_s`), shares are 0..1 (`_ratio`), and instants inside a recording
are seconds since the common start of its arrival schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rehearse.cutovers import CutoverResult
from rehearse.histogram import Histogram

# --- what is recorded -------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What a target said of itself before load: versions, row counts, anything its owner finds telling."""

    side: Side
    name: str
    url: str
    facts: Mapping[str, str] = field(default_factory=dict)


class Moment(StrEnum):
    """When something was asked of a target."""

    BEFORE = "before"  # the load
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class DataState:
    """What data one side worked on: which set, and how many rows of each kind."""

    side: Side
    moment: Moment
    data_set: str = ""  # how its owner names it; empty when it has no name
    rows: Mapping[str, int] = field(default_factory=dict)


class Severity(StrEnum):
    """What a check that fails on the candidate alone leads to."""

    ABORT = "abort"
    WARN = "warn"


class CheckOutcome(StrEnum):
    """How one check came out. Only `passed` speaks for the candidate, and only `failed` against it."""

    PASSED = "passed"
    FAILED = "failed"  # on the candidate, and not on the baseline
    ALREADY_BROKEN = "already broken"  # on the baseline too: not the upgrade's doing
    ACCEPTED = "accepted"  # an expected failure (xfail) whose date is not over
    NOT_RUN = "not run"  # skipped, with a reason
    ERROR = "error"  # crashed, timed out, failed in its set-up, skipped without a reason, or expired


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One codified breakage, and how it came out."""

    check_id: str  # "INC-231", or "http/security-headers" of a pack
    source: str  # "checks/test_orders.py::test_totals[2028-02-29]"
    story: str  # what broke, in the words of whoever wrote it down
    outcome: CheckOutcome
    severity: Severity
    sentence: str = ""  # why it came out so; empty when it passed
    component: str = ""
    broke_on: str = ""  # ISO 8601 date
    ref: str = ""
    expires: str = ""  # ISO 8601 date
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChecksEnd:
    """The closing account of a run of checks; without one, it never came to its end."""

    planned: int  # how many were collected
    troubles: tuple[str, ...] = ()  # nothing collected, errors of collection, a crash: never GO


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """What checks found: each side as it was asked, and the closing account."""

    on_candidate: tuple[CheckResult, ...] = ()
    on_baseline: tuple[CheckResult, ...] = ()  # of a comparison: only of what failed on the candidate
    end: ChecksEnd | None = None


class EdgeFamily(StrEnum):
    """What kind of condition it is."""

    TIMEOUT = "timeout"  # something is slow, hangs or is gone: what its users get meanwhile, and afterwards
    RECOVERY = "recovery"  # the same, and only whether it comes back matters
    CLIENT = "client"  # slow or impatient ones: what the others get meanwhile
    RETRY = "retry"  # a client sends again: how often did it take effect
    DATE = "date"  # moments at which programs that calculate with dates go wrong


class EdgeOutcome(StrEnum):
    """How one edge case came out. Only `pass` speaks for the candidate, and only `fail` against it."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ALREADY_BROKEN = "already broken"  # the baseline does the same: not the upgrade's doing
    NOT_RUN = "not run"  # it was not injected, or nobody can show that it was


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done or looked at: the precondition, the injection, the clean-up."""

    what: str
    is_done: bool
    sentence: str = ""  # what was seen; why not, when it was not done


@dataclass(frozen=True, slots=True)
class Proof:
    """Why we believe that the condition was really there: a number that can only come from it."""

    what: str  # "connections on which reset_peer_downstream acted"
    count: int
    needed: int = 1

    @property
    def holds(self) -> bool:
        """Whether it was seen often enough."""
        return self.count >= self.needed > 0


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must hold, and what was found."""

    what: str
    outcome: EdgeOutcome
    sentence: str
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)

    @property
    def counts_as(self) -> EdgeOutcome:
        """What it makes of the whole case: one that could not be looked at, or passes on no number, leaves it open."""
        is_empty = any(
            isinstance(number, float) and not math.isfinite(number) for number in self.numbers.values()
        )
        if self.outcome is EdgeOutcome.NOT_RUN or (self.outcome is EdgeOutcome.PASS and is_empty):
            return EdgeOutcome.INCONCLUSIVE
        return self.outcome


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """One edge case on one comparison. `outcome` follows from the rest: never better than its proof."""

    case_id: str
    family: EdgeFamily
    why: str  # what happened once, or could; a person reads this first
    is_required: bool = True  # without it no verdict can be GO
    ref: str = ""  # the incident
    precondition: Step | None = None
    injection: Step | None = None
    load: str = ""  # "50/s a side for 20 s"
    assertions: tuple[Assertion, ...] = ()
    cleanup: Step | None = None
    proofs: tuple[Proof, ...] = ()
    told: str = ""  # what happened on both sides, in one sentence
    reproduce: str = ""  # one command

    @property
    def outcome(self) -> EdgeOutcome:
        """Earned like a verdict: not run without injection and proof, inconclusive without an assertion."""
        return self.ruling[0]

    @property
    def sentence(self) -> str:
        """Why it came out so, in one sentence."""
        return self.ruling[1]

    @property
    def blocks_go(self) -> bool:
        """Whether no verdict can be GO because of this; a failure of a required one is an ABORT."""
        return self.is_required and self.outcome not in (EdgeOutcome.PASS, EdgeOutcome.ALREADY_BROKEN)

    @property
    def ruling(self) -> tuple[EdgeOutcome, str]:
        """The outcome and its sentence."""
        if reason := self._why_not_run():
            return EdgeOutcome.NOT_RUN, reason
        if not self.assertions:
            return EdgeOutcome.INCONCLUSIVE, "nothing was asserted"
        for outcome in (EdgeOutcome.FAIL, EdgeOutcome.INCONCLUSIVE):
            for assertion in self.assertions:
                if assertion.counts_as is outcome:
                    return outcome, f"{assertion.what}: {assertion.sentence}"
        if self.cleanup is None or not self.cleanup.is_done:
            why = self.cleanup.sentence or self.cleanup.what if self.cleanup else "nobody said so"
            return EdgeOutcome.INCONCLUSIVE, f"it is not known to be cleaned up: {why}"
        worst = next((one for one in self.assertions if one.counts_as is not EdgeOutcome.PASS), None)
        decisive = worst or self.assertions[0]
        return decisive.counts_as, decisive.sentence

    def _why_not_run(self) -> str:
        if self.precondition is not None and not self.precondition.is_done:
            return f"its precondition does not hold: {self.precondition.sentence or self.precondition.what}"
        if self.injection is None or not self.injection.is_done:
            why = self.injection.sentence if self.injection is not None else ""
            return f"nothing was injected{': ' if why else ''}{why}"
        if not self.proofs:
            return "nothing proves that the condition was there"
        for proof in self.proofs:
            if not proof.holds:
                return f"no proof that the condition was there: {proof.what}: {proof.count}, needed {proof.needed}"
        return ""


@dataclass(frozen=True, slots=True)
class EdgeResult:
    """One edge case as a report shows it: its record, and what follows from that."""

    outcome: EdgeOutcome
    sentence: str  # why it came out so
    record: EdgeRecord


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One piece of evidence that is neither load nor a closing account: a check's result, a contract. Kept as bytes
    of JSON; `kind` says what they hold."""

    kind: str
    name: str  # unique in its run and kind
    body: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer seen under load, as much of it as is kept. A contract is learnt from it; it is not stored."""

    side: Side
    endpoint: str  # the name of its series, "GET /orders/[id]"
    target: str  # path and query that were asked for
    status: int
    headers: Mapping[str, str]  # those that matter, by lower-case name
    body: bytes
    is_whole: bool  # False: the body was too long and is cut


@dataclass(frozen=True, slots=True)
class Sampling:
    """The account of one side's samples."""

    side: Side
    taken: int
    lost: int = 0  # sent by a worker, and never arrived
    left_out: int = 0  # names beyond the bound, a pipe that was full
    failed: int = 0  # answers that could not be read


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What stood at one place of the answers. Every number counts answers: the items of a list count once in each."""

    of: int  # answers in which it could have been there
    present: int
    always: int  # answers in which it was there wherever it could have been
    types: Mapping[str, int] = field(default_factory=dict)
    formats: Mapping[str, int] = field(default_factory=dict)  # of texts and lists
    values: Mapping[str, int] = field(default_factory=dict)  # short texts, while they are few
    examples: Mapping[str, str] = field(default_factory=dict)  # by type or format; redacted, and cut


@dataclass(frozen=True, slots=True)
class Contract:
    """What the answers of one endpoint with one status had in common on one side."""

    side: Side
    endpoint: str
    status: int
    samples: int
    documents: int  # of the samples: whole JSON
    unreadable: int  # said to be JSON, and are not
    cut: int  # too long to be read
    places: Mapping[str, PlaceFacts]  # "$.items[*].price", "header etag"
    varying: tuple[str, ...] = ()  # objects whose keys are data, such as ids
    is_bounded: bool = False  # there were more places than are kept


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A place where two sides answered equal requests with unequal values, and each side agreed with itself."""

    endpoint: str
    status: int
    place: str
    requests: int  # in which it differed
    of: int  # requests that were compared
    baseline: str  # one example, redacted and cut
    candidate: str


@dataclass(frozen=True, slots=True)
class SeriesWindow:
    """What one server-side series was on one side while one round was measured; `trouble` says why it is unusable."""

    name: str
    side: Side
    round: int
    query: str  # as the policy has it; another query is another series
    length_s: float
    step_s: float  # the distance of the points
    points: tuple[tuple[float, float], ...] = ()  # (seconds since the first measured block, value)
    trouble: str = ""


# --- what the team decided beforehand ---------------------------------------------------------------------------


class Metric(StrEnum):
    """What can be judged of a series."""

    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    ERROR_RATIO = "error ratio"
    COMPLETED_RATIO = "completed ratio"  # answered / offered: the throughput of an open model
    CAPACITY = "capacity"  # the most that is completed per second, however much is offered
    LEVEL = "level"  # the mean of a server-side series
    GROWTH = "growth"  # how much a server-side series rises in a minute, as a part of the baseline's level

    @property
    def quantile(self) -> float | None:
        """0..1 for a latency metric, None for all others."""
        return {Metric.P50: 0.50, Metric.P95: 0.95, Metric.P99: 0.99}.get(self)

    @property
    def lower_is_better(self) -> bool:
        """False for what is completed: the completed ratio and the capacity."""
        return self not in (Metric.COMPLETED_RATIO, Metric.CAPACITY)

    @property
    def is_relative(self) -> bool:
        """Whether a change is a part of the baseline's value (+5 %), and not a difference of shares (+0.1 pp)."""
        return self.quantile is not None or self in (Metric.CAPACITY, Metric.LEVEL)


@dataclass(frozen=True, slots=True)
class Objective:
    """Margin: the largest accepted worsening (relative for latency and capacity, absolute 0..1 for ratios); limit:
    absolute."""

    metric: Metric
    margin: float | None
    limit: float | None = (
        None  # seconds for latency, 0..1 for a ratio, 1/s for capacity; a worst value that is never acceptable
    )
    is_advisory: bool = False  # reported, never ABORT, never needed for GO


@dataclass(frozen=True, slots=True)
class RigLimits:
    """Beyond these a block is discarded on both sides; too many discarded blocks end INCONCLUSIVE."""

    max_rig_lag_p99_s: float = 0.005
    max_rig_lag_of_baseline_p50_ratio: float = 0.10  # the larger of the two limits holds
    max_stall_s: float = 0.100
    max_cpu_ratio: float = 0.80
    max_steal_ratio: float | None = None
    max_discarded_ratio: float = 0.20
    max_queue_wait_ratio: float | None = None
    max_throttled: int = 0
    max_clock_step_s: float = 0.050


@dataclass(frozen=True, slots=True)
class NoiseAssumptions:
    """Standard deviations of log(candidate/baseline) that hold until a measurement replaces them."""

    start_sd: float = 0.015  # drawn anew at each process start: memory layout, connections
    start_degrees_of_freedom: int = 8
    host_sd: float = 0.02  # fixed for a pair of environments
    run_to_run_sd: float = 0.05  # recorded mode: between two runs of the same code
    series_sd: float = 0.03  # server-side series: between two processes of the same code
    growth_sd: float = 0.01  # the same of their growth, a minute, as a part of the level


@dataclass(frozen=True, slots=True)
class CapacityProbe:
    """How the capacity is looked for, and what bounds the search; each side is probed alone."""

    start_rate_per_s: float
    max_rate_per_s: float  # the most that is ever offered
    step_ratio: float  # how much higher each step is than the one before
    step_s: float
    pairs: int  # turns of each side after its staircase
    users: int  # the most requests that are ever under way at the same moment
    distress_ratio: float  # of failed requests, from which on the probe stops at once


@dataclass(frozen=True, slots=True)
class ContractRules:
    """How two response contracts are compared."""

    alpha: float = 0.001  # chance that any place gates without a change, over all places together
    ignored_endpoints: tuple[str, ...] = ()
    ignored_places: tuple[str, ...] = ()  # "$.meta" with all below it, "header etag"
    values: str = "warn"  # what a different value leads to: "warn", "gate" or "off"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A named person accepts one finding until a date."""

    finding: str  # its subject, "contract: GET /orders/[id] 200 $.total type"
    person: str
    reason: str
    until: str  # ISO 8601 date, the last day on which it holds


@dataclass(frozen=True, slots=True)
class DataRules:
    """What is asked of the data that both sides work on."""

    most_difference_ratio: float = 0.10  # of the rows of a kind, between the sides
    least_of_production_ratio: float = 0.10
    production_rows: Mapping[str, int] = field(default_factory=dict)
    declared: tuple[str, ...] = ()  # what the upgrade changes: "state.data_set", "state.rows.orders"


@dataclass(frozen=True, slots=True)
class ServerSeries:
    """A number that a server tells of itself, and what is asked of it."""

    name: str
    unit: str  # of its values, "bytes"; may be empty
    queries: tuple[str, str]  # PromQL, of the baseline and of the candidate
    objectives: tuple[Objective, ...]  # of its level and of its growth
    floor: float = 0.0  # a change of the level below this, in its own unit, is never a worsening


@dataclass(frozen=True, slots=True)
class Policy:
    """All that turns evidence into a verdict; fixed before the run and hashed into the provenance."""

    objectives: tuple[Objective, ...]
    overrides: Mapping[str, tuple[Objective, ...]] = field(default_factory=dict)  # by series name, "GET /x"
    critical: tuple[str, ...] = ()  # series names that must be certified however rare they are
    floor_s: float = 0.0002  # a change below this is never a worsening
    abort_alpha: float = 0.01
    go_alpha: float = 0.05
    certify_share_ratio: float = 0.10
    min_pairs: int = 8
    min_rounds: int = 3  # recorded mode
    max_baseline_error_ratio: float = 0.05
    guard_alpha: float = 0.001
    guard_stop_error_ratio: float = 0.05  # the guard stops the load only at damage of this size
    shares_host: bool = False  # both sides share a box by design
    rig: RigLimits = field(default_factory=RigLimits)
    noise: NoiseAssumptions = field(default_factory=NoiseAssumptions)
    capacity: CapacityProbe | None = None  # None: nobody asked how much it can take
    contract: ContractRules | None = None  # None: answers are not looked into
    waivers: tuple[Waiver, ...] = ()
    series: tuple[ServerSeries, ...] = ()  # server-side
    data: DataRules | None = None  # None: no target says what data it has

    def objectives_for(self, series_name: str) -> tuple[Objective, ...]:
        """The objectives of one series: an override replaces the general one of the same metric."""
        special = {objective.metric: objective for objective in self.overrides.get(series_name, ())}
        general = {objective.metric: objective for objective in self.objectives}
        return tuple((general | special).values())


# --- what is judged ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reference:
    """What the stored baseline says: its blocks (both sides when it was an A/A recording)."""

    name: str
    blocks: tuple[Block, ...]
    probe: tuple[Block, ...] = ()  # of its capacity probe
    checks: tuple[CheckResult, ...] = ()  # on the baseline, as it was recorded
    contracts: tuple[Contract, ...] = ()  # both sides' when it was an A/A recording
    differences: tuple[ValueDifference, ...] = ()  # between two sides that were the same: noise
    series: tuple[SeriesWindow, ...] = ()
    data: tuple[DataState, ...] = ()
    other_rig: str = ""  # how the machine that recorded it differs from the one of now, in words

    @property
    def is_calibrated(self) -> bool:
        """True when both targets were recorded while both ran the known-good version (A/A)."""
        return any(block.side is Side.CANDIDATE for block in self.blocks)

    @property
    def tells_hosts(self) -> bool:
        """True when its pairs tell what the two targets differ by for this rig: another one has other times."""
        return self.is_calibrated and not self.other_rig


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a verdict rests on; nothing else may change it."""

    mode: Mode
    policy: Policy
    blocks: tuple[Block, ...]
    finals: tuple[WorkerFinal, ...]
    reference: Reference | None
    planned_blocks: int  # measured blocks per side that the budget allows, over all rounds
    expected_workers: int  # per side and round
    rounds: int
    restarted: frozenset[Side] = frozenset()  # sides whose process is started anew for every round
    incidents: tuple[Incident, ...] = ()
    looks: int = 1  # how many looks the schedule has
    is_complete: bool = False  # the load ended by itself, at its end or at a look that said ABORT
    scenarios: tuple[str, ...] = ()  # as configured: each must have been requested on every judged side
    probe: tuple[
        Block, ...
    ] = ()  # of the capacity probe; its turns are numbered as rounds, after the last one
    probe_finals: tuple[WorkerFinal, ...] = ()
    checks: CheckEvidence | None = None  # None: the project has none
    contracts: tuple[Contract, ...] = ()
    samplings: tuple[Sampling, ...] = ()
    differences: tuple[ValueDifference, ...] = ()
    started_at: str = ""  # ISO 8601: the day on which waivers are looked at
    series: tuple[SeriesWindow, ...] = ()
    data: tuple[DataState, ...] = ()
    planned_edges: tuple[EdgeRecord, ...] = ()  # as configured, with nothing done yet
    edges: tuple[EdgeRecord, ...] = ()


class Role(StrEnum):
    """What a cell is for: proven inside its margin for GO, or only able to ABORT."""

    CERTIFY = "certify"
    WATCH = "watch"
    ADVISORY = "advisory"


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is judged."""

    scope: Scope
    name: str
    metric: Metric
    role: Role
    objective: Objective
    measured_in: str = ""  # the unit of a server-side series

    @property
    def label(self) -> str:
        """How reports name it: "GET /x p95"."""
        return f"{self.name} {self.metric}"

    @property
    def unit(self) -> str:
        """ "s" for latency, "1/s" for capacity, a series' own ("bytes", "bytes/min"), "ratio" for the rest."""
        if self.metric is Metric.GROWTH:
            return f"{self.measured_in}/min"
        if self.metric is Metric.LEVEL:
            return self.measured_in
        if self.metric is Metric.CAPACITY:
            return "1/s"
        return "s" if self.metric.quantile is not None else "ratio"


class Outcome(StrEnum):
    """How one finding came out."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class ReasonCode(StrEnum):
    """Why a verdict is not GO; stable words that a pipeline can match."""

    WORSE = "worse"
    LIMIT = "limit"
    GUARD = "guard"
    NOISE = "noise"
    GREY_ZONE = "grey_zone"
    TOO_FEW_PAIRS = "too_few_pairs"
    TOO_FEW_ROUNDS = "too_few_rounds"
    MISSING_ENDPOINT = "missing_endpoint"
    MISSING_BASELINE = "missing_baseline"
    NO_EVIDENCE = "no_evidence"
    RIG_UNHEALTHY = "rig_unhealthy"
    WORKER_LOST = "worker_lost"
    LEDGER = "ledger"
    LOAD_MISMATCH = "load_mismatch"
    BASELINE_UNHEALTHY = "baseline_unhealthy"
    BASELINE_STALE = "baseline_stale"
    NOT_COMPARABLE = "not_comparable"
    NOT_ISOLATED = "not_isolated"
    CORRELATED = "correlated"
    DISTRESS = "distress"
    CHECK_FAILED = "check_failed"
    CHECK_MISSING = "check_missing"
    CHECKS_INCOMPLETE = "checks_incomplete"
    INTERRUPTED = "interrupted"
    TARGET_REFUSED = "target_refused"
    EDGE_FAILED = "edge_failed"
    EDGES_INCOMPLETE = "edges_incomplete"
    CONTRACT = "contract"
    UNSEEN_CONTRACT = "unseen_contract"
    SERIES_MISSING = "series_missing"
    STEP_FAILED = "step_failed"
    NO_BACKUP = "no_backup"
    STEP_NOT_RUN = "step_not_run"
    OUTAGE = "outage"
    DISRUPTION_UNSEEN = "disruption_unseen"
    DATA_LOST = "data_lost"
    LEFT_BEHIND = "left_behind"
    EXIT_TOO_SLOW = "exit_too_slow"
    CRITERION = "criterion"
    CUTOVER_INCOMPLETE = "cutover_incomplete"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Finding:
    """One outcome with the one sentence, and the numbers, that decided it."""

    outcome: Outcome
    code: str
    subject: str
    sentence: str
    is_hard: bool = False
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)


class Weight(StrEnum):
    """What a change of the response contract leads to."""

    GATE = "gate"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One change of the response contract, with one example before and one after."""

    endpoint: str
    status: int
    place: str  # "$.total", "header content-type", "-" for the answer as a whole
    what: str  # "type", "null", "key", ...
    weight: Weight
    sentence: str
    before: str = ""
    after: str = ""
    baseline_count: int = 0  # answers that had it, on the known-good side
    baseline_of: int = 0
    candidate_count: int = 0
    candidate_of: int = 0
    p_value: float | None = None
    waiver: Waiver | None = None

    @property
    def subject(self) -> str:
        """The stable id that a waiver names."""
        return f"contract: {self.endpoint} {self.status} {self.place} {self.what}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One cell, judged. `change` and its bounds are log(candidate/baseline) turned into a ratio (+0.05 = 5 %
    more) for latency and capacity, and a difference in 0..1 for ratios; None where nothing could be estimated.

    `change`, `low` and `high` are candidate less baseline, as a reader counts; `upper_bound` and `margin` are
    worsenings, positive = worse. That is the same for all but the completed ratio and the capacity, of which less
    is worse: 3 % fewer answers are `change` -0.03 and 0.03 of a `margin` of 0.03, and `low` is the worse end.
    """

    cell: Cell
    outcome: Outcome
    sentence: str
    baseline: float | None = None
    candidate: float | None = None
    change: float | None = None
    low: float | None = None  # two-sided 95 %
    high: float | None = None
    upper_bound: float | None = None  # one-sided, what GO is decided on
    margin: float | None = None  # effective: after the floor
    p_value: float | None = None  # one-sided, of "not worse"
    is_proven_worse: bool = False  # survived Holm at this look
    pairs: int = 0
    baseline_count: int = 0
    candidate_count: int = 0
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    code: str = ""


class Decision(StrEnum):
    """The three things a verdict can say."""

    GO = "GO"
    ABORT = "ABORT"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision with its reasons, worst first. Starts as INCONCLUSIVE; GO is earned."""

    decision: Decision = Decision.INCONCLUSIVE
    reasons: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()  # proven small worsenings, what was only watched, what was assumed
    judgements: tuple[Judgement, ...] = ()
    pairs_used: int = 0
    pairs_discarded: int = 0
    assumptions: tuple[str, ...] = ()
    contract: tuple[ContractChange, ...] = ()  # all of them, gating ones first
    contracts_compared: int = 0  # endpoints and statuses that were seen on both sides


# --- what is reported -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One block of the scenario total on one side, for the picture over time."""

    side: Side
    at_s: float  # since the first block, over all rounds
    p50_s: float | None
    p95_s: float | None
    error_ratio: float
    is_discarded: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """A percentile curve of one series on one side: (share 0..1, seconds)."""

    scope: Scope
    name: str
    side: Side
    count: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """Failures of one kind on one series, on both sides."""

    name: str
    kind: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class CapacityStep:
    """One rate that one side was offered by the capacity probe, and what it completed of it."""

    side: Side
    turn: int  # 0 is the side's staircase
    phase: Phase
    offered_per_s: float
    completed_per_s: float
    p95_s: float | None  # response time, from the moment that an arrival was due
    failed_ratio: float
    is_judged: bool


@dataclass(frozen=True, slots=True)
class SeriesCurve:
    """One server-side series on one side over the measured load, rounds joined end to end: (seconds, value)."""

    name: str
    unit: str
    side: Side
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class SideSummary:
    """What one side was, and what it was sent."""

    side: Side
    target: str
    url: str
    facts: Mapping[str, str]
    arrivals: Arrivals
    requests: int
    failed: int
    rig_lag_p99_s: float | None
    worker_cpu_ratio: float | None
    stall_max_s: float | None
    stalled_in: str = ""  # what held the load generator in that longest stall
    queue_wait_ratio: float | None = None  # at worst, as the two below: of one block
    steal_ratio: float | None = None
    gc_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class SignOff:
    """What a person decided on a verdict: recorded, and not authenticated."""

    decision: Decision  # GO or ABORT
    person: str
    reason: str
    at: str  # ISO 8601, UTC
    verdict: Decision  # that it was decided on
    verdict_digest: str  # SHA-256 of all of it
    second: str = ""  # who agrees with an override
    ci: Mapping[str, str] = field(default_factory=dict)  # what the pipeline says of itself

    @property
    def is_override(self) -> bool:
        """Whether it goes where the verdict does not."""
        return self.decision is Decision.GO and self.verdict is not Decision.GO


@dataclass(frozen=True, slots=True)
class StageStanding:
    """What one stage on the way to production has seen of this candidate under this policy; no run: nothing."""

    stage: str
    run_id: str = ""
    started_at: str = ""
    decision: Decision | None = None
    signed: Decision | None = None  # what a person decided last


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison, complete: the one model behind HTML, JSON and terminal. `schema_version` covers all of it."""

    run_id: str
    title: str
    mode: Mode
    baseline_name: str | None
    started_at: str  # ISO 8601, UTC
    ended_at: str
    load_s: float  # measured load, warm-up left out
    verdict: Verdict
    sides: tuple[SideSummary, ...]
    timeline: tuple[TimelinePoint, ...]
    curves: tuple[Curve, ...]
    error_kinds: tuple[ErrorKind, ...]
    provenance: Mapping[str, str]
    effective_config: str  # TOML, secrets redacted
    exit_plan: str
    command: str  # reproduces the comparison
    blind_spots: tuple[str, ...]  # what this report cannot tell
    capacity: tuple[CapacityStep, ...] = ()  # empty when the capacity was not probed
    checks: tuple[CheckResult, ...] = ()  # failed ones first; empty when the project has none
    edges: tuple[EdgeResult, ...] = ()  # the same
    is_advisory: bool = False  # asked for without consequence: never good enough for a gate
    data: tuple[DataState, ...] = ()  # what each side worked on, before and after the load
    production_rows: Mapping[str, int] = field(default_factory=dict)
    series: tuple[SeriesCurve, ...] = ()  # server-side
    other_policy: tuple[str, ...] = ()  # how its policy differs from the one fixed before the run
    sign_offs: tuple[SignOff, ...] = ()  # in their order; the last one counts
    stages: tuple[StageStanding, ...] = ()  # in their order; empty when the project has none
    cutover: CutoverResult | None = None  # of a cutover, and of nothing else
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Checks alone, without load: no verdict on the upgrade, though its decision has the words of one."""

    run_id: str
    title: str
    verdict: Verdict
    checks: tuple[CheckResult, ...]  # failed ones first
    schema_version: int = 1


# --- the store's view of a run ----------------------------------------------------------------------------------


# Of the provenance: what a promotion goes by.
OTHER_RIG_KEY = "baseline.rig"  # where the stored baseline was recorded, if that is another machine
STAGE_KEY, STAGES_KEY, IDENTITY_KEY = "promotion.stage", "promotion.stages", "gate.identity"


class RunKind(StrEnum):
    """What a run is."""

    BASELINE = "baseline"
    COMPARISON = "comparison"
    CUTOVER = "cutover"  # the exit plan, there and back in one environment
    CHECKS = "checks"  # checks alone, without load: never a verdict on the upgrade


class RunState(StrEnum):
    """How far a run came. Only `finished` evidence can be GO."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store keeps it, without its blocks."""

    run_id: str
    kind: RunKind
    state: RunState
    mode: Mode
    started_at: str
    ended_at: str | None
    baseline_name: str | None  # the name it was stored under, or the one it was compared with
    title: str
    policy: Policy
    planned_blocks: int
    expected_workers: int
    rounds: int
    looks: int
    is_complete: bool
    restarted: frozenset[Side]
    targets: tuple[TargetFacts, ...]
    provenance: Mapping[str, str]
    effective_config: str
    exit_plan: str
    command: str
    incidents: tuple[Incident, ...] = ()
    verdict: Verdict | None = None
    baseline_run_id: str | None = None  # exactly which recording it was compared with
    scenarios: tuple[str, ...] = ()  # as configured
    has_checks: bool = False  # checks were due: without their closing account it is never GO
    is_advisory: bool = False  # the verdict was asked for without consequence
