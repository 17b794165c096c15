"""What a capacity probe shows of one side: where its staircase of rates broke, and how much it completed.

In the saturated state of an open model the rate of completions is the capacity: what is offered beyond it only waits.
So the first turn of a side climbs until something breaks, and the turns after it offer a quarter more than was ever
completed, and count. When an absolute limit of the team breaks first, the side is never saturated: then every turn is a
short staircase, each begun a little higher than the last, and the capacity lies between the step that held and the
one that broke (an up-and-down search, Dixon & Mood 1948, with dithered steps).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rehearse.histogram import Histogram
from rehearse.judge.fitness import complaint_about
from rehearse.judge.pairs import scenario_total
from rehearse.judge.sequential import BINS_PER_S, LiveBin
from rehearse.judge.wording import share
from rehearse.model import Block, Metric, Phase, Policy, ReasonCode, Scope, Series, Side

SUSTAINED_RATIO = 0.95  # of what was due: completing less of it, step after step, is a backlog that grows
HOLD_RATIO = 1.25  # of the most that was completed: enough to be sure of a backlog, whatever the noise
_CHANCE = 2.0  # standard errors: in a step of few arrivals some are always under way at its end
_BROKEN_STEPS = 2  # in a row: one pause of the system is no break
_CROWDED_RATIO = 1.25  # how much slower requests must be than at the first step, or the users were the limit
_TOO_SOON = "all that was offered was completed, though a staircase had broken below"
_ALARM_BINS = 2 * BINS_PER_S
_ALARM_ERRORS = 5
_SILENT_S = 5.0


class Ending(StrEnum):
    """Why a staircase was climbed no further."""

    SATURATED = "completed less than was due"
    LIMIT = "broke a limit"
    TOP = "took the highest rate"


@dataclass(frozen=True, slots=True)
class Climb:
    """One staircase: the last rate that held, the first that did not. None = there is none."""

    ending: Ending
    sustained_per_s: float | None
    broken_per_s: float | None
    most_completed_per_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one turn says of a side's capacity. With a complaint it says nothing."""

    per_s: float
    is_at_least: bool  # all that was offered was completed: it could be more
    completed: int
    length_s: float
    complaint: str = ""
    code: str = ""


def turns_of(probe: Iterable[Block], side: Side) -> tuple[tuple[Block, ...], ...]:
    """The blocks of each turn of one side, in order; the first turn is its staircase."""
    found: dict[int, list[Block]] = {}
    for block in probe:
        if block.side is side:
            found.setdefault(block.round, []).append(block)
    return tuple(tuple(sorted(found[number], key=lambda block: block.index)) for number in sorted(found))


def offered_per_s(block: Block) -> float:
    """The rate that was planned."""
    return block.arrivals.planned / block.length_s


def completed_per_s(block: Block) -> float:
    """The rate at which arrivals ended well."""
    return block.completed / block.length_s


# --- a staircase ------------------------------------------------------------------------------------------------


def climb_of(steps: Sequence[Block], policy: Policy) -> Climb:
    """How far one staircase came; `steps` in the order of time. What follows a break is not looked at.

    A last step that broke alone ends nothing, since one more might have held; but it is not counted as held.
    """
    breaks = [_break_in(step, policy) for step in steps]
    broken = next(
        (
            position
            for position in range(len(steps) - _BROKEN_STEPS + 1)
            if all(breaks[position : position + _BROKEN_STEPS])
        ),
        None,
    )
    most = max((completed_per_s(step) for step in steps), default=0.0)
    if broken is None:
        return _without_break([offered_per_s(step) for step in steps], bool(breaks and breaks[-1]), most)
    sustained = offered_per_s(steps[broken - 1]) if broken else None
    is_saturated = Ending.SATURATED in breaks[broken : broken + _BROKEN_STEPS]
    ending = Ending.SATURATED if is_saturated else Ending.LIMIT
    return Climb(ending, sustained, offered_per_s(steps[broken]), most)


