"""The capacity probe: how much each side can take, after the rounds have shown how it does at the usual rate.

One side after the other, never both: two sides that are pushed to their limit at the same moment would share whatever
they share (cores, a database, the load generator), and the weaker one would look like the stronger one's equal. Turns
alternate instead, A B B A, so that a slow drift of the machines cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rehearse.config import Settings
from rehearse.journal import Journal
from rehearse.judge.staircase import Alarm, Climb, Ending, climb_of, hold_rate
from rehearse.judge.wording import per_second
from rehearse.load.engine import BlockClosed, LiveCounts, LoadEngine, LoadEvent, LoadSession, Tick, Trouble
from rehearse.load.schedule import Schedule
from rehearse.load.turns import climb, hold, short_climb
from rehearse.model import Block, CapacityProbe, Incident, Phase, ReasonCode, RunKind, Side
from rehearse.progress import Listener
from rehearse.sides import sides_of_baseline, sides_of_comparison
from rehearse.watch import live_bin
from rehearse.wiring.orders import describe_turn, turn_order
from rehearse.wiring.schedules import schedule_of

AT_ONCE_S = 1.0  # what is in flight at a moment of distress has this long to be answered
_LAST_WINDOW_S = 0.25  # after a turn's end, until the load generator has told of its last block


def run_probe(settings: Settings, journal: Journal, engine: LoadEngine, listener: Listener) -> None:
    """Probe every side, when the settings ask for it; each block is stored as it closes."""
    plan = journal.record.policy.capacity
    if plan is None:
        return
    is_baseline = journal.record.kind is RunKind.BASELINE
    sides = sides_of_baseline(settings) if is_baseline else sides_of_comparison(settings)
    turns = _Turns(settings, journal, engine, listener, plan)
    base = schedule_of(settings, journal.record.kind)
    for side in sides:
        turns.take(side, climb(base, plan))
    climbs = {side: climb_of(turns.blocks_of_first(side), journal.record.policy) for side in sides}
    for pair in range(plan.pairs):
        schedule = _schedule_of_pair(base, plan, climbs, pair)
        for side in sides if pair % 2 == 0 else tuple(reversed(sides)):
            turns.take(side, schedule)


def _schedule_of_pair(
    base: Schedule, plan: CapacityProbe, climbs: Mapping[Side, Climb], pair: int
) -> Schedule:
    """The same for both sides: saturated, or where a limit broke first, a staircase begun a part of a step higher."""
    if all(climb.ending is not Ending.LIMIT for climb in climbs.values()):
        return hold(base, plan, hold_rate(climbs, plan.max_rate_per_s))
    low = min(climb.sustained_per_s or plan.start_rate_per_s for climb in climbs.values())
    high = max(climb.broken_per_s or plan.max_rate_per_s for climb in climbs.values())
    return short_climb(base, plan, low, high, pair / plan.pairs)


@dataclass(slots=True)
class _Turns:
    """Takes one turn after the other; none after trouble, and only a staircase after distress of the other side."""

    settings: Settings
    journal: Journal
    engine: LoadEngine
    listener: Listener
    plan: CapacityProbe
    taken: int = 0
    is_over: bool = False  # the rig is in trouble
    distressed: set[Side] = field(default_factory=set)

    def take(self, side: Side, schedule: Schedule) -> None:
        """One turn of one side. Turns are numbered as rounds, after the last one."""
        is_first = not self.blocks_of_first(side)
        if self.is_over or (self.distressed and not (is_first and side not in self.distressed)):
            return
        number = self.journal.record.rounds + self.taken
        self.taken += 1
        order = turn_order(self.settings, self.journal.record, self.plan, side, number, schedule)
        self.listener.phase(describe_turn(order))
        turn = _Turn(self, side, schedule, Alarm(self.plan.distress_ratio, schedule.rate_per_s))
        with self.engine.start(order) as session:
            for event in session.events():
                self.journal.keep(event)
                turn.see(event, session)
                if isinstance(event, Tick):
                    self.listener.load(event.at_s, schedule.length_s, turn.note)

    def blocks_of_first(self, side: Side) -> Sequence[Block]:
        """The staircase of one side."""
        own = [
            block for block in self.journal.blocks if block.side is side and block.phase is not Phase.ROUND
        ]
        first = min((block.round for block in own), default=0)
        return sorted((block for block in own if block.round == first), key=lambda block: block.index)


@dataclass(slots=True)
class _Turn:
    """One turn while it runs: stopped at once by trouble or distress, and otherwise as soon as it has shown enough."""

    turns: _Turns
    side: Side
    schedule: Schedule
    alarm: Alarm
    at_s: float = 0.0
    steps: list[Block] = field(default_factory=list)
    is_stopped: bool = False
    note: str = ""

    def see(self, event: LoadEvent, session: LoadSession) -> None:
        """Take one event in, and stop the load when it is time."""
        if self.is_stopped:
            return
        match event:
            case Trouble():
                self.turns.is_over = True
                self._stop(session, AT_ONCE_S)
            case LiveCounts():
                self._watch(event, session)
            case BlockClosed(block):
                self._step(block, session)
            case Tick(at_s):
                self.at_s = at_s
                if at_s >= self.schedule.length_s + _LAST_WINDOW_S:
                    self._stop(session, self.turns.settings.load.timeout_s)
            case _:
                pass

    def _watch(self, event: LiveCounts, session: LoadSession) -> None:
        reason = self.alarm.see(live_bin(event))
        if reason is None:
            return
        block = min(max(int(self.at_s // self.schedule.block_s), 0), self.schedule.blocks - 1)
        rate = per_second(self.schedule.rate_of(block))
        sentence = f"the {self.side} was in distress at {rate}: {reason}; the probe stopped at once"
        self.turns.journal.add_incident(Incident(ReasonCode.DISTRESS, sentence, self.side))
        self.turns.distressed.add(self.side)
        self._stop(session, AT_ONCE_S)

    def _step(self, block: Block, session: LoadSession) -> None:
        self.steps.append(block)
        self.note = f"{per_second(block.completed / block.length_s)} completed"
        policy = self.turns.journal.record.policy
        is_climb = self.schedule.phase is Phase.CLIMB
        if is_climb and climb_of(self.steps, policy).ending is not Ending.TOP:
            self._stop(session, self.turns.settings.load.timeout_s)

    def _stop(self, session: LoadSession, drain_s: float) -> None:
        """No further arrivals; those that wait for a user are never sent, and are counted as that."""
        self.is_stopped = True
        session.stop(drain_s)
