"""What is recorded comes back, in order, and only in ways that make sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rehearse.errors import ConfigError, StoreError
from rehearse.model import Exhibit, Incident, RunKind, RunRecord, RunState, Side
from rehearse.store import Store
from tests.store.examples import ABORT, block, exhibit, final, finished, keep, record


def test_a_run_comes_back_as_it_was_given(store: Store) -> None:
    store.begin_run(record())
    assert store.run("run-1") == record()


def test_all_that_was_recorded_outlives_the_store(store_url: str) -> None:
    with Store.open(store_url) as store:
        kept = keep(store, record())
    with Store.open(store_url) as again:
        assert again.run("run-1") == kept
        assert again.blocks("run-1") == (block(0), block(1), block(2))
        assert again.finals("run-1") == (final(),)


def test_an_update_replaces_the_whole_record(store: Store) -> None:
    store.begin_run(record(kind=RunKind.COMPARISON))
    later = replace(
        finished(record(kind=RunKind.COMPARISON)),
        incidents=(Incident("guard", "The guard fired.", Side.CANDIDATE, is_hard=True),),
        restarted=frozenset(),
        targets=(),
        provenance={},
        verdict=ABORT,
    )
    store.update_run(later)
    assert store.run("run-1") == later


def test_blocks_come_in_order_of_side_round_and_index(store: Store) -> None:
    store.begin_run(record())
    places = [(side, round_, index) for side in Side for round_ in range(2) for index in (0, 1, 10)]
    for side, round_, index in reversed(places):
        store.add_block("run-1", block(index, side, round_))
    assert [(each.side, each.round, each.index) for each in store.blocks("run-1")] == places


def test_finals_come_in_order_of_side_round_and_worker(store: Store) -> None:
    store.begin_run(record())
    places = [(side, round_, worker) for side in Side for round_ in range(2) for worker in range(2)]
    for place in reversed(places):
        store.add_final("run-1", final(*place))
    assert [(each.side, each.round, each.worker) for each in store.finals("run-1")] == places


def test_blocks_belong_to_their_run(store: Store) -> None:
    store.begin_run(record("one"))
    store.begin_run(record("two"))
    store.add_block("one", block())
    assert store.blocks("two") == ()
    assert store.finals("two") == ()


def test_the_newest_run_comes_first(store: Store) -> None:
    for run_id, minute in (("b", 5), ("a", 9), ("c", 1), ("d", 5)):
        store.begin_run(record(run_id, minute=minute))
    assert [run.run_id for run in store.runs()] == ["a", "d", "b", "c"]
    assert [run.run_id for run in store.runs(limit=2)] == ["a", "d"]


def test_the_latest_run_is_the_newest_of_its_kind_however_it_ended(store: Store) -> None:
    store.begin_run(record("old", minute=1))
    store.begin_run(record("new", minute=2))
    store.update_run(replace(record("new", minute=2), state=RunState.FAILED))
    latest = store.latest_run(RunKind.BASELINE)
    assert latest is not None
    assert latest.run_id == "new"
    assert store.latest_run(RunKind.COMPARISON) is None


# what is refused


def test_an_unknown_run_is_a_usage_error_with_the_nearest_one(store: Store) -> None:
    store.begin_run(record("2026-11-02-orders"))
    with pytest.raises(ConfigError, match=r"no run '2026-11-02-order' .*Did you mean '2026-11-02-orders'"):
        store.run("2026-11-02-order")


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.run("x"),
        lambda store: store.blocks("x"),
        lambda store: store.finals("x"),
        lambda store: store.exhibits("x"),
        lambda store: store.digest("x"),
        lambda store: store.verify("x"),
        lambda store: store.add_block("x", block()),
        lambda store: store.add_final("x", final()),
        lambda store: store.add_exhibit("x", exhibit()),
        lambda store: store.update_run(record("x")),
        lambda store: store.name_baseline("main", "x"),
    ],
    ids="run blocks finals exhibits digest verify add_block add_final add_exhibit update_run name_baseline".split(),
)
def test_every_question_about_an_unknown_run_says_so(
    local_store: Store, ask: Callable[[Store], object]
) -> None:
    with pytest.raises(ConfigError, match=r"no run 'x' in .*There are none"):
        ask(local_store)


def test_a_run_id_is_used_once(store: Store) -> None:
    store.begin_run(record())
    with pytest.raises(StoreError, match="run run-1 is already stored"):
        store.begin_run(replace(record(), title="another"))
    assert store.run("run-1") == record()


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.INTERRUPTED, RunState.FAILED])
def test_a_run_begins_as_running(local_store: Store, state: RunState) -> None:
    with pytest.raises(StoreError, match=f"cannot begin as {state}"):
        local_store.begin_run(replace(record(), state=state))


def test_a_block_is_stored_once(store: Store) -> None:
    store.begin_run(record())
    store.add_block("run-1", block(3))
    with pytest.raises(StoreError, match="run run-1, baseline block 3 of round 0 is already stored"):
        store.add_block("run-1", replace(block(3), length_s=9.0))
    assert store.blocks("run-1") == (block(3),)


def test_a_final_is_stored_once(store: Store) -> None:
    store.begin_run(record())
    store.add_final("run-1", final())
    with pytest.raises(
        StoreError, match="run run-1, final of baseline worker 0 in round 0 is already stored"
    ):
        store.add_final("run-1", final())


def test_exhibits_come_back_as_they_were_by_kind_and_name(store: Store) -> None:
    store.begin_run(record())
    kept = [
        Exhibit("check", "a", b"{}"),
        Exhibit("check", "B", bytes(range(256))),
        Exhibit("contract", "a", b""),
    ]
    for each in kept:
        store.add_exhibit("run-1", each)
    assert store.exhibits("run-1") == (kept[1], kept[0], kept[2])


def test_an_exhibit_is_stored_once(store: Store) -> None:
    store.begin_run(record())
    store.add_exhibit("run-1", exhibit())
    with pytest.raises(StoreError, match="run run-1, check 'INC-231' is already stored"):
        store.add_exhibit("run-1", exhibit(body=b"{}"))
    assert store.exhibits("run-1") == (exhibit(),)


def test_a_block_that_could_not_be_read_back_is_not_stored(store: Store) -> None:
    store.begin_run(record())
    broken = replace(block(), start_s=float("nan"))
    with pytest.raises(
        StoreError, match=r"run run-1, baseline block 0 of round 0 cannot be stored: start_s: .*nan"
    ):
        store.add_block("run-1", broken)
    assert store.blocks("run-1") == ()


def test_a_record_that_could_not_be_read_back_is_not_stored(local_store: Store) -> None:
    with pytest.raises(StoreError, match="run run-1 cannot be stored: rounds: expected a count"):
        local_store.begin_run(replace(record(), rounds=-1))
    assert local_store.runs() == ()


def test_a_finished_run_takes_no_more_evidence(store: Store) -> None:
    keep(store, record(kind=RunKind.COMPARISON))
    with pytest.raises(StoreError, match="run run-1 is finished: nothing can be added"):
        store.add_block("run-1", block(9))
    with pytest.raises(StoreError, match="run run-1 is finished: nothing can be added"):
        store.add_final("run-1", final(worker=9))
    with pytest.raises(StoreError, match="run run-1 is finished: nothing can be added"):
        store.add_exhibit("run-1", exhibit("INC-9"))


def test_an_interrupted_run_still_takes_what_its_workers_send_last(local_store: Store) -> None:
    local_store.begin_run(record())
    local_store.update_run(replace(record(), state=RunState.INTERRUPTED))
    local_store.add_block("run-1", block())
    assert local_store.blocks("run-1") == (block(),)


# a finished comparison


def test_a_finished_comparison_can_be_judged_again(store: Store) -> None:
    kept = keep(store, record(kind=RunKind.COMPARISON))
    before = store.digest("run-1")
    store.update_run(replace(kept, verdict=ABORT))
    assert store.run("run-1").verdict == ABORT
    assert store.digest("run-1") == before
    store.verify("run-1")


def test_the_evidence_of_a_finished_comparison_stays(store: Store) -> None:
    kept = keep(store, record(kind=RunKind.COMPARISON))
    with pytest.raises(StoreError, match="only its verdict can still change"):
        store.update_run(replace(kept, incidents=()))
    assert store.run("run-1") == kept


def test_a_finished_comparison_can_be_taken_back_and_has_no_digest_then(store: Store) -> None:
    kept = keep(store, record(kind=RunKind.COMPARISON))
    store.update_run(replace(kept, state=RunState.INTERRUPTED, is_complete=False))
    with pytest.raises(StoreError, match="run run-1 is interrupted: only a finished run has a digest"):
        store.verify("run-1")


RUN = record(kind=RunKind.COMPARISON)
NO_WAY: list[tuple[RunState, RunRecord, str]] = [
    (RunState.FINISHED, RUN, "is finished and cannot go on"),
    (RunState.INTERRUPTED, RUN, "is interrupted and cannot go on"),
    (RunState.INTERRUPTED, finished(RUN), "is interrupted and cannot be finished any more"),
    (RunState.FAILED, finished(RUN), "is failed and cannot be finished any more"),
    (RunState.RUNNING, record(kind=RunKind.BASELINE), "is a comparison and cannot become a baseline"),
]


@pytest.mark.parametrize(
    ("state", "update", "message"), NO_WAY, ids=[f"{was} to {to.kind} {to.state}" for was, to, _ in NO_WAY]
)
def test_a_run_does_not_come_back(
    local_store: Store, state: RunState, update: RunRecord, message: str
) -> None:
    local_store.begin_run(RUN)
    local_store.update_run(replace(RUN, state=state))
    with pytest.raises(StoreError, match=message):
        local_store.update_run(update)
    assert local_store.run("run-1") == replace(RUN, state=state)
