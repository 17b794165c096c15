"""What is decided while load still runs: when to look, and when to stop at once.

The guard protects a dying candidate from being hammered. It does not decide small things: an upgrade with 1 or 2 % of
errors is rehearsed to the next look, so that one report names everything that broke.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rehearse.judge.stats import log_e_value
from rehearse.judge.wording import share
from rehearse.model import Incident, Policy, ReasonCode, Side

BINS_PER_S = 2
WINDOW_S = 10.0
MOST_FAILED_RATIO = 0.20
_WINDOW_BINS = int(WINDOW_S * BINS_PER_S)
_QUARTER_BINS = _WINDOW_BINS // 4
_FEWEST_IN_WINDOW = 5  # requests, below which ten seconds say nothing
_OTHER = {Side.BASELINE: Side.CANDIDATE, Side.CANDIDATE: Side.BASELINE}


# --- what the guard sees ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveBin:
    """What ended on one side within one 0.5 s bin; several for the same bin add up, and they may come late.

    Every report must be fed, also one in which nothing ended: as a bin of zeros at the time of the report. It is the
    heartbeat of that side's load generator, and all that tells a candidate that hangs from a generator that died.

    Bins count from the common start of a round: give `round`, or a new Guard to each round.
    """

    side: Side
    bin: int
    requests: int
    errors: int
    answered: int
    round: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests, errors and answers."""

    requests: int = 0
    errors: int = 0
    answered: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests, self.errors + other.errors, self.answered + other.answered
        )

    @property
    def error_ratio(self) -> float:
        """Failed / all; 0.0 without requests."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class SideSoFar:
    """One side: everything so far, and the last ten seconds bin by bin. A bin of zeros is one that was heard of."""

    total: Counts = Counts()
    episodes: frozenset[tuple[int, int]] = frozenset()  # (round, bin) with at least one error
    newest: int = -1  # bin of this round
    recent: Mapping[int, Counts] = field(default_factory=dict)
    is_loaded: bool = False  # its load generator was heard, in this round or an earlier one

    def is_heard(self, first: int, end: int) -> bool:
        """Whether the load generator reported from any of the bins first..end-1."""
        return any(first <= bin_ < end for bin_ in self.recent)

    def within(self, first: int, end: int) -> Counts:
        """The sum over bins first..end-1."""
        chosen = [counts for bin_, counts in self.recent.items() if first <= bin_ < end]
        return Counts(*(sum(getattr(counts, name) for counts in chosen) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class GuardState:
    """All that the guard remembers."""

    round: int = 0
    now: int = -1  # the newest bin of either side, or of the clock
    sides: Mapping[Side, SideSoFar] = field(default_factory=lambda: {side: SideSoFar() for side in Side})

    @property
    def window(self) -> tuple[int, int]:
        """The last ten seconds that are over, as bins first..end-1; the newest bin is still filling."""
        return self.now - _WINDOW_BINS, self.now


def after(state: GuardState, live: LiveBin) -> GuardState:
    """The state with one more report taken in."""
    if live.round > state.round:
        fresh = {side: replace(so_far, newest=-1, recent={}) for side, so_far in state.sides.items()}
        state = GuardState(live.round, -1, fresh)
    # A heartbeat is no clock: it goes on while the last requests are waited for, when nothing is due any more.
    now = max(state.now, live.bin) if live.requests else state.now
    return GuardState(
        state.round, now, {**state.sides, live.side: _side_after(state.sides[live.side], live, now)}
    )


def _side_after(side: SideSoFar, live: LiveBin, now: int) -> SideSoFar:
    counts = Counts(live.requests, live.errors, live.answered)
    recent = {bin_: seen for bin_, seen in side.recent.items() if bin_ >= now - _WINDOW_BINS}
    if live.bin >= now - _WINDOW_BINS:
        recent[live.bin] = recent.get(live.bin, Counts()) + counts
    episodes = side.episodes | {(live.round, live.bin)} if live.errors else side.episodes
    return SideSoFar(side.total + counts, episodes, max(side.newest, live.bin), recent, is_loaded=True)


def at_time(state: GuardState, at_s: float) -> GuardState:
    """The state when the clock of the round shows `at_s`, with nothing new heard."""
    return replace(state, now=max(state.now, math.floor(at_s * BINS_PER_S)))


# --- what the guard decides -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """What the schedule of a round says of arrivals: how many a second, and until when."""

    per_s: float = 0.0
    until_s: float = math.inf


def incident_in(state: GuardState, policy: Policy, due: Due) -> Incident | None:
    """The reason to stop the load, if there is one. Trouble of the baseline comes first: then nothing is proven."""
    return (
        _trouble_of_baseline(state, due)
        or _failing_for_seconds(state)
        or _silent(state, due)
        or _unheard(state, Side.CANDIDATE, due)
        or _more_errors(state, policy, Side.BASELINE)
        or _more_errors(state, policy, Side.CANDIDATE)
    )


def _trouble_of_baseline(state: GuardState, due: Due) -> Incident | None:
    if _fails_throughout(state, Side.BASELINE):
        return _unhealthy(
            f"more than {share(MOST_FAILED_RATIO)} of the baseline's requests failed for {WINDOW_S:.0f} s"
        )
    if _hangs(state, Side.BASELINE, due):
        return _unhealthy(f"the baseline answered nothing for {WINDOW_S:.0f} s")
    return _unheard(state, Side.BASELINE, due)


def _unheard(state: GuardState, side: Side, due: Due) -> Incident | None:
    """The load generator told nothing, not even that nothing ended: it is no evidence against the side it loads."""
    if not _is_silent(state, side, due) or state.sides[side].newest >= state.window[0]:
        return None
    sentence = (
        f"nothing was heard of the load generator of the {side} for {WINDOW_S:.0f} s, so what the {side} did then "
        "is not known; the load was stopped; read the worker's log"
    )
    return Incident(ReasonCode.WORKER_LOST, sentence, side)


def _failing_for_seconds(state: GuardState) -> Incident | None:
    if not _fails_throughout(state, Side.CANDIDATE):
        return None
    seen = state.sides[Side.CANDIDATE].within(*state.window)
    return _guard(
        f"{seen.errors:,} of {seen.requests:,} requests to the candidate failed within {WINDOW_S:.0f} s "
        f"(limit {share(MOST_FAILED_RATIO)}); the load was stopped"
    )


def _silent(state: GuardState, due: Due) -> Incident | None:
    if not _hangs(state, Side.CANDIDATE, due):
        return None
    return _guard(
        f"the candidate answered nothing for {WINDOW_S:.0f} s while requests were due; the load was stopped"
    )


def _more_errors(state: GuardState, policy: Policy, side: Side) -> Incident | None:
    """Error episodes against the other side's: valid at any moment, and only acted on at real damage."""

    own, other = state.sides[side], state.sides[_OTHER[side]]
    if not other.is_loaded or own.total.error_ratio < policy.guard_stop_error_ratio:
        return None
    over = min(own.newest, other.newest)  # a bin counts once both sides have told of it
    episodes, others = (sum(_is_over(key, state.round, over) for key in one.episodes) for one in (own, other))
    exposure = own.total.requests / max(own.total.requests + other.total.requests, 1)
    evidence = log_e_value(episodes, episodes + others, exposure)
    if evidence < -math.log(policy.guard_alpha):
        return None
    sentence = (
        f"{share(own.total.error_ratio)} of {own.total.requests:,} requests to the {side} failed, in {episodes} "
        f"episodes against {others} on the {_OTHER[side]}; the load was stopped"
    )
    return _guard(sentence) if side is Side.CANDIDATE else _unhealthy(sentence)


