"""What is judged, and the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rehearse.model.load import Scope
from rehearse.model.policy import Metric, Objective, Waiver


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
