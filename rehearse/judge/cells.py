"""Which cells a rehearsal has, and what each is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rehearse.histogram import Histogram
from rehearse.judge.latency import quantile_noise, relative_margin
from rehearse.judge.pairs import Column, SeriesKey
from rehearse.judge.stats import requests_to_certify
from rehearse.model import Cell, Metric, Objective, Policy, Role, Scope, Side

ALL_SCENARIOS = "all scenarios"
_METRICS = tuple(Metric)
_ONE_FAILURE = 1.6  # Poisson's 95 % bound after one event over that after none
# Standard errors of chance: 1.65 for the bound and 2.3 for luck, since every cell must pass; 1.2 times that for a
# reference of the same length, and as much again for starts and hosts.
_ROOM = 6.0
_OF_THE_WHOLE = (Metric.COMPLETED_RATIO, Metric.CAPACITY)


def cells_of(policy: Policy, table: Mapping[SeriesKey, Column]) -> tuple[Cell, ...]:
    """Every cell that the policy has an objective for, in reading order."""
    totals = {side: _endpoint_requests(table, side) for side in Side}
    series = [_Counted(scope, name, column, totals) for (scope, name), column in table.items()]
    return _completed_cells(policy, table) + tuple(
        Cell(one.scope, one.name, objective.metric, _role(policy, objective, one), objective)
        for one in series
        for objective in _objectives(policy, one.name)
        if objective.metric not in _OF_THE_WHOLE
    )


def capacity_cells(policy: Policy) -> tuple[Cell, ...]:
    """The one cell of the capacity probe, when there is a probe and something is asked of it."""
    return tuple(
        Cell(
            Scope.REHEARSAL,
            ALL_SCENARIOS,
            objective.metric,
            Role.ADVISORY if objective.is_advisory else Role.CERTIFY,
            objective,
        )
        for objective in _objectives(policy, ALL_SCENARIOS)
        if policy.capacity is not None and objective.metric is Metric.CAPACITY
    )


def _completed_cells(policy: Policy, table: Mapping[SeriesKey, Column]) -> tuple[Cell, ...]:
    """What was completed is known of the load as a whole: one cell, named after the scenario when there is one."""
    scenarios = [name for scope, name in table if scope is Scope.SCENARIO]
    scope, name = (Scope.SCENARIO, scenarios[0]) if len(scenarios) == 1 else (Scope.REHEARSAL, ALL_SCENARIOS)
    return tuple(
        Cell(
            scope, name, objective.metric, Role.ADVISORY if objective.is_advisory else Role.CERTIFY, objective
        )
        for objective in _objectives(policy, name)
        if scenarios and objective.metric is Metric.COMPLETED_RATIO
    )


def cell_of_kind(cell: Cell, kind: str) -> Cell:
    """The cell of one kind of error on the series of `cell`; it can only ABORT."""
    return Cell(cell.scope, f"{cell.name} [{kind}]", cell.metric, Role.WATCH, cell.objective)


def _objectives(policy: Policy, name: str) -> list[Objective]:
    """What is asked of one series; an objective that asks for nothing is none."""
    objectives = policy.objectives_for(name)
    asked = [
        objective for objective in objectives if objective.margin is not None or objective.limit is not None
    ]
    return sorted(asked, key=lambda objective: _METRICS.index(objective.metric))


@dataclass(frozen=True)
class _Counted:
    """One series with what its roles depend on."""

    scope: Scope
    name: str
    column: Column
    totals: Mapping[Side, int]

    @cached_property
    def baseline(self) -> Histogram:
        """All durations of the baseline, once for all quantiles."""
        return Histogram.merged(part.judged for part in self.column.baseline)


def _role(policy: Policy, objective: Objective, series: _Counted) -> Role:
    if objective.is_advisory:
        return Role.ADVISORY
    if series.name in policy.critical or series.scope is Scope.SCENARIO:
        return Role.CERTIFY
    is_small = largest_share(series.column, series.totals) < policy.certify_share_ratio
    if series.scope is not Scope.ENDPOINT or is_small:
        return Role.WATCH
    has_room = _errors_have_room if objective.metric is Metric.ERROR_RATIO else _latency_has_room
    return Role.CERTIFY if has_room(policy, objective, series) else Role.WATCH


def large_endpoints(policy: Policy, table: Mapping[SeriesKey, Column]) -> frozenset[str]:
    """The endpoints with a share of the requests at which they are certified, where they have enough of them."""
    totals = {side: _endpoint_requests(table, side) for side in Side}
    return frozenset(
        name
        for (scope, name), column in table.items()
        if scope is Scope.ENDPOINT and largest_share(column, totals) >= policy.certify_share_ratio
    )


def largest_share(column: Column, totals: Mapping[Side, int]) -> float:
    """The larger of the two sides' shares of requests: a candidate that answers less cannot hide an endpoint."""
    return max(column.requests(side) / totals[side] if totals[side] else 0.0 for side in Side)


def _errors_have_room(policy: Policy, objective: Objective, series: _Counted) -> bool:
    """False for an error margin that an endpoint with so few requests could not prove after a single failure.

    The endpoint's errors are certified with the scenario's total then, and the report says so.
    """
    if objective.margin is None:
        return True
    needed = requests_to_certify(objective.margin, policy.go_alpha)
    return needed is not None and max(series.column.requests(side) for side in Side) >= needed * _ONE_FAILURE


def _latency_has_room(policy: Policy, objective: Objective, series: _Counted) -> bool:
    """False for a margin that chance alone, with so few samples of such a spread, would often leave open.

    Told from the baseline alone: a candidate that answers unsteadily must not lower what is asked of it.
    """
    quantile = objective.metric.quantile
    if quantile is None or objective.margin is None:
        return True
    if not series.baseline.count:
        return True
    margin = relative_margin(objective.margin, policy.floor_s, series.baseline.quantile_s(quantile))
    return _ROOM * math.sqrt(2) * quantile_noise(series.baseline, quantile) <= margin


def _endpoint_requests(table: Mapping[SeriesKey, Column], side: Side) -> int:
    return sum(column.requests(side) for (scope, _), column in table.items() if scope is Scope.ENDPOINT)
