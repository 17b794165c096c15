"""From a rehearsal through a decision to the gate: settings, store, judge and report are real, the load is scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rehearse import promotion, rehearsal
from rehearse.checks.exhibits import end_exhibit, exhibit_of
from rehearse.cli import app
from rehearse.cutover.exhibits import terms_exhibit
from rehearse.cutovers import CutoverTerms
from rehearse.errors import ConfigError, ExitCode
from rehearse.judge.gate import GateRuling
from rehearse.model import (
    CheckOutcome,
    CheckResult,
    ChecksEnd,
    Decision,
    Exhibit,
    RunKind,
    RunRecord,
    RunState,
    Severity,
    Side,
    SignOff,
    Verdict,
)
from rehearse.promotion import Signing
from tests.project import make_project
from tests.servers import serving
from tests.store.examples import change
from tests.test_rehearsal import CALM, Stage, blocks_of, script, without_one_block

CANDIDATE = {"version": "2.0"}
NOTHING: Mapping[str, object] = {}
TOLD = """['echo', '{"version": "2.0", "rows": {"orders": 500}}']"""
SLOW = replace(CALM, slowdown={"": 3.0})
TWO = Signing(Decision.GO, "Ada", "The slow page is switched off.", "Bo", is_override=True)


@dataclass
class Passed:
    """A project with one comparison in its store."""

    stage: Stage
    run_id: str

    def decide(self, signing: Signing, env: dict[str, str] | None = None) -> SignOff:
        with self.stage.store() as store:
            return promotion.decide(store, self.run_id, signing, self.stage.now, env or {}, str)

    def gate(
        self,
        later: timedelta = timedelta(0),
        stage: str = "",
        facts: Mapping[str, str] = CANDIDATE,
        settings: Mapping[str, object] = NOTHING,
    ) -> GateRuling:
        with self.stage.store() as store:
            now = self.stage.now + later
            return promotion.gate(self.stage.settings(**settings), store, facts, stage, now)

    def run(self, *args: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*args, "--config", str(self.stage.root / "rehearse.toml")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    @property
    def record(self) -> RunRecord:
        with self.stage.store() as store:
            return store.run(self.run_id)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path, left, right)


def passed(stage: Stage, world: object = CALM, **changes: object) -> Passed:
    given = {"targets.candidate.facts": TOLD, **changes}
    stage.baseline()
    comparison = stage.compare(script(blocks_of(world)), **given)  # type: ignore[arg-type]
    return Passed(stage, comparison.result.run_id)


@pytest.fixture
def go(stage: Stage) -> Passed:
    return passed(stage)


@pytest.fixture
def abort(stage: Stage) -> Passed:
    return passed(stage, SLOW)


def test_a_go_opens_the_gate_for_exactly_its_candidate_and_for_a_while(go: Passed) -> None:
    assert go.gate().is_open
    assert go.gate(facts={**CANDIDATE, "rows.orders": "500"}).is_open
    for facts in ({"version": "2.1"}, {**CANDIDATE, "digest": "sha256:aa"}, {"version": "2.0 "}):
        assert go.gate(facts=facts).code is ExitCode.NOT_READY
    assert go.gate(later=timedelta(hours=73)).code is ExitCode.NOT_READY
    assert go.gate(later=timedelta(hours=73), settings={"gate.max_age": "4d"}).is_open


@pytest.mark.parametrize(
    ("key", "value", "is_open"),
    [
        ("targets.candidate.url", "http://127.0.0.1:1", True),
        ("load.rate", "70", True),
        ("load.budget", "80s", True),
        ("promotion.stages", ["dev"], None),
        ("objectives.p95", "<=+301%", False),
        ("checks.packs", ["http"], False),
        ("exit_plan.decider", "somebody else", False),
        ("judge.min_pairs", 9, False),
    ],
)
def test_the_policy_is_what_is_rehearsed_and_accepted_and_not_where_or_how_hard(
    go: Passed, key: str, value: object, is_open: bool | None
) -> None:
    if is_open is None:
        with pytest.raises(ConfigError, match="say in which stage"):
            go.gate(settings={key: value})
    else:
        assert go.gate(settings={key: value}).is_open is is_open


def test_a_new_check_closes_the_gate(go: Passed) -> None:
    (go.stage.root / "checks").mkdir(exist_ok=True)
    (go.stage.root / "checks" / "test_new.py").write_text("# a break\n", encoding="utf-8")
    assert go.gate().code is ExitCode.NOT_READY


def test_a_freeze_closes_it_until_it_ends(go: Passed) -> None:
    now = go.stage.now
    file = go.stage.root / "rehearse.toml"
    with file.open("a", encoding="utf-8") as opened:
        begins, ends = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
        opened.write(f'\n[[exit_plan.freeze]]\nbegins = "{begins}"\nends = "{ends}"\nreason = "sale"\n')
    ruling = go.gate()
    assert ruling.code is ExitCode.NOT_READY
    assert "sale" in ruling.sentences[0]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM blocks WHERE index_in_round = 3",
        "UPDATE runs SET started_at = '2026-11-21T13:00:00+00:00' WHERE kind = 'comparison'",
        "UPDATE runs SET document = replace(document, '2.0', '2.9')",
        """UPDATE runs SET verdict = replace(verdict, '"ABORT"', '"GO"'), decision = 'GO' WHERE kind = 'comparison'""",
    ],
)
def test_what_was_tampered_with_opens_nothing(abort: Passed, statement: str) -> None:
    change(abort.stage.root / ".rehearse" / "rehearse.db", statement)
    ruling = abort.gate(facts={"version": "2.9"} if "2.9" in statement else CANDIDATE)
    assert ruling.code is ExitCode.NOT_READY
    assert not ruling.is_open


def test_an_abort_is_opened_by_two_people_and_closed_by_one(abort: Passed) -> None:
    assert abort.gate().code is ExitCode.ABORT
    abort.decide(TWO)
    assert abort.gate().is_open
    abort.decide(Signing(Decision.ABORT, "Cy", "No."))
    ruling = abort.gate()
    assert ruling.code is ExitCode.ABORT
    assert "Cy decided ABORT: No." in ruling.sentences[0]


@pytest.mark.parametrize(
    ("signing", "words"),
    [
        (replace(TWO, is_override=False), "add --override and --second NAME"),
        (replace(TWO, second=""), "needs a second person"),
        (replace(TWO, second="ada"), "needs a second person"),
        (replace(TWO, reason="  "), "say who decides, and why"),
        (replace(TWO, person=""), "say who decides, and why"),
        (replace(TWO, decision=Decision.ABORT), "overrides nothing"),
    ],
)
def test_a_sign_off_that_would_not_count_is_refused(abort: Passed, signing: Signing, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        abort.decide(signing)
    with abort.stage.store() as store:
        assert store.sign_offs(abort.run_id) == ()


def test_an_override_that_was_stored_without_a_second_name_opens_nothing(abort: Passed) -> None:
    sign_off = abort.decide(TWO)
    with abort.stage.store() as store:
        store.add_sign_off(abort.run_id, replace(sign_off, second=""))
    ruling = abort.gate()
    assert ruling.code is ExitCode.ABORT
    assert "only Ada has overridden it: a second person is needed" in ruling.sentences[0]


def test_what_was_never_rehearsed_stays_closed(stage: Stage) -> None:
    ruling = Passed(stage, "none").gate()
    assert (ruling.code, ruling.sentences) == (ExitCode.NOT_READY, ("no comparison is stored",))
    stage.baseline()
    assert Passed(stage, "none").gate().code is ExitCode.NOT_READY


def test_what_could_not_be_told_stays_closed(stage: Stage) -> None:
    stage.baseline()
    settings = {"targets.candidate.facts": TOLD}
    result = stage.compare(without_one_block(script(blocks_of(CALM))), **settings).result
    assert result.verdict.decision is Decision.INCONCLUSIVE
    unknown = Passed(stage, result.run_id)
    assert unknown.gate().code is ExitCode.INCONCLUSIVE


def test_a_kind_that_is_required_and_missing_keeps_it_closed(go: Passed) -> None:
    requires = {"gate.requires": ["comparison", "cutover"]}
    ruling = go.gate(settings=requires)
    assert (ruling.code, ruling.sentences) == (ExitCode.NOT_READY, ("no cutover is stored",))
    add(go, RunKind.CUTOVER, 1, Verdict(Decision.GO))
    ruling = go.gate(settings=requires, later=timedelta(minutes=2))
    assert not ruling.is_open, "a stored verdict without evidence opens nothing"


def test_an_advisory_run_can_neither_be_signed_nor_promoted(stage: Stage) -> None:
    stage.baseline()
    options = rehearsal.CompareOptions(is_advisory=True)
    settings = stage.settings(**{"targets.candidate.facts": TOLD})
    result = rehearsal.compare(settings, stage.parts(script(blocks_of(CALM))), options).result
    advisory = Passed(stage, result.run_id)
    assert advisory.gate().code is ExitCode.NOT_READY
    with pytest.raises(ConfigError, match="was advisory"):
        advisory.decide(Signing(Decision.GO, "Ada", "fine"))


def test_the_pipeline_s_own_words_are_recorded_and_nothing_else_of_its_environment(go: Passed) -> None:
    env = {"GITHUB_ACTOR": "ada", "GITHUB_RUN_ID": "7", "GITHUB_TOKEN": "secret", "PATH": "/bin"}
    assert go.decide(Signing(Decision.GO, "Ada", "fine"), env).ci == {
        "GITHUB_ACTOR": "ada",
        "GITHUB_RUN_ID": "7",
    }


def test_a_decision_is_in_the_report_in_result_json_and_in_runs_show(abort: Passed) -> None:
    abort.decide(TWO)
    code, told = abort.run("report", abort.run_id)
    assert code == 0, told
    folder = abort.stage.root / "reports" / abort.run_id
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "overridden by Ada and Bo",
        "GO, overriding ABORT",
        TWO.reason,
        "nobody checked who typed them",
    ):
        assert words in page
    assert "not signed off yet" not in page
    (signed,) = json.loads((folder / "result.json").read_text(encoding="utf-8"))["sign_offs"]
    assert (signed["decision"], signed["person"], signed["second"]) == ("GO", "Ada", "Bo")
    assert "overriding ABORT" in (folder / "summary.md").read_text(encoding="utf-8")
    assert "signed: GO, overriding ABORT by Ada and Bo" in abort.run("runs", "show", abort.run_id)[1]
    assert "signed GO (override)" in abort.run("runs", "list")[1]
    assert abort.run("runs", "verify")[0] == 0


def test_the_command_line_signs_and_asks(abort: Passed) -> None:
    by = ("--by", "Ada", "--reason", "switched off")
    assert abort.run("decide", "latest", *by)[0] == ExitCode.USAGE_ERROR, "neither --go nor --abort"
    assert abort.run("decide", "latest", "--go", *by)[0] == ExitCode.USAGE_ERROR
    code, told = abort.run("decide", "latest", "--go", *by, "--override", "--second", "Bo")
    assert (code, "recorded, not authenticated" in told) == (0, True)
    code, told = abort.run("gate", "--candidate", "version=2.1")
    assert code == ExitCode.NOT_READY
    assert "closed: no comparison is of the candidate version 2.1" in told
    code, told = abort.run("gate")
    assert (code, "no fact is missing" in told) == (ExitCode.USAGE_ERROR, True)


def test_a_candidate_is_named_by_a_file_too(abort: Passed, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"version": "2.0", "rows": {"orders": 501}}', encoding="utf-8")
    code, told = abort.run("gate", "--candidate", str(facts))
    assert (code, "rows.orders 501" in told) == (ExitCode.NOT_READY, True)
    # The clock of the command line is the real one: whether the run has expired by then is not asked here.
    code, told = abort.run("gate", "--candidate", str(facts), "--set", "gate.identity=['version']")
    assert "no comparison is of the candidate" not in told
    assert code in {ExitCode.ABORT, ExitCode.NOT_READY}
    facts.write_text("[]", encoding="utf-8")
    assert abort.run("gate", "--candidate", str(facts))[0] == ExitCode.USAGE_ERROR


def test_what_identifies_a_candidate_must_be_given(go: Passed) -> None:
    with pytest.raises(ConfigError, match="digest is missing"):
        go.gate(settings={"gate.identity": ["version", "digest"]})


def test_a_stage_that_was_not_passed_stays_closed(stage: Stage) -> None:
    stages = {"promotion.stages": ["dev", "staging"]}
    dev = passed(stage, **stages, **{"promotion.stage": "dev"})
    assert dev.record.provenance["promotion.stage"] == "dev"
    assert dev.gate(stage="dev", settings=stages).is_open
    ruling = dev.gate(stage="staging", settings=stages)
    assert (ruling.code, "was in stage 'staging'" in ruling.sentences[0]) == (ExitCode.NOT_READY, True)
    with pytest.raises(ConfigError, match="Did you mean 'staging'"):
        dev.gate(stage="stagin", settings=stages)


def test_the_report_says_which_stage_has_passed_what_for_this_candidate(stage: Stage) -> None:
    stages = {"promotion.stages": ["dev", "staging", "production"]}
    dev = passed(stage, **stages, **{"promotion.stage": "dev"})
    dev.decide(Signing(Decision.GO, "Ada", "fine"))
    stage.now += timedelta(hours=1)
    staging = passed(stage, SLOW, **stages, **{"promotion.stage": "staging"})
    stage.now += timedelta(hours=1)
    other = """['echo', '{"version": "2.1"}']"""
    stage.compare(
        script(blocks_of(CALM)),
        **{"targets.candidate.facts": other},
        **stages,
        **{"promotion.stage": "production"},
    )
    code, told = staging.run("report", staging.run_id)
    assert code == 0, told
    folder = stage.root / "reports" / staging.run_id
    standings = json.loads((folder / "result.json").read_text(encoding="utf-8"))["stages"]
    assert [(one["stage"], one["decision"], one["signed"]) for one in standings] == [
        ("dev", "GO", "GO"),
        ("staging", "ABORT", None),
        ("production", None, None),
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "dev: comparison GO (signed GO)" in page
    assert "production: not rehearsed" in page
    assert "not rehearsed" in (folder / "summary.md").read_text(encoding="utf-8")
    assert "stage dev  signed GO  candidate: rows.orders 500, version 2.0" in staging.run("runs", "list")[1]


STAGED = {"promotion.stages": ["dev", "staging"]}


def standings(found: Passed) -> list[tuple[str, str, str | None]]:
    """What its report says: stage, kind of run, decision."""
    code, told = found.run("report", found.run_id)
    assert code == 0, told
    told_json = json.loads((found.stage.root / "reports" / found.run_id / "result.json").read_text("utf-8"))
    return [(one["stage"], one["kind"], one["decision"]) for one in told_json["stages"]]


def add(
    found: Passed,
    kind: RunKind,
    minutes: int,
    verdict: Verdict | None,
    *exhibits: Exhibit,
    is_named: bool = True,
) -> None:
    """Another finished run of the same policy and stage, `minutes` later."""
    run = replace(
        found.record,
        run_id=f"{kind}-{minutes}",
        kind=kind,
        state=RunState.RUNNING,
        started_at=(found.stage.now + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
        verdict=None,
        targets=found.record.targets if is_named else (),
        has_checks=kind is RunKind.CHECKS,
    )
    check = CheckResult("INC-1", "test_a.py::test_one", "It broke.", CheckOutcome.PASSED, Severity.ABORT)
    with found.stage.store() as store:
        store.begin_run(run)
        asked = (exhibit_of(check, Side.CANDIDATE), end_exhibit(ChecksEnd(1)))
        for exhibit in asked if kind is RunKind.CHECKS else exhibits:
            store.add_exhibit(run.run_id, exhibit)
        store.update_run(replace(run, state=RunState.FINISHED, verdict=verdict))


def test_a_stage_shows_its_cutover_and_its_checks_beside_the_comparison(stage: Stage) -> None:
    dev = passed(stage, **STAGED, **{"promotion.stage": "dev"})
    add(dev, RunKind.CUTOVER, 1, Verdict(Decision.GO))
    add(dev, RunKind.CUTOVER, 2, Verdict(Decision.ABORT), is_named=False)  # before the candidate was there
    add(dev, RunKind.CUTOVER, 3, Verdict(Decision.GO), is_named=False)  # of whichever
    add(dev, RunKind.CHECKS, 4, None)
    taken_back = CutoverTerms("here", ("expand",), is_undo_only=True)
    add(dev, RunKind.CUTOVER, 5, Verdict(), terms_exhibit(taken_back), is_named=False)  # met no candidate
    assert standings(dev) == [
        ("dev", "comparison", "GO"),
        ("dev", "cutover", "ABORT"),
        ("dev", "checks", "GO"),
        ("staging", "", None),
    ]


@pytest.mark.parametrize(
    ("identity", "seen"),
    [([], None), (["build"], None), (["version"], "GO")],
    ids=["nothing is said to name it", "the build names it", "the version names it"],
)
def test_a_stage_that_saw_another_build_has_not_seen_this_one(
    stage: Stage, identity: list[str], seen: str | None
) -> None:
    def of_build(build: str) -> dict[str, object]:
        facts = f"""['echo', '{{"version": "2.0", "build": "{build}"}}']"""
        return {**STAGED, "gate.identity": identity, "targets.candidate.facts": facts}

    passed(stage, **of_build("1234"), **{"promotion.stage": "dev"})
    stage.now += timedelta(hours=1)
    later = stage.compare(script(blocks_of(CALM)), **of_build("1300"), **{"promotion.stage": "staging"})
    found = standings(Passed(stage, later.result.run_id))
    assert [decision for name, _, decision in found if name == "dev"] == [seen]
