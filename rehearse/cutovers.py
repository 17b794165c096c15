"""A cutover as it was rehearsed: its steps with their times, its phases, and what was found on the way.

All times are seconds of CLOCK_MONOTONIC, as those of the probes (`disruptions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rehearse.disruptions import Disruption, MixedWindow, ProbeLog, Tolerance

# --- what was agreed before ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step as the exit plan has it, for whoever follows it: commands as they are typed, or words."""

    name: str
    run: str = ""
    undo: str = ""  # empty: there is no way back from it


@dataclass(frozen=True, slots=True)
class CutoverTerms:
    """What a cutover was to do and what is asked of it, fixed before anything is touched."""

    place: str  # which environment
    steps: tuple[str, ...]  # all of the exit plan, in their order
    obstacles: Mapping[str, str] = field(
        default_factory=dict
    )  # steps that are not run there and back, and why
    forward: tuple[str, ...] = ()  # when the way forward is rehearsed too
    planned: tuple[PlannedStep, ...] = ()  # all of the exit plan, in their order
    planned_forward: tuple[PlannedStep, ...] = ()  # rehearsed or not
    is_undo_only: bool = False  # it only takes back what an earlier one left
    restored_by: str = ""  # who says that the environment was put back by hand; then nothing is done
    tolerance: Tolerance = field(default_factory=Tolerance)
    decide_s: float | None = None  # the decision point, after the first step has begun
    undo_within_s: float | None = None
    forward_within_s: float | None = None
    criteria: tuple[str, ...] = ()  # each of them is to be watched
    questions: tuple[str, ...] = ()  # each is asked before, and after the undo
    has_schema: bool = False  # one of the questions asks for the schema
    has_survival: bool = False
    backup_check: str = ""  # it must pass before the first step
    least_blocks: int = 1  # of each measured phase
    strategy: str = "roll-back"
    decide_by: str = ""
    decide_before: str = ""
    decider: str = ""

    @property
    def there_and_back(self) -> tuple[str, ...]:
        """The steps that are applied and undone: all up to the first that `rehearse` cannot run or take back."""
        names: list[str] = []
        for name in self.steps:
            if name in self.obstacles:
                break
            names.append(name)
        return tuple(names)


# --- what was done ------------------------------------------------------------------------------------------------


class Direction(StrEnum):
    """Where a step leads."""

    APPLY = "apply"
    UNDO = "undo"
    FORWARD = "forward"  # from the broken candidate to its repair


class StepOutcome(StrEnum):
    """How a step came out. Only `done` leads on."""

    BEGUN = "begun"  # and nobody knows of its end
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_STARTED = "not started"  # its command could not be run at all
    BROKEN = "broken"  # done, and one of its checks failed
    NOT_VERIFIED = "not verified"  # done, and one of its checks has no answer


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step in one direction, once."""

    number: int  # in the order of what was done, from 1
    direction: Direction
    name: str
    command: str
    began_s: float
    outcome: StepOutcome = StepOutcome.BEGUN
    ended_s: float | None = None  # of its command
    verified_s: float | None = None  # its checks had an answer
    sentence: str = ""  # why it is not done
    said: str = ""  # the end of what its command said

    @property
    def took_s(self) -> float | None:
        """Of its command and its checks; None when nobody knows of its end."""
        end_s = self.ended_s if self.verified_s is None else self.verified_s
        return None if end_s is None else end_s - self.began_s


@dataclass(frozen=True, slots=True)
class StepProcess:
    """Which process a step's command is: it can outlive a `rehearse` that was killed."""

    number: int  # of the step
    pid: int
    process: str  # which process of which machine that pid means, where it can be told


class PhaseKind(StrEnum):
    """What a stretch of time was for."""

    SETTLING = "settling"  # caches and pools fill
    BEFORE = "before"
    STEP = "step"
    WINDOW = "mixed window"  # between two steps: versions that must get on with each other
    CANDIDATE = "candidate"
    AFTER_UNDO = "after the undo"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class CutoverPhase:
    """A stretch of time with a name; what load and probes saw in it is attributed to it."""

    kind: PhaseKind
    name: str  # "apply: switch", "old app, new schema"
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class BackupSeen:
    """What the check of the backup said before the first step. Only `done` lets the upgrade begin."""

    check: str  # its id
    outcome: StepOutcome
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a stretch of time has seen."""

    taken: int = 0  # the system said that it has them
    refused: int = 0


@dataclass(frozen=True, slots=True)
class RowsSeen:
    """Whether rows that were written are still there, at one moment."""

    when: str
    written: int  # that the system said it has taken
    missing: tuple[str, ...] = ()  # a few of those that are gone, in words
    missing_count: int = 0
    trouble: str = ""  # why it cannot be told
    before: RowCount = RowCount()  # the first step
    since: RowCount = RowCount()  # the first step began


@dataclass(frozen=True, slots=True)
class SameAnswer:
    """One question, asked before and after the undo. The answers are kept as digests."""

    question: str
    before: str | None = None
    after: str | None = None
    difference: str = ""  # the first place at which they differ
    trouble: str = ""  # why one of them is not known


@dataclass(frozen=True, slots=True)
class CriterionSeen:
    """What came of watching one abort criterion."""

    when: str  # as the exit plan has it
    fired_at_s: float | None = None
    sentence: str = ""
    trouble: str = ""  # why it was not watched
    blind_s: float = 0.0  # the longest time without an answer, while it was watched


@dataclass(frozen=True, slots=True)
class CutoverEvidence:
    """All that a run holds of a cutover, blocks of load aside."""

    terms: CutoverTerms | None = None
    steps: tuple[StepRecord, ...] = ()
    phases: tuple[CutoverPhase, ...] = ()
    probes: ProbeLog | None = None
    rows: tuple[RowsSeen, ...] = ()
    answers: tuple[SameAnswer, ...] = ()
    criteria: tuple[CriterionSeen, ...] = ()
    processes: tuple[StepProcess, ...] = ()
    backup: BackupSeen | None = None
    load_began_s: float | None = None  # the common start of the arrival schedule

    @property
    def began_s(self) -> float:
        """What reports count from."""
        starts = [*(one.began_s for one in self.phases), *(one.began_s for one in self.steps)]
        return min(starts, default=0.0)

    def of(self, direction: Direction) -> tuple[StepRecord, ...]:
        """The steps of one direction, in their order."""
        return tuple(step for step in self.steps if step.direction is direction)

    def first(self, direction: Direction) -> tuple[StepRecord, ...]:
        """Each step of one direction once, as it was the first time: the second is on the way forward."""
        found: dict[str, StepRecord] = {}
        for step in self.of(direction):
            found.setdefault(step.name, step)
        return tuple(found.values())


# --- where an environment stands ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Which steps were begun in an environment and not taken back, over all its runs."""

    run_id: str = ""  # the last one that did something
    last: StepRecord | None = None
    process: StepProcess | None = None  # of the last one, when nobody knows of its end
    open: tuple[str, ...] = ()  # the names of steps, in the order in which they were begun

    @property
    def is_clear(self) -> bool:
        """Whether nothing has to be taken back."""
        return not self.open


