"""Abort criteria while load runs: whether what users get now is proven to be beyond what an objective allows.

Chance must not turn an upgrade back: the part of the requests that are beyond the limit is an exact binomial bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from rehearse.judge.pairs import scenario_total
from rehearse.judge.stats import binomial_lower
from rehearse.judge.wording import duration, share
from rehearse.model import Block, Metric, Objective, Scope

WATCHED = (
    Metric.P50,
    Metric.P95,
    Metric.P99,
    Metric.ERROR_RATIO,
)  # the others show only over a whole recording


def broken_by(
    objective: Objective, before: Sequence[Block], recent: Sequence[Block], alpha: float, floor_s: float = 0.0
) -> str:
    """How `recent` blocks break the objective, in words; empty when that is not proven."""
    if objective.metric is Metric.ERROR_RATIO:
        return _by_errors(objective, before, recent, alpha)
    quantile = objective.metric.quantile
    return "" if quantile is None else _by_latency(objective, quantile, before, recent, alpha, floor_s)


def _by_errors(objective: Objective, before: Sequence[Block], recent: Sequence[Block], alpha: float) -> str:
    failed, requests = _counts(recent)
    failed_before, requests_before = _counts(before)
    limits = [objective.limit] if objective.limit is not None else []
    if objective.margin is not None and requests_before:
        limits.append(failed_before / requests_before + objective.margin)
    if not limits or not failed or binomial_lower(failed, requests, alpha) <= min(limits):
        return ""
    return f"{failed} of {requests} failed, and {share(min(limits))} may"


def _by_latency(
    objective: Objective,
    quantile: float,
    before: Sequence[Block],
    recent: Sequence[Block],
    alpha: float,
    floor_s: float,
) -> str:
    seen, usual_s = scenario_total(recent), scenario_total(before).quantile_s(quantile)
    limits = [objective.limit] if objective.limit is not None else []
    if objective.margin is not None and usual_s is not None:
        limits.append(usual_s + max(usual_s * objective.margin, floor_s))
    if not limits:
        return ""
    slow = seen.overflow + sum(count for value_s, count in seen.buckets() if value_s > min(limits))
    if not slow or binomial_lower(slow, seen.count, alpha) <= 1 - quantile:
        return ""
    return f"{slow} of {seen.count} took longer than {duration(min(limits))}, and {share(1 - quantile)} may"


def _counts(blocks: Sequence[Block]) -> tuple[int, int]:
    own = [series for block in blocks for series in block.series if series.scope is Scope.SCENARIO]
    return sum(series.failed for series in own), sum(series.count() for series in own)
