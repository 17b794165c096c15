"""A fault of a few seconds under load: what users got meanwhile, and whether it was like before afterwards.

Pure: blocks of load in, what was seen on each side out, and from both a record.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rehearse.edges.recovery import Recovery, RecoveryRule, RecoveryState, Window, judge_recovery
from rehearse.histogram import Histogram
from rehearse.judge.stats import binomial_lower
from rehearse.model import (
    Assertion,
    Block,
    EdgeFamily,
    EdgeOutcome,
    EdgeRecord,
    Metric,
    Objective,
    Proof,
    RequestOutcome,
    Scope,
    Side,
    Step,
)

_STANDARD_ERRORS = 3.0  # a difference between two shares below this is chance
_CHANCE = 0.01  # a limit is broken where that is less likely to be chance
_AS_SOON = "it answers as soon in the fault as the baseline, well or not"
_FAILS_MORE = "it fails no more often in the fault than the baseline"
_ENDED = (RequestOutcome.OK, RequestOutcome.ERROR, RequestOutcome.TIMEOUT, RequestOutcome.CENSORED)


@dataclass(frozen=True, slots=True)
class PulseRule:
    """What is accepted; fixed before the run."""

    recovery: RecoveryRule
    attempts_ratio: (
        float  # asking the dependency more often for each arrival than on the baseline by this is worse
    )
    slack_s: float  # waiting longer than the baseline by this, and by half, is worse
    failed_ratio: float  # failing more often than on the baseline by this is worse


@dataclass(frozen=True, slots=True)
class Asked:
    """How often the dependency had been asked by some moment, since the case began."""

    at_s: float
    times: int


@dataclass(frozen=True, slots=True)
class PulseSeen:
    """What one side did around the fault."""

    windows: tuple[Window, ...] = ()
    fault_from_s: float = 0.0
    fault_to_s: float = 0.0
    requests: int = 0  # due in the fault
    failed: int = 0  # of these
    waited: Histogram = field(
        default_factory=Histogram
    )  # of these: until any answer, or until it was given up
    injected: int = 0  # connections on which the toxic acted
    asked: tuple[Asked, ...] = ()  # how often the dependency was, as time went on; empty: nobody counts that
    proxy_adds_s: float | None = None  # to a round trip without a toxic, where that was measured
    problem: str = ""  # why it was not injected, or not seen to its end
    is_injected: bool = False
    is_cleaned_up: bool = True

    @property
    def waited_p95_s(self) -> float | None:
        """So long at most, but for one in twenty."""
        return self.waited.quantile_s(0.95)

    @property
    def failed_ratio(self) -> float | None:
        """Of what was due in the fault."""
        return self.failed / self.requests if self.requests else None


# --- from blocks to what was seen ---------------------------------------------------------------------------------


def with_blocks(seen: PulseSeen, blocks: Iterable[Block]) -> PulseSeen:
    """The same with the load of one side in it."""
    measured = sorted((one for one in blocks if not one.is_warm_up), key=lambda one: one.start_s)
    in_fault = [
        one
        for one in measured
        if one.start_s + one.length_s > seen.fault_from_s and one.start_s < seen.fault_to_s
    ]
    waited = Histogram.merged(one for block in in_fault for one in _durations(block, _ENDED))
    return replace(
        seen,
        windows=tuple(window_of(block, seen.asked) for block in measured),
        requests=sum(block.arrivals.planned for block in in_fault),
        failed=sum(block.arrivals.planned - block.arrivals.ok for block in in_fault),
        waited=waited,
    )


def window_of(block: Block, asked: Sequence[Asked] = ()) -> Window:
    """One block as a moment: arrivals that were due in it, however long they took, and what was asked meanwhile."""
    answered = Histogram.merged(_durations(block, (RequestOutcome.OK,)))
    return Window(
        start_s=block.start_s,
        length_s=block.length_s,
        requests=block.arrivals.planned,
        answered=block.arrivals.ok,
        p95_s=answered.quantile_s(0.95) if answered.count else None,
        attempts=_attempts(asked, block.start_s, block.start_s + block.length_s),
    )


def _attempts(asked: Sequence[Asked], from_s: float, to_s: float) -> int | None:
    """Between two moments; None when nobody counted before the first or after the second."""
    if not asked or asked[0].at_s > from_s or asked[-1].at_s < to_s:
        return None
    return round(_times_by(asked, to_s)) - round(_times_by(asked, from_s))


def _times_by(asked: Sequence[Asked], at_s: float) -> float:
    """By a moment between two looks the share of it."""
    after = max(1, bisect_left(asked, at_s, key=lambda one: one.at_s))
    if after == len(asked):
        return asked[-1].times
    one, other = asked[after - 1], asked[after]
    share = (at_s - one.at_s) / (other.at_s - one.at_s) if other.at_s > one.at_s else 1.0
    return one.times + share * (other.times - one.times)


def _durations(block: Block, outcomes: Sequence[RequestOutcome]) -> list[Histogram]:
    totals = [series for series in block.series if series.scope is Scope.SCENARIO]
    return [series.durations[one] for series in totals for one in outcomes if one in series.durations]


def recovery_of(seen: PulseSeen, rule: PulseRule) -> Recovery:
    """Whether, and when, it was back."""
    return judge_recovery(seen.windows, seen.fault_from_s, seen.fault_to_s, rule.recovery)


def attempts_ratio(seen: PulseSeen, rule: PulseRule) -> float | None:
    """How often the dependency was asked for each arrival, from the fault's beginning until it was back.

    Not longer: while the other side is waited for, calm moments would hide the storm.
    """
    after_s = recovery_of(seen, rule).after_s
    until_s = math.inf if after_s is None else seen.fault_to_s + after_s
    stormy = [one for one in seen.windows if one.end_s > seen.fault_from_s and one.start_s < until_s]
    known = [(one.attempts, one.requests) for one in stormy if one.attempts is not None]
    due = sum(requests for _, requests in known)
    return sum(attempts for attempts, _ in known) / due if due else None


# --- from what was seen to a record -------------------------------------------------------------------------------


def ruled(
    planned: EdgeRecord,
    injection: str,
    candidate: PulseSeen,
    baseline: PulseSeen | None,
    rule: PulseRule,
    names: Mapping[Side, str] | None = None,
    objectives: Iterable[Objective] = (),
) -> EdgeRecord:
    """The record of one case. Recovery comes first: what never comes back is worse than all that went before."""
    called = {side: f"the {side}" for side in Side} | dict(names or {})
    known = baseline if baseline is not None and baseline.is_injected and baseline.injected else None
    assertions = [_recovery_assertion(candidate, known, rule)]
    if planned.family is not EdgeFamily.RECOVERY:
        fails = fails_more(_FAILS_MORE, candidate, known, rule.failed_ratio)
        assertions += [fails, _waited_assertion(candidate, known, rule)]
        assertions += [_limit_assertion(one, candidate, known) for one in with_limit(objectives)]
    if candidate.asked:
        assertions.append(_attempts_assertion(candidate, known, rule))
    seen = {Side.CANDIDATE: candidate} | ({Side.BASELINE: baseline} if baseline is not None else {})
    problems = [one.problem for one in seen.values() if one.problem]
    return replace(
        planned,
        injection=Step(injection, all(one.is_injected for one in seen.values()), "; ".join(problems)),
        assertions=tuple(assertions),
        cleanup=Step(
            "no fault is left in the proxy",
            all(one.is_cleaned_up for one in seen.values()),
            "; ".join(problems),
        ),
        proofs=tuple(
            Proof(f"connections of the {side} on which the fault acted", one.injected)
            for side, one in sorted(seen.items())
        ),
        told=f"{injection}: "
        + "; ".join(f"{called[side]} {_told(one, rule)}" for side, one in sorted(seen.items()))
        + _proxy_told([one.proxy_adds_s for one in seen.values() if one.proxy_adds_s is not None]),
    )


def _proxy_told(added_s: Sequence[float]) -> str:
    return f"; the proxy itself adds {1000 * max(added_s):.2g} ms to a round trip" if added_s else ""


def _told(seen: PulseSeen, rule: PulseRule) -> str:
    """ "failed 12 % meanwhile and took up to 2.1 s (p95), back to normal 0.5 s after the fault"."""
    if seen.failed_ratio is None or seen.waited_p95_s is None:
        return f"is not known to have done anything, {recovery_of(seen, rule).sentence}"
    took = f"took up to {seen.waited_p95_s:.2g} s (p95)"
    return f"failed {_share(seen.failed_ratio)} meanwhile and {took}, {recovery_of(seen, rule).sentence}"


def _recovery_assertion(candidate: PulseSeen, baseline: PulseSeen | None, rule: PulseRule) -> Assertion:
    found = recovery_of(candidate, rule)
    known = recovery_of(baseline, rule) if baseline is not None else None
    numbers = {"after_s": found.after_s, "baseline_after_s": known.after_s if known else None}
    outcome, sentence = EdgeOutcome.INCONCLUSIVE, found.sentence
    if candidate.problem:
        sentence = candidate.problem
    elif found.state is RecoveryState.RECOVERED:
        outcome = EdgeOutcome.PASS
    elif found.state in (RecoveryState.LATE, RecoveryState.METASTABLE) and known is not None:
        is_alike = known.state in (found.state, RecoveryState.METASTABLE)
        outcome = EdgeOutcome.ALREADY_BROKEN if is_alike else EdgeOutcome.FAIL
        sentence = f"{found.sentence}; the baseline: {known.sentence}"
    elif found.state is RecoveryState.METASTABLE:
        outcome = EdgeOutcome.FAIL
    return Assertion("it recovers", outcome, sentence, numbers)


def fails_more(what: str, candidate: PulseSeen, baseline: PulseSeen | None, failed_ratio: float) -> Assertion:
    """It fails no more often than the baseline: by `failed_ratio` at most, and where that is not chance."""
    mine, theirs = candidate.failed_ratio, baseline.failed_ratio if baseline is not None else None
    numbers = {"failed_ratio": mine, "baseline_failed_ratio": theirs, "requests": candidate.requests}
    if baseline is None or mine is None or theirs is None:
        return Assertion(what, EdgeOutcome.INCONCLUSIVE, "one side's failures are not known", numbers)
    by_chance = _STANDARD_ERRORS * _standard_error(candidate, baseline)
    is_worse = mine - theirs > max(failed_ratio, by_chance)
    sentence = f"{_share(mine)} failed, on the baseline {_share(theirs)}"
    return Assertion(what, EdgeOutcome.FAIL if is_worse else EdgeOutcome.PASS, sentence, numbers)


def _standard_error(one: PulseSeen, other: PulseSeen) -> float:
    """Of the difference between two shares that are the same."""
    share = (one.failed + other.failed) / (one.requests + other.requests)
    return math.sqrt(share * (1 - share) * (1 / one.requests + 1 / other.requests))


def _waited_assertion(candidate: PulseSeen, baseline: PulseSeen | None, rule: PulseRule) -> Assertion:
    mine, theirs = candidate.waited_p95_s, baseline.waited_p95_s if baseline is not None else None
    numbers = {"waited_p95_s": mine, "baseline_waited_p95_s": theirs}
    if mine is None or theirs is None:
        return Assertion(_AS_SOON, EdgeOutcome.INCONCLUSIVE, "one side's waiting is not known", numbers)
    is_worse = mine > max(theirs * 1.5, theirs + rule.slack_s)
    sentence = f"{mine:.2g} s for an answer (p95), on the baseline {theirs:.2g} s"
    return Assertion(_AS_SOON, EdgeOutcome.FAIL if is_worse else EdgeOutcome.PASS, sentence, numbers)


def fails_by_times_alone(record: EdgeRecord, objectives: Iterable[Objective]) -> bool:
    """Whether nothing stands against it but how long users waited in one fault: one stall of the rig does that too."""
    limits = {_limit_told(one) for one in with_limit(objectives) if one.metric.quantile is not None}
    failed = {one.what for one in record.assertions if one.outcome is EdgeOutcome.FAIL}
    return record.outcome is EdgeOutcome.FAIL and failed <= {_AS_SOON, *limits}


def with_limit(objectives: Iterable[Objective]) -> list[Objective]:
    """Those that ordinary traffic has to keep in a fault too: a time or a share of failures of its own."""
    return [
        one
        for one in objectives
        if one.limit is not None
        and not one.is_advisory
        and (one.metric.quantile is not None or one.metric is Metric.ERROR_RATIO)
    ]


def _limit_assertion(objective: Objective, candidate: PulseSeen, baseline: PulseSeen | None) -> Assertion:
    """Broken where chance cannot explain it. What the baseline breaks as well is told, and not the upgrade's doing."""
    mine, theirs = (None if one is None else _beyond(objective, one) for one in (candidate, baseline))
    what = _limit_told(objective)
    numbers: dict[str, float | int | str | None] = {
        "limit": objective.limit,
        "beyond": mine.count if mine else None,
        "requests": mine.of if mine else None,
    }
    if mine is None or theirs is None:
        return Assertion(what, EdgeOutcome.INCONCLUSIVE, "one side's traffic is not known", numbers)
    sentence = f"{_share(mine.ratio)} were beyond it, on the baseline {_share(theirs.ratio)}"
    if not mine.is_broken:
        return Assertion(what, EdgeOutcome.PASS, sentence, numbers)
    if theirs.ratio > theirs.allowed:
        return Assertion(what, EdgeOutcome.PASS, f"broken on both sides: {sentence}", numbers)
    return Assertion(what, EdgeOutcome.FAIL, sentence, numbers)


