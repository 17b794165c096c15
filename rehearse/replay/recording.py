"""What was recorded, in one form, whatever it was recorded by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.codec import JsonData

SAFE_METHODS = frozenset({"GET", "HEAD"})
MAX_ARRIVALS = 100_000  # of one schedule


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: JSON as data, anything else as text."""

    json: JsonData = None
    text: str | None = None  # of a form; None: it is JSON


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a journey, or one of several paths of one route, each as often as it was seen."""

    method: str
    name: str  # "/products/[id]": what reports call it
    paths: Mapping[str, int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """What one user does in one go; `weight` times as often as one of weight 1."""

    title: str
    steps: tuple[Step, ...]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Recording:
    """Journeys, and an account of what is not in them."""

    source: str  # "shop.har (HAR)"
    journeys: tuple[Journey, ...]
    base_url: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> how many
    scrubbed: Mapping[str, int] = field(default_factory=dict)  # "query token" -> how often
    notes: tuple[str, ...] = ()
    arrivals_s: tuple[
        float, ...
    ] = ()  # when a journey began, since the first one; empty where nobody wrote it down

    @property
    def requests(self) -> int:
        """Different requests in it."""
        return sum(len(step.paths) for journey in self.journeys for step in journey.steps)
