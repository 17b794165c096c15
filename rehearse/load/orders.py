"""What a load run is told to do, and what it tells back: plain data between `rehearse` and its worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearse.load.schedule import Schedule
from rehearse.model import Side
from rehearse.tls import TlsOrder


@dataclass(frozen=True, slots=True)
class ScenarioOrder:
    """One Locust file; its share of the arrivals stands in the schedule."""

    name: str
    file: str
    tags: tuple[str, ...] = ()  # only tasks with one of these, if any are given
    exclude_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SideOrder:
    """Where one side's load goes. `headers` may hold secrets: this travels by pipe, never on a command line."""

    side: Side
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: TlsOrder = field(default_factory=TlsOrder)
    other_sides: tuple[str, ...] = ()  # "host:port" of the other targets, where this side's load must not go
    proxy: str | None = field(default=None, repr=False)
    through: tuple[str, int] | None = None  # a fault proxy before it: where connections to it lead


@dataclass(frozen=True, slots=True)
class SamplingOrder:
    """How many answers of each endpoint and status one worker keeps in one round, and how much of each."""

    samples: int
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """One round of load on one side, or on both at the same moment."""

    sides: tuple[SideOrder, ...]
    schedule: Schedule
    round: int
    scenarios: tuple[ScenarioOrder, ...]
    allow: tuple[str, ...]
    production: tuple[str, ...]
    side_effects: bool  # False: only GET, HEAD and OPTIONS leave the process
    users: int
    workers: int
    timeout_s: float
    log_dir: str  # each worker's own log and spool go here
    working_dir: str
    expected: Mapping[str, str] = field(
        default_factory=dict
    )  # what the run's record says the workers must load
    sampling: SamplingOrder | None = None  # None: answers are not looked into
    secrets: tuple[str, ...] = ()  # that stand in no log and no report of a worker


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """The part of a LoadOrder that one worker process needs."""

    target: SideOrder
    schedule: Schedule
    round: int
    scenarios: tuple[ScenarioOrder, ...]
    allow: tuple[str, ...]
    production: tuple[str, ...]
    side_effects: bool  # False: only GET, HEAD and OPTIONS leave the process
    users: int
    worker: int
    workers: int
    timeout_s: float
    spool: str
    sampling: SamplingOrder | None = None
    secrets: tuple[str, ...] = ()


def worker_file(order: LoadOrder, side: Side, worker: int, kind: str) -> Path:
    """A file of one worker, such as its "log" or its "spool"."""
    return Path(order.log_dir) / f"{side}-round{order.round}-worker{worker}.{kind}"


def worker_order(order: LoadOrder, target: SideOrder, worker: int) -> WorkerOrder:
    """What worker number `worker` of `target`'s side is told; users are split over the workers."""
    users = order.users // order.workers + (worker < order.users % order.workers)
    return WorkerOrder(
        target=target,
        schedule=order.schedule,
        round=order.round,
        scenarios=order.scenarios,
        allow=order.allow,
        production=order.production,
        side_effects=order.side_effects,
        users=max(1, users),
        worker=worker,
        workers=order.workers,
        timeout_s=order.timeout_s,
        spool=str(worker_file(order, target.side, worker, "spool")),
        sampling=order.sampling,
        secrets=order.secrets,
    )
