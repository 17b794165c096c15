"""What a target says of itself: facts, the data that it works on, and series by way of Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rehearse.model.load import Side


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What a target said of itself before load: versions, row counts, anything its owner finds telling."""

    side: Side
    name: str
    url: str
    facts: Mapping[str, str] = field(default_factory=dict)


class Moment(StrEnum):
    """When something was asked of a target."""

    BEFORE = "before"  # the load
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class DataState:
    """What data one side worked on: which set, and how many rows of each kind."""

    side: Side
    moment: Moment
    data_set: str = ""  # how its owner names it; empty when it has no name
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesWindow:
    """What one server-side series was on one side while one round was measured; `trouble` says why it is unusable."""

    name: str
    side: Side
    round: int
    query: str  # as the policy has it; another query is another series
    length_s: float
    step_s: float  # the distance of the points
    points: tuple[tuple[float, float], ...] = ()  # (seconds since the first measured block, value)
    trouble: str = ""
