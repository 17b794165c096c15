"""The whole way in one process: one good case is GO, and with any one thing wrong or missing it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from rehearse.cutover.steps import ScriptedStep
from rehearse.cutovers import BackupSeen, Direction, PhaseKind, StepOutcome
from rehearse.cutting_over.verifying import ScriptedVerifier, Verified
from rehearse.disruptions import ProbeLog
from rehearse.errors import ConfigError
from rehearse.judge.exits import exit_faults
from rehearse.model import Decision
from rehearse.report.ways import way_back, way_forward
from tests.cutover.fakes import FORWARD, Environment, Happening, blue_green, decided_before_drop, set_to

GO, ABORT, INCONCLUSIVE = Decision.GO, Decision.ABORT, Decision.INCONCLUSIVE


def decided(happening: Happening) -> tuple[Decision, list[str]]:
    verdict, _, _ = happening.run()
    return verdict.decision, [reason.code for reason in verdict.reasons]


def test_there_and_back_without_an_outage_is_go(tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    verdict, result, found = happening.run()
    assert verdict.decision is GO, verdict.reasons
    assert happening.ran == [("expand",), ("switch",), ("switch", "back"), ("contract",)]
    assert [step.outcome for step in found.steps] == [StepOutcome.DONE] * 4
    assert result.cutover is not None
    windows = [one.phase.name for one in result.cutover.phases if one.phase.kind is PhaseKind.WINDOW]
    assert windows == ["old app, new schema"] * 2  # there, and back
    assert {seen.version for one in result.cutover.disruptions for seen in one.versions} == {"1.0", "2.0"}


def test_the_candidate_and_the_known_good_version_are_named_by_what_the_target_says(tmp_path: Path) -> None:
    _, result, _ = blue_green(tmp_path).run()
    assert {side.side: side.facts["version"] for side in result.sides} == {
        "baseline": "1.0",
        "candidate": "2.0",
    }


# --- what goes wrong ----------------------------------------------------------------------------------------------


def loses_rows(environment: Environment) -> None:
    environment.rows.rows.clear()
    environment.schema = "a"


def goes_down(environment: Environment) -> None:
    environment.is_down = True


def comes_up(environment: Environment) -> None:
    environment.is_down, environment.version = False, "2.0"


WRONG: dict[str, tuple[Callable[[Happening], object], str]] = {
    "a step fails": (
        lambda h: h.scripts.update({("switch",): ScriptedStep(3, 2, "no such host")}),
        "step_failed",
    ),
    "a step takes too long": (
        lambda h: h.scripts.update({("switch",): ScriptedStep(0, 10**6, "")}),
        "step_failed",
    ),
    "an undo fails": (lambda h: h.scripts.update({("contract",): ScriptedStep(1, 2, "")}), "step_failed"),
    "rows are gone after the undo": (
        lambda h: h.effects.update({("contract",): loses_rows}),
        "data_lost",
    ),
    "the undo leaves the schema behind": (lambda h: h.effects.pop(("contract",)), "left_behind"),
    "the undo leaves the new version running": (lambda h: h.effects.pop(("switch", "back")), "left_behind"),
    "the undo leaves it slow": (
        lambda h: h.effects.update({("contract",): set_to(schema="a", latency_s=0.1)}),
        "left_behind",
    ),
    "the candidate is slow": (
        lambda h: h.effects.update(
            {
                ("switch",): set_to(version="2.0", latency_s=0.1),
                ("switch", "back"): set_to(version="1.0", latency_s=0.01),
            }
        ),
        "worse",
    ),
    "the candidate fails": (
        lambda h: h.effects.update(
            {
                ("switch",): set_to(version="2.0", failing=0.5),
                ("switch", "back"): set_to(version="1.0", failing=0.0),
            }
        ),
        "criterion",
    ),
    "the old version fails on the new schema": (
        lambda h: h.effects.update(
            {("expand",): set_to(schema="b", failing=0.6), ("contract",): set_to(schema="a", failing=0.0)}
        ),
        "criterion",
    ),
    "an outage": (
        lambda h: h.effects.update({("switch",): goes_down, ("switch", "back"): comes_up}),
        "outage",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_abort(name: str, tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    spoil, code = WRONG[name]
    spoil(happening)
    decision, codes = decided(happening)
    assert decision is ABORT, codes
    assert code in codes


def test_a_way_back_that_is_longer_than_the_time_left_is_abort(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, change=lambda text: text.replace("T+5m", "T+1s"))
    happening.scripts[("contract",)] = ScriptedStep(0, 100, "")  # two seconds
    verdict, result, _ = happening.run()
    assert verdict.decision is ABORT
    assert [reason.code for reason in verdict.reasons] == ["exit_too_slow"]
    assert result.cutover is not None
    assert result.cutover.undo_s == pytest.approx(2.2, abs=0.3)


def with_a_backup(text: str) -> str:
    return text + '\n[exit_plan.backup]\nwhat = "the shop"\nmax_age = "4h"\ncheck = "AGE"\n'


def test_with_a_proven_backup_it_begins_and_the_report_tells(tmp_path: Path) -> None:
    verdict, result, _ = blue_green(tmp_path, change=with_a_backup).run()
    assert verdict.decision is GO, verdict.reasons
    assert result.cutover is not None
    assert result.cutover.backup == BackupSeen("AGE", StepOutcome.DONE)


@pytest.mark.parametrize(
    ("outcome", "decision"), [(StepOutcome.BROKEN, ABORT), (StepOutcome.NOT_VERIFIED, INCONCLUSIVE)]
)
def test_without_a_proven_backup_no_step_begins(
    outcome: StepOutcome, decision: Decision, tmp_path: Path
) -> None:
    happening = blue_green(tmp_path, change=with_a_backup)
    happening.checks["AGE"] = Verified(outcome, "check AGE: the last one is 9 days old")
    verdict, _, found = happening.run()
    assert happening.ran == []
    assert found.steps == ()
    assert verdict.decision is decision
    assert verdict.reasons[0].code == "no_backup"
    assert "9 days old" in verdict.reasons[0].sentence


def test_an_answer_about_the_backup_that_is_not_there_is_never_go(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, change=with_a_backup)
    _, _, found = happening.run()
    assert found.terms is not None
    told = exit_faults(replace(found, backup=None), found.terms)
    assert [(one.finding.code, one.allows_abort) for one in told] == [("no_backup", False)]


def test_a_check_that_fails_after_a_step_turns_back(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    happening = blue_green(
        tmp_path, change=lambda text: text.replace('run = ["switch"]', 'run = ["switch"]\nverify = ["A"]')
    )
    happening.checks["A"] = Verified(StepOutcome.BROKEN, "check A: totals are texts")
    verdict, _, found = happening.run()
    assert verdict.decision is ABORT
    assert "totals are texts" in verdict.reasons[0].sentence
    assert [step.name for step in found.of(Direction.UNDO)] == ["switch", "expand"]
    assert PhaseKind.CANDIDATE not in {phase.kind for phase in found.phases}


def test_a_criterion_that_fires_turns_back_at_once_and_says_when_and_how_long_it_took(tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    happening.effects[("switch",)] = set_to(version="2.0", failing=0.8)
    happening.effects[("switch", "back")] = set_to(version="1.0", failing=0.0)
    verdict, _, found = happening.run()
    fired = next(one for one in found.criteria if one.fired_at_s is not None)
    candidate = next(phase for phase in found.phases if phase.kind is PhaseKind.CANDIDATE)
    assert fired.fired_at_s is not None
    assert candidate.began_s - 2 < fired.fired_at_s < candidate.began_s + 4
    assert candidate.ended_s - candidate.began_s < 4  # of six
    sentence = next(reason.sentence for reason in verdict.reasons if reason.code == "criterion")
    assert "fired" in sentence
    assert "the way back took" in sentence
    assert [phase.kind for phase in found.phases].count(PhaseKind.WINDOW) == 1  # who turns back holds nothing


def with_a_check(text: str) -> str:
    return text.replace('run = ["switch"]', 'run = ["switch"]\nverify = ["A"]')


def test_criteria_are_looked_at_while_a_check_of_a_step_is_asked(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, change=with_a_check)
    happening.answers_take_s = 6.0
    happening.effects[("switch",)] = set_to(version="2.0", failing=0.8)
    happening.effects[("switch", "back")] = set_to(version="1.0", failing=0.0)
    _, _, found = happening.run()
    fired = next(one for one in found.criteria if one.fired_at_s is not None)
    switch = next(step for step in found.steps if step.name == "switch")
    assert fired.fired_at_s is not None
    assert switch.ended_s is not None
    assert switch.verified_s is not None
    assert switch.ended_s < fired.fired_at_s < switch.verified_s
    assert PhaseKind.CANDIDATE not in {phase.kind for phase in found.phases}


def watched_by_a_check(text: str) -> str:
    return text.replace('objective = "error_ratio"', 'check = "A"')


def test_a_criterion_whose_question_never_ends_is_never_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()
    monkeypatch.setattr(ScriptedVerifier, "verify", lambda *_: goes_on.wait(60) or Verified())
    verdict, _, _ = blue_green(tmp_path, change=watched_by_a_check).run()
    goes_on.set()
    assert verdict.decision is INCONCLUSIVE
    assert "was not watched: it never had an answer" in verdict.reasons[0].sentence


def test_what_users_get_while_a_long_step_runs_makes_it_turn_back_after_that_step(tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    happening.scripts[("expand",)] = ScriptedStep(0, 300, "")  # six seconds
    happening.at[9.0] = set_to(failing=0.9)
    happening.at[11.0] = set_to(failing=0.0)
    verdict, _, found = happening.run()
    assert "criterion" in [reason.code for reason in verdict.reasons]
    assert [step.outcome for step in found.steps] == [StepOutcome.DONE] * 2
    assert happening.ran == [("expand",), ("contract",)]


def test_where_an_outage_is_accepted_one_while_a_step_runs_makes_nobody_turn_back(tmp_path: Path) -> None:
    happening = blue_green(
        tmp_path, change=lambda text: text.replace("[cutover]", '[cutover]\nlongest_outage = "20s"')
    )
    happening.scripts[("expand",)] = ScriptedStep(0, 300, "")
    happening.at[9.0] = set_to(is_down=True)
    happening.at[11.0] = set_to(is_down=False)
    decision, codes = decided(happening)
    assert decision is GO, codes


# --- what is missing ----------------------------------------------------------------------------------------------


def without_end(log: ProbeLog) -> ProbeLog:
    return replace(log, is_whole=False, trouble="it was killed by SIGKILL")


def without_the_middle(log: ProbeLog) -> ProbeLog:
    kept = [one for one in log.samples if not log.began_s + 12 < one.due_s < log.began_s + 15]
    return replace(log, samples=tuple(kept))


def only_the_beginning(log: ProbeLog) -> ProbeLog:
    until_s = log.began_s + 8
    return replace(log, ended_s=until_s, samples=tuple(one for one in log.samples if one.due_s < until_s))


def spoil_rows(happening: Happening) -> None:
    happening.at[12.0] = lambda environment: setattr(environment.rows, "trouble", "it does not answer")


def lose_the_load(happening: Happening) -> None:
    happening.at[9.0] = lambda _: setattr(happening, "trouble", "the load generator was killed")


def take_no_rows(happening: Happening) -> None:
    """From shortly before the first step on."""
    happening.at[6.0] = lambda environment: setattr(environment.rows, "takes_none", "it is read only")


MISSING: dict[str, Callable[[Happening], object]] = {
    "no probes": lambda h: setattr(h, "has_probes", False),
    "the prober died": lambda h: setattr(h, "spoil_log", without_end),
    "a gap in the samples": lambda h: setattr(h, "spoil_log", without_the_middle),
    "probes at the beginning alone": lambda h: setattr(h, "spoil_log", only_the_beginning),
    "a run that did not end": lambda h: setattr(h, "is_complete", False),
    "rows cannot be asked for": spoil_rows,
    "no row is taken while the upgrade goes on": take_no_rows,
    "the load was lost": lose_the_load,
    "a step cannot be started": lambda h: h.scripts.update(
        {("switch",): FileNotFoundError(2, "No such file")}
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_one_piece_of_evidence_taken_away_is_never_go(name: str, tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    MISSING[name](happening)
    decision, codes = decided(happening)
    assert decision is INCONCLUSIVE, codes
    assert codes


def test_a_step_whose_end_is_not_known_is_taken_back_too(tmp_path: Path) -> None:
    happening = blue_green(tmp_path)
    happening.scripts[("switch",)] = FileNotFoundError(2, "No such file")
    happening.run()
    assert happening.ran[-2:] == [("switch", "back"), ("contract",)]


# --- words, and no return -----------------------------------------------------------------------------------------

BY_HAND = """
[[exit_plan.steps]]
name = "tell the customers"
run = "Write to them."
undo = "Write to them again."
"""
NO_RETURN = """
[[exit_plan.steps]]
name = "drop"
run = ["drop"]
point_of_no_return = true
"""


def test_a_step_by_hand_is_not_run_and_the_verdict_says_so(tmp_path: Path) -> None:
    verdict, _, _ = blue_green(tmp_path, BY_HAND).run()
    assert verdict.decision is INCONCLUSIVE
    assert "by hand" in verdict.reasons[0].sentence
    assert "by_hand" in verdict.reasons[0].sentence


def test_a_run_that_stops_early_has_the_whole_planned_way_back_and_forward(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, BY_HAND + NO_RETURN + FORWARD, decided_before_drop)
    happening.scripts[("expand",)] = ScriptedStep(1, 2, "no")
    _, result, _ = happening.run()
    assert result.cutover is not None
    told = {row.name: (row.planned, row.why_not) for row in way_back(result.cutover)}
    by_hand = "it is done by hand; give [cutover.by_hand.'tell the customers'] a command"
    assert told == {
        "drop": ("", "there is no way back from it; --forward rehearses it, with the way forward"),
        "tell the customers": ("by hand: Write to them again.", by_hand),
        "switch": ("switch back", "the upgrade did not get there"),
        "expand": ("contract", ""),
    }
    assert [(row.planned, row.why_not) for row in way_forward(result.cutover)] == [
        ("deploy 2.1", "--forward was not asked for")
    ]


def test_a_command_for_a_step_by_hand_makes_it_a_step_like_any_other(tmp_path: Path) -> None:
    more = BY_HAND + '[cutover.by_hand."tell the customers"]\nrun = ["mail"]\nundo = ["mail", "again"]\n'
    happening = blue_green(tmp_path, more)
    decision, codes = decided(happening)
    assert decision is GO, codes
    assert happening.ran[2:4] == [("mail",), ("mail", "again")]


def test_what_cannot_be_undone_is_only_run_on_the_way_forward(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, NO_RETURN + FORWARD, decided_before_drop)
    decision, codes = decided(happening)
    assert (decision, codes) == (INCONCLUSIVE, ["step_not_run"])
    assert ("drop",) not in happening.ran


def test_the_way_forward_applies_it_again_and_is_timed_beside_the_undo(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, NO_RETURN + FORWARD, decided_before_drop)
    happening.with_forward = True
    happening.effects[("deploy", "2.1")] = set_to(version="2.1")
    verdict, result, found = happening.run()
    assert verdict.decision is GO, verdict.reasons
    assert happening.ran[4:] == [("expand",), ("switch",), ("drop",), ("deploy", "2.1")]
    assert result.cutover is not None
    assert result.cutover.forward_s
    assert result.cutover.undo_s
    assert PhaseKind.REPAIRED in {phase.kind for phase in found.phases}


TIDY = """
[[exit_plan.steps]]
name = "tidy"
run = ["tidy"]
undo = ["untidy"]
"""


def the_second_time(happening: Happening, argv: tuple[str, ...], then: Callable[[], object]) -> None:
    """What happens when a step's command begins for the second time."""
    usual = happening.effects[argv]

    def effect(environment: Environment) -> None:
        usual(environment)
        if happening.ran.count(argv) == 2:
            then()

    happening.effects[argv] = effect


