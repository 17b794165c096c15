"""Every arrival ends up in exactly one place of the account."""

from __future__ import annotations

import pytest

from rehearse.load import recorder as recorder_module
from rehearse.load.recorder import OTHER, Ended, Recorder, RigWindow
from rehearse.load.schedule import Schedule, Slot
from rehearse.model import Block, RequestOutcome, Scope, Side

WINDOW = RigWindow(0.0, 0.1, None)


def make_recorder(rate: float = 2.0) -> tuple[Recorder, list[Slot], list[Block]]:
    plan = Schedule(rate, "uniform", 1.0, 1, 1, seed=1)
    closed: list[Block] = []
    recorder = Recorder(Side.BASELINE, 0, plan, plan.planned(), closed.append)
    return recorder, list(plan.slots(Side.BASELINE, 0)), closed


def ended(outcome: RequestOutcome, duration_s: float = 0.01, kind: str = "") -> Ended:
    return Ended(outcome, duration_s, at_s=0.7, kind=kind)


def run_arrival(recorder: Recorder, slot: Slot, outcome: RequestOutcome = RequestOutcome.OK) -> None:
    recorder.dispatch(slot, 0.001, from_backlog=False)
    recorder.request(slot, "GET /x", ended(outcome, kind="HTTP 500"))
    recorder.finish(slot, "shop", "Shopper.look", ended(outcome, kind="HTTP 500"))


def test_a_block_closes_only_when_its_time_is_over_and_every_arrival_has_an_outcome() -> None:
    recorder, slots, closed = make_recorder()
    run_arrival(recorder, slots[0])
    recorder.rig_window(0, WINDOW)
    recorder.close_ready()
    assert closed == []
    run_arrival(recorder, slots[1])
    recorder.close_ready()
    assert [block.index for block in closed] == [0]
    assert closed[0].is_warm_up


def test_a_block_whose_time_is_not_over_stays_open() -> None:
    recorder, slots, closed = make_recorder()
    for slot in slots[:2]:
        run_arrival(recorder, slot)
    recorder.close_ready()
    assert closed == []


@pytest.mark.parametrize("outcome", list(RequestOutcome))
def test_the_ledger_balances_for_every_outcome(outcome: RequestOutcome) -> None:
    recorder, slots, closed = make_recorder()
    run_arrival(recorder, slots[0], outcome)
    recorder.unsent(slots[1])
    recorder.rig_window(0, WINDOW)
    recorder.close_ready()
    arrivals = closed[0].arrivals
    assert arrivals.imbalance() is None
    assert (arrivals.planned, arrivals.dispatched, arrivals.unsent) == (2, 1, 1)
    assert getattr(arrivals, str(outcome)) == 1


def test_failures_have_their_own_histogram_and_their_kind_in_a_half_second_bin() -> None:
    recorder, slots, closed = make_recorder()
    run_arrival(recorder, slots[0])
    run_arrival(recorder, slots[1], RequestOutcome.ERROR)
    recorder.rig_window(0, WINDOW)
    recorder.close_ready()
    series = next(series for series in closed[0].series if series.scope is Scope.ENDPOINT)
    assert series.name == "GET /x"
    assert series.count(RequestOutcome.OK) == 1
    assert series.judged.count == 1
    assert [(error.kind, error.bin, error.count) for error in series.errors] == [("HTTP 500", 1, 1)]


def test_a_request_outside_any_arrival_is_counted_but_not_judged() -> None:
    recorder, _, _ = make_recorder()
    recorder.request(None, "POST /login", ended(RequestOutcome.ERROR, kind="HTTP 401"))
    assert (recorder.unscheduled_requests, recorder.unscheduled_errors) == (1, 1)
    assert recorder.take_live() == [(1, 1, 1, 1)]


def test_names_beyond_the_limit_share_one_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_SERIES", 2)
    recorder, slots, closed = make_recorder(rate=4.0)
    for position, slot in enumerate(slots[:4]):
        recorder.dispatch(slot, 0.0, from_backlog=False)
        recorder.request(slot, f"GET /item/{position}", ended(RequestOutcome.OK))
        recorder.finish(slot, "shop", "Shopper.look", ended(RequestOutcome.OK))
    recorder.rig_window(0, WINDOW)
    recorder.close_ready()
    names = {series.name for series in closed[0].series}
    assert OTHER in names
    assert sum(series.count() for series in closed[0].series if series.scope is Scope.ENDPOINT) == 4


def test_backlog_lag_is_told_apart_from_rig_lag() -> None:
    recorder, slots, closed = make_recorder()
    recorder.dispatch(slots[0], 0.5, from_backlog=True)
    recorder.finish(slots[0], "shop", "t", ended(RequestOutcome.OK))
    run_arrival(recorder, slots[1])
    recorder.rig_window(0, WINDOW)
    recorder.close_ready()
    assert closed[0].rig.backlog_lag.count == 1
    assert closed[0].rig.rig_lag.count == 1
    assert closed[0].arrivals.concurrency_limited == 1


def test_what_an_open_block_holds_when_the_load_stops_is_named_as_abandoned() -> None:
    recorder, slots, _ = make_recorder()
    run_arrival(recorder, slots[0])
    assert recorder.abandoned() == 1
    assert recorder.closed.dispatched == 0


def test_what_is_completed_counts_for_the_time_in_which_it_ended_and_only_if_it_ended_well() -> None:
    recorder, slots, closed = make_recorder()
    for slot, outcome, at_s in (
        (slots[0], RequestOutcome.OK, 1.2),  # due in the first block, completed in the second
        (slots[1], RequestOutcome.ERROR, 0.9),
        (slots[2], RequestOutcome.OK, 1.9),
        (slots[3], RequestOutcome.OK, 2.1),  # after the last block: in no block's throughput
    ):
        recorder.dispatch(slot, 0.001, from_backlog=False)
        recorder.finish(slot, "shop", "Shopper.look", Ended(outcome, 0.01, at_s))
    recorder.rig_window(0, WINDOW)
    recorder.rig_window(1, WINDOW)
    recorder.close_ready()
    assert [block.completed for block in closed] == [0, 2]
