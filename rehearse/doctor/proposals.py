"""Rate, budget, users and floors out of what a few journeys showed. They are starting points: what users do only their
owners know.

Little's law (L = lambda W): journeys under way at once = journeys per second x how long one takes.
https://doi.org/10.1287/opre.9.3.383
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from rehearse.config.policy import MAX_USERS, MIN_USERS
from rehearse.config.quantities import write_duration
from rehearse.doctor.findings import Proposal
from rehearse.judge.latency import samples_needed
from rehearse.judge.stats import requests_to_certify
from rehearse.judge.wording import duration
from rehearse.judge.wording import margin as margin_words
from rehearse.model import Metric

# Of one server that does one thing at a time, and of the cores here: queues are short below it.
BUSY_RATIO = 0.5
ROOM = 10  # users for a system that has become so many times as slow, before arrivals have to wait
MOST_RATE = 100.0
PAIRS = 10  # two more than the fewest that decide anything: blocks are discarded
NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_STEPS = tuple(number * 10.0**power for power in range(-6, 5) for number in NICE)

_LITTLE = (
    "at {rate} {busy} are under way at once (Little's law): below 0.5 even one thing at a time is no queue"
)
_SHARED = "it costs its load generator up to {rig} of CPU: at {rate} all of that fills half of the {cores} cores here"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the trial showed, and what is planned."""

    journey_s: float  # mean, of the slower side
    rig_cpu_s: float  # of the load generator, for one journey; its idle time counts, so at most that
    rig_lag_s: float  # how late the rig itself was, in the middle
    rate_per_s: float
    users: int
    floor_s: float
    block_s: float
    budget_s: float
    error_margin: float | None
    certify_share_ratio: float
    least_rate_per_s: float  # below it a block has too few arrivals
    sides: int  # loaded at once
    cores_here: int | None  # shared by services and load generators; None: the services run elsewhere


def proposals(seen: Measured) -> tuple[Proposal, ...]:
    """Rate, users for it, and the smallest changes that the rate and this rig can tell."""
    rate = _rate(seen)
    per_s = float(rate.value)
    return (rate, _budget(seen, per_s), _users(seen, per_s), _floor(seen), *_error_floor(seen, per_s))


def _rate(seen: Measured) -> Proposal:
    """The smallest of what the system, the rig, and the machine that both share can surely do."""
    bounds = [
        (BUSY_RATIO / seen.journey_s, _LITTLE),
        (
            BUSY_RATIO / seen.rig_cpu_s,
            "it costs the load generator up to {rig} of CPU, and that has one core",
        ),
        (MOST_RATE, "more tells little more; raise it to what your users do"),
    ]
    if seen.cores_here is not None:
        all_s = seen.sides * (seen.journey_s + seen.rig_cpu_s)
        bounds.append((BUSY_RATIO * seen.cores_here / all_s, _SHARED))
    most, why = min(bounds)
    rate = max(round_down(most), math.ceil(seen.least_rate_per_s))
    said = why.format(
        rate=f"{rate:g}/s",
        busy=f"{rate * seen.journey_s:.2g}",
        rig=duration(seen.rig_cpu_s),
        cores=seen.cores_here,
    )
    return Proposal(
        "load.rate",
        f"{rate:g}",
        f"{seen.rate_per_s:g}",
        f"a journey takes {duration(seen.journey_s)}, and {said}",
    )


def _budget(seen: Measured, rate_per_s: float) -> Proposal:
    """Enough pairs for the p95 of the smallest endpoint that must be proven; the judge takes blocks together for it."""
    samples = samples_needed(0.95)
    in_block = rate_per_s * seen.block_s * seen.certify_share_ratio
    needed_s = PAIRS * math.ceil(samples / in_block) * seen.block_s
    budget_s = seen.budget_s if needed_s <= seen.budget_s else 60.0 * math.ceil(needed_s / 60)
    why = (
        f"an endpoint with {seen.certify_share_ratio:.0%} of {rate_per_s:g}/s has {in_block:.0f} requests in"
        f" {write_duration(seen.block_s)}, and {PAIRS} pairs of {samples} make a p95 that can be judged"
    )
    return Proposal("load.budget", f'"{write_duration(budget_s)}"', f'"{write_duration(seen.budget_s)}"', why)


def _users(seen: Measured, rate_per_s: float) -> Proposal:
    busy = rate_per_s * seen.journey_s
    users = min(MAX_USERS, max(MIN_USERS, math.ceil(ROOM * busy)))
    why = (
        f"{rate_per_s:g}/s x {duration(seen.journey_s)} keep {busy:.2g} busy (Little's law); with {users} journeys can"
        f" take {users / busy:.0f} times as long before one has to wait"
    )
    return Proposal("load.users", f"{users}", f"{seen.users}", why)


def _floor(seen: Measured) -> Proposal:
    floor_s = max(0.0002, round_up(seen.rig_lag_s))
    why = f"this rig's own lateness is {duration(seen.rig_lag_s)} in the middle; a smaller change is not the system's"
    return Proposal("judge.floor", f'"{write_duration(floor_s)}"', f'"{write_duration(seen.floor_s)}"', why)


def _error_floor(seen: Measured, rate_per_s: float) -> tuple[Proposal, ...]:
    """The margin of the smallest endpoint that must be proven, if nothing at all fails."""
    requests = math.floor(rate_per_s * seen.budget_s * seen.certify_share_ratio)
    margin = next((step for step in _STEPS if (requests_to_certify(step, 0.05) or 0) <= requests), None)
    if margin is None or seen.error_margin is None:
        return ()
    why = (
        f"the least that {requests:,} requests prove without one failure (rule of three); so many has an endpoint with"
        f" {seen.certify_share_ratio:.0%} of {rate_per_s:g}/s for {write_duration(seen.budget_s)}"
    )
    now, then = (
        f'"<={margin_words(Metric.ERROR_RATIO, one).replace(" ", "")}"' for one in (seen.error_margin, margin)
    )
    return (Proposal("objectives.error_ratio", then, now, why),)


def round_down(value: float) -> float:
    """To a number that people say: 1, 1.5, 2, 3 ... times a power of ten."""
    return _STEPS[max(0, bisect_right(_STEPS, value * (1 + 1e-9)) - 1)]


def round_up(value: float) -> float:
    """As `round_down`, to the next larger one."""
    return next((step for step in _STEPS if step >= value * (1 - 1e-9)), _STEPS[-1])
