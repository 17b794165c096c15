"""Was the baseline itself fit, and did the sides leave each other alone?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rehearse.judge.failures import episodes_p_value, tally
from rehearse.judge.faults import Fault, fault
from rehearse.judge.latency import logs_of, side_groups
from rehearse.judge.measurement import Measurement, is_enough
from rehearse.judge.paired import latency_margin
from rehearse.judge.pairs import Column, SeriesKey
from rehearse.judge.stats import ENOUGH_FOR_CORRELATION, Component, combined, noise_of_mean
from rehearse.judge.wording import duration, percent, share
from rehearse.model import Cell, Metric, Objective, Policy, ReasonCode, Role, Scope, Side

_SURE_ALPHA = 0.01
_MOST_CORRELATED = 0.3
_DEFAULT_P50_MARGIN = 0.05
_DEFAULT_ERROR_MARGIN = 0.001
_FEWEST_BLOCKS = 4


# --- the baseline itself ----------------------------------------------------------------------------------------


def baseline_faults(
    table: Mapping[SeriesKey, Column], stored: Mapping[SeriesKey, Column], policy: Policy
) -> list[Fault]:
    """The known-good side works: two sides with the same expired token are not "no difference"."""
    found = [_failing(table, scope, policy) for scope in (Scope.SCENARIO, Scope.ENDPOINT)]
    worst = max((one for one in found if one is not None), key=lambda one: one[0], default=None)
    if worst is not None:
        ratio, what = worst
        sentence = (
            f"{share(ratio)} of the baseline's own {what} failed; "
            f"at most {share(policy.max_baseline_error_ratio)} may; repair the known-good side (token, data, capacity)"
        )
        return [fault(ReasonCode.BASELINE_UNHEALTHY, "baseline", sentence, error_ratio=ratio)]
    return _worse_than_recorded(table, stored, policy)


def _failing(table: Mapping[SeriesKey, Column], scope: Scope, policy: Policy) -> tuple[float, str] | None:
    seen = tally(part for (one, _), column in table.items() if one is scope for part in column.baseline)
    what = "requests" if scope is Scope.ENDPOINT else "tasks"
    return (seen.ratio, what) if seen.ratio > policy.max_baseline_error_ratio else None


def _worse_than_recorded(
    table: Mapping[SeriesKey, Column], stored: Mapping[SeriesKey, Column], policy: Policy
) -> list[Fault]:
    found = []
    for (scope, name), column in table.items():
        before = stored.get((scope, name))
        if scope is not Scope.SCENARIO or before is None:
            continue
        now, then = tally(column.baseline), tally(before.baseline)
        least = _objective(policy, name, Metric.ERROR_RATIO, _DEFAULT_ERROR_MARGIN).margin or 0.0
        if not now.requests or not then.requests or now.ratio - then.ratio < least:
            continue
        if episodes_p_value(then, now) < _SURE_ALPHA:
            sentence = (
                f"{name}: the baseline failed {share(now.ratio)} of {now.requests:,.0f} now and {share(then.ratio)} of "
                f"{then.requests:,.0f} when it was recorded; repair it, or record it anew"
            )
            found.append(
                fault(ReasonCode.BASELINE_UNHEALTHY, name, sentence, now=now.ratio, recorded=then.ratio)
            )
    return found


# --- the sides leave each other alone ---------------------------------------------------------------------------


def isolation_faults(
    table: Mapping[SeriesKey, Column], stored: Mapping[SeriesKey, Column], policy: Policy
) -> list[Fault]:
    """The baseline is as fast as when it was recorded.

    A candidate that eats a shared CPU, lock or database slows the baseline as well, and the difference shrinks towards
    GO. It never grows, so an ABORT is still sound.
    """
    scenarios = [(name, column) for (scope, name), column in table.items() if scope is Scope.SCENARIO]
    pairs = [(name, column, stored.get((Scope.SCENARIO, name))) for name, column in scenarios]
    checked = [
        _slower_than_recorded(name, now, then, policy) for name, now, then in pairs if then is not None
    ]
    return [one for one in checked if one is not None]


def _slower_than_recorded(name: str, now: Column, then: Column, policy: Policy) -> Fault | None:
    samples = [logs_of(side_groups(column.baseline, 0.5)) for column in (now, then)]
    if not all(is_enough(sample, _FEWEST_BLOCKS) for sample in samples):
        return None
    objective = _objective(policy, name, Metric.P50, _DEFAULT_P50_MARGIN)
    cell = Cell(Scope.SCENARIO, name, Metric.P50, Role.CERTIFY, objective)
    now_s, before_s = math.exp(samples[0].mean), math.exp(samples[1].mean)
    allowed = (latency_margin(cell, policy.floor_s, before_s) or 0.0) / 2
    two_runs = Component(2 * policy.noise.run_to_run_sd**2)  # the two were not recorded at the same moment
    slower = combined(samples[0].mean - samples[1].mean, [*map(noise_of_mean, samples), two_runs])
    if slower.lower(_SURE_ALPHA) <= allowed:
        return None
    sentence = (
        f"{name}: the baseline's own p50 is {duration(now_s)} beside this candidate and was {duration(before_s)} "
        f"when it was recorded ({percent(now_s / before_s - 1)}); "
        "the sides share something; give each its own machine and data"
    )
    return fault(ReasonCode.NOT_ISOLATED, name, sentence, allows_abort=True, now_s=now_s, recorded_s=before_s)


def _objective(policy: Policy, name: str, metric: Metric, margin: float) -> Objective:
    """What the policy asks of this metric, or the usual margin where it asks for nothing."""
    asked = [one for one in policy.objectives_for(name) if one.metric is metric and one.margin is not None]
    return asked[0] if asked else Objective(metric, margin)


def correlation_faults(measurements: Sequence[Measurement]) -> list[Fault]:
    """Neighbouring pairs of a scenario's total resemble each other: there are fewer than it seems.

    The standard error is widened by the same correlation, so an ABORT in spite of it is still sound.
    """
    return [
        fault(
            ReasonCode.CORRELATED,
            measured.cell.label,
            f"{measured.cell.label}: neighbouring pairs resemble each other (correlation {measured.correlation:.2f} "
            f"over {measured.pairs} pairs, at most {_MOST_CORRELATED} may be); use longer blocks",
            allows_abort=True,
            correlation=measured.correlation,
            pairs=measured.pairs,
        )
        for measured in measurements
        if measured.cell.scope is Scope.SCENARIO
        and measured.cell.role is Role.CERTIFY
        and measured.cell.metric.quantile is not None
        and measured.pairs >= ENOUGH_FOR_CORRELATION
        and measured.correlation > _MOST_CORRELATED
    ]


def own_health_faults(table: Mapping[SeriesKey, Column], side: Side, policy: Policy) -> list[Fault]:
    """For a recording of known-good behaviour: this side failed no more than a baseline may."""
    seen = tally(
        part for (scope, _), column in table.items() if scope is Scope.SCENARIO for part in column.of(side)
    )
    if seen.ratio <= policy.max_baseline_error_ratio:
        return []
    sentence = (
        f"{share(seen.ratio)} of {seen.requests:,.0f} tasks on the {side} failed; "
        f"at most {share(policy.max_baseline_error_ratio)} may; this is not known-good behaviour"
    )
    return [fault(ReasonCode.BASELINE_UNHEALTHY, side, sentence, error_ratio=seen.ratio)]
