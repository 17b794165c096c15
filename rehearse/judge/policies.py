"""How one policy differs from another, in words that a report can show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from rehearse.judge.wording import level, margin
from rehearse.model import Metric, Objective, Policy

_IN_OTHER_WORDS = {
    "objectives",
    "overrides",
    "series",
    "capacity",
}  # the capacity probe was made as it was made


def policy_differences(fixed: Policy, other: Policy) -> tuple[str, ...]:
    """What `other` asks in another way than `fixed`, one line each; empty when both judge alike."""
    names = ["", *sorted({*fixed.overrides, *other.overrides})]
    asked = [line for name in names for line in _of_objectives(fixed, other, name)]
    return (*asked, *_of_series(fixed, other), *_of_fields("", fixed, other))


def _of_series(fixed: Policy, other: Policy) -> Iterator[str]:
    then, now = (
        {
            f"{one.name} {asked.metric}": (asked, one.unit, one.floor, one.queries)
            for one in policy.series
            for asked in one.objectives
        }
        for policy in (fixed, other)
    )
    for label in sorted({*then, *now}):
        if then.get(label) != now.get(label):
            yield f"{label}: {_of_one_series(now.get(label))}, was {_of_one_series(then.get(label))}"


def _of_one_series(asked: tuple[Objective, str, float, tuple[str, str]] | None) -> str:
    if asked is None:
        return "not asked for"
    objective, unit, floor, queries = asked
    words = _asked(objective, unit)
    return f"{words} (floor {floor:g}, {' and '.join(dict.fromkeys(queries))})"


def _of_objectives(fixed: Policy, other: Policy, name: str) -> Iterator[str]:
    then, now = _by_metric(fixed, name), _by_metric(other, name)
    for metric in Metric:
        if then.get(metric) != now.get(metric):
            of = f" of {name}" if name else ""
            yield f"{metric}{of}: {_asked(now.get(metric))}, was {_asked(then.get(metric))}"


def _by_metric(policy: Policy, name: str) -> dict[Metric, Objective]:
    chosen = policy.overrides.get(name, ()) if name else policy.objectives
    return {objective.metric: objective for objective in chosen}


def _asked(objective: Objective | None, unit: str = "") -> str:
    if objective is None:
        return "as the others"
    metric = objective.metric
    parts = [] if objective.margin is None else [f"at most {margin(metric, _on_scale(objective))}"]
    parts += [] if objective.limit is None else [f"limit {level(metric, objective.limit, unit)}"]
    return " and ".join(parts or ["nothing"]) + (", advisory" if objective.is_advisory else "")


def _on_scale(objective: Objective) -> float:
    """The margin as `wording.margin` takes it: relative ones as a logarithm."""
    size = objective.margin or 0.0
    if not objective.metric.is_relative:
        return size
    return math.log1p(size) if objective.metric.lower_is_better else -math.log1p(-size)


def _of_fields(path: str, fixed: object, other: object) -> Iterator[str]:
    for field in fields(fixed):  # type: ignore[arg-type]  # a dataclass: the policy, or one inside it
        if not path and field.name in _IN_OTHER_WORDS:
            continue
        then, now = getattr(fixed, field.name), getattr(other, field.name)
        name = f"{path}{field.name}"
        if is_dataclass(then) and is_dataclass(now):
            yield from _of_fields(f"{name}.", then, now)
        elif then != now:
            yield f"{name}: {_plain(now)}, was {_plain(then)}"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
