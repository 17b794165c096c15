"""A few journeys on every side at once, by the real users of the scenarios, through the real load generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rehearse.config import Settings
from rehearse.doctor.findings import Examined, Grade
from rehearse.histogram import Histogram
from rehearse.judge.wording import duration
from rehearse.load.engine import BlockClosed, LoadEngine, Tick, Trouble, WorkerDone
from rehearse.load.orders import LoadOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Block, Incident, RunRecord, Scope, Series, Side, WorkerFinal
from rehearse.progress import Listener
from rehearse.wiring.orders import load_order

JOURNEYS = 20
RATE_PER_S = 4.0
USERS = 8
SCENARIO = "scenario"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the few journeys came to."""

    blocks: tuple[Block, ...]
    finals: tuple[WorkerFinal, ...]
    incidents: tuple[Incident, ...]

    def journeys(self, side: Side) -> Histogram:
        """How long they took, from when they were due to their last answer; failed ones too."""
        found = self._series(side, Scope.SCENARIO)
        return Histogram.merged(part for series in found for part in series.durations.values())

    def endpoints(self, side: Side) -> list[Series]:
        """Every endpoint of every block."""
        return self._series(side, Scope.ENDPOINT)

    def _series(self, side: Side, scope: Scope) -> list[Series]:
        own = (block for block in self.blocks if block.side is side)
        return [series for block in own for series in block.series if series.scope is scope]


def try_out(settings: Settings, record: RunRecord, engine: LoadEngine, listener: Listener) -> Trial:
    """Send them. Raises what a rehearsal would raise here: TargetRefused, ConfigError, NotReady."""
    order = trial_order(settings, record)
    blocks: list[Block] = []
    finals: list[WorkerFinal] = []
    incidents: list[Incident] = []
    listener.phase(f"{JOURNEYS} journeys on {' and '.join(one.side for one in order.sides)}")
    with engine.start(order) as session:
        for event in session.events():
            match event:
                case BlockClosed(block):
                    blocks.append(block)
                case WorkerDone(final):
                    finals.append(final)
                case Trouble(incident):
                    incidents.append(incident)
                case Tick(at_s):
                    listener.load(at_s, order.schedule.length_s, "trying it out")
                case _:
                    pass
    return Trial(tuple(blocks), tuple(finals), tuple(incidents))


def trial_order(settings: Settings, record: RunRecord) -> LoadOrder:
    """The order of a round, with few arrivals, evenly spaced, and few users: each may log in on its own."""
    order = load_order(settings, record, 0)
    schedule = Schedule(
        rate_per_s=RATE_PER_S,
        arrivals="uniform",
        block_s=1.0,
        warm_up_blocks=0,
        measured_blocks=round(JOURNEYS / RATE_PER_S),
        seed=order.schedule.seed,
        shares=order.schedule.shares,
    )
    users = max(len(order.scenarios), min(order.users, USERS))
    return replace(order, schedule=schedule, users=users, workers=1, sampling=None)


# --- what it shows ----------------------------------------------------------------------------------------------


def trial_findings(settings: Settings, trial: Trial, sides: Iterable[Side]) -> Iterator[Examined]:
    """What was sent, what failed, and how the load generator did."""
    for side in sides:
        yield from _of_side(settings, trial, side)
    for incident in trial.incidents:
        yield Examined(SCENARIO, Grade.FIX, incident.sentence, "nothing could be judged with that")
    steps_s = [block.rig.clock_step_s or 0.0 for block in trial.blocks]
    if max(steps_s, default=0.0) > settings.load.rig.max_clock_step_s:
        yield Examined(
            "clock",
            Grade.NOTE,
            f"the wall clock here was set by {duration(max(steps_s))} meanwhile",
            "let NTP slew it; blocks in which it jumps are discarded",
        )


def _of_side(settings: Settings, trial: Trial, side: Side) -> Iterator[Examined]:
    endpoints, journeys = trial.endpoints(side), trial.journeys(side)
    requests, failed = sum(one.count() for one in endpoints), sum(one.failed for one in endpoints)
    finals = [final for final in trial.finals if final.side is side]
    outside = sum(final.unscheduled_requests for final in finals)
    if not requests:
        yield Examined(
            side,
            Grade.FIX,
            f"the scenario sent no request in {journeys.count} journeys",
            "look at its tasks and tags; each journey has to ask something",
        )
        return
    if not finals:
        sentence = "its load generator gave no closing account: what it sent is not known"
        yield Examined(side, Grade.FIX, sentence, "see the logs in .rehearse/logs")
    if journeys.count < JOURNEYS:
        yield Examined(
            side,
            Grade.NOTE,
            f"only {journeys.count} of {JOURNEYS} journeys came to an end in time",
            "its answers are slow, and users few: see what it is busy with",
        )
    took_s = journeys.quantile_s(0.5) or 0.0
    first = f", and {outside} before any, such as logins" if outside else ""
    sent = f"{requests} requests in {journeys.count} journeys{first}; a journey takes {duration(took_s)}"
    yield Examined(side, Grade.OK, sent)
    outside_failed = sum(final.unscheduled_errors for final in finals)
    if outside_failed:
        yield Examined(
            side,
            Grade.FIX,
            f"{outside_failed} of {outside} requests before any journey (on_start) failed",
            "users that cannot log in make another load; look at their credentials and addresses",
        )
    if failed:
        yield _of_failures(settings, side, endpoints, failed / requests)


def _of_failures(settings: Settings, side: Side, endpoints: Iterable[Series], ratio: float) -> Examined:
    """A sick baseline proves nothing; failures of the candidate alone are what a rehearsal is for."""
    kinds: Counter[str] = Counter()
    for series in endpoints:
        for error in series.errors:
            kinds[f"{series.name}: {error.kind}"] += error.count
    told = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
    is_sick = side is Side.BASELINE and ratio > settings.judge.max_baseline_error_ratio
    auth = any("HTTP 401" in kind or "HTTP 403" in kind for kind in kinds)
    remedy = (
        "the credentials are missing, wrong or expired" if auth else "try the same by hand, and read its log"
    )
    return Examined(side, Grade.FIX if is_sick else Grade.NOTE, f"requests failed ({told})", remedy)
