"""Hands out arrivals on schedule, inside the worker (gevent).

An arrival is claimed where Locust executes a leaf task. At each due time the most recently idle user is woken (LIFO:
connections stay as warm as with real clients). When no user is idle the arrival waits in a backlog, and the next user
that becomes free takes it: that lateness is the system's, not the rig's. So this is an open model while any user is
idle, and it says how often it was not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import gevent
from gevent.hub import Waiter

from rehearse.load.recorder import Ended, Recorder
from rehearse.load.schedule import Slot
from rehearse.model import RequestOutcome

_OK = RequestOutcome.OK
_WORST = (_OK, RequestOutcome.ERROR, RequestOutcome.TIMEOUT, RequestOutcome.CENSORED)


class Journey:
    """One arrival on its way: from the claim to its outcome."""

    last_answer_at: float | None = None  # None: nothing was asked, or nothing answered yet
    outcome: RequestOutcome = RequestOutcome.OK
    kind: str = ""
    in_flight: tuple[str, float] | None = None  # name and start of the request that is not answered yet
    is_rig_fault: bool = False  # a request of it failed because the rig itself had nothing left to ask with
    is_over: bool = False

    def __init__(self, slot: Slot, scenario: str, started_at: float) -> None:
        self.slot = slot
        self.scenario = scenario
        self.task = ""
        self.started_at = started_at  # the intended start plus the rig's own lag (perf_counter)

    def note(self, ended: Ended, now: float) -> None:
        """A request of this journey ended: the worst outcome is the journey's."""
        self.last_answer_at = now
        if ended.outcome is not _OK:
            self.is_rig_fault = self.is_rig_fault or ended.is_rig_fault
            if _WORST.index(ended.outcome) > _WORST.index(self.outcome):
                self.outcome, self.kind = ended.outcome, ended.kind


@dataclass(slots=True)
class Lane:
    """The idle users and the waiting arrivals of one user class."""

    scenario: str
    idle: list[Waiter] = field(default_factory=list)
    backlog: deque[Slot] = field(default_factory=deque)


class Pacer:
    """Wakes users at due times and keeps the account of every journey."""

    def __init__(
        self, slots: Iterable[Slot], lanes: Sequence[Lane], lane_of: Callable[[Slot], int], recorder: Recorder
    ) -> None:
        self._slots = slots
        self._lanes = lanes
        self._lane_of = lane_of
        self._recorder = recorder
        self._handed: dict[int, Slot] = {}  # given to a user that has not run yet
        self._running: dict[int, Journey] = {}
        self.start_at = 0.0  # the common start (perf_counter)
        self.has_started = False
        self.is_stopped = False
        self.is_done = False  # every due arrival was handed out or queued

    @property
    def idle_users(self) -> int:
        """How many users wait for an arrival now."""
        return sum(len(lane.idle) for lane in self._lanes)

    @property
    def in_flight(self) -> int:
        """How many journeys have no outcome yet."""
        return len(self._running)

    def since_start(self, now: float) -> float:
        """Seconds since the common start."""
        return now - self.start_at

    def run(self, start_at: float) -> None:
        """Hand out every arrival at its due time; returns when the last one is out or `is_stopped` is set."""
        self.start_at = start_at
        self.has_started = True
        now = perf_counter()
        for slot in self._slots:
            if (
                start_at + slot.due_s > now
            ):  # several may be due at once: the clock is read when that is not known
                now = self._sleep_until(start_at + slot.due_s)
            if self.is_stopped:
                break
            self._hand_out(slot)
        self.is_done = True

    def claim(self, lane_number: int) -> Journey:
        """Wait for an arrival in this lane and start its journey; whoever claims it names its `task`."""
        lane = self._lanes[lane_number]
        if lane.backlog and not self.is_stopped:
            slot, from_backlog = lane.backlog.popleft(), True
        else:
            slot, from_backlog = self._wait_in(lane), False
            self._handed.pop(slot.number, None)
        now = perf_counter()
        due_at = self.start_at + slot.due_s
        self._recorder.dispatch(slot, now - due_at, from_backlog)
        journey = Journey(slot, lane.scenario, due_at if from_backlog else now)
        self._running[slot.number] = journey
        return journey

    def finish(self, journey: Journey) -> None:
        """The task is over: book its response time, from the intended start to the last answer.

        Without any answer that is its end: a task that heard nothing was not fast.
        """
        if journey.is_over:
            return
        journey.is_over = True
        del self._running[journey.slot.number]
        ended_at = perf_counter() if journey.last_answer_at is None else journey.last_answer_at
        response_s = max(0.0, ended_at - journey.started_at)
        at_s = ended_at - self.start_at
        ended = Ended(journey.outcome, response_s, at_s, journey.kind, True, journey.is_rig_fault)
        self._recorder.finish(journey.slot, journey.scenario, journey.task, ended)

    def cut_off(self) -> None:
        """End the account: what is in flight is censored, what nobody took is unsent."""
        now = perf_counter()
        for journey in list(self._running.values()):
            self._censor(journey, now)
        for lane in self._lanes:
            for slot in lane.backlog:
                self._recorder.unsent(slot)
            lane.backlog.clear()
        for slot in self._handed.values():
            self._recorder.unsent(slot)
        self._handed.clear()

    def _censor(self, journey: Journey, now: float) -> None:
        at_s = self.since_start(now)
        if journey.in_flight is not None:
            name, sent_at = journey.in_flight
            ended = Ended(RequestOutcome.CENSORED, now - sent_at, at_s, "cut off", is_answered=False)
            self._recorder.request(journey.slot, name, ended)
        journey.outcome, journey.kind, journey.last_answer_at = RequestOutcome.CENSORED, "cut off", now
        self.finish(journey)

    def _hand_out(self, slot: Slot) -> None:
        lane = self._lanes[self._lane_of(slot)]
        if lane.idle:
            self._handed[slot.number] = slot
            gevent.get_hub().loop.run_callback(lane.idle.pop().switch, slot)
        else:
            lane.backlog.append(slot)

    def _wait_in(self, lane: Lane) -> Slot:
        waiter: Waiter = Waiter()
        lane.idle.append(waiter)
        try:
            return waiter.get()  # type: ignore[no-any-return]  # gevent has no types
        except BaseException:
            if waiter in lane.idle:
                lane.idle.remove(waiter)
            raise

    def _sleep_until(self, at: float) -> float:
        """Sleep until then or until `is_stopped`; returns the time."""
        while (now := perf_counter()) < at and not self.is_stopped:
            gevent.sleep(min(at - now, 0.25))
        return now
