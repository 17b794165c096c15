"""What the team decided beforehand: objectives, limits, and how evidence becomes a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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
