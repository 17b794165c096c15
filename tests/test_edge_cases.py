"""Edge cases inside a rehearsal: real config, store, judge, report and servers; only the load is played back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.edge_cases import running, scene
from rehearse.edge_cases.faults import ToxicFault
from rehearse.edge_cases.probes import PROBING_S
from rehearse.edge_cases.running import GUARDED
from rehearse.edges.exhibits import edge_records, planned_edges
from rehearse.edges.orders import Counters
from rehearse.edges.proxy import ScriptedFaultInjector
from rehearse.edges.toxics import Toxic, ToxicType
from rehearse.errors import Interrupted, NotReady
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    ScriptedEngine,
    ScriptedSession,
    Tick,
    Trouble,
    WorkerDone,
)
from rehearse.load.orders import LoadOrder
from rehearse.model import (
    Block,
    Decision,
    EdgeOutcome,
    EdgeResult,
    Incident,
    ReasonCode,
    Side,
)
from rehearse.progress import Silence
from rehearse.store.records import Store
from tests.edges.blocks import PER_BLOCK, block
from tests.judge.evidence import recording
from tests.project import make_project
from tests.servers import serving
from tests.test_rehearsal import CALM, Stage, blocks_of, script

GOOD = script(blocks_of(CALM))
DATES = '\n[[edges.dates]]\nid = "leap"\nwhy = "it broke"\npath = "/sales?day={instant}"\n'
FAULT = '\n[[edges.faults]]\nid = "hang"\nwhy = "it hung"\ntoxic = "timeout"\nlasts = "2s"\nrecover_within = "4s"\n'
Lived = Callable[[Side, float], Block]


def calm(side: Side, start_s: float) -> Block:
    return block(side, start_s, warm_up=start_s < 2)


@dataclass
class EdgeSession(ScriptedSession):
    """Load in time of its own, until it is stopped: as many blocks as the schedule has, and then only time."""

    order: LoadOrder = field(kw_only=True)
    lived: Lived = calm

    def events(self) -> Iterator[LoadEvent]:
        yield from self.script
        at_s, step_s = 0.0, self.order.schedule.block_s
        ends_at = time.monotonic() + 20
        while not self.is_stopped and time.monotonic() < ends_at:
            if at_s < self.order.schedule.length_s:
                for side in self.order.sides:
                    yield BlockClosed(self.lived(side.side, at_s))
                at_s += step_s
            elif step_s < 1:  # a fault is watched by the load's own time; who asks needs real time
                return
            yield Tick(at_s)
            time.sleep(0.01)


@dataclass
class EdgeEngine:
    """The rounds as scripted, and edge cases as `lived`."""

    rounds: list[LoadEvent]
    lived: Lived = calm
    first: tuple[LoadEvent, ...] = ()  # events at the start of each case's load
    orders: list[LoadOrder] = field(default_factory=list)

    def start(self, order: LoadOrder) -> ScriptedSession:
        if order.round < 1000:
            return ScriptedEngine([self.rounds]).start(order)
        self.orders.append(order)
        return EdgeSession(self.first, order=order, lived=self.lived)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path, left, right)


@contextmanager
def proxies(
    monkeypatch: pytest.MonkeyPatch, acted: Mapping[str, int] | None = None
) -> Iterator[list[ScriptedFaultInjector]]:
    """Fault proxies that say that the toxic acted on 12 connections, or what they are told to."""
    made: list[ScriptedFaultInjector] = []

    def make(_: object) -> ScriptedFaultInjector:
        after = Counters(injected={"timeout_downstream": 12} if acted is None else acted)
        made.append(ScriptedFaultInjector([Counters(), Counters(), after], ("127.0.0.1", 9)))
        return made[-1]

    monkeypatch.setattr(scene, "FaultProxy", make)
    yield made


def compare(stage: Stage, cases: str, engine: EdgeEngine) -> rehearsal.Comparison:
    stage.baseline()
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text() + cases)
    parts = rehearsal.Parts(engine, Silence(), lambda: stage.now)
    return rehearsal.compare(stage.settings(), parts, rehearsal.CompareOptions())


def only_edge(comparison: rehearsal.Comparison) -> EdgeResult:
    (edge,) = comparison.result.edges
    return edge


def test_a_date_case_asks_both_sides_under_load_and_is_stored_judged_and_reported(stage: Stage) -> None:
    engine = EdgeEngine(GOOD)
    comparison = compare(stage, DATES, engine)
    edge = only_edge(comparison)
    assert (edge.outcome, comparison.result.verdict.decision) == (EdgeOutcome.PASS, Decision.GO), (
        edge.sentence
    )
    assert any("day=2028-02-29" in request for request in stage.right.requests)
    assert any("day=2028-02-29" in request for request in stage.left.requests)
    assert {side.side for side in engine.orders[0].sides} == set(Side)
    with stage.store() as store:
        exhibits = store.exhibits(comparison.result.run_id)
        assert [one.case_id for one in planned_edges(exhibits)] == ["leap"]
        assert edge_records(exhibits) == (edge.record,)
        again = rehearsal.rejudge(store, comparison.result.run_id, stage.root / "again").result
    assert again == comparison.result
    assert "leap" in comparison.reports[0].read_text()


def test_a_path_that_is_not_there_is_not_run_and_never_go(stage: Stage) -> None:
    stage.left.status = stage.right.status = 404
    comparison = compare(stage, DATES, EdgeEngine(GOOD))
    assert only_edge(comparison).outcome is EdgeOutcome.NOT_RUN
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE


def test_a_token_of_the_login_that_a_target_echoes_is_stored_nowhere(stage: Stage) -> None:
    token = "k7QmZ2vLx9"
    stage.left.body = stage.right.body = f'{{"token": "{token}", "you_said": "{token}"}}'.encode()
    login = '\n[edges]\nlogin = { path = "/login", body = "{}" }\n'
    comparison = compare(stage, login + DATES, EdgeEngine(GOOD))
    assert only_edge(comparison).outcome is EdgeOutcome.PASS
    with stage.store() as store:
        bodies = b"".join(one.body for one in store.exhibits(comparison.result.run_id))
    assert b"$.you_said" in bodies
    assert token.encode() not in bodies
    assert not any(token in file.read_text() for file in comparison.reports)


def test_a_side_that_cannot_be_asked_does_not_keep_the_other_one_waiting(stage: Stage) -> None:
    stage.left.body = b'{"token": "x"}'  # the right one tells none
    began = time.monotonic()
    comparison = compare(
        stage, '\n[edges]\nlogin = { path = "/login", body = "{}" }\n' + DATES, EdgeEngine(GOOD)
    )
    edge = only_edge(comparison)
    assert (edge.outcome, "edges.login" in edge.sentence) == (EdgeOutcome.NOT_RUN, True)
    assert time.monotonic() - began < PROBING_S / 2


def test_a_fault_from_which_only_the_baseline_recovers_is_an_abort(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(side: Side, start_s: float) -> Block:
        is_slow = start_s >= 6 and (side is Side.CANDIDATE or start_s < 8.5)
        return block(side, start_s, 3.0 if is_slow else 0.01, warm_up=start_s < 2)

    with proxies(monkeypatch) as made:
        engine = EdgeEngine(GOOD, stuck)
        comparison = compare(stage, FAULT, engine)
    edge = only_edge(comparison)
    assert edge.outcome is EdgeOutcome.FAIL
    assert "never back to normal" in edge.sentence
    assert comparison.result.verdict.decision is Decision.ABORT
    assert [one.applied[-1] for one in made] == [(), ()]  # no toxic is left
    assert [side.through for side in engine.orders[0].sides] == [("127.0.0.1", 9)] * 2
    assert [side.url for side in engine.orders[0].sides] == [stage.left.url, stage.right.url]
    assert "127.0.0.1:9" in engine.orders[0].allow


def test_a_fault_that_both_recover_from_passes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxies(monkeypatch):
        comparison = compare(stage, FAULT, EdgeEngine(GOOD))
    assert only_edge(comparison).outcome is EdgeOutcome.PASS, only_edge(comparison).sentence
    assert comparison.result.verdict.decision is Decision.GO


def slow_in(looks: Sequence[int], engine: EdgeEngine) -> Lived:
    """The candidate lets users wait while the fault lasts, in some looks at the case."""

    def lived(side: Side, start_s: float) -> Block:
        is_slow = side is Side.CANDIDATE and 6 <= start_s < 8 and len(engine.orders) in looks
        return block(side, start_s, 1.0 if is_slow else 0.01, warm_up=start_s < 2)

    return lived


def looked_at(stage: Stage, monkeypatch: pytest.MonkeyPatch, engine: EdgeEngine) -> rehearsal.Comparison:
    with proxies(monkeypatch):
        return compare(stage, FAULT, engine)


def test_one_stall_of_the_rig_in_a_fault_is_looked_at_again_and_excused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = EdgeEngine(GOOD)
    engine.lived = slow_in([1], engine)
    comparison = looked_at(stage, monkeypatch, engine)
    edge = only_edge(comparison)
    assert (edge.outcome, len(engine.orders)) == (EdgeOutcome.PASS, 2), edge.sentence
    assert engine.orders[0].round != engine.orders[1].round
    assert "; looked at twice, at first it answers as soon in the fault as the baseline" in edge.record.told
    with Store.open(stage.settings().store_url) as store:
        kept = {one.name for one in store.exhibits(comparison.result.run_id) if one.kind == "edge.candidate"}
    assert kept == {"hang", "hang again"}


def test_who_lets_users_wait_in_every_fault_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EdgeEngine(GOOD)
    engine.lived = slow_in([1, 2], engine)
    comparison = looked_at(stage, monkeypatch, engine)
    assert (only_edge(comparison).outcome, len(engine.orders)) == (EdgeOutcome.FAIL, 2)
    assert comparison.result.verdict.decision is Decision.ABORT


def test_a_second_look_that_tells_nothing_does_not_excuse_the_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = EdgeEngine(GOOD)
    slow = slow_in([1], engine)

    def then_silent(side: Side, start_s: float) -> Block:
        return slow(side, start_s) if len(engine.orders) == 1 else block(side, start_s, failed=25)

    engine.lived = then_silent
    comparison = looked_at(stage, monkeypatch, engine)
    assert (only_edge(comparison).outcome, len(engine.orders)) == (EdgeOutcome.FAIL, 2)


def test_who_fails_more_or_never_comes_back_is_not_looked_at_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(side: Side, start_s: float) -> Block:
        is_hit = side is Side.CANDIDATE and 6 <= start_s < 8
        return block(side, start_s, 1.0 if is_hit else 0.01, 20 if is_hit else 0, warm_up=start_s < 2)

    engine = EdgeEngine(GOOD, failing)
    comparison = looked_at(stage, monkeypatch, engine)
    assert (only_edge(comparison).outcome, len(engine.orders)) == (EdgeOutcome.FAIL, 1)


def test_a_toxic_that_acted_on_nothing_is_not_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxies(monkeypatch, {}):
        comparison = compare(stage, FAULT, EdgeEngine(GOOD))
    assert only_edge(comparison).outcome is EdgeOutcome.NOT_RUN
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE


@pytest.mark.parametrize("toxic", ["timeout", "down", "refuse"])
def test_load_that_does_not_go_through_the_proxy_proves_nothing(stage: Stage, toxic: str) -> None:
    """A real proxy on a real port; the load goes elsewhere, as with a wrong port. A closed door refuses nobody then."""
    comparison = compare(stage, FAULT.replace("timeout", toxic), EdgeEngine(GOOD))
    edge = only_edge(comparison)
    assert edge.outcome is EdgeOutcome.NOT_RUN
    assert "connections of the baseline on which the fault acted: 0" in edge.sentence
    assert "; the proxy itself adds " in edge.record.told  # and whoever measured that is no client either


DEPENDENCY = """
[edges.dependencies.queue]
baseline = { listen = "127.0.0.1:1", upstream = "127.0.0.1:2" }
candidate = { listen = "127.0.0.1:3", upstream = "127.0.0.1:4" }
"""


@dataclass
class Asking(ScriptedFaultInjector):
    """A dependency that is asked once for each arrival, and more often once the fault is over: it is looked at at
    every tick, which is a block."""

    storm: int = 1
    looks: int = 0

    def counters(self) -> Counters:
        over = len(self.applied) > 1
        self.looks += PER_BLOCK * (self.storm if over else 1)
        return Counters(accepted=self.looks, injected={"timeout_downstream": 12 * len(self.applied)})


@pytest.mark.parametrize(("storm", "expected"), [(1, EdgeOutcome.PASS), (2, EdgeOutcome.FAIL)])
def test_who_answers_as_before_and_goes_on_retrying_has_not_recovered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, storm: int, expected: EdgeOutcome
) -> None:
    made: list[Asking] = []

    def make(_: object) -> Asking:
        made.append(Asking(storm=storm if made else 1))  # the baseline's comes first
        return made[-1]

    monkeypatch.setattr(running, "FaultProxy", make)
    fault = FAULT.replace('toxic = "timeout"', 'toxic = "timeout"\non = "queue"')
    edge = only_edge(compare(stage, fault + DEPENDENCY, EdgeEngine(GOOD)))
    assert edge.outcome is expected, edge.sentence
    assert ("asks the dependency 2.0 times for each arrival" in edge.sentence) == (storm == 2)


REFUSE, DOWN = Toxic(ToxicType.REFUSE), Toxic(ToxicType.DOWN)
STRANGERS = Counters(accepted=5)  # of another case, and gone
REFUSED = {REFUSE.name: 1}  # the proxy's own look at the door
CUT = {DOWN.name: 4}


@pytest.mark.parametrize(
    ("toxic", "before", "after", "acted"),
    [
        (REFUSE, STRANGERS, Counters(accepted=5, injected=REFUSED), 0),
        (REFUSE, STRANGERS, Counters(accepted=6, injected=REFUSED), 1),  # somebody came afterwards
        (REFUSE, Counters(accepted=6), Counters(accepted=6, injected=REFUSED), 1),  # or before
        (
            REFUSE,
            Counters(accepted=5, open=3),
            Counters(accepted=5, injected=REFUSED),
            0,
        ),  # who is inside stays
        (DOWN, Counters(accepted=5, open=3), Counters(accepted=5, injected=CUT), 3),  # and is put out here
        (DOWN, STRANGERS, Counters(accepted=5, injected={DOWN.name: 1}), 0),
        (REFUSE, Counters(accepted=6), Counters(accepted=9), 0),  # the door was not closed
    ],
)
def test_a_closed_door_counts_where_clients_of_this_case_come_to_it(
    toxic: Toxic, before: Counters, after: Counters, acted: int
) -> None:
    fault = ToxicFault(ScriptedFaultInjector([before, before, after]), toxic, True, STRANGERS)
    fault.begin()
    fault.end()
    assert fault.acted() == acted


def test_ctrl_c_in_the_middle_of_a_fault_clears_it_and_is_never_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(side: Side, start_s: float) -> Block:
        if start_s >= 7:
            raise Interrupted(2)
        return calm(side, start_s)

    with proxies(monkeypatch) as made:
        comparison = compare(stage, FAULT, EdgeEngine(GOOD, interrupted))
    assert comparison.interrupted is not None
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert only_edge(comparison).outcome is EdgeOutcome.NOT_RUN
    assert [(len(one.applied), one.applied[-1]) for one in made] == [(2, ()), (2, ())]


def no_load(engine: EdgeEngine) -> EdgeEngine:
    def nothing(side: Side, start_s: float) -> Block:
        return block(side, start_s, failed=25)

    return replace(engine, lived=nothing)


def a_lost_worker(engine: EdgeEngine) -> EdgeEngine:
    return replace(engine, first=(Trouble(Incident(ReasonCode.WORKER_LOST, "killed by SIGKILL")),))


@pytest.mark.parametrize("spoil", [no_load, a_lost_worker], ids=lambda one: one.__name__)
def test_without_a_sound_load_nothing_was_run(
    stage: Stage, spoil: Callable[[EdgeEngine], EdgeEngine]
) -> None:
    comparison = compare(stage, DATES, spoil(EdgeEngine(GOOD)))
    assert only_edge(comparison).outcome is EdgeOutcome.NOT_RUN
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE


def test_a_proxy_that_does_not_start_is_not_run_and_says_why(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise NotReady("the fault proxy did not answer within 20 s")

    monkeypatch.setattr(scene, "FaultProxy", broken)
    comparison = compare(stage, FAULT, EdgeEngine(GOOD))
    edge = only_edge(comparison)
    assert (edge.outcome, "did not answer within 20 s" in edge.sentence) == (EdgeOutcome.NOT_RUN, True)


def test_after_the_guard_nothing_more_is_sent(stage: Stage) -> None:
    live: list[LoadEvent] = []
    for bin_ in range(30):
        live += [LiveCounts(Side.BASELINE, bin_, 25, 0, 25), LiveCounts(Side.CANDIDATE, bin_, 25, 20, 25)]
        live.append(Tick(bin_ / 2))
    done = [event for event in GOOD if isinstance(event, WorkerDone)]
    engine = EdgeEngine([*GOOD[:8], *live, *done])
    comparison = compare(stage, DATES, engine)
    assert engine.orders == []
    edge = only_edge(comparison)
    assert (edge.outcome, GUARDED in edge.sentence) == (EdgeOutcome.NOT_RUN, True)


def test_recorded_mode_compares_with_what_the_baseline_did_when_it_was_recorded(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text() + DATES)
    settings = stage.settings(mode="recorded")
    for side, seed in ((Side.BASELINE, 1), (Side.CANDIDATE, 2)):
        blocks = recording(CALM, np.random.default_rng(seed), (side,))
        parts = rehearsal.Parts(EdgeEngine(script(blocks)), Silence(), lambda: stage.now)
        if side is Side.BASELINE:
            rehearsal.baseline(settings, parts, None, "test")
            asked = len(stage.left.requests)
    edge = only_edge(rehearsal.compare(settings, parts, rehearsal.CompareOptions()))
    assert edge.outcome is EdgeOutcome.PASS, edge.sentence
    assert len(stage.left.requests) == asked  # the baseline is not asked again
    file.write_text(file.read_text().replace("/sales?", "/other?"))  # then another request was recorded
    changed = rehearsal.compare(stage.settings(mode="recorded"), parts, rehearsal.CompareOptions())
    assert only_edge(changed).outcome is EdgeOutcome.NOT_RUN
    without = rehearsal.CompareOptions(without_baseline=True)
    assert only_edge(rehearsal.compare(settings, parts, without)).outcome is EdgeOutcome.NOT_RUN
