"""Probes are due at fixed moments, whatever becomes of the ones before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import pytest

from rehearse.disruptions import Probe, Sample, SampleOutcome
from rehearse.errors import TargetRefused
from rehearse.load.orders import SideOrder
from rehearse.model import Side
from rehearse.prober.orders import ProbeRequest, ProberOrder
from rehearse.prober.pace import CROWDED, LATE, MOST_LATE_S, STALL_S, LoopWatch, Pace, due_times, most_open
from rehearse.prober.sending import Answer, Phase

OK = Answer(SampleOutcome.OK, version="1.0")
READ, WRITE = ProbeRequest(Probe("read")), ProbeRequest(Probe("write", "POST"))


def ordered(
    *probes: ProbeRequest, interval_s: float = 0.02, timeout_s: float = 0.2, at_most_s: float = 0.2
) -> ProberOrder:
    target = SideOrder(Side.CANDIDATE, "http://127.0.0.1:1")
    return ProberOrder(target, probes or (READ,), (), (), interval_s, timeout_s, at_most_s=at_most_s)


@dataclass
class FakeSender:
    """Does what it is given for each number of a request; the fake of Sender."""

    act: Callable[[int], Awaitable[Answer]]
    sent: int = 0

    async def send(self, request: ProbeRequest, phase: Phase) -> Answer:
        del request
        phase.is_connected = True
        self.sent += 1
        return await self.act(self.sent - 1)

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """Nothing here has headers."""

    async def close(self) -> None:
        """Nothing to close."""


def paced(
    order: ProberOrder, act: Callable[[int], Awaitable[Answer]], began_before_s: float = 0.0
) -> tuple[Sample, ...]:
    """All samples of one order."""
    samples: list[Sample] = []

    async def run() -> None:
        pace = Pace(order, FakeSender(act), samples.append)
        await pace.run(time.monotonic() - began_before_s, asyncio.Event())

    asyncio.run(run())
    return tuple(sorted(samples, key=lambda one: one.due_s))


async def at_once(_: int) -> Answer:
    return OK


async def never(_: int) -> Answer:
    await asyncio.sleep(60)
    return OK


def test_every_probe_is_due_once_an_interval_and_they_are_spread_over_it() -> None:
    due = [(round(at_s - 100, 3), one.probe.name) for at_s, one in due_times(ordered(READ, WRITE), 100.0)]
    assert due[:4] == [(0.0, "read"), (0.01, "write"), (0.02, "read"), (0.03, "write")]
    assert len(due) == 20
    due_again = list(islice(due_times(ordered(READ, at_most_s=3600.0), 0.0), 100_000, 100_001))
    assert due_again[0][0] == pytest.approx(2000.0, abs=1e-6)


@pytest.mark.parametrize("act", [at_once, never], ids=["answered", "never answered"])
def test_what_is_due_does_not_depend_on_the_answers(act: Callable[[int], Awaitable[Answer]]) -> None:
    samples = paced(ordered(), act)
    first_s = samples[0].due_s
    assert [round(one.due_s - first_s, 6) for one in samples] == [round(0.02 * turn, 6) for turn in range(10)]


def test_what_takes_longer_than_the_timeout_has_failed_and_took_as_long() -> None:
    samples = paced(ordered(), never)
    assert {(one.outcome, one.kind) for one in samples} == {(SampleOutcome.FAILED, "no answer")}
    assert min(one.took_s for one in samples) >= 0.2


def test_many_are_under_way_at_once_and_each_is_told() -> None:
    async def late(_: int) -> Answer:
        await asyncio.sleep(0.5)
        return OK

    samples = paced(ordered(timeout_s=1.0), late)
    assert [one.outcome for one in samples] == [SampleOutcome.OK] * 10
    assert samples[-1].sent_s < samples[0].ended_s  # the last one did not wait for the first


def test_after_a_stall_what_was_due_meanwhile_is_sent_and_not_skipped() -> None:
    async def stalled(number: int) -> Answer:
        if number == 2:
            time.sleep(0.1)  # the whole loop stands still
        return OK

    samples = paced(ordered(), stalled)
    assert len(samples) == 10
    assert {one.outcome for one in samples} == {SampleOutcome.OK}
    assert max(one.late_s for one in samples) > 0.05


def test_what_is_much_too_late_is_not_sent_and_is_the_rigs() -> None:
    samples = paced(ordered(), at_once, began_before_s=MOST_LATE_S + 0.11)
    late = [one for one in samples if one.is_rig]
    assert 5 <= len(late) < 10
    assert {one.kind for one in late} == {LATE}
    assert len(samples) == 10


def test_a_timeout_while_the_rig_stood_still_is_not_the_systems() -> None:
    """The answer is there in time, but the loop stands still when it comes, and until after the timeout."""

    async def answered_while_still(number: int) -> Answer:
        if number == 0:
            await asyncio.sleep(0.1)
            await asyncio.sleep(0)  # some turns of the loop, as reading an answer takes
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return OK
        time.sleep(0.4)
        return OK

    samples = paced(ordered(timeout_s=0.2, at_most_s=0.04), answered_while_still)
    assert [one.outcome for one in samples] == [SampleOutcome.OK, SampleOutcome.OK]
    assert samples[0].took_s > 0.2


def test_a_rig_that_stands_still_for_too_long_spoils_the_sample() -> None:
    async def still(number: int) -> Answer:
        if number == 0:
            await asyncio.sleep(60)
        time.sleep(1.0)
        return OK

    samples = paced(ordered(timeout_s=0.2, at_most_s=0.04), still)
    assert [(one.outcome, one.kind) for one in samples] == [(SampleOutcome.RIG, LATE), (SampleOutcome.OK, "")]


def test_a_short_stall_gives_no_time_back() -> None:
    watch = LoopWatch()
    watch.note(STALL_S)
    assert watch.stood_still_s == 0.0
    watch.note(2 * STALL_S)
    assert watch.stood_still_s == 2 * STALL_S


def test_no_more_are_open_than_a_system_that_is_silent_leaves_open() -> None:
    order = ordered(timeout_s=0.02)

    async def run() -> list[Sample]:
        samples: list[Sample] = []
        pace = Pace(order, FakeSender(never), samples.append)
        open_ones = {asyncio.create_task(asyncio.sleep(60)) for _ in range(most_open(order))}
        pace._open |= open_ones  # as many as there may be
        running = asyncio.create_task(pace.run(time.monotonic(), asyncio.Event()))
        await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, *open_ones, return_exceptions=True)
        return samples

    assert {one.kind for one in asyncio.run(run())} == {CROWDED}


def test_told_to_stop_it_sends_no_more_and_waits_for_what_is_under_way() -> None:
    async def run() -> tuple[list[Sample], float, float]:
        samples: list[Sample] = []
        stopped = asyncio.Event()
        pace = Pace(ordered(at_most_s=60.0, timeout_s=0.3), FakeSender(never), samples.append)
        began_s = time.monotonic()
        running = asyncio.create_task(pace.run(began_s, stopped))
        await asyncio.sleep(0.1)
        stopped.set()
        return samples, began_s, await running

    samples, began_s, ended_s = asyncio.run(run())
    assert max(one.due_s for one in samples) < ended_s
    assert began_s < ended_s < min(one.ended_s for one in samples)
    assert {one.kind for one in samples} == {"no answer"}


def test_a_sender_that_may_not_send_ends_the_pace() -> None:
    async def refused(_: int) -> Answer:
        raise TargetRefused("refused: 10.0.0.1 is not on the allow-list")

    with pytest.raises(TargetRefused, match="not on the allow-list"):
        paced(ordered(at_most_s=5.0), refused)


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [(None, {LATE}), (Answer(SampleOutcome.FAILED, "refused"), {"refused"})],
    ids=["no answer", "refused"],
)
def test_what_was_sent_late_in_a_crowd_fails_only_by_what_the_system_says(
    answer: Answer | None, kinds: set[str]
) -> None:
    async def act(_: int) -> Answer:
        return answer or await never(0)

    samples = paced(ordered(at_most_s=0.1), act, began_before_s=0.25)
    assert {one.kind for one in samples} == kinds