def _is_over(key: tuple[int, int], current_round: int, newest: int) -> bool:
    return key[0] != current_round or key[1] <= newest


def _fails_throughout(state: GuardState, side: Side) -> bool:
    """More than 20 % failed in the last ten seconds, and in each quarter of them in which anything ended."""
    first, end = state.window
    whole = state.sides[side].within(first, end)
    if first < 0 or whole.requests < _FEWEST_IN_WINDOW or whole.error_ratio <= MOST_FAILED_RATIO:
        return False
    quarters = [state.sides[side].within(*quarter) for quarter in _quarters(state)]
    return all(part.error_ratio > MOST_FAILED_RATIO for part in quarters if part.requests)


def _quarters(state: GuardState) -> list[tuple[int, int]]:
    first, end = state.window
    return [(start, start + _QUARTER_BINS) for start in range(first, end, _QUARTER_BINS)]


def _hangs(state: GuardState, side: Side, due: Due) -> bool:
    """Silent, while its load generator lived: heard in each quarter of the ten seconds, for one report at their
    beginning says nothing of their end."""
    return _is_silent(state, side, due) and all(
        state.sides[side].is_heard(*quarter) for quarter in _quarters(state)
    )


def _is_silent(state: GuardState, side: Side, due: Due) -> bool:
    """Nothing answered for ten seconds, while requests were due: by the other side's answers, or by the clock.

    After the last arrival silence is no trouble, however late a slow answer of the other side comes.
    """
    first, end = state.window
    own = state.sides[side]
    is_due = first >= 0 and own.is_loaded and end <= due.until_s * BINS_PER_S
    if not is_due or own.within(first, end + 1).answered:
        return False
    wanted = max(state.sides[_OTHER[side]].within(first, end).answered, math.floor(due.per_s * WINDOW_S))
    return wanted >= _FEWEST_IN_WINDOW


def _guard(sentence: str) -> Incident:
    return Incident(ReasonCode.GUARD, sentence, Side.CANDIDATE, is_hard=True)


def _unhealthy(sentence: str) -> Incident:
    return Incident(ReasonCode.BASELINE_UNHEALTHY, sentence, Side.BASELINE)


class Guard:
    """Watches live counters and says once when the load must stop. One for each round, or give each bin its round.

    `arrivals_per_s` tells that requests are due even when no side answers; without it, only the other side's answers
    show that. `arrivals_end_s` is when the last one of a round is due. Feed the reports in which nothing ended as
    well (see LiveBin).
    """

    def __init__(self, policy: Policy, arrivals_per_s: float = 0.0, arrivals_end_s: float = math.inf) -> None:
        self._policy = policy
        self._due = Due(arrivals_per_s, arrivals_end_s)
        self._state = GuardState()
        self._has_fired = False

    def see(self, live: LiveBin) -> Incident | None:
        """Take one report in; the incident that stops the load, the first time there is one."""
        return self._look_at(after(self._state, live))

    def see_time(self, at_s: float) -> Incident | None:
        """Time passes with nothing heard. Only while arrivals are due: after the last one, silence is no trouble."""
        return self._look_at(at_time(self._state, at_s))

    def _look_at(self, state: GuardState) -> Incident | None:
        self._state = state
        incident = None if self._has_fired else incident_in(state, self._policy, self._due)
        self._has_fired = self._has_fired or incident is not None
        return incident