@dataclass(frozen=True, slots=True)
class _Beyond:
    """How many of so many requests broke a limit that a share of them may break."""

    count: int
    of: int
    allowed: float

    @property
    def ratio(self) -> float:
        return self.count / self.of

    @property
    def is_broken(self) -> bool:
        return binomial_lower(self.count, self.of, _CHANCE) > self.allowed


def _beyond(objective: Objective, seen: PulseSeen) -> _Beyond | None:
    limit, quantile = objective.limit or 0.0, objective.metric.quantile
    if quantile is None:
        return _Beyond(seen.failed, seen.requests, limit) if seen.requests else None
    late = seen.waited.overflow + sum(count for value_s, count in seen.waited.buckets() if value_s > limit)
    return _Beyond(late, seen.waited.count, 1 - quantile) if seen.waited.count else None


def _limit_told(objective: Objective) -> str:
    limit = objective.limit or 0.0
    inside = f"{objective.metric} < {_share(limit) if objective.metric.quantile is None else f'{limit:g} s'}"
    return f"ordinary traffic stays inside its objective in the fault: {inside}"


def _attempts_assertion(candidate: PulseSeen, baseline: PulseSeen | None, rule: PulseRule) -> Assertion:
    """Retries that multiply: each of them is load that the dependency has to bear when it can least do so."""
    what = "it asks the dependency no more often than the baseline"
    mine = attempts_ratio(candidate, rule)
    theirs = attempts_ratio(baseline, rule) if baseline is not None else None
    numbers = {"attempts_ratio": mine, "baseline_attempts_ratio": theirs}
    if mine is None or theirs is None:
        return Assertion(what, EdgeOutcome.INCONCLUSIVE, "one side's attempts are not known", numbers)
    is_worse = mine > theirs + rule.attempts_ratio
    sentence = (
        f"{mine:.1f} times for each arrival from the fault until it was back, on the baseline {theirs:.1f}"
    )
    return Assertion(what, EdgeOutcome.FAIL if is_worse else EdgeOutcome.PASS, sentence, numbers)


def _share(ratio: float) -> str:
    return f"{100 * ratio:.2g} %"
