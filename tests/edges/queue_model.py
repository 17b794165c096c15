"""A queue whose fate is known: a server with a capacity, clients that give up and try again, a pause in the middle.

Simulated in small steps of time, without a clock: the truth that the judge of recovery is held against.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from rehearse.edges.recovery import Window

STEP_S = 0.005
WINDOW_S = 0.5


@dataclass(frozen=True)
class World:
    """Who asks whom, and how stubbornly."""

    capacity_per_s: float = 100.0
    rate_per_s: float = 60.0
    timeout_s: float = 0.15
    attempts: int = 8  # of each request
    budget_ratio: float | None = None  # retries per request, at most; None: as many as anybody likes
    fault_from_s: float = 5.0
    fault_to_s: float = 6.0
    watched_s: float = 12.0  # after the fault

    @property
    def ends_s(self) -> float:
        return self.fault_to_s + self.watched_s


@dataclass
class _Request:
    due_s: float
    tries: int = 0
    gives_up_s: float = 0.0
    answered_s: float | None = None
    is_over: bool = False


@dataclass
class _Tally:
    requests: int = 0
    attempts: int = 0
    latencies_s: list[float] = field(default_factory=list)


def windows_of(world: World, seed: int) -> list[Window]:
    """What a watcher of this world sees."""
    rng = Random(seed)
    queue: deque[_Request] = deque()
    waiting: list[_Request] = []
    tallies = [_Tally() for _ in range(round(world.ends_s / WINDOW_S))]
    budget, ready = 10.0, 0.0
    for step in range(round((world.ends_s + 5) / STEP_S)):
        now = step * STEP_S
        if now < world.ends_s and rng.random() < world.rate_per_s * STEP_S:
            request = _Request(now)
            waiting.append(request)
            _send(request, queue, world, now, tallies)
            _tally(tallies, now).requests += 1
            budget = min(10.0, budget + (world.budget_ratio or 0.0))
        for request in waiting:
            if request.answered_s is None and now >= request.gives_up_s:
                may_retry = world.budget_ratio is None or budget >= 1
                if request.tries < world.attempts and may_retry:
                    budget -= 1
                    _send(request, queue, world, now, tallies)
                else:
                    request.is_over = True
        waiting = [request for request in waiting if not request.is_over and request.answered_s is None]
        if world.fault_from_s <= now < world.fault_to_s:
            continue
        ready = min(2.0, ready + world.capacity_per_s * STEP_S * rng.uniform(0.5, 1.5))
        while ready >= 1 and queue:
            ready -= 1
            served = queue.popleft()  # somebody may still wait for it, or nobody
            if served.answered_s is None and not served.is_over:
                served.answered_s = now
                _tally(tallies, served.due_s).latencies_s.append(now - served.due_s + 0.01)
    return [_window(number, tally) for number, tally in enumerate(tallies)]


def _send(request: _Request, queue: deque[_Request], world: World, now: float, tallies: list[_Tally]) -> None:
    request.tries += 1
    request.gives_up_s = now + world.timeout_s
    queue.append(request)
    _tally(tallies, now).attempts += 1


def _tally(tallies: list[_Tally], at_s: float) -> _Tally:
    return tallies[min(int(at_s / WINDOW_S), len(tallies) - 1)]


def _window(number: int, tally: _Tally) -> Window:
    ordered = sorted(tally.latencies_s)
    p95_s = ordered[int(len(ordered) * 0.95)] if ordered else None
    return Window(number * WINDOW_S, WINDOW_S, tally.requests, len(ordered), p95_s, tally.attempts)
