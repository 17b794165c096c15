"""What a check is told and may reach. Plain data between `rehearse` and the child process that runs pytest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.model import Side
from rehearse.tls import TlsOrder


@dataclass(frozen=True, slots=True)
class CheckedSide:
    """One side as a check reaches it. `headers` may hold secrets: this travels by pipe, never on a command line."""

    side: Side
    name: str
    url: str  # http(s), or of a database
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    tls: TlsOrder = field(default_factory=TlsOrder)
    other_sides: tuple[
        str, ...
    ] = ()  # "host:port" of the other targets: a redirect there would ask the wrong one
    proxy: str | None = field(default=None, repr=False)  # may hold a password


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """One answer that was seen under load."""

    side: Side
    endpoint: str  # "GET /products/{id}", as the load names it
    method: str
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The two sides, and who is asked now.

    A check asks `under_test`. When it fails on the candidate it is asked again with the baseline under test: what
    fails there too was broken before the upgrade.
    """

    baseline: CheckedSide | None  # None: recorded mode, nothing known-good runs now
    candidate: CheckedSide | None  # None: the baseline is recorded, and nothing else runs
    allow: tuple[str, ...]
    production: tuple[str, ...]
    side_effects: bool
    timeout_s: float  # of one check
    request_timeout_s: float = (
        10.0  # of one request: a side that hangs fails its check, before the check's own end
    )
    under_test: Side = Side.CANDIDATE

    @property
    def asked(self) -> CheckedSide:
        """The side under test. Raises ValueError when it is not there."""
        side = self.candidate if self.under_test is Side.CANDIDATE else self.baseline
        if side is None:
            raise ValueError(f"the {self.under_test} is under test, and is not there")
        return side
