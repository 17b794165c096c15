"""Before, during and after load: what can be certified, how it stands, and results that nothing may rest on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rehearse import foresight, rehearsal
from rehearse.codec import to_bytes
from rehearse.errors import ConfigError, ExitCode
from rehearse.load.engine import ScriptedEngine
from rehearse.model import Decision
from rehearse.report.terminal import summary_lines
from rehearse.wiring.judging import policy_to_judge_by
from tests.project import make_project
from tests.servers import serving
from tests.test_rehearsal import CALM, Stage, blocks_of, script

SLOWER = replace(CALM, slowdown={"": 3.0})
HOPELESS = {"objectives.p50": "<=+0.1%", "judge.floor": "0.001ms"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path, left, right)


@dataclass
class Notes:
    """Everything that a waiting person was told."""

    phases: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def look(self, text: str) -> None:
        self.looks.append(text)

    def load(self, done_s: float, total_s: float, note: str) -> None:
        self.notes.append(note)


def compare(stage: Stage, world: object = CALM, **options: object) -> tuple[rehearsal.Comparison, Notes]:
    told = Notes()
    parts = rehearsal.Parts(ScriptedEngine([script(blocks_of(world))]), told, lambda: stage.now)  # type: ignore[arg-type]
    changes = options.pop("changes", {})
    settings = stage.settings(**changes)  # type: ignore[arg-type]
    return rehearsal.compare(settings, parts, rehearsal.CompareOptions(**options)), told  # type: ignore[arg-type]


# before load


def test_what_can_be_certified_is_told_before_the_targets_are_even_brought_up(stage: Stage) -> None:
    stage.baseline()
    _, told = compare(stage)
    assert told.phases[0].startswith("64 s of load can certify p50 +")
    assert "noise of 16 pairs of identical versions in baseline 'default'" in told.phases[1]
    assert told.phases[2].startswith("bringing up")


def test_without_a_baseline_it_is_told_by_assumption_and_again_after_the_warm_up(stage: Stage) -> None:
    _, told = compare(stage, without_baseline=True)
    assert "no recording tells the noise" in told.phases[1]
    assert "by the requests of the warm-up" in told.looks[1]


def test_a_cell_that_is_far_out_of_reach_is_refused_before_anything_is_stored_or_sent(stage: Stage) -> None:
    stage.baseline()
    asked = len(stage.left.requests)
    refused = r"p50.* cannot be certified in 64 s of load: its margin is \+0.1 %"
    with pytest.raises(ConfigError, match=refused) as caught:
        compare(stage, changes=HOPELESS)
    assert caught.value.exit_code is ExitCode.USAGE_ERROR
    assert len(stage.left.requests) == asked
    with stage.store() as store:
        assert len(store.runs()) == 1


def test_an_advisory_comparison_is_made_all_the_same(stage: Stage) -> None:
    stage.baseline()
    comparison, _ = compare(stage, changes=HOPELESS, is_advisory=True)
    assert comparison.result.is_advisory
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE


def test_a_dry_run_tells_what_can_be_certified_and_stores_nothing(stage: Stage) -> None:
    before = foresight.dry_run(stage.settings(), stage.now, None, without_baseline=False)
    assert any("no baseline is named 'default'" in line for line in before.lines)
    assert not (stage.root / ".rehearse" / "rehearse.db").exists()
    stage.baseline()
    after = foresight.dry_run(stage.settings(), stage.now, None, without_baseline=False)
    assert any("can certify p50 +" in line for line in after.lines)
    assert after.refusal is None
    assert after.lines[-1] == "nothing was sent"
    with stage.store() as store:
        assert len(store.runs()) == 1


def test_a_dry_run_refuses_what_the_comparison_would_refuse(stage: Stage) -> None:
    stage.baseline()
    told = foresight.dry_run(stage.settings(**HOPELESS), stage.now, None, without_baseline=False)
    assert told.refusal is not None
    assert "--advisory" in told.refusal


# while it runs


def test_each_look_is_one_line_and_the_progress_line_keeps_its_outlook(stage: Stage) -> None:
    stage.baseline()
    _, told = compare(stage)
    assert [line.split(";")[0] for line in told.looks] == [
        "INCONCLUSIVE after 8 pairs",
        "INCONCLUSIVE after 11 pairs",
    ]


# results that nothing may rest on


def test_an_advisory_result_says_so_everywhere(stage: Stage) -> None:
    stage.baseline()
    comparison, _ = compare(stage, SLOWER, is_advisory=True)
    result = comparison.result
    assert result.verdict.decision is Decision.ABORT
    said = {path.name: path.read_text() for path in comparison.reports}
    assert json.loads(said["result.json"])["is_advisory"] is True
    assert "nothing may be promoted on it" in said["report.html"]
    assert "dvisory" in said["summary.md"]
    assert any(line.startswith("Advisory: ") for line in summary_lines(result, None))
    with stage.store() as store:
        assert store.run(result.run_id).is_advisory  # so that a gate can refuse it later
        again = rehearsal.rejudge(store, result.run_id, stage.root / "again")
    assert again.result == result


def test_other_objectives_are_visible_lie_elsewhere_and_change_nothing(stage: Stage) -> None:
    stage.baseline()
    comparison, _ = compare(stage, SLOWER)
    run_id, folder = comparison.result.run_id, comparison.reports[0].parent
    kept = [path.read_bytes() for path in comparison.reports]
    lenient = stage.settings(
        **{"objectives.p50": "<=+900%", "objectives.p95": "<=+900%", "judge.certify_share": "20%"}
    )
    policy = policy_to_judge_by(lenient, "now", [])
    with stage.store() as store:
        other = rehearsal.rejudge(store, run_id, folder, policy)
        assert store.run(run_id).verdict == comparison.result.verdict
    assert comparison.result.verdict.decision is Decision.ABORT
    assert other.result.verdict.decision is Decision.INCONCLUSIVE  # a look had ended it early
    assert [path.read_bytes() for path in comparison.reports] == kept
    assert other.reports[0].parent != folder
    assert other.reports[0].parent.name.startswith(f"{run_id}-other-policy-")
    assert "p50: at most +900 %, was at most +60 %" in other.result.other_policy
    assert any("certify_share" in line for line in other.result.other_policy)
    assert "fixed before the run" in other.reports[0].read_text()
    assert any(line.startswith("Other objectives: ") for line in summary_lines(other.result, None))


def test_the_policy_of_now_that_is_the_recorded_one_is_no_other_policy(stage: Stage) -> None:
    stage.baseline()
    comparison, _ = compare(stage)
    policy = policy_to_judge_by(stage.settings(), "now", [])
    with stage.store() as store:
        again = rehearsal.rejudge(store, comparison.result.run_id, comparison.reports[0].parent, policy)
    assert again.result == comparison.result
    assert again.reports == comparison.reports


def test_objectives_on_the_command_line_without_the_wish_to_judge_by_them_are_a_mistake(stage: Stage) -> None:
    with pytest.raises(ConfigError, match=r"--set objectives\.p95 changes nothing here.*--policy now"):
        policy_to_judge_by(stage.settings(), "as-recorded", ["store.url", "objectives.p95"])
    assert policy_to_judge_by(stage.settings(), "as-recorded", ["store.url"]) is None
    with pytest.raises(ConfigError, match=r"Did you mean 'now'"):
        policy_to_judge_by(stage.settings(), "nov", [])


def test_the_same_evidence_under_the_same_policy_gives_the_same_bytes(stage: Stage) -> None:
    stage.baseline()
    comparison, _ = compare(stage)
    with stage.store() as store:
        again = rehearsal.rejudge(store, comparison.result.run_id, stage.root / "again")
    assert to_bytes(again.result) == to_bytes(comparison.result)
