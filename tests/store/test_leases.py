"""One target, one rehearsal: who holds it is told, who is gone is not waited for longer than a lease lasts."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
from sqlalchemy import update

from rehearse.errors import NotReady
from rehearse.model import RunKind, RunState
from rehearse.store import Store
from rehearse.store.leases import LEASE_S, Holder
from rehearse.store.tables import LeaseRow
from tests.store.examples import keep, record

FIRST = Holder("t1", "run-1", "build-7", 4242, "", "2026-11-02T10:00:00+00:00")
SECOND = replace(FIRST, token="t2", run_id="run-2", host="build-8")


def cannot_tell(_: Holder) -> None:
    return None


def test_who_wants_a_target_that_is_held_is_told_who_holds_it(store: Store) -> None:
    store.take_leases(["shop:80"], FIRST, cannot_tell)
    with pytest.raises(
        NotReady, match=r"loading shop:80: run run-1 on build-7, process 4242, since 2026-11-02T10"
    ):
        store.take_leases(["other:80", "shop:80"], SECOND, cannot_tell)
    store.take_leases(["other:80"], SECOND, cannot_tell)  # nothing was taken by half


def test_a_target_that_was_given_back_is_free(store: Store) -> None:
    store.take_leases(["a:80", "b:80"], FIRST, cannot_tell)
    store.release_leases("t1")
    store.take_leases(["a:80", "b:80"], SECOND, cannot_tell)


def test_two_rehearsals_of_different_targets_do_not_meet(store: Store) -> None:
    store.take_leases(["a:80"], FIRST, cannot_tell)
    store.take_leases(["b:80"], SECOND, cannot_tell)
    assert (store.renew_leases("t1"), store.renew_leases("t2")) == (1, 1)


def test_a_holder_that_has_ended_is_not_waited_for(store: Store) -> None:
    store.take_leases(["a:80"], FIRST, cannot_tell)
    store.take_leases(["a:80"], SECOND, lambda holder: holder.pid == FIRST.pid)
    assert store.renew_leases("t1") == 0, "whoever was taken over can see it"


def test_the_run_of_a_holder_that_has_ended_was_cut_short(store: Store) -> None:
    for run_id, kind in (("run-1", RunKind.CUTOVER), ("run-3", RunKind.COMPARISON)):
        store.begin_run(record(run_id, kind))
    store.take_leases(["a:80", "b:80"], FIRST, cannot_tell)
    with pytest.raises(NotReady):
        store.take_leases(["a:80"], SECOND, cannot_tell)
    assert store.run("run-1").state is RunState.RUNNING, "who cannot be seen may live"
    store.take_leases(["a:80", "b:80"], SECOND, lambda _: True)
    cut_short = store.run("run-1")
    assert (cut_short.state, cut_short.ended_at) == (RunState.INTERRUPTED, None)
    assert cut_short.incidents[-1].code == "interrupted"
    assert "run run-2 found that" in cut_short.incidents[-1].sentence
    assert store.run("run-3").state is RunState.RUNNING, "another one, of other targets"


def test_a_finished_run_whose_target_was_never_given_back_stays_finished(store: Store) -> None:
    keep(store, record("run-1", RunKind.COMPARISON))
    store.take_leases(["a:80"], FIRST, cannot_tell)
    store.take_leases(["a:80"], SECOND, lambda _: True)
    assert store.run("run-1").state is RunState.FINISHED
    store.verify("run-1")


def silent_for(store: Store, seconds: float) -> None:
    with store._database.writing() as session:
        session.execute(update(LeaseRow).values(renewed_at_s=LeaseRow.renewed_at_s - seconds))


def test_a_holder_that_cannot_be_seen_is_waited_for_until_its_lease_runs_out(store: Store) -> None:
    store.take_leases(["a:80"], FIRST, cannot_tell)
    silent_for(store, LEASE_S - 5)
    with pytest.raises(NotReady) as caught:
        store.take_leases(["a:80"], SECOND, cannot_tell)
    assert (told := re.search(r"free in (\d+) s", str(caught.value)))
    assert 1 <= int(told[1]) <= 6
    silent_for(store, 6)
    store.take_leases(["a:80"], SECOND, cannot_tell)


def test_a_renewed_lease_does_not_run_out(store: Store) -> None:
    store.take_leases(["a:80"], FIRST, cannot_tell)
    silent_for(store, LEASE_S - 1)
    assert store.renew_leases("t1") == 1
    with pytest.raises(NotReady):
        store.take_leases(["a:80"], SECOND, cannot_tell)


def test_a_holder_that_is_seen_to_live_keeps_its_target_however_silent(store: Store) -> None:
    store.take_leases(["a:80"], FIRST, cannot_tell)
    silent_for(store, 10 * LEASE_S)
    with pytest.raises(NotReady, match="Wait for it to end"):
        store.take_leases(["a:80"], SECOND, lambda _: False)


def test_of_many_who_want_it_at_the_same_moment_one_gets_it_and_all_others_are_told(store: Store) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def want(number: int) -> None:
        start.wait()
        try:
            holder = replace(FIRST, token=f"t{number}", run_id=f"run-{number}")
            store.take_leases(["a:80", "b:80"], holder, cannot_tell)
            outcomes.append("got it")
        except NotReady as error:
            outcomes.append("told" if "another rehearsal" in str(error) else str(error))

    threads = [threading.Thread(target=want, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["got it"] + ["told"] * 5
