"""The story around the way: settings, lease, store, load in its thread, report. Real but for load, probes and steps."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from rehearse import rehearsal
from rehearse.cli import app
from rehearse.cutover.steps import ScriptedStep
from rehearse.cutting_over import orders, story
from rehearse.demo import free_ports
from rehearse.errors import ConfigError, ExitCode, NotReady, TargetRefused
from rehearse.model import (
    Decision,
    RunKind,
    RunState,
)
from tests.cutover.stage import CONFIG, MigratingRunner, PacedEngine, Stage


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
