"""A baseline is a finished recording under a name: versioned, never changed, verified when it is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rehearse.errors import NotReady, StoreError
from rehearse.model import RunKind, RunState
from rehearse.store import Store
from tests.store.examples import ABORT, change, finished, keep, record, sqlite_url


def test_a_named_baseline_is_found_by_its_name(store: Store) -> None:
    kept = keep(store, record())
    store.name_baseline("main", "run-1")
    assert store.baseline("main") == kept


def test_the_newest_version_of_a_name_is_the_current_one(store: Store) -> None:
    keep(store, record("one"))
    keep(store, record("two"))
    for name, run_id in (("main", "two"), ("other", "two"), ("main", "one")):
        store.name_baseline(name, run_id)
    assert store.baseline("main").run_id == "one"
    assert store.baseline("other").run_id == "two"


def test_without_a_baseline_the_message_names_the_known_ones_and_the_command(store: Store) -> None:
    with pytest.raises(NotReady, match=r"no baseline is named 'main'. There are none. .*`rehearse baseline`"):
        store.baseline("main")
    keep(store, record())
    store.name_baseline("staging", "run-1")
    with pytest.raises(NotReady, match=r"'stagin'. Did you mean 'staging'"):
        store.baseline("stagin")


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.INTERRUPTED, RunState.FAILED])
def test_only_a_finished_run_becomes_a_baseline(local_store: Store, state: RunState) -> None:
    local_store.begin_run(record())
    local_store.update_run(replace(record(), state=state))
    with pytest.raises(
        StoreError, match=f"it is a {state} baseline, and only a finished baseline can be one"
    ):
        local_store.name_baseline("main", "run-1")


def test_a_comparison_never_becomes_a_baseline(store: Store) -> None:
    keep(store, record(kind=RunKind.COMPARISON))
    with pytest.raises(
        StoreError, match="run run-1 cannot be the baseline 'main': it is a finished comparison"
    ):
        store.name_baseline("main", "run-1")
    with pytest.raises(NotReady):
        store.baseline("main")


@pytest.mark.parametrize("is_named", [False, True], ids=["unnamed", "named"])
def test_a_finished_baseline_cannot_be_changed(store: Store, is_named: bool) -> None:
    kept = keep(store, record())
    if is_named:
        store.name_baseline("main", "run-1")
    for update in (
        replace(kept, title="x"),
        replace(kept, verdict=ABORT),
        replace(kept, state=RunState.FAILED),
    ):
        with pytest.raises(StoreError, match="run run-1 is a finished baseline and cannot be changed"):
            store.update_run(update)
    assert store.run("run-1") == kept


def test_a_baseline_that_was_tampered_with_is_not_loaded(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
        store.name_baseline("main", "run-1")
        change(file, "DELETE FROM blocks WHERE index_in_round = 2")
        with pytest.raises(StoreError, match="run run-1 is not what was recorded"):
            store.baseline("main")


def test_a_damaged_recording_is_not_named(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
        change(file, "DELETE FROM finals")
        with pytest.raises(StoreError, match="is not what was recorded"):
            store.name_baseline("main", "run-1")


def test_a_baseline_whose_run_was_reopened_by_hand_is_not_loaded(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
        store.name_baseline("main", "run-1")
        change(file, "UPDATE runs SET state = 'running'")
        with pytest.raises(StoreError, match="run run-1 is running"):
            store.baseline("main")


def test_the_run_behind_a_name_cannot_be_deleted_by_the_store_s_own_connections(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
        store.name_baseline("main", "run-1")
        with pytest.raises(StoreError, match="FOREIGN KEY"), store._database.writing() as session:
            session.connection().exec_driver_sql("DELETE FROM runs")
        assert store.baseline("main") == finished(record())