def _without_break(rates: Sequence[float], is_last_broken: bool, most: float) -> Climb:
    held = rates[:-1] if is_last_broken else rates
    return Climb(Ending.TOP, held[-1] if held else None, rates[-1] if is_last_broken else None, most)


def _break_in(step: Block, policy: Policy) -> Ending | None:
    planned = step.arrivals.planned
    if planned - step.completed > max((1 - SUSTAINED_RATIO) * planned, _CHANCE * math.sqrt(planned)):
        return Ending.SATURATED
    return Ending.LIMIT if _breaks_a_limit(step, policy) else None


def _breaks_a_limit(step: Block, policy: Policy) -> bool:
    """An absolute limit of the scenarios' total, as the team has set it for the rehearsal itself."""
    total = scenario_total([step])
    for objective in policy.objectives:
        if objective.limit is None or objective.is_advisory:
            continue
        quantile = objective.metric.quantile
        if quantile is not None and (total.quantile_s(quantile) or 0.0) > objective.limit:
            return True
        if objective.metric is Metric.ERROR_RATIO and failed_ratio(step) > objective.limit:
            return True
    return False


def failed_ratio(block: Block) -> float:
    """Failed / ended, of the arrivals of a block."""
    arrivals = block.arrivals
    ended = arrivals.ok + arrivals.error + arrivals.timeout + arrivals.censored
    return (ended - arrivals.ok) / ended if ended else 0.0


# --- what each turn says ----------------------------------------------------------------------------------------


def readings_of(turns: Sequence[Sequence[Block]], policy: Policy) -> tuple[Reading, ...]:
    """One reading for each turn after the first staircase."""
    if not turns:
        return ()
    is_calm = climb_of(turns[0], policy).sustained_per_s is not None
    calm = _service_p50_s(turns[0][:1]) if is_calm else None
    return tuple(
        _of_hold(turn, calm, policy) if turn[0].phase is Phase.HOLD else _of_climb(turn, policy)
        for turn in turns[1:]
    )


def _of_hold(turn: Sequence[Block], calm_s: float | None, policy: Policy) -> Reading:
    counted = [block for block in turn if not block.is_warm_up]
    length_s = math.fsum(block.length_s for block in counted)
    completed = sum(block.completed for block in counted)
    planned = sum(block.arrivals.planned for block in counted)
    is_at_least = completed >= SUSTAINED_RATIO * planned
    complaint, code = _unfit(counted, policy), ReasonCode.RIG_UNHEALTHY
    if not counted:
        complaint, code = "cut short", ReasonCode.TOO_FEW_PAIRS
    elif not complaint and not is_at_least and calm_s is None:
        complaint, code = "the first step broke already: begin lower", ReasonCode.NOISE
    elif not complaint and not is_at_least and not _is_crowded(counted, calm_s):
        complaint, code = "every user was busy before the system was: more users", ReasonCode.LOAD_MISMATCH
    elif not complaint and is_at_least and not _is_highest(counted[-1], policy, 0.01):
        complaint, code = _TOO_SOON, ReasonCode.NOISE
    return Reading(
        completed / length_s if counted else 0.0, is_at_least, completed, length_s, complaint, code
    )


def _of_climb(turn: Sequence[Block], policy: Policy) -> Reading:
    climb = climb_of(turn, policy)
    completed, length_s = sum(block.completed for block in turn), math.fsum(block.length_s for block in turn)
    complaint, code = _unfit(turn, policy), ReasonCode.RIG_UNHEALTHY
    if climb.sustained_per_s is None and not complaint:
        complaint, code = "broke at its first step", ReasonCode.NOISE
    elif (
        climb.broken_per_s is None
        and not complaint
        and not _is_highest(turn[-1], policy, _step_ratio(policy))
    ):
        complaint, code = _TOO_SOON, ReasonCode.NOISE
    return Reading(middle_of(climb), climb.broken_per_s is None, completed, length_s, complaint, code)


