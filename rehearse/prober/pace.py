"""Sends every probe when it is due, however long the answers to earlier ones take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

from rehearse.disruptions import Sample, SampleOutcome
from rehearse.prober.orders import ProbeRequest, ProberOrder
from rehearse.prober.sending import OVERDUE, Answer, Phase, Sender

MOST_LATE_S = 0.3  # later than this a sample is not sent: it would be one of a crowd, of another moment
STALL_S = 0.05
MOST_PATIENCE = 3.0  # times the timeout, for a sample during which the rig itself stood still
LATE, CROWDED = "the prober was late", "too many under way"
_BEAT_S = 0.02


class LoopWatch:
    """How long this event loop stood still since it began."""

    def __init__(self) -> None:
        self.stood_still_s = 0.0

    async def watch(self) -> None:
        """Beat until cancelled: what a beat comes late is a stall."""
        beat_at = monotonic()
        while True:
            await asyncio.sleep(_BEAT_S)
            now = monotonic()
            self.note(now - beat_at - _BEAT_S)
            beat_at = now

    def note(self, late_s: float) -> None:
        """A beat came so late."""
        if late_s > STALL_S:
            self.stood_still_s += late_s


def due_times(order: ProberOrder, began_s: float) -> Iterator[tuple[float, ProbeRequest]]:
    """When which probe is due, in order; probes of one interval are spread over it."""
    step_s = order.interval_s / len(order.probes)
    for turn in count():
        for position, request in enumerate(order.probes):
            after_s = turn * order.interval_s + position * step_s
            if after_s >= order.at_most_s:
                return
            yield began_s + after_s, request


def most_open(order: ProberOrder) -> int:
    """As many samples as can be under way at once, while the system answers nothing."""
    each = int(MOST_PATIENCE * order.timeout_s / order.interval_s) + 2
    return each * len(order.probes)


@dataclass(slots=True)
class Pace:
    """Keeps the schedule. `tell` is called once for every probe that was due."""

    order: ProberOrder
    sender: Sender
    tell: Callable[[Sample], None]
    loop_watch: LoopWatch = field(default_factory=LoopWatch)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _failure: BaseException | None = None

    async def run(self, began_s: float, stopped: asyncio.Event) -> float:
        """Until `stopped`, or for as long as was ordered; then wait for what is under way. The moment since when
        nothing was due. Raises what the sender raises."""
        watching = asyncio.create_task(self.loop_watch.watch())
        try:
            ended_s = await self._send_all(began_s, stopped)
            while self._open:
                await asyncio.wait(self._open)
        finally:
            watching.cancel()
            for task in self._open:
                task.cancel()
        if self._failure is not None:
            raise self._failure
        return ended_s

    async def _send_all(self, began_s: float, stopped: asyncio.Event) -> float:
        for due_s, request in due_times(self.order, began_s):
            await _wait_until(due_s, stopped)
            if stopped.is_set() or self._failure is not None:
                return min(due_s, max(monotonic(), began_s))
            self._begin(due_s, request)
        return began_s + self.order.at_most_s

    def _begin(self, due_s: float, request: ProbeRequest) -> None:
        late_s = max(0.0, monotonic() - due_s)
        if late_s > MOST_LATE_S or len(self._open) >= most_open(self.order):
            kind = LATE if late_s > MOST_LATE_S else CROWDED
            self.tell(Sample(request.probe.name, due_s, late_s, 0.0, SampleOutcome.RIG, kind))
            return
        task = asyncio.create_task(self._take(due_s, request))
        self._open.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def _take(self, due_s: float, request: ProbeRequest) -> None:
        """One sample, from being sent to its end."""
        sent_s = monotonic()
        answer = await self._answer(request, sent_s)
        took_s, late_s = monotonic() - sent_s, max(0.0, sent_s - due_s)
        if (
            late_s > STALL_S and answer.kind in OVERDUE
        ):  # one of many that were sent at once: it waited in line
            answer = Answer(SampleOutcome.RIG, LATE)
        name, kind, version = request.probe.name, answer.kind, answer.version
        self.tell(Sample(name, due_s, late_s, took_s, answer.outcome, kind, version))

    async def _answer(self, request: ProbeRequest, sent_s: float) -> Answer:
        """What became of it. While the rig stood still nobody could have read an answer: that time is given back."""
        phase, stood_still_s = Phase(), self.loop_watch.stood_still_s
        sending = asyncio.ensure_future(self.sender.send(request, phase))
        try:
            given_s = self.order.timeout_s
            while True:
                await asyncio.wait({sending}, timeout=max(0.0, sent_s + given_s - monotonic()))
                if sending.done():
                    return sending.result()
                needed_s = self.order.timeout_s + self.loop_watch.stood_still_s - stood_still_s
                if needed_s <= given_s:
                    return Answer(SampleOutcome.FAILED, phase.overdue)
                if given_s >= MOST_PATIENCE * self.order.timeout_s:
                    return Answer(SampleOutcome.RIG, LATE)
                given_s = min(needed_s, MOST_PATIENCE * self.order.timeout_s)
        finally:
            sending.cancel()


async def _wait_until(due_s: float, stopped: asyncio.Event) -> None:
    """Until then, or until it is stopped."""
    left_s = due_s - monotonic()
    if left_s <= 0:
        return
    try:
        async with asyncio.timeout(left_s):
            await stopped.wait()
    except TimeoutError:
        return
