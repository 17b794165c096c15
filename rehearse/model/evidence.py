"""Everything that a verdict rests on: what was recorded, and the baseline that it refers to."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.model.checks import CheckEvidence, CheckResult
from rehearse.model.contracts import Contract, Sampling, ValueDifference
from rehearse.model.edges import EdgeRecord
from rehearse.model.load import Block, Incident, Mode, Side, WorkerFinal
from rehearse.model.policy import Policy
from rehearse.model.targets import DataState, SeriesWindow


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