def test_a_second_apply_that_fails_is_taken_back(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, FORWARD)
    happening.with_forward = True
    the_second_time(
        happening,
        ("expand",),
        lambda: happening.scripts.update({("switch",): ScriptedStep(1, 2, "no such host")}),
    )
    verdict, result, _ = happening.run()
    assert verdict.decision is ABORT
    assert verdict.reasons[0].code == "step_failed"
    assert happening.ran[4:] == [("expand",), ("switch",), ("switch", "back"), ("contract",)]
    assert result.cutover is not None
    assert result.cutover.left_behind == ()
    assert result.cutover.undo_s == pytest.approx(0.4, abs=0.1)  # of the way back that was planned


def test_a_second_apply_that_fails_behind_the_point_of_no_return_ends_there(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, NO_RETURN + TIDY + FORWARD, decided_before_drop)
    happening.with_forward = True
    happening.scripts[("tidy",)] = ScriptedStep(1, 2, "no")
    verdict, result, _ = happening.run()
    assert verdict.decision is ABORT
    assert happening.ran[4:] == [("expand",), ("switch",), ("drop",), ("tidy",), ("untidy",)]
    assert result.cutover is not None
    assert result.cutover.left_behind == ("expand", "switch", "drop")


def test_criteria_are_watched_on_the_way_forward_too(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, FORWARD)
    happening.with_forward = True
    the_second_time(happening, ("switch",), lambda: setattr(happening.environment, "failing", 0.8))
    happening.scripts[("switch",)] = ScriptedStep(0, 150, "")  # three seconds
    verdict, _, found = happening.run()
    assert verdict.decision is ABORT
    fired = next(reason for reason in verdict.reasons if reason.code == "criterion")
    assert "the way back took" in fired.sentence
    assert happening.ran[-2:] == [("switch", "back"), ("contract",)]
    assert found.of(Direction.FORWARD) == ()


def test_a_repair_that_breaks_a_criterion_is_no_repair(tmp_path: Path) -> None:
    happening = blue_green(tmp_path, FORWARD)
    happening.with_forward = True
    happening.effects[("deploy", "2.1")] = set_to(version="2.1", failing=0.8)
    verdict, _, _ = happening.run()
    assert verdict.decision is ABORT
    assert "nothing was taken back then" in verdict.reasons[0].sentence


def test_a_plan_whose_first_step_is_done_by_hand_is_refused_before_anything_is_touched(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"'expand' cannot be rehearsed: it is done by hand"):
        blue_green(tmp_path, change=lambda text: text.replace('run = ["expand"]', 'run = "Click."')).run()
