"""A whole cutover in one process without waiting: a clock that jumps, load that is drawn, steps that change a pretended
environment, probes that see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np

from bench.verdict.evidence import finals_of, healthy_rig, histogram
from rehearse.config import Settings, load_settings
from rehearse.cutover.exhibits import (
    cutover_evidence,
    probes_exhibit,
    terms_exhibit,
)
from rehearse.cutover.questions import AskedTwice
from rehearse.cutover.rows import RowKeeper, RowsInMemory
from rehearse.cutover.steps import ScriptedStep
from rehearse.cutover_results import cutover_result_of, judge_stored_cutover
from rehearse.cutovers import CutoverEvidence
from rehearse.cutting_over.crew import Recording, criteria_of
from rehearse.cutting_over.orders import CutoverOrder, order_of, record_of
from rehearse.cutting_over.verifying import ScriptedVerifier, Verified
from rehearse.cutting_over.walk import Crew, Walk
from rehearse.disruptions import Probe, ProbeLog, Sample, SampleOutcome
from rehearse.errors import NotReady
from rehearse.journal import Journal, iso
from rehearse.load.engine import BlockClosed, WorkerDone
from rehearse.model import (
    Arrivals,
    Block,
    ErrorBin,
    RequestOutcome,
    Result,
    RunState,
    Scope,
    Series,
    Side,
    TargetFacts,
    Verdict,
)
from rehearse.progress import Silence
from rehearse.store.records import Store
from rehearse.wiring.records import cutover_record

T = TypeVar("T")
BEGAN_S = 1_000.0
RATE = 20
PROBES = (Probe("read"), Probe("write", "POST", "/orders", is_write=True))

CONFIG = """
[cutover]
settle = "1s"
budget = "6s"
window = "3s"

[targets.shop]
role = "in-place"
url = "http://127.0.0.1:9"
facts = "/version"

[cutover.survival]
write = { path = "/rows/{row}" }
read = { path = "/rows/{row}" }

[safety]
allow = ["127.0.0.1"]
side_effects = true

[load]
rate = 20

[[scenarios]]
name = "shop"
file = "visit.py"

[objectives]
p95 = "<=+20%"
error_ratio = "<=+1pp"

[exit_plan]
decide_by = "T+5m"

[[exit_plan.abort]]
when = "more fails than is normal"
objective = "error_ratio"

[[exit_plan.steps]]
name = "expand"
run = ["expand"]
undo = ["contract"]
window = "old app, new schema"
timeout = "30s"

