"""Sign-offs are only added, and whatever is changed, left out or cut off among them is found, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rehearse.errors import StoreError
from rehearse.model import Decision, RunKind, SignOff
from rehearse.store import Store
from rehearse.store.archive import check_file
from rehearse.store.catalogue import Pruning
from tests.store.examples import ABORT, change, keep, record, sqlite_url

FIRST = SignOff(Decision.ABORT, "Ada", "too slow", "2026-11-02T11:00:00+00:00", Decision.ABORT, "d" * 64)
SECOND = replace(FIRST, decision=Decision.GO, second="Bo", reason="known", ci={"GITHUB_ACTOR": "ada"})


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store.open(sqlite_url(tmp_path / "other.db")) as opened:
        yield opened


def compared(store: Store, run_id: str = "run-1") -> None:
    keep(store, record(run_id, RunKind.COMPARISON))
    store.update_run(replace(store.run(run_id), verdict=ABORT))


def signed(store: Store) -> None:
    compared(store)
    store.add_sign_off("run-1", FIRST)
    store.add_sign_off("run-1", SECOND)


def test_what_was_signed_can_be_read_in_its_order(store: Store) -> None:
    signed(store)
    assert store.sign_offs("run-1") == (FIRST, SECOND)
    assert store.summaries(1)[0].signed == "GO (override)"
    store.verify("run-1")


def test_signing_changes_neither_the_verdict_nor_the_digest(store: Store) -> None:
    compared(store)
    before, digest = store.run("run-1"), store.digest("run-1")
    store.add_sign_off("run-1", FIRST)
    assert (store.run("run-1"), store.digest("run-1")) == (before, digest)


def test_only_a_finished_comparison_can_be_signed(store: Store) -> None:
    keep(store, record())
    store.begin_run(record("run-2", RunKind.COMPARISON))
    for run_id in ("run-1", "run-2"):
        with pytest.raises(StoreError, match="only a finished comparison or cutover can be signed"):
            store.add_sign_off(run_id, FIRST)
    assert store.sign_offs("run-1") == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sign_offs SET document = replace(document, 'too slow', 'all well') WHERE position = 0",
        "DELETE FROM sign_offs WHERE position = 0",
        "DELETE FROM sign_offs WHERE position = 1",
        "DELETE FROM sign_offs",
        "UPDATE sign_offs SET position = 2 - position",
        "UPDATE runs SET sign_offs = NULL",
        "UPDATE runs SET signed = 'GO'",
        "INSERT INTO sign_offs SELECT run_number, 2, document FROM sign_offs WHERE position = 1",
    ],
)
def test_what_was_changed_behind_the_store_s_back_is_found(file: Path, statement: str) -> None:
    with Store.open(sqlite_url(file)) as store:
        signed(store)
        change(file, statement)
        with pytest.raises(StoreError, match="its sign-offs are not what was signed"):
            store.verify("run-1")
        with pytest.raises(StoreError, match="its sign-offs"):
            store.add_sign_off("run-1", FIRST)


def test_they_are_taken_along(store: Store, other: Store) -> None:
    signed(store)
    content = store.export("run-1")
    other.import_file(content)
    assert other.sign_offs("run-1") == (FIRST, SECOND)
    assert other.verify("run-1") == store.verify("run-1")
    assert check_file(content)[0][0] == "run-1"


def test_what_was_signed_elsewhere_comes_after_what_was_signed_here(store: Store, other: Store) -> None:
    compared(store)
    store.add_sign_off("run-1", FIRST)
    other.import_file(store.export("run-1"))
    other.add_sign_off("run-1", SECOND)
    store.import_file(other.export("run-1"))
    assert store.sign_offs("run-1") == (FIRST, SECOND)
    store.verify("run-1")


def test_an_older_file_takes_no_sign_off_away(store: Store) -> None:
    compared(store)
    before = store.export("run-1")
    store.add_sign_off("run-1", FIRST)
    store.import_file(before)
    assert store.sign_offs("run-1") == (FIRST,)


def test_two_ways_of_signing_one_run_are_not_mixed(store: Store, other: Store) -> None:
    compared(store)
    other.import_file(store.export("run-1"))
    store.add_sign_off("run-1", FIRST)
    other.add_sign_off("run-1", SECOND)
    with pytest.raises(StoreError, match="was signed otherwise here than in the file"):
        store.import_file(other.export("run-1"))
    assert store.sign_offs("run-1") == (FIRST,)


def test_what_somebody_signed_is_not_pruned(store: Store) -> None:
    signed(store)
    for number in range(2, 5):
        keep(store, record(f"run-{number}", RunKind.COMPARISON, minute=number))
    gone = store.prune(Pruning(keep=1))
    assert [one.run_id for one in gone] == ["run-3", "run-2"]
    assert store.sign_offs("run-1") == (FIRST, SECOND)
