"""Objectives as people write them: "<=+5%" is a margin against the baseline, "<800ms" a limit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rehearse.config.quantities import (
    read_amount,
    read_duration,
    read_percent,
    read_percent_a_minute,
    read_points,
    read_rate,
    write_amount,
    write_duration,
    write_percent,
    write_percent_a_minute,
    write_points,
    write_rate,
)
from rehearse.model import Metric, Objective


@dataclass(frozen=True, slots=True)
class Notation:
    """How the objectives of one metric are written."""

    margin_sign: str
    read_margin: Callable[[object], float]
    write_margin: Callable[[float], str]
    limit_sign: str
    read_limit: Callable[[object], float]
    write_limit: Callable[[float], str]
    margin_example: str
    limit_example: str

    @property
    def advice(self) -> str:
        """The end of a message about something that is none."""
        return f"write {self.margin_example} (against the baseline) or {self.limit_example} (on its own)"


_LATENCY = Notation(
    "<=+", read_percent, write_percent, "<", read_duration, write_duration, "'<=+5%'", "'<800ms'"
)
_ERRORS = Notation("<=+", read_points, write_points, "<", read_percent, write_percent, "'<=+0.1pp'", "'<1%'")
_COMPLETED = Notation(
    ">=-", read_percent, write_percent, ">", read_percent, write_percent, "'>=-3%'", "'>95%'"
)
_LEVEL = Notation(
    "<=+", read_percent, write_percent, "<", read_amount, write_amount, "'<=+10%'", "'<512MB' or '<80'"
)
_GROWTH = Notation(
    "<=+",
    read_percent_a_minute,
    write_percent_a_minute,
    "<",
    read_percent_a_minute,
    write_percent_a_minute,
    "'<=+5%/min'",
    "'<5%/min'",
)
_CAPACITY = Notation(">=-", read_percent, write_percent, ">", read_rate, write_rate, "'>=-10%'", "'>200/s'")
_OF_SERIES = (Metric.LEVEL, Metric.GROWTH)


def notation(metric: Metric) -> Notation:
    """How objectives for `metric` are written."""
    if metric.quantile is not None:
        return _LATENCY
    if metric is Metric.CAPACITY:
        return _CAPACITY
    if metric in _OF_SERIES:
        return _LEVEL if metric is Metric.LEVEL else _GROWTH
    return _ERRORS if metric is Metric.ERROR_RATIO else _COMPLETED


def read_objective(metric: Metric, given: object) -> Objective:
    """A rule such as "<=+5%", a list of a margin and a limit, or a table {is = ..., advisory = true}."""
    if not isinstance(given, Mapping):
        return _objective(metric, given, is_advisory=False)
    is_advisory = given.get("advisory", False)
    if "is" not in given or set(given) - {"is", "advisory"} or not isinstance(is_advisory, bool):
        example = notation(metric).margin_example
        raise ValueError(f"is not an objective; as a table: {{ is = {example}, advisory = true }}")
    return _objective(metric, given["is"], is_advisory)


def _objective(metric: Metric, given: object, is_advisory: bool) -> Objective:
    rules = given if isinstance(given, tuple | list) else (given,)
    numbers = dict(_read_rule(metric, rule) for rule in rules)
    if not rules or len(numbers) != len(rules):
        raise ValueError(f"needs a margin, a limit, or one of each; {notation(metric).advice}")
    return Objective(metric, numbers.get("margin"), numbers.get("limit"), is_advisory)


def _read_rule(metric: Metric, rule: object) -> tuple[str, float]:
    """Whether it is a margin or a limit, and its number."""
    kind, number = _split(metric, rule)
    if number == 0:
        raise ValueError(f"is a {kind} of nothing, which no measurement can prove; allow a little")
    is_of_one = metric.quantile is None and (kind == "margin" or metric is not Metric.CAPACITY)
    is_of_one = is_of_one and metric not in _OF_SERIES
    if is_of_one and number >= 1:
        raise ValueError(f"is a {kind} that is always kept, or never")
    return kind, number


def _split(metric: Metric, rule: object) -> tuple[str, float]:
    known, text = notation(metric), rule if isinstance(rule, str) else ""
    nothing_known = ValueError(f"is not an objective for the {metric}; {known.advice}")
    try:
        if text.startswith(known.margin_sign):
            return "margin", known.read_margin(text.removeprefix(known.margin_sign))
        if text.startswith(known.limit_sign):
            return "limit", known.read_limit(text.removeprefix(known.limit_sign))
    except ValueError:
        raise nothing_known from None
    raise nothing_known


def write_objective(objective: Objective) -> object:
    """As it would stand in the file: the opposite of `read_objective`."""
    known, rules = notation(objective.metric), []
    if objective.margin is not None:
        rules.append(f"{known.margin_sign}{known.write_margin(objective.margin)}")
    if objective.limit is not None:
        rules.append(f"{known.limit_sign}{known.write_limit(objective.limit)}")
    written = rules if len(rules) > 1 else rules[0]
    return {"is": written, "advisory": True} if objective.is_advisory else written
