"""What a check is told and may reach. Plain data between `rehearse` and the child process that runs pytest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.model import Side


@dataclass(frozen=True, slots=True)
class CheckedSide:
    """One side as a check reaches it. `headers` may hold secrets: this travels by pipe, never on a command line."""

    side: Side
    name: str
    url: str  # http(s), or of a database
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The two sides, and who is asked now.

    A check asks `under_test`. When it fails on the candidate it is asked again with the baseline under test: what
    fails there too was broken before the upgrade.
    """

    baseline: CheckedSide | None  # None: recorded mode, nothing known-good runs now
    candidate: CheckedSide
    allow: tuple[str, ...]
    production: tuple[str, ...]
    side_effects: bool
    timeout_s: float  # of one check
    under_test: Side = Side.CANDIDATE