@dataclass(frozen=True, slots=True)
class PastCutover:
    """One earlier run in the same environment."""

    run_id: str
    terms: CutoverTerms
    steps: tuple[StepRecord, ...]
    processes: tuple[StepProcess, ...] = ()

    @property
    def begins_anew(self) -> bool:
        """Whether what was before it does not matter: somebody had put all of it back by then."""
        return bool(self.terms.restored_by or (self.steps and not self.terms.is_undo_only))

    @property
    def running(self) -> StepProcess | None:
        """The command of its last step, when nobody knows of its end."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.outcome is not StepOutcome.BEGUN:
            return None
        return next((one for one in self.processes if one.number == last.number), None)

    @property
    def has_arrived(self) -> bool:
        """Whether it went forward to its end: the repaired candidate is no half of an upgrade."""
        last = self.steps[-1] if self.steps else None
        is_end = (
            last is not None and last.direction is Direction.FORWARD and last.name == self.terms.forward[-1]
        )
        return is_end and last is not None and last.outcome is StepOutcome.DONE


def standing_after(runs: Iterable[PastCutover]) -> Standing:
    """Where `runs`, oldest first, left their environment. A step counts from its begin: half of it may be done."""
    standing = Standing()
    for run in runs:
        if run.terms.restored_by or run.has_arrived:
            standing = Standing(run.run_id)
        elif run.steps:
            standing = Standing(run.run_id, run.steps[-1], run.running, open_after(run.steps, standing.open))
    return standing


def open_after(steps: Iterable[StepRecord], before: Sequence[str] = ()) -> tuple[str, ...]:
    """Which steps are begun and not taken back, when those of `before` were."""
    open_ = list(before)
    for step in steps:
        if step.direction is Direction.APPLY and step.name not in open_:
            open_.append(step.name)
        elif step.direction is Direction.UNDO and step.outcome is StepOutcome.DONE and step.name in open_:
            open_.remove(step.name)
    return tuple(open_)


# --- as a report shows it -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """What users met in one phase."""

    phase: CutoverPhase
    requests: int
    failed: int
    kinds: tuple[str, ...] = ()  # of failures, the most frequent first: "500 (12)"
    longest_outage_s: float = 0.0  # of the probe that had the longest


@dataclass(frozen=True, slots=True)
class CutoverResult:
    """A cutover as a report shows it."""

    terms: CutoverTerms
    began_s: float  # what reports count from
    steps: tuple[StepRecord, ...]
    phases: tuple[PhaseSeen, ...]
    disruptions: tuple[Disruption, ...] = ()
    mixed: tuple[MixedWindow, ...] = ()
    rows: tuple[RowsSeen, ...] = ()
    answers: tuple[SameAnswer, ...] = ()
    criteria: tuple[CriterionSeen, ...] = ()
    backup: BackupSeen | None = None
    apply_s: float | None = None  # all steps together, holding windows aside
    undo_s: float | None = None
    forward_s: float | None = None
    left_s: float | None = None  # until the decision point, once the upgrade is applied; 0: none is left

    @property
    def left_behind(self) -> tuple[str, ...]:
        """The steps that this run began and did not take back."""
        return standing_after([PastCutover("", self.terms, self.steps)]).open

    @property
    def dead_ends(self) -> tuple[str, ...]:
        """Those of them that `rehearse` cannot take back."""
        return tuple(name for name in self.left_behind if name in self.terms.obstacles)


def time_of(steps: Sequence[StepRecord]) -> float | None:
    """How long steps took together; None when one of them has no known end, or when there are none."""
    times = [step.took_s for step in steps]
    known = [took_s for took_s in times if took_s is not None]
    return sum(known) if known and len(known) == len(times) else None
