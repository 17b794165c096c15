"""A project whose cutover is real but for load, probes and steps."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from typer.testing import CliRunner

from bench.verdict.evidence import finals_of, healthy_rig, histogram
from rehearse import rehearsal
from rehearse.cli import app
from rehearse.config import Settings, load_settings
from rehearse.cutover.steps import RunningStep, ScriptedRunner
from rehearse.cutting_over import story
from rehearse.disruptions import ProbeLog, Sample, SampleOutcome
from rehearse.errors import Interrupted, NotReady
from rehearse.load.engine import BlockClosed, LoadEvent, LoadStarted, Tick, WorkerDone
from rehearse.load.orders import LoadOrder
from rehearse.model import (
    Arrivals,
    Block,
    RequestOutcome,
    Scope,
    Series,
    Side,
)
from rehearse.prober.orders import ProberOrder
from rehearse.progress import Silence
from rehearse.store.records import Store
from tests.servers import Site

BLOCK_S = 0.05
CONFIG = """
[targets.shop]
role = "in-place"
url = "{url}"
facts = "/version"

[safety]
allow = ["127.0.0.1"]

[load]
rate = 20

[[scenarios]]
name = "shop"
file = "visit.py"

[cutover]
settle = "100ms"
budget = "400ms"
window = "100ms"

[exit_plan]
decide_by = "T+5m"

[[exit_plan.steps]]
name = "expand"
run = ["expand"]
undo = ["contract"]
window = "old app, new schema"

[[exit_plan.steps]]
name = "switch"
run = ["switch", "--password", "canary-4711-secret"]
undo = ["switch", "back"]
"""


class PacedSession:
    """Load in real time: every 0.05 s a block in which all is well."""

    def __init__(self, error: NotReady | None = None) -> None:
        self.is_stopped = False
        self.error = error

    def events(self) -> Iterator[LoadEvent]:
        began_s, blocks = time.monotonic(), list[Block]()
        yield LoadStarted({})
        while not self.is_stopped:
            yield Tick(time.monotonic() - began_s)
            if time.monotonic() - began_s >= (len(blocks) + 1) * BLOCK_S:
                blocks.append(block(len(blocks)))
                yield BlockClosed(blocks[-1])
            if self.error is not None and len(blocks) > 40:
                raise self.error
            time.sleep(0.005)
        yield from (WorkerDone(final) for final in finals_of(blocks))

    def stop(self, drain_s: float) -> None:
        del drain_s
        self.is_stopped = True

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        del side, headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_stopped = True


def block(index: int) -> Block:
    durations = {RequestOutcome.OK: histogram(np.full(20, 0.01))}
    scopes = ((Scope.SCENARIO, "shop"), (Scope.TASK, "look"), (Scope.ENDPOINT, "GET /x"))
    series = tuple(Series(scope, name, durations) for scope, name in scopes)
    arrivals = Arrivals(20, 20, ok=20)
    return Block(
        Side.CANDIDATE, 0, index, index == 0, index * BLOCK_S, BLOCK_S, arrivals, series, healthy_rig(20)
    )


@dataclass
class PacedEngine:
    error: NotReady | None = None

    def start(self, order: LoadOrder) -> PacedSession:
        del order
        return PacedSession(self.error)


class CalmSession:
    """Probes that were always served."""

    def __init__(self, order: ProberOrder) -> None:
        self.probes = tuple(one.probe for one in order.probes)
        self.began_s = time.monotonic()

    def log(self) -> ProbeLog:
        ended_s = time.monotonic()
        moments = np.arange(self.began_s, ended_s, 0.1)
        samples = tuple(
            Sample(probe.name, float(at), 0.0, 0.001, SampleOutcome.OK)
            for at in moments
            for probe in self.probes
        )
        return ProbeLog(self.probes, 0.1, self.began_s, ended_s, samples, is_whole=True)

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        del headers

    def stop(self) -> ProbeLog:
        return self.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class CalmProber:
    def __init__(self) -> None:
        self.orders: list[ProberOrder] = []

    def start(self, order: ProberOrder) -> CalmSession:
        self.orders.append(order)
        return CalmSession(order)


@dataclass
class InterruptedRunner(ScriptedRunner):
    """Ctrl-C while this command runs."""

    at: tuple[str, ...] = ()

    def start(self, argv: Sequence[str], log: Path) -> RunningStep:
        running = super().start(argv, log)
        if tuple(argv) == self.at:
            raise Interrupted(2)
        return running


@dataclass
class MigratingRunner(ScriptedRunner):
    """A step changes the schema of a database; the undo takes that back, or forgets it."""

    database: Path = Path()
    statements: Mapping[str, str] = field(default_factory=dict)

    def start(self, argv: Sequence[str], log: Path) -> RunningStep:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(self.statements.get(argv[0], "select 1"))
        return super().start(argv, log)


@dataclass
class Stage:
    root: Path
    site: Site
    runner: ScriptedRunner = field(default_factory=ScriptedRunner)
    prober: CalmProber = field(default_factory=CalmProber)
    engine: PacedEngine = field(default_factory=PacedEngine)
    minutes: int = 0

    def settings(self, **changes: object) -> Settings:
        return load_settings(self.root / "rehearse.toml", {}, changes)

    def parts(self) -> story.CutoverParts:
        self.minutes += 1
        now = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(minutes=self.minutes)
        return story.CutoverParts(self.engine, Silence(), lambda: now, runner=self.runner, prober=self.prober)

    def cutover(self, **changes: object) -> rehearsal.Comparison:
        return story.cutover(self.settings(**changes), self.parts(), "rehearse cutover")

    def store(self) -> Store:
        return Store.open(self.settings().store_url)

    def ask_for_cutovers(self) -> None:
        """From now on the gate does."""
        with (self.root / "rehearse.toml").open("a") as file:
            file.write('\n[gate]\nrequires = ["cutover"]\nmax_age = "8000h"\n')

    def gate(self, candidate: str = "version=1.0") -> int:
        """Its exit code."""
        return self.run("gate", "--candidate", candidate)[0]

    def run(self, *args: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*args, "--config", str(self.root / "rehearse.toml")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output
