"""What is reported: one comparison, complete, with what people decided on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.cutovers import CutoverResult
from rehearse.model.checks import CheckResult
from rehearse.model.edges import EdgeResult
from rehearse.model.load import Arrivals, Mode, Phase, Scope, Side
from rehearse.model.targets import DataState
from rehearse.model.verdict import Decision, Verdict


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
    """What one stage on the way to production has seen of this candidate under this policy, by one kind of run; no run:
    nothing."""

    stage: str
    run_id: str = ""
    started_at: str = ""
    decision: Decision | None = None
    signed: Decision | None = None  # what a person decided last
    kind: str = ""  # of the run


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
