"""A forecast in the few lines that somebody reads before load."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rehearse.judge.forecast import Forecast
from rehearse.judge.prospects import Prospect, Unknown
from rehearse.judge.wording import margin
from rehearse.model import Metric, Mode

_MOST_LINES = 3
_NAMES = {Metric.ERROR_RATIO: "errors", Metric.COMPLETED_RATIO: "completed"}
_WAYS_ON = (
    "Accept a larger margin (objectives), plan more load (load.budget), let it be watched only (judge.critical, "
    "judge.certify_share, `advisory = true`), or run with --advisory."
)


def lasting(seconds: float) -> str:
    """A length of load as people plan it: "44 s", "7 min"."""
    if seconds < 100:
        return f"{math.ceil(seconds):g} s"
    return (
        f"{math.ceil(seconds / 6 - 1e-9) / 10:.3g} min"
        if seconds < 600
        else f"{math.ceil(seconds / 60):,} min"
    )


def forecast_lines(told: Forecast) -> list[str]:
    """What can be certified, worst cell of each metric, and what is out of reach."""
    if not told.prospects:
        return [f"what can be certified is not known before load: {told.source}"]
    beyond = [one for one in told.prospects if not one.can_be_certified]
    return [
        f"{lasting(told.plan.measured_s)} of load can certify {', '.join(_by_metric(told.prospects, 'reach'))}",
        f"and would show a worsening of {', '.join(_by_metric(told.prospects, 'visible'))} ({told.source})",
        *(f"out of reach: {_out_of_reach(one, told)}" for one in beyond[:_MOST_LINES]),
        *([f"and {len(beyond) - _MOST_LINES} more cells out of reach"] if len(beyond) > _MOST_LINES else []),
        *(_not_foretold(one) for one in told.unknown),
    ]


def _not_foretold(one: Unknown) -> str:
    metric, allowed = one.cell.metric, one.cell.objective.margin or 0.0
    size = math.log1p(allowed) if metric.is_relative else allowed
    return f"not foretold: {one.cell.label} {margin(metric, size)}: {one.why}"


def _by_metric(prospects: Sequence[Prospect], name: str) -> list[str]:
    """The worst certified cell of each metric."""
    found = []
    for metric in Metric:
        sizes = [getattr(one, name) for one in prospects if one.cell.metric is metric]
        if sizes:
            found.append(f"{_NAMES.get(metric, metric)} {_size(metric, max(sizes))}")
    return found


def _size(metric: Metric, size: float) -> str:
    return margin(metric, size) if math.isfinite(size) else "nothing"


def _out_of_reach(one: Prospect, told: Forecast) -> str:
    metric = one.cell.metric
    allowed = f"{one.cell.label} {margin(metric, one.margin)}"
    if not math.isfinite(one.reach):
        return f"{allowed}: {one.shortage or 'nothing is known of it'}; {_what_would_do(one, told)}"
    return f"{allowed} ({_size(metric, one.reach)} is in reach); {_what_would_do(one, told)}"


def _what_would_do(one: Prospect, told: Forecast) -> str:
    if one.needed_s is not None and told.plan.measured_s < one.needed_s < math.inf:
        return f"plan {lasting(one.needed_s)} of load"
    if told.plan.mode is Mode.RECORDED or told.plan.restarted:
        return "more rounds (load.rounds) bring it nearer, more minutes do not"
    if not told.is_measured:
        return "a baseline of both targets (`rehearse baseline`) brings it nearer, more minutes do not"
    return "rounds with restarted targets (load.rounds, `restart`) bring it nearer, more minutes do not"


def refusal(told: Forecast) -> str | None:
    """Why this load would be a waste; None when no cell is out of reach for good."""
    if not told.refused:
        return None
    first = told.refused[0]
    metric, more = first.cell.metric, len(told.refused) - 1
    others = f" (and {more} more cell{'s' if more > 1 else ''})" if more else ""
    seen = (
        first.shortage
        if math.isinf(first.expected)
        else f"an unchanged candidate is expected to end at up to {_size(metric, first.expected)}"
    )
    return (
        f"{first.cell.label}{others} cannot be certified in {lasting(told.plan.measured_s)} of load: its margin is "
        f"{margin(metric, first.margin)}, and {seen} ({told.source}); {_what_would_do(first, told)}. {_WAYS_ON}"
    )
