"""The capacity probe in the whole story: real config, store, judge and report; the sides are simulated queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.config import Settings, load_settings
from rehearse.errors import Interrupted, NotComparable
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    LoadStarted,
    ScriptedSession,
    Tick,
    WorkerDone,
)
from rehearse.load.orders import LoadOrder
from rehearse.model import Block, Decision, Metric, Outcome, Phase, ReasonCode, RunState, Side
from rehearse.progress import Silence
from rehearse.store.records import Store
from rehearse.wiring.dry_run import dry_run_lines
from tests.judge.evidence import QUIET, finals_of, recording
from tests.judge.staircases import Queue
from tests.project import make_project
from tests.servers import serving

CALM = replace(QUIET, rounds=1, blocks=16, rate_per_s=200.0)
EQUAL = {Side.BASELINE: 300.0, Side.CANDIDATE: 300.0}
LESS = {Side.BASELINE: 300.0, Side.CANDIDATE: 255.0}


@dataclass
class QueueEngine:
    """Rounds are played back; turns of the probe are served by simulated queues."""

    capacity: Mapping[Side, float]
    seed: int = 1
    fails: Side | None = None  # in distress from the third step of its staircase on
    interrupt_at: int | None = None  # in which turn Ctrl-C comes
    orders: list[LoadOrder] = field(default_factory=list)

    def start(self, order: LoadOrder) -> ScriptedSession:
        self.orders.append(order)
        rng = np.random.default_rng((self.seed, order.round))
        if order.schedule.phase is Phase.ROUND:
            played = recording(CALM, rng, [one.side for one in order.sides])
            return ScriptedSession(script([replace(block, round=order.round) for block in played]))
        (alone,) = order.sides
        blocks = Queue(self.capacity[alone.side]).turn(order.schedule, alone.side, order.round, rng)
        events = script(blocks)
        if alone.side is self.fails:
            events[3:3] = [LiveCounts(alone.side, 4, 40, 20, 20), Tick(2.0)]
        if self.interrupt_at == len(self.orders) - 2:
            return Interrupting(events[:3])
        return ScriptedSession(events)


class Interrupting(ScriptedSession):
    def events(self) -> Iterator[LoadEvent]:
        yield from self.script
        raise Interrupted(2)


def script(blocks: Sequence[Block]) -> list[LoadEvent]:
    in_order = sorted(blocks, key=lambda block: (block.index, block.side))
    return [LoadStarted({}), *map(BlockClosed, in_order), *map(WorkerDone, finals_of(blocks))]


@dataclass
class Stage:
    root: Path

    def settings(self, **changes: object) -> Settings:
        given: dict[str, object] = {
            "load.block": "4s",
            "load.warm_up": "4s",
            "load.budget": "64s",
            "baseline.budget": "64s",
        }
        given |= {"judge.floor": "0.2ms", "load.rate": 200, "load.capacity.max_rate": 600}
        return load_settings(self.root / "rehearse.toml", {}, {**given, **changes})

    def parts(self, engine: QueueEngine) -> rehearsal.Parts:
        return rehearsal.Parts(engine, Silence(), lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))

    def baseline(self, capacity: Mapping[Side, float] = EQUAL, /, **changes: object) -> QueueEngine:
        engine = QueueEngine(capacity)
        rehearsal.baseline(self.settings(**changes), self.parts(engine), None, "test")
        return engine

    def compare(self, engine: QueueEngine, **changes: object) -> rehearsal.Comparison:
        return rehearsal.compare(self.settings(**changes), self.parts(engine), rehearsal.CompareOptions())

    def store(self) -> Store:
        return Store.open(self.settings().store_url)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path)


def test_equal_sides_are_go_and_the_probe_is_in_store_and_result(stage: Stage) -> None:
    stage.baseline()
    result = stage.compare(QueueEngine(EQUAL, seed=2)).result
    assert result.verdict.decision is Decision.GO
    assert {step.phase for step in result.capacity} == {Phase.CLIMB, Phase.HOLD}
    assert {step.side for step in result.capacity} == set(Side)
    with stage.store() as store:
        store.verify(result.run_id)  # the digest covers the probe
        phases = [block.phase for block in store.blocks(result.run_id)]
    assert phases.count(Phase.HOLD) == 2 * 6 * 3


def test_less_capacity_is_abort_by_that_cell_alone_and_judging_again_says_the_same(stage: Stage) -> None:
    stage.baseline()
    first = stage.compare(QueueEngine(LESS, seed=2)).result
    assert first.verdict.decision is Decision.ABORT
    assert [reason.subject for reason in first.verdict.reasons] == ["all scenarios capacity"]
    with stage.store() as store:
        again = rehearsal.rejudge(store, first.run_id, stage.root / "again").result
    assert again == first


def test_each_side_has_the_load_for_itself_and_turns_alternate(stage: Stage) -> None:
    engine = stage.baseline()
    rounds, *turns = engine.orders
    assert len(rounds.sides) == 2
    assert all(len(turn.sides) == 1 for turn in turns)
    sides = [turn.sides[0].side for turn in turns]
    left, right = Side
    assert sides == [left, right, *[left, right, right, left] * 3]
    held = [turn.schedule for turn in turns[2:]]
    assert {schedule.phase for schedule in held} == {Phase.HOLD}
    assert len({schedule.rate_per_s for schedule in held}) == 1
    assert held[0].rate_per_s == pytest.approx(1.25 * 300, rel=0.05)
    assert {turn.users for turn in turns} == {200}


def test_a_staircase_is_climbed_no_further_than_its_break(stage: Stage) -> None:
    stage.baseline()
    result = stage.compare(QueueEngine(EQUAL, seed=2)).result
    offered = [step.offered_per_s for step in result.capacity if step.turn == 0]
    assert max(offered) < 300 * 1.15**3 < 600


def test_nothing_is_offered_beyond_the_highest_rate(stage: Stage) -> None:
    engine = stage.baseline(dict.fromkeys(Side, 5000.0))
    rates = [
        order.schedule.rate_of(block) for order in engine.orders[1:] for block in range(order.schedule.blocks)
    ]
    assert max(rates) == pytest.approx(600)


def test_without_a_highest_rate_there_is_no_probe(stage: Stage) -> None:
    without: dict[str, object] = {"load.capacity.max_rate": ""}
    engine = stage.baseline(**without)
    assert len(engine.orders) == 1
    result = stage.compare(QueueEngine(EQUAL, seed=2), **without).result
    assert result.verdict.decision is Decision.GO
    assert result.capacity == ()
    assert all(judgement.cell.metric is not Metric.CAPACITY for judgement in result.verdict.judgements)


def test_a_baseline_without_the_same_probe_is_not_comparable(stage: Stage) -> None:
    without: dict[str, object] = {"load.capacity.max_rate": ""}
    stage.baseline(**without)
    with pytest.raises(NotComparable, match=r"load\.capacity was absent"):
        stage.compare(QueueEngine(EQUAL, seed=2))


def test_distress_stops_the_turn_and_every_turn_but_the_other_sides_staircase(stage: Stage) -> None:
    stage.baseline()
    engine = QueueEngine(dict.fromkeys(Side, 5000.0), seed=2, fails=Side.CANDIDATE)
    result = stage.compare(engine).result
    assert len(engine.orders) == 3
    with stage.store() as store:
        codes = [incident.code for incident in store.run(result.run_id).incidents]
    assert codes == [ReasonCode.DISTRESS]
    assert [step.side for step in result.capacity].count(Side.CANDIDATE) == 2
    assert result.verdict.decision is Decision.ABORT
    assert "20 of 40 requests failed" in result.verdict.reasons[0].sentence


def test_an_interruption_keeps_the_steps_and_is_never_go(stage: Stage) -> None:
    stage.baseline()
    comparison = stage.compare(QueueEngine(EQUAL, seed=2, interrupt_at=1))
    assert comparison.interrupted is not None
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    with stage.store() as store:
        assert store.run(comparison.result.run_id).state is RunState.INTERRUPTED
    assert Side.CANDIDATE in {step.side for step in comparison.result.capacity}


def test_an_abort_at_a_look_is_not_followed_by_a_probe(stage: Stage) -> None:
    stage.baseline()
    engine = QueueEngine(EQUAL, seed=2)
    slow = replace(CALM, slowdown={"": 5.0}, blocks=60)
    played = script(recording(slow, np.random.default_rng(3)))

    class Slow(QueueEngine):
        def start(self, order: LoadOrder) -> ScriptedSession:
            engine.orders.append(order)
            return ScriptedSession(played)

    comparison = stage.compare(Slow(EQUAL), **{"load.budget": "240s"})
    assert comparison.result.verdict.decision is Decision.ABORT
    assert len(engine.orders) == 1


def test_recorded_mode_compares_with_the_probe_of_the_baseline(stage: Stage) -> None:
    alone: dict[str, object] = {"mode": "recorded", "baseline.rounds": 3, "load.capacity.start_rate": 50}
    engine = stage.baseline(**alone)
    assert [turn.sides[0].side for turn in engine.orders] == [Side.BASELINE] * (3 + 1 + 6)
    compared = QueueEngine({Side.CANDIDATE: 90.0}, seed=2)
    result = stage.compare(compared, **alone).result
    assert [turn.sides[0].side for turn in compared.orders] == [Side.CANDIDATE] * (1 + 1 + 6)
    assert {step.side for step in result.capacity} == set(Side)
    (judged,) = [one for one in result.verdict.judgements if one.cell.metric is Metric.CAPACITY]
    assert judged.change == pytest.approx(-0.7, abs=0.02)
    assert judged.outcome is Outcome.FAIL


def test_a_dry_run_counts_the_probe_too(stage: Stage) -> None:
    (line,) = [line for line in dry_run_lines(stage.settings()) if line.startswith("capacity")]
    # 9 steps of 3 s from 200/s to 600/s, and 6 turns of 9 s at 600/s, on each of two sides
    assert "more arrivals a side and 2.7 more minutes" in line
    assert "at most 600/s and 200 requests under way" in line
    assert not any(
        line.startswith("capacity")
        for line in dry_run_lines(stage.settings(**{"load.capacity.max_rate": ""}))
    )
