"""The store's view of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rehearse.model.load import Incident, Mode, Side
from rehearse.model.policy import Policy
from rehearse.model.targets import TargetFacts
from rehearse.model.verdict import Verdict

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


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One piece of evidence that is neither load nor a closing account: a check's result, a contract. Kept as bytes
    of JSON; `kind` says what they hold."""

    kind: str
    name: str  # unique in its run and kind
    body: bytes
