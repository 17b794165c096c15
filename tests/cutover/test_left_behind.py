"""What a cutover that was cut short leaves behind: the way back, who closes it, and a gate that is shut meanwhile."""

from __future__ import annotations

import os

import pytest

from rehearse.cutover.exhibits import process_exhibit, step_exhibit, terms_exhibit
from rehearse.cutover.steps import ScriptedRunner, ScriptedStep
from rehearse.cutovers import Direction, StepProcess, StepRecord
from rehearse.cutting_over import orders, story
from rehearse.errors import ExitCode, NotReady
from rehearse.holding import holding, is_gone, process_of
from rehearse.journal import Journal, iso
from rehearse.model import (
    Decision,
    RunState,
)
from rehearse.store.leases import Holder
from rehearse.wiring.records import cutover_record
from tests.cutover.stage import InterruptedRunner, Stage


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
