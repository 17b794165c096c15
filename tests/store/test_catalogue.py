"""Lists of what is stored, and what may go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rehearse.errors import StoreError
from rehearse.model import RunKind, RunState
from rehearse.store import Store
from rehearse.store.catalogue import Pruning
from rehearse.store.leases import Holder
from tests.store.examples import ABORT, change, keep, record, sqlite_url


def compared(store: Store, run_id: str, minute: int, baseline: str | None = None) -> None:
    keep(store, replace(record(run_id, RunKind.COMPARISON, minute), baseline_run_id=baseline), blocks=1)


def ids(store: Store) -> list[str]:
    return [one.run_id for one in store.summaries(99)]


def test_a_list_says_what_the_records_say(store: Store) -> None:
    keep(store, record("base"))
    compared(store, "compared", 5)
    store.update_run(replace(store.run("compared"), verdict=ABORT))
    first, second = store.summaries(9)
    assert (first.run_id, first.decision, first.state) == ("compared", "ABORT", "finished")
    assert (second.run_id, second.decision, second.baseline_name) == ("base", None, "main")
    assert "orders" in second.title
    assert [one.run_id for one in store.summaries(1)] == ["compared"]


def test_a_list_that_says_something_else_than_the_record_is_found(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        compared(store, "compared", 5)
        store.update_run(replace(store.run("compared"), verdict=ABORT))
        change(file, "UPDATE runs SET decision = 'GO'")
        with pytest.raises(StoreError, match="lists show other words of it"):
            store.verify("compared")


def test_every_baseline_is_listed_with_the_recording_that_counts(store: Store) -> None:
    for minute, run_id in enumerate(("one", "two")):
        keep(store, record(run_id, minute=minute))
        store.name_baseline("main", run_id)
    store.name_baseline("other", "one")
    store.name_baseline("main", "one")
    assert [(one.name, one.run_id, one.versions) for one in store.baselines()] == [
        ("main", "one", 3),
        ("other", "one", 1),
    ]


def test_pruning_keeps_the_newest_of_each_kind(store: Store) -> None:
    for minute in range(4):
        compared(store, f"c{minute}", minute)
        keep(store, record(f"b{minute}", minute=10 + minute))
    assert {one.run_id for one in store.prune(Pruning(keep=1), is_dry=True)} == {
        "c0",
        "c1",
        "c2",
        "b0",
        "b1",
        "b2",
    }
    assert len(ids(store)) == 8, "a dry run removes nothing"
    store.prune(Pruning(keep=2))
    assert ids(store) == ["b3", "b2", "c3", "c2"]
    for run_id in ids(store):
        store.verify(run_id)


def test_pruning_keeps_what_a_name_means_and_what_a_comparison_that_stays_refers_to(store: Store) -> None:
    for minute, run_id in enumerate(("pinned", "referred", "superseded", "newest")):
        keep(store, record(run_id, minute=minute))
        store.name_baseline("main", run_id)
    store.name_baseline("main", "pinned")
    compared(store, "stays", 20, "referred")
    compared(store, "goes", 10, "superseded")
    gone = store.prune(Pruning(keep=1))
    assert [one.run_id for one in gone] == ["goes", "superseded"]
    assert store.baseline("main").run_id == "pinned"
    assert store.baselines()[0].versions == 4, "of five; the one that is gone is forgotten"


def test_pruning_never_takes_the_last_finished_run_of_a_kind(store: Store) -> None:
    keep(store, record("base"))
    compared(store, "finished", 1)
    store.begin_run(record("cut", RunKind.COMPARISON, 2))
    store.update_run(replace(record("cut", RunKind.COMPARISON, 2), state=RunState.INTERRUPTED))
    assert [one.run_id for one in store.prune(Pruning(keep=0))] == ["cut"]
    assert ids(store) == ["finished", "base"]


def test_pruning_leaves_a_run_that_is_under_way(store: Store) -> None:
    keep(store, record("base"))
    store.begin_run(record("now", RunKind.COMPARISON, 2))
    store.begin_run(record("killed", RunKind.COMPARISON, 1))
    store.take_leases(["host:80"], Holder("t", "now", "host", 1, "", "since"), lambda _: None)
    assert [one.run_id for one in store.prune(Pruning(keep=0))] == ["killed"]


def test_pruning_leaves_a_cutover_that_was_cut_short(store: Store) -> None:
    cut_short = record("run-1", RunKind.CUTOVER)
    store.begin_run(cut_short)
    store.update_run(replace(cut_short, state=RunState.INTERRUPTED))
    keep(store, record("run-2", RunKind.CUTOVER, minute=1))
    keep(store, record("run-3", RunKind.CUTOVER, minute=2))
    assert [one.run_id for one in store.prune(Pruning(keep=0))] == ["run-2"]


def test_pruning_by_age_leaves_the_younger_ones_however_many(store: Store) -> None:
    for minute in range(5):
        compared(store, f"c{minute}", minute)
    gone = store.prune(Pruning(keep=1, before=record(minute=2).started_at))
    assert [one.run_id for one in gone] == ["c1", "c0"]
