"""Where an environment stands after runs that were cut short anywhere."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rehearse.cutover.exhibits import step_exhibit, terms_exhibit
from rehearse.cutovers import (
    CutoverTerms,
    Direction,
    PastCutover,
    StepOutcome,
    StepProcess,
    StepRecord,
    standing_after,
)
from rehearse.cutting_over.orders import order_of, record_of
from rehearse.cutting_over.standing import (
    check_way_back,
    refuse_to_start_anew,
    runs_of_standings,
    standing_in,
)
from rehearse.errors import ConfigError, NotReady
from rehearse.holding import process_of
from rehearse.journal import Journal, iso
from rehearse.model import RunState
from rehearse.store.catalogue import Pruning
from rehearse.store.records import Store
from rehearse.wiring.records import cutover_record
from tests.cutover.fakes import FORWARD, decided_before_drop, project
from tests.store.examples import change

TERMS = CutoverTerms("here", ("expand", "switch"), forward=("deploy",))
DONE, BEGUN, FAILED = StepOutcome.DONE, StepOutcome.BEGUN, StepOutcome.FAILED


def steps(*told: str) -> tuple[StepRecord, ...]:
    """ "apply expand", "undo switch failed", "apply switch begun"."""
    found = []
    for number, text in enumerate(told, start=1):
        direction, name, *outcome = text.split()
        found.append(
            StepRecord(
                number,
                Direction(direction),
                name,
                name,
                float(number),
                StepOutcome(outcome[0]) if outcome else DONE,
            )
        )
    return tuple(found)


CASES: dict[str, tuple[list[tuple[str, ...]], tuple[str, ...]]] = {
    "nothing was ever done": ([], ()),
    "there and back": ([("apply expand", "apply switch", "undo switch", "undo expand")], ()),
    "killed in the first step": ([("apply expand begun",)], ("expand",)),
    "killed in the second step": ([("apply expand", "apply switch begun")], ("expand", "switch")),
    "a step failed and nothing was undone": ([("apply expand", "apply switch failed")], ("expand", "switch")),
    "killed in an undo": ([("apply expand", "apply switch", "undo switch begun")], ("expand", "switch")),
    "killed between two undos": ([("apply expand", "apply switch", "undo switch")], ("expand",)),
    "an undo failed": ([("apply expand", "undo expand failed")], ("expand",)),
    "taken back by a later run": (
        [("apply expand", "apply switch begun"), ("undo switch", "undo expand")],
        (),
    ),
    "taken back in part": (
        [("apply expand", "apply switch begun"), ("undo switch", "undo expand failed")],
        ("expand",),
    ),
    "gone forward to the end": ([("apply expand", "apply switch", "forward deploy")], ()),
    "killed on the way forward": (
        [("apply expand", "apply switch", "forward deploy begun")],
        ("expand", "switch"),
    ),
    "a run that did nothing changes nothing": ([("apply expand begun",), ()], ("expand",)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_begun_and_not_taken_back_is_open(name: str) -> None:
    runs, expected = CASES[name]
    found = standing_after(PastCutover(f"run-{n}", TERMS, steps(*told)) for n, told in enumerate(runs))
    assert found.open == expected
    assert found.is_clear is (not expected)


def test_who_put_it_back_by_hand_clears_it() -> None:
    by_hand = replace(TERMS, is_undo_only=True, restored_by="Ada Wong")
    runs = [PastCutover("run-1", TERMS, steps("apply expand begun")), PastCutover("run-2", by_hand, ())]
    assert standing_after(runs).is_clear


def test_the_refusal_says_where_it_stands_and_what_to_do() -> None:
    found = standing_after([PastCutover("run-1", TERMS, steps("apply expand", "apply switch begun"))])
    with pytest.raises(
        NotReady, match=r"run-1 .*in the middle of apply 'switch'.*'expand', 'switch'.*--undo"
    ):
        refuse_to_start_anew(found)


# --- out of the store ---------------------------------------------------------------------------------------------


def keep(
    store: Store,
    root: Path,
    minute: int,
    told: tuple[str, ...],
    *,
    is_undo_only: bool = False,
    is_finished: bool = False,
    place: str = "",
) -> str:
    settings = project(root)
    order = order_of(settings, str, with_forward=False)
    now = datetime(2026, 11, 21, 12, minute, tzinfo=UTC)
    record = record_of(settings, cutover_record(order.settings, now, "test"), order.settings)
    terms = replace(order.terms, is_undo_only=is_undo_only, place=place or order.terms.place)
    journal = Journal(store, record)
    journal.add_exhibit(terms_exhibit(terms))
    for step in steps(*told):
        journal.add_exhibit(step_exhibit(replace(step, outcome=BEGUN)))
        if step.outcome is not BEGUN:
            journal.add_exhibit(step_exhibit(step))
    if is_finished:
        journal.update(state=RunState.FINISHED, ended_at=iso(now))
    return terms.place


def test_the_store_knows_after_a_kill_and_after_the_undo(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        place = keep(store, tmp_path, 0, ("apply expand", "undo expand"))
        assert standing_in(store, place).is_clear
        keep(store, tmp_path, 1, ("apply expand", "apply switch begun"))
        assert standing_in(store, place).open == ("expand", "switch")
        assert standing_in(store, "127.0.0.1:1").is_clear  # another environment
        keep(store, tmp_path, 2, ("undo switch",), is_undo_only=True)
        assert standing_in(store, place).open == ("expand",)
        keep(store, tmp_path, 3, ("undo expand",), is_undo_only=True)
        assert standing_in(store, place).is_clear


def test_it_is_known_however_many_other_runs_came_since(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with Store.open(f"sqlite:///{file}") as store:
        place = keep(store, tmp_path, 0, ("apply expand begun",))
        change(
            file,
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
            " INSERT INTO runs (run_id, kind, state, started_at, title, document)"
            " SELECT 'later-' || i, 'comparison', state, '2026-11-22', title, document FROM runs, n",
        )
        assert standing_in(store, place).open == ("expand",)


def test_pruning_leaves_every_run_from_which_is_known_where_an_environment_stands(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        place = keep(store, tmp_path, 0, ("apply expand", "undo expand"), is_finished=True)
        keep(store, tmp_path, 1, ("apply expand", "apply switch", "undo switch failed"), is_finished=True)
        keep(store, tmp_path, 2, ("undo switch", "undo expand failed"), is_undo_only=True, is_finished=True)
        elsewhere = "shop.example:80"
        keep(store, tmp_path, 3, ("apply expand", "undo expand"), place=elsewhere, is_finished=True)
        keep(store, tmp_path, 4, ("apply expand", "undo expand"), place=elsewhere, is_finished=True)
        gone = store.prune(Pruning(keep=0, needed=runs_of_standings(store)))
        assert [one.started_at[14:16] for one in gone] == ["03", "00"]
        assert standing_in(store, place).open == ("expand",)


def test_a_command_that_outlived_a_kill_is_not_raced_by_its_undo(tmp_path: Path) -> None:
    runs = steps("apply expand begun")
    order = order_of(project(tmp_path), str, with_forward=False)
    alive = StepProcess(1, os.getpid(), process_of(os.getpid()))
    found = standing_after([PastCutover("run-1", TERMS, runs, (alive,))])
    with pytest.raises(NotReady, match=f"its command still runs .process {os.getpid()}"):
        refuse_to_start_anew(found)
    with pytest.raises(NotReady, match="would race it"):
        check_way_back(found, order)
    with pytest.raises(NotReady, match="would race it"):
        check_way_back(found, order, has_ended=True)  # it is seen to run: nobody can say otherwise
    another = replace(alive, process=f"{alive.process}0")  # the number is somebody else's by now
    check_way_back(standing_after([PastCutover("run-1", TERMS, runs, (another,))]), order)


@pytest.mark.parametrize("process", ["", "another-boot pid:[1] 17"], ids=["not told", "elsewhere"])
def test_a_command_that_cannot_be_seen_from_here_may_still_run(tmp_path: Path, process: str) -> None:
    order = order_of(project(tmp_path), str, with_forward=False)
    runs = steps("apply expand begun")
    found = standing_after([PastCutover("run-1", TERMS, runs, (StepProcess(1, 4711, process),))])
    with pytest.raises(NotReady, match=r"still runs \(process 4711\) cannot be seen from here"):
        refuse_to_start_anew(found)
    with pytest.raises(NotReady, match=r"would race it\..*look there.*--undo --ended"):
        check_way_back(found, order)
    check_way_back(found, order, has_ended=True)


def test_a_step_that_left_the_plan_cannot_be_taken_back_by_a_command(tmp_path: Path) -> None:
    found = standing_after([PastCutover("run-1", TERMS, steps("apply vanished begun"))])
    order = order_of(project(tmp_path), str, with_forward=False)
    with pytest.raises(ConfigError, match="'vanished', which is gone from there"):
        check_way_back(found, order)


BEYOND = """
[[exit_plan.steps]]
name = "drop"
run = ["drop"]
point_of_no_return = true

[[exit_plan.steps]]
name = "tidy"
run = ["tidy"]
undo = ["untidy"]
"""


@pytest.mark.parametrize("begun", ["drop", "tidy"])
def test_beyond_the_point_of_no_return_undo_is_refused_before_anything_runs(
    begun: str, tmp_path: Path
) -> None:
    told = ["apply expand", "apply switch", "apply drop", "apply tidy"]
    told = told[: [one.split()[1] for one in told].index(begun) + 1]
    found = standing_after([PastCutover("run-1", TERMS, steps(*told[:-1], f"{told[-1]} begun"))])
    order = order_of(project(tmp_path, BEYOND + FORWARD, decided_before_drop), str, with_forward=False)
    with pytest.raises(
        NotReady, match=r"'drop' was begun, and `rehearse` has no undo for it.*Nothing was touched"
    ):
        check_way_back(found, order)


def test_a_point_of_no_return_has_no_undo_whatever_the_plan_says(tmp_path: Path) -> None:
    more = BEYOND.replace("point_of", 'undo = ["undrop"]\npoint_of')
    order = order_of(project(tmp_path, more + FORWARD, decided_before_drop), str, with_forward=False)
    assert [bool(step.undo) for step in order.steps] == [True, True, False, True]
