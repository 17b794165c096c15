"""The story around the way: settings, lease, store, load in its thread, report. Real but for load, probes and steps."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.verdict.evidence import finals_of, healthy_rig, histogram
from rehearse import rehearsal
from rehearse.cli import app
from rehearse.config import Settings, load_settings
from rehearse.cutover.exhibits import process_exhibit, step_exhibit, terms_exhibit
from rehearse.cutover.steps import RunningStep, ScriptedRunner, ScriptedStep
from rehearse.cutovers import Direction, StepProcess, StepRecord
from rehearse.cutting_over import orders, story
from rehearse.demo import free_ports
from rehearse.disruptions import ProbeLog, Sample, SampleOutcome
from rehearse.errors import ConfigError, ExitCode, Interrupted, NotReady, TargetRefused
from rehearse.holding import holding, is_gone, process_of
from rehearse.journal import Journal, iso
from rehearse.load.engine import BlockClosed, LoadEvent, LoadStarted, Tick, WorkerDone
from rehearse.load.orders import LoadOrder
from rehearse.model import (
    Arrivals,
    Block,
    Decision,
    RequestOutcome,
    RunKind,
    RunState,
    Scope,
    Series,
    Side,
)
from rehearse.prober.orders import ProberOrder
from rehearse.progress import Silence
from rehearse.store.leases import Holder
from rehearse.store.records import Store
from rehearse.wiring.records import cutover_record
from tests.servers import Site, serving

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


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(orders, "SHORTEST_BLOCK_S", BLOCK_S)
    monkeypatch.setattr(orders, "FEWEST_ARRIVALS", 1)
    with serving(body=b'{"version": "1.0"}') as site:
        (tmp_path / "rehearse.toml").write_text(CONFIG.format(url=site.url))
        (tmp_path / "visit.py").write_text("")
        yield Stage(tmp_path, site)


def test_the_whole_story_is_go_stored_reported_and_judged_again_the_same(stage: Stage) -> None:
    found = stage.cutover()
    assert found.result.verdict.decision is Decision.GO, found.result.verdict.reasons
    assert [argv[0] for argv in stage.runner.ran] == ["expand", "switch", "switch", "contract"]
    with stage.store() as store:
        record = store.run(found.result.run_id)
        assert (record.kind, record.state) == (RunKind.CUTOVER, RunState.FINISHED)
        again = rehearsal.judged_anew(store, record)
    assert again == record.verdict
    code, out = stage.run("judge", found.result.run_id)
    assert (code, out.splitlines()[0].split(":")[0]) == (0, "GO")
    assert stage.run("report", found.result.run_id)[0] == 0
    assert "cutover, recorded, finished" in stage.run("runs", "show", found.result.run_id)[1]
    html = next(path for path in found.reports if path.name == "report.html").read_text()
    assert "The exit, as it was rehearsed" in html
    assert "old app, new schema" in html


@pytest.mark.parametrize(
    ("undo", "decision"), [("drop table orders", Decision.GO), ("select 1", Decision.ABORT)]
)
def test_where_there_is_a_database_its_schema_must_be_as_it_was_without_a_word_in_the_configuration(
    undo: str, decision: Decision, stage: Stage
) -> None:
    database = stage.root / "shop.db"
    statements = {"expand": "create table orders (id integer)", "contract": undo}
    stage.runner = MigratingRunner(database=database, statements=statements)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table notes (id integer)")
    verdict = stage.cutover(**{"cutover.database": "sqlite:///shop.db"}).result.verdict
    assert verdict.decision is decision, verdict.reasons
    assert ("does not bring back the schema" in verdict.reasons[0].sentence) is (decision is Decision.ABORT)
    assert "the schema" not in " ".join(one.sentence for one in verdict.warnings)


def test_that_nobody_asked_for_the_schema_is_always_said(stage: Stage) -> None:
    verdict = stage.cutover().result.verdict
    assert verdict.decision is Decision.GO
    told = [one.sentence for one in verdict.warnings if "the schema" in one.sentence]
    assert len(told) == 1
    assert "cutover.database" in told[0]


def test_a_question_of_that_name_asks_for_the_schema_in_its_own_way(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    own = '\n[[cutover.same]]\nname = "the schema"\nrun = ["echo", "tables"]\n'
    file.write_text(file.read_text().replace("[cutover]", '[cutover]\ndatabase = "sqlite:///shop.db"') + own)
    terms = orders.order_of(stage.settings(), str, with_forward=False).terms
    assert terms.questions == ("what it says of itself", "the schema")
    assert terms.has_schema


def test_what_the_environment_depends_on_is_reached_through_its_proxy(stage: Stage) -> None:
    """The environment is what its proxy leads to: without the proxy nobody is there."""
    url = stage.site.url
    through = free_ports(1)[0]
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace(url, f"http://127.0.0.1:{through}"))
    places = {"candidate": {"listen": f"127.0.0.1:{through}", "upstream": urlsplit(url).netloc}}
    found = stage.cutover(**{"edges.dependencies.shop": places})
    assert found.result.verdict.decision is Decision.GO, found.result.verdict.reasons


def test_every_probe_is_sent_over_fresh_and_over_kept_connections(stage: Stage) -> None:
    stage.cutover()
    (order,) = stage.prober.orders
    assert [(one.probe.name, one.probe.is_fresh) for one in order.probes] == [
        ("ready", False),
        ("ready, fresh", True),
    ]
    assert order.allow == ("127.0.0.1",)


def test_the_gate_opens_for_exactly_what_was_cut_over(stage: Stage) -> None:
    stage.ask_for_cutovers()
    stage.cutover()
    assert stage.gate() == 0
    assert stage.gate("version=9.9") == 13


def test_an_abort_before_the_candidate_could_say_its_name_closes_the_gate_until_the_next_go(
    stage: Stage,
) -> None:
    stage.ask_for_cutovers()
    stage.cutover()
    stage.runner.scripts[("expand",)] = ScriptedStep(1, 0, "no such table")
    aborted = stage.cutover().result
    assert (aborted.verdict.decision, len(aborted.sides)) == (Decision.ABORT, 1)
    assert stage.gate() == ExitCode.ABORT
    stage.runner.scripts.clear()
    stage.cutover()
    assert stage.gate() == 0


def killed(stage: Stage, *steps: StepRecord, command: str = "") -> str:
    """A cutover of this very moment whose process is gone, as a kill leaves it; `command` is which its own was."""
    settings, clock = stage.settings(), stage.parts().now()
    order = orders.order_of(settings, str, with_forward=False)
    record = orders.record_of(settings, cutover_record(order.settings, clock, "test"), order.settings)
    gone = f"{process_of(os.getpid())}0"
    with stage.store() as store:
        holder = Holder("token", record.run_id, "here", os.getpid(), gone, iso(clock))
        store.take_leases([order.terms.place], holder, is_gone)
        journal = Journal(store, record)
        journal.add_exhibit(terms_exhibit(order.terms))
        for step in steps:
            journal.add_exhibit(step_exhibit(step))
            journal.add_exhibit(process_exhibit(StepProcess(step.number, os.getpid(), command or gone)))
    return record.run_id


def state_of(stage: Stage, run_id: str) -> RunState:
    with stage.store() as store:
        return store.run(run_id).state


EXPAND_BEGUN = StepRecord(1, Direction.APPLY, "expand", "expand", 1.0)


def test_after_a_kill_the_gate_is_closed_and_the_way_back_leaves_nothing_half_recorded(stage: Stage) -> None:
    stage.ask_for_cutovers()
    stage.cutover()
    run_id = killed(stage, EXPAND_BEGUN)
    assert stage.gate() == ExitCode.NOT_READY
    assert state_of(stage, run_id) is RunState.RUNNING
    story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert state_of(stage, run_id) is RunState.INTERRUPTED
    assert stage.gate() == ExitCode.NOT_READY
    stage.cutover()
    assert stage.gate() == 0


def test_from_elsewhere_the_way_back_waits_for_somebody_who_has_looked(stage: Stage) -> None:
    killed(stage, EXPAND_BEGUN, command="another machine 17")
    with pytest.raises(NotReady, match="--undo --ended"):
        story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert stage.runner.ran == []
    back = story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo --ended", has_ended=True)
    assert back.is_back


def test_who_puts_it_back_by_hand_closes_the_run_that_was_killed(stage: Stage) -> None:
    run_id = killed(stage, EXPAND_BEGUN)
    with pytest.raises(NotReady, match="left steps behind"):
        stage.cutover()
    assert state_of(stage, run_id) is RunState.INTERRUPTED
    with (
        stage.store() as store,
        holding(store, [stage.site.url], "another"),
        pytest.raises(NotReady, match="another rehearsal is loading"),
    ):
        story.restored(stage.settings(), stage.parts(), "x", "Ada")
    story.restored(stage.settings(), stage.parts(), "x", "Ada")
    stage.cutover()


def test_a_way_back_says_nothing_about_a_candidate(stage: Stage) -> None:
    stage.ask_for_cutovers()
    stage.cutover()
    stage.site.body = b'{"version": "2.1"}'
    stage.runner.scripts[("contract",)] = ScriptedStep(1, 0, "no")
    stage.cutover()
    stage.runner.scripts.clear()
    story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert stage.gate("version=2.1") == ExitCode.ABORT
    assert stage.gate("version=1.0") == 0


def test_a_signature_and_an_export_are_those_of_any_verdict(stage: Stage, tmp_path: Path) -> None:
    run_id = stage.cutover().result.run_id
    assert stage.run("decide", run_id, "--go", "--by", "Ada", "--reason", "quiet")[0] == 0
    file = tmp_path / "run.rehearse"
    assert stage.run("runs", "export", run_id, str(file))[0] == 0
    assert stage.run("runs", "verify", run_id)[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "visit.py").write_text("")
    (other / "rehearse.toml").write_text((stage.root / "rehearse.toml").read_text())
    done = CliRunner().invoke(app, ["runs", "import", str(file), "--config", str(other / "rehearse.toml")])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["runs", "show", run_id, "--config", str(other / "rehearse.toml")])
    assert "signed: " in shown.output


def test_a_secret_of_a_command_stands_nowhere(stage: Stage) -> None:
    stage.runner.scripts[("switch", "--password", "canary-4711-secret")] = ScriptedStep(1, 0, "")
    found = stage.cutover()
    assert found.result.verdict.decision is Decision.ABORT
    told = [path for path in stage.root.rglob("*") if path.is_file() and b"canary-4711" in path.read_bytes()]
    assert told == [stage.root / "rehearse.toml"]


def test_ctrl_c_in_the_middle_keeps_the_evidence_and_offers_the_undo(stage: Stage) -> None:
    stage.runner = InterruptedRunner(at=("switch", "--password", "canary-4711-secret"))
    found = stage.cutover()
    assert found.interrupted is not None
    assert found.result.verdict.decision is Decision.INCONCLUSIVE
    assert found.result.cutover is not None
    assert found.result.cutover.disruptions  # what the probes saw is kept
    with pytest.raises(NotReady, match="'expand', 'switch'"):
        stage.cutover()
    stage.runner = ScriptedRunner()
    back = story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert (back.is_back, back.names) == (True, ("switch", "expand"))
    assert stage.runner.ran == [("switch", "back"), ("contract",)]
    assert back.comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert stage.cutover().result.verdict.decision is Decision.GO


def test_an_undo_that_fails_leaves_it_open_and_a_person_can_close_it(stage: Stage) -> None:
    stage.runner.scripts[("contract",)] = ScriptedStep(1, 0, "no")
    assert stage.cutover().result.verdict.decision is Decision.ABORT
    back = story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert not back.is_back
    assert back.comparison.result.verdict.decision is Decision.ABORT
    code, told = stage.run("runs", "prune", "--keep", "0")
    assert (code, told) == (0, "0 removed\n"), "it would be forgotten that something was left"
    stage.minutes += 1
    with pytest.raises(NotReady, match="left steps behind"):
        stage.cutover()
    story.restored(stage.settings(), stage.parts(), "rehearse cutover --restored-by Ada", "Ada Wong")
    stage.runner.scripts.clear()
    assert stage.cutover().result.verdict.decision is Decision.GO


def test_nothing_to_take_back_is_said(stage: Stage) -> None:
    with pytest.raises(NotReady, match="nothing is to be taken back"):
        story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    with pytest.raises(NotReady, match="nothing is to be put back"):
        story.restored(stage.settings(), stage.parts(), "x", "Ada")


def test_an_error_of_the_load_turns_back_and_is_never_go(stage: Stage) -> None:
    stage.engine = PacedEngine(NotReady("the right to load it was lost"))
    found = stage.cutover(**{"cutover.window": "3s"})
    assert stage.runner.ran[-1] == ("contract",)
    assert found.result.verdict.decision is Decision.INCONCLUSIVE
    assert any("the right to load it was lost" in one.sentence for one in found.result.verdict.reasons)


def test_a_host_off_the_allow_list_is_refused_before_anything_runs(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace('allow = ["127.0.0.1"]', 'allow = ["staging.example"]'))
    with pytest.raises(TargetRefused):
        stage.cutover()
    assert stage.run("cutover", "--dry-run")[0] == ExitCode.TARGET_REFUSED
    with pytest.raises(TargetRefused):
        story.undo(stage.settings(), stage.parts(), "rehearse cutover --undo")
    assert stage.runner.ran == []
    assert stage.site.requests == []


def test_a_dry_run_prints_the_tree_without_secrets_and_touches_nothing(stage: Stage) -> None:
    code, out = stage.run("cutover", "--dry-run")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line[:1].isdigit()] == [
        "before:",
        "apply",
        "candidate:",
        "undo",
        "after",
    ]
    assert "then held: old app, new schema" in out
    assert "canary" not in out
    assert stage.site.requests == []
    assert not (stage.root / ".rehearse").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((CONFIG[CONFIG.index("[[exit_plan.steps]]") :], ""), "exit_plan.steps are not there"),
        (('role = "in-place"', 'role = "baseline"'), "no candidate"),
        (
            ('url = "http', 'url = "postgresql://x:y@127.0.0.1/z" # "http'),
            "is a path, and a database has none",
        ),
        (("verify = []", ""), ""),
    ],
    ids=["no steps", "no environment", "a database", "nothing wrong"],
)
def test_what_cannot_be_rehearsed_is_a_mistake_with_one_message(
    stage: Stage, change: tuple[str, str], message: str
) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace(*change))
    code, out = stage.run("cutover", "--dry-run")
    assert (code == 0) is (not message)
    assert message in out


def test_a_check_that_is_not_there_is_named_before_anything_runs(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace('run = ["expand"]', 'run = ["expand"]\nverify = ["INC-1"]'))
    with pytest.raises(ConfigError, match="'INC-1' is no check"):
        stage.cutover()
    assert stage.runner.ran == []


def test_options_that_contradict_each_other_are_refused(stage: Stage) -> None:
    for given in (("--undo", "--dry-run"), ("--forward", "--undo"), ("--undo", "--restored-by", "Ada")):
        code, out = stage.run("cutover", *given)
        assert (code, "do not go together" in out) == (ExitCode.USAGE_ERROR, True)
    code, out = stage.run("cutover", "--ended")
    assert (code, "about --undo alone" in out) == (ExitCode.USAGE_ERROR, True)


def test_the_result_says_how_it_was_for_machines(stage: Stage) -> None:
    found = stage.cutover()
    told = json.loads(next(path for path in found.reports if path.name == "result.json").read_text())
    assert [one["direction"] for one in told["cutover"]["steps"]] == ["apply", "apply", "undo", "undo"]
    assert told["cutover"]["answers"][0]["question"] == "what it says of itself"