def _is_highest(step: Block, policy: Policy, slack_ratio: float) -> bool:
    """Whether this was the highest rate that may be offered: only then "at least" answers all that was asked."""
    plan = policy.capacity
    return plan is not None and offered_per_s(step) * (1 + slack_ratio) >= plan.max_rate_per_s


def _step_ratio(policy: Policy) -> float:
    """A short staircase ends less than a step below the highest rate."""
    return policy.capacity.step_ratio if policy.capacity is not None else 0.0


def middle_of(climb: Climb) -> float:
    """Half-way, on the scale of ratios, between the last step that held and the first that did not."""
    low = climb.sustained_per_s or climb.most_completed_per_s
    high = low if climb.broken_per_s is None else climb.broken_per_s
    return math.sqrt(low * high)


def _unfit(blocks: Sequence[Block], policy: Policy) -> str:
    """What was wrong with the load generator: when it is the bottleneck, nothing is known of the system."""
    limits = policy.rig
    p50_s = scenario_total(blocks).quantile_s(0.5) or 0.0
    largest_lag_s = max(limits.max_rig_lag_p99_s, limits.max_rig_lag_of_baseline_p50_ratio * p50_s)
    complaints = (complaint_about(block, limits, largest_lag_s) for block in blocks)
    return next((f"the load generator was unfit ({found.cause.name})" for found in complaints if found), "")


def _is_crowded(blocks: Sequence[Block], calm_s: float | None) -> bool:
    """Requests took longer than they do at the first step: they waited inside the system, not in the generator.

    Without that the rate is users / service time, which says how many users there were, and nothing of the system.
    """
    now_s = _service_p50_s(blocks)
    return now_s is not None and calm_s is not None and now_s >= _CROWDED_RATIO * calm_s


def _service_p50_s(blocks: Sequence[Block]) -> float | None:
    requests: list[Series] = [
        series for block in blocks for series in block.series if series.scope is Scope.ENDPOINT
    ]
    return Histogram.merged(series.judged for series in requests).quantile_s(0.5)


# --- distress ---------------------------------------------------------------------------------------------------


class Alarm:
    """Watches the live counters of one turn and says once why the load must stop at that moment."""

    def __init__(self, distress_ratio: float, rate_per_s: float) -> None:
        self._most_failed = distress_ratio
        self._silent_bins = math.ceil(max(_SILENT_S, _ALARM_ERRORS / rate_per_s) * BINS_PER_S)
        self._bins: dict[int, tuple[int, int]] = {}
        self._newest = 0
        self._last_answer = 0

    def see(self, live: LiveBin) -> str | None:
        """Take one report in; a report in which nothing ended is the heartbeat that shows silence."""
        self._newest = max(self._newest, live.bin)
        if live.answered:
            self._last_answer = max(self._last_answer, live.bin)
        requests, errors = self._bins.get(live.bin, (0, 0))
        self._bins[live.bin] = (requests + live.requests, errors + live.errors)
        return self._failing() or self._silent()

    def _failing(self) -> str | None:
        recent = [self._bins.get(self._newest - back, (0, 0)) for back in range(_ALARM_BINS)]
        requests, errors = sum(one for one, _ in recent), sum(one for _, one in recent)
        if errors < _ALARM_ERRORS or errors <= self._most_failed * requests:
            return None
        return (
            f"{errors:,} of {requests:,} requests failed within 2 s (at most {share(self._most_failed)} may)"
        )

    def _silent(self) -> str | None:
        if self._newest - self._last_answer < self._silent_bins:
            return None
        return f"nothing was answered for {self._silent_bins / BINS_PER_S:.0f} s"


# --- what to do next --------------------------------------------------------------------------------------------


def hold_rate(climbs: Mapping[Side, Climb], max_rate_per_s: float) -> float:
    """The same rate for every turn of every side: a quarter more than any of them completed in a step."""
    most = max(climb.most_completed_per_s for climb in climbs.values())
    return min(HOLD_RATIO * most, max_rate_per_s)
