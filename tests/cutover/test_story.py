"""The story around the way: settings, lease, store, load in its thread, report. Real but for load, probes and steps."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
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
from rehearse.cutover.steps import RunningStep, ScriptedRunner, ScriptedStep
from rehearse.cutting_over import orders, story
from rehearse.demo import free_ports
from rehearse.disruptions import ProbeLog, Sample, SampleOutcome
from rehearse.errors import ConfigError, ExitCode, Interrupted, NotReady, TargetRefused
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
from rehearse.store.records import Store
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
    stage.cutover()
    stage.root.joinpath("rehearse.toml").write_text(
        stage.root.joinpath("rehearse.toml").read_text()
        + '\n[gate]\nrequires = ["cutover"]\nmax_age = "8000h"\n'
    )
    assert stage.run("gate", "--candidate", "version=1.0")[0] == 0
    assert stage.run("gate", "--candidate", "version=9.9")[0] == 13


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


def test_the_result_says_how_it_was_for_machines(stage: Stage) -> None:
    found = stage.cutover()
    told = json.loads(next(path for path in found.reports if path.name == "result.json").read_text())
    assert [one["direction"] for one in told["cutover"]["steps"]] == ["apply", "apply", "undo", "undo"]
    assert told["cutover"]["answers"][0]["question"] == "what it says of itself"