[[exit_plan.steps]]
name = "switch"
run = ["switch"]
undo = ["switch", "back"]
timeout = "30s"
"""
FORWARD = """
[[exit_plan.forward]]
name = "deploy 2.1"
run = ["deploy", "2.1"]
"""


def decided_before_drop(text: str) -> str:
    """A plan with a step `drop` that cannot be undone needs its decision before that."""
    return text.replace('decide_by = "T+5m"', 'decide_by = "T+5m"\ndecide_before = "drop"')


def project(root: Path, more: str = "", change: Callable[[str], str] = str) -> Settings:
    """The settings of a small project in `root`."""
    (root / "visit.py").write_text("")
    (root / "rehearse.toml").write_text(change(CONFIG) + more)
    return load_settings(root / "rehearse.toml", {}, {})


@dataclass
class Environment:
    """What a pretended environment does now. Steps change it; load and probes see it."""

    latency_s: float = 0.010
    failing: float = 0.0  # share of the load
    version: str = "1.0"
    schema: str = "a"
    is_down: bool = False
    rows: RowsInMemory = field(default_factory=RowsInMemory)

    def facts(self) -> str:
        """What it says of itself."""
        return f"version {self.version}"


Effect = Callable[[Environment], None]


@dataclass
class Happening:
    """A cutover without waiting."""

    root: Path
    settings: Settings
    effects: dict[tuple[str, ...], Effect] = field(default_factory=dict)
    scripts: dict[tuple[str, ...], ScriptedStep | OSError] = field(default_factory=dict)
    checks: dict[str, Verified] = field(default_factory=dict)
    environment: Environment = field(default_factory=Environment)
    with_forward: bool = False
    spoil_log: Callable[[ProbeLog], ProbeLog] = lambda log: log
    has_probes: bool = True
    is_complete: bool = True
    ran: list[tuple[str, ...]] = field(default_factory=list)
    clock_s: float = BEGAN_S
    down: list[tuple[float, float, str]] = field(default_factory=list)  # outages, as they were
    trouble: str = ""
    answers_take_s: float = 0.0
    at: dict[float, Effect] = field(default_factory=dict)  # things that happen by themselves, by seconds
    _blocks: list[Block] = field(default_factory=list)
    _versions: list[tuple[float, str]] = field(default_factory=lambda: [(BEGAN_S, "1.0")])
    _down_since: float | None = None
    _random: Random = field(default_factory=lambda: Random(7))

    # --- time, load

    def now_s(self) -> float:
        """See Pace."""
        return self.clock_s

    def attend(self, for_s: float) -> None:
        """See Pace."""
        until_s = self.clock_s + for_s
        for moment_s in sorted(self.at):
            if BEGAN_S + moment_s <= until_s:
                self.at.pop(moment_s)(self.environment)
        while BEGAN_S + len(self._blocks) + 1 <= until_s:
            self._close()
        self.clock_s = until_s
        self._note()

    def ask(self, question: Callable[[], T], meanwhile: Callable[[], None]) -> T:
        """See Pace."""
        until_s = self.clock_s + self.answers_take_s
        while self.clock_s < until_s:
            self.attend(0.25)
            meanwhile()
        return question()

    def _close(self) -> None:
        environment = self.environment
        index, share = len(self._blocks), 1.0 if environment.is_down else environment.failing
        failed = sum(self._random.random() < share for _ in range(RATE))
        seconds = np.array(
            [environment.latency_s * self._random.uniform(0.9, 1.1) for _ in range(RATE - failed)]
        )
        durations = {RequestOutcome.OK: histogram(seconds)} if failed < RATE else {}
        if failed:
            durations[RequestOutcome.ERROR] = histogram(np.full(failed, 0.001))
        errors = (ErrorBin("status 500", 2 * index, failed),) if failed else ()
        series = tuple(
            Series(scope, name, durations, errors)
            for scope, name in ((Scope.SCENARIO, "shop"), (Scope.TASK, "look"), (Scope.ENDPOINT, "GET /x"))
        )
        block = Block(
            side=Side.CANDIDATE,
            round=0,
            index=index,
            is_warm_up=index == 0,
            start_s=float(index),
            length_s=1.0,
            arrivals=Arrivals(RATE, RATE, ok=RATE - failed, error=failed),
            series=series,
            rig=healthy_rig(RATE),
        )
        self._blocks.append(block)
        self._recording.keep(BlockClosed(block))

    def _note(self) -> None:
        """What the probes will have seen."""
        environment = self.environment
        if environment.version != self._versions[-1][1]:
            self._versions.append((self.clock_s, environment.version))
        if environment.is_down and self._down_since is None:
            self._down_since = self.clock_s
        if not environment.is_down and self._down_since is not None:
            self.down.append((self._down_since, self.clock_s, "refused"))
            self._down_since = None

    # --- steps

    def start(self, argv: Sequence[str], log: Path) -> ScriptedStep:
        """See StepRunner."""
        del log
        self.ran.append(tuple(argv))
        found = self.scripts.get(tuple(argv), ScriptedStep(0, 10, ""))
        if isinstance(found, OSError):
            raise found
        effect = self.effects.get(tuple(argv))
        if effect is not None:
            effect(self.environment)
        self._note()
        return replace(found)

    # --- the whole

    def run(self) -> tuple[Verdict, Result, CutoverEvidence]:
        """All of it: walked, stored, judged from the store, reported."""
        order = order_of(self.settings, str, with_forward=self.with_forward)
        now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        place = order.settings
        with Store.open(self.settings.store_url) as store:
            record = record_of(self.settings, cutover_record(place, now, "rehearse cutover"), place)
            journal = Journal(store, record)
            journal.add_exhibit(terms_exhibit(order.terms))
            self._recording = Recording(journal, order)
            self._recording.begins(BEGAN_S)
            self.walk(order, journal)
            if self.has_probes:
                journal.add_exhibit(probes_exhibit(self.spoil_log(self._log())))
            for final in finals_of(self._blocks):
                journal.keep(WorkerDone(final))
            journal.update(is_complete=self.is_complete, state=RunState.FINISHED, ended_at=iso(now))
            verdict = judge_stored_cutover(store, journal.record)
            result = cutover_result_of(store, replace(journal.record, verdict=verdict))
            return verdict, result, cutover_evidence(store.exhibits(record.run_id))

    def walk(self, order: CutoverOrder, journal: Journal) -> None:
        """There and back."""
        environment = self.environment

        def keep_facts(side: Side) -> None:
            others = [one for one in journal.record.targets if one.side is not side]
            facts = TargetFacts(side, "cutover", "http://127.0.0.1:9", {"version": environment.version})
            journal.add_targets([*others, facts], frozenset())

        verifier = ScriptedVerifier(self.checks)
        crew = Crew(
            pace=self,
            runner=self,
            verifier=verifier,
            listener=Silence(),
            log_dir=self.root,
            look=self._recording.blocks,
            begin_watch=self._recording.begin_watch,
            ran=self._recording.ran,
            facts=keep_facts,
            criteria=criteria_of(order.settings, verifier, str),
            rows=RowKeeper(environment.rows, environment.rows, every_s=0.001),
            questions=(AskedTwice("what it says of itself", _Asked(environment), "", str),),
            trouble=lambda: self.trouble,
        )
        try:
            Walk(order, journal, crew).there_and_back()
        finally:
            if crew.rows is not None:
                crew.rows.end()

    def _log(self) -> ProbeLog:
        ended_s = self.clock_s
        moments = [BEGAN_S + number / 10 for number in range(int((ended_s - BEGAN_S) * 10))]
        samples = tuple(self._sample(probe, moment_s) for moment_s in moments for probe in PROBES)
        return ProbeLog(PROBES, 0.1, BEGAN_S, ended_s, samples, is_whole=True)

    def _sample(self, probe: Probe, moment_s: float) -> Sample:
        kind = next((kind for from_s, to_s, kind in self.down if from_s <= moment_s < to_s), "")
        version = [version for from_s, version in self._versions if from_s <= moment_s][-1]
        outcome = SampleOutcome.FAILED if kind else SampleOutcome.OK
        return Sample(probe.name, moment_s, 0.0, 0.002, outcome, kind, "" if kind else version)


@dataclass
class _Asked:
    environment: Environment

    def ask(self) -> str:
        """See Question."""
        if self.environment.is_down:
            raise NotReady("it does not answer")
        return f"{self.environment.facts()}\nschema {self.environment.schema}"


def set_to(**changes: object) -> Effect:
    """What a step does to the environment."""

    def apply(environment: Environment) -> None:
        for name, value in changes.items():
            setattr(environment, name, value)

    return apply


def blue_green(root: Path, more: str = "", change: Callable[[str], str] = str) -> Happening:
    """The good case: an expanded schema, a switch, and both back."""
    effects = {
        ("expand",): set_to(schema="b"),
        ("contract",): set_to(schema="a"),
        ("switch",): set_to(version="2.0"),
        ("switch", "back"): set_to(version="1.0"),
    }
    return Happening(root, project(root, more, change), effects)
