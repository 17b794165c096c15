"""What the prober is told, and what it tells back: plain data between `rehearse` and its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.disruptions import INTERVAL_S, Probe
from rehearse.load.orders import SideOrder

MOST_PROBES = 16
LONGEST_S = 6 * 3600.0
NUMBER = "{n}"  # in a path or a body: the number of the sample, so that each write is a new one


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A probe and what it carries. May hold secrets: it travels by pipe, and is stored nowhere."""

    probe: Probe
    body: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class VersionPlace:
    """Where an answer names the version that gave it. At most one of both is set."""

    header: str = ""
    key: str = ""  # in a JSON object: "version", or "app.version"


@dataclass(frozen=True, slots=True)
class ProberOrder:
    """What is sent where. Each probe is due every `interval_s`, however long its answers take."""

    target: SideOrder
    probes: tuple[ProbeRequest, ...]
    allow: tuple[str, ...]
    production: tuple[str, ...] = ()
    interval_s: float = INTERVAL_S
    timeout_s: float = 1.0  # what takes longer has failed: as long as a user waits
    version: VersionPlace = field(default_factory=VersionPlace)
    at_most_s: float = LONGEST_S  # then it ends by itself
