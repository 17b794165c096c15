"""The whole story in one process: real config, store, judge and report; only the load is played back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError, Interrupted, NotComparable, NotReady, StoreError, TargetRefused
from rehearse.journal import Journal, kept
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    LoadStarted,
    ScriptedEngine,
    ScriptedSession,
    Tick,
    Trouble,
    WorkerDone,
)
from rehearse.load.orders import LoadOrder
from rehearse.load.rig import fingerprint
from rehearse.model import Block, Decision, Incident, ReasonCode, RunKind, RunState, Scope, Side
from rehearse.progress import Silence
from rehearse.store.records import Store
from rehearse.wiring import provenance
from rehearse.wiring.records import comparison_record
from tests.judge.evidence import QUIET, World, finals_of, recording
from tests.project import make_project
from tests.servers import Site, serving

CALM = replace(QUIET, rounds=1, blocks=16, rate_per_s=200.0)


def script(blocks: Sequence[Block], extra: Sequence[LoadEvent] = ()) -> list[LoadEvent]:
    """The events of a round in which `blocks` closed, in the order in which they would."""
    in_order = sorted(blocks, key=lambda block: (block.index, block.side))
    closed = [BlockClosed(block) for block in in_order]
    return [LoadStarted({}), *closed, *extra, *(WorkerDone(final) for final in finals_of(blocks))]


@dataclass
class Stage:
    """A project whose targets answer and whose load is scripted."""

    root: Path
    left: Site
    right: Site
    now: datetime = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def settings(self, **changes: object) -> Settings:
        overrides = {"load.block": "4s", "load.warm_up": "4s", "load.budget": "64s", "baseline.budget": "64s"}
        overrides["judge.floor"] = "0.2ms"
        return load_settings(self.root / "rehearse.toml", {}, {**overrides, **changes})

    def parts(self, *scripts: Sequence[LoadEvent]) -> rehearsal.Parts:
        return rehearsal.Parts(ScriptedEngine(scripts), Silence(), lambda: self.now)

    def baseline(self, seed: int = 1) -> None:
        blocks = recording(CALM, np.random.default_rng(seed))
        rehearsal.baseline(self.settings(), self.parts(script(blocks)), None, "test")

    def compare(self, events: Sequence[LoadEvent], **changes: object) -> rehearsal.Comparison:
        return rehearsal.compare(self.settings(**changes), self.parts(events), rehearsal.CompareOptions())

    def store(self) -> Store:
        return Store.open(self.settings().store_url)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path, left, right)


def blocks_of(world: World, seed: int = 2) -> tuple[Block, ...]:
    return recording(world, np.random.default_rng(seed))


def test_the_same_behaviour_is_go_and_everything_is_in_the_store(stage: Stage) -> None:
    stage.baseline()
    comparison = stage.compare(script(blocks_of(CALM)))
    assert comparison.result.verdict.decision is Decision.GO
    assert {path.name for path in comparison.reports} > {"report.html", "result.json"}
    with stage.store() as store:
        run = store.run(comparison.result.run_id)
        assert run.verdict == comparison.result.verdict
        assert run.state is RunState.FINISHED
        assert len(store.blocks(run.run_id)) == 2 * 17


def test_a_slower_candidate_is_abort_and_never_becomes_a_baseline(stage: Stage) -> None:
    stage.baseline()
    comparison = stage.compare(script(blocks_of(replace(CALM, slowdown={"": 3.0}))))
    assert comparison.result.verdict.decision is Decision.ABORT
    with stage.store() as store:
        assert store.baseline("default").kind is RunKind.BASELINE


def without_one_block(events: list[LoadEvent]) -> list[LoadEvent]:
    victim = next(e for e in events if isinstance(e, BlockClosed) and e.block.index == 5)
    return [event for event in events if event is not victim]


def without_final(events: list[LoadEvent]) -> list[LoadEvent]:
    return events[:-1]


def without_a_side(events: list[LoadEvent]) -> list[LoadEvent]:
    return [e for e in events if not (isinstance(e, BlockClosed) and e.block.side is Side.CANDIDATE)]


def without_blocks(events: list[LoadEvent]) -> list[LoadEvent]:
    return [event for event in events if not isinstance(event, BlockClosed)]


def without_anything(_: list[LoadEvent]) -> list[LoadEvent]:
    return []


def with_trouble(events: list[LoadEvent]) -> list[LoadEvent]:
    return [*events, Trouble(Incident(ReasonCode.WORKER_LOST, "killed by SIGKILL", Side.CANDIDATE))]


@pytest.mark.parametrize(
    "spoil",
    [without_one_block, without_final, without_a_side, without_blocks, without_anything, with_trouble],
    ids=lambda spoil: spoil.__name__.replace("_", " "),
)
def test_one_piece_of_evidence_taken_away_is_never_go(
    stage: Stage, spoil: Callable[[list[LoadEvent]], list[LoadEvent]]
) -> None:
    stage.baseline()
    comparison = stage.compare(spoil(script(blocks_of(CALM))))
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert comparison.result.verdict.reasons


def test_a_look_that_says_abort_ends_the_load(stage: Stage) -> None:
    stage.baseline()
    world = replace(CALM, slowdown={"": 5.0}, blocks=60)
    comparison = stage.compare(script(blocks_of(world)), **{"load.budget": "240s"})
    assert comparison.result.verdict.decision is Decision.ABORT
    with stage.store() as store:
        blocks = store.blocks(comparison.result.run_id)
    assert max(block.index for block in blocks) < 20


def test_the_guard_ends_the_load_and_is_a_hard_abort(stage: Stage) -> None:
    stage.baseline()
    live: list[LoadEvent] = []
    for bin_ in range(30):
        live += [LiveCounts(Side.BASELINE, bin_, 25, 0, 25), LiveCounts(Side.CANDIDATE, bin_, 25, 20, 25)]
        live.append(Tick(bin_ / 2))
    blocks = blocks_of(replace(CALM, blocks=3))
    comparison = stage.compare([*script(blocks)[:-2], *live, *script(blocks)[-2:]])
    assert comparison.result.verdict.decision is Decision.ABORT
    assert comparison.result.verdict.reasons[0].code == ReasonCode.GUARD


class InterruptedEngine:
    """Load during which the user presses Ctrl-C."""

    def __init__(self, events: Sequence[LoadEvent]) -> None:
        self._events = events

    def start(self, order: LoadOrder) -> ScriptedSession:
        session = ScriptedSession(self._events)
        original = session.events

        class Interrupting(ScriptedSession):
            def events(self) -> Iterator[LoadEvent]:
                yield from original()
                raise Interrupted(2)

        return Interrupting(self._events)


def test_an_interruption_keeps_the_blocks_and_is_never_go(stage: Stage) -> None:
    stage.baseline()
    events = script(blocks_of(CALM))
    parts = rehearsal.Parts(InterruptedEngine(events), Silence(), lambda: stage.now)
    comparison = rehearsal.compare(stage.settings(), parts, rehearsal.CompareOptions())
    assert comparison.interrupted is not None
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    with stage.store() as store:
        assert len(store.blocks(comparison.result.run_id)) == 2 * 17
        assert store.run(comparison.result.run_id).state is RunState.INTERRUPTED


def test_an_interruption_before_anything_is_recorded_is_passed_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.baseline()

    def interrupted(*_: object) -> None:
        raise Interrupted(15)

    monkeypatch.setattr(Store, "begin_run", interrupted)
    with pytest.raises(Interrupted):
        stage.compare(script(blocks_of(CALM)))


def test_a_lost_store_during_an_interruption_does_not_hide_the_interruption(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.store() as store:
        record = comparison_record(stage.settings(), stage.now, "test")
        with pytest.raises(Interrupted), kept(store, record, lambda: stage.now):
            lose_the_store_and_interrupt(monkeypatch)


def lose_the_store_and_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "update_run", Mock(side_effect=StoreError("the disk is full")))
    raise Interrupted(2)


def test_what_the_store_did_not_take_is_not_believed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.store() as store:
        journal = Journal(store, comparison_record(stage.settings(), stage.now, "test"))
        monkeypatch.setattr(Store, "update_run", Mock(side_effect=StoreError("the disk is full")))
        with pytest.raises(StoreError):
            journal.update(is_complete=True)
    assert not journal.record.is_complete


def test_a_baseline_ends_at_the_first_trouble(stage: Stage) -> None:
    blocks = script(blocks_of(replace(CALM, blocks=4)))
    trouble = Trouble(Incident(ReasonCode.WORKER_LOST, "killed by SIGKILL", Side.CANDIDATE))
    settings = stage.settings(**{"baseline.rounds": 3})
    with pytest.raises(NotReady, match="SIGKILL"):  # and not: there is no second script
        rehearsal.baseline(settings, stage.parts([*blocks, trouble]), None, "test")


CANARY = "canary-4711-secret"


def test_a_secret_that_comes_back_from_a_target_or_scenario_is_in_no_artefact(stage: Stage) -> None:
    """In the name of an endpoint, in an error, in a fact, on a log line, on the command line."""
    secret: dict[str, object] = {
        "targets.baseline.headers": {"Authorization": f"Bearer {CANARY}"},
        "targets.candidate.headers": {"Authorization": f"Bearer {CANARY}"},
        "targets.baseline.facts": ["echo", json.dumps({"seen": f"Bearer {CANARY}"})],
    }
    blocks = [told(block) for block in blocks_of(replace(CALM, baseline_errors=0.01, candidate_errors=0.01))]
    log = Trouble(
        Incident(ReasonCode.WORKER_LOST, f"last line: Authorization: Bearer {CANARY}", Side.CANDIDATE)
    )
    options = rehearsal.CompareOptions(without_baseline=True, command=f"rehearse compare --set x={CANARY}")
    comparison = rehearsal.compare(stage.settings(**secret), stage.parts(script(blocks, [log])), options)
    assert any("***" in judgement.cell.name for judgement in comparison.result.verdict.judgements)
    run_id = comparison.result.run_id
    with stage.store() as store:
        stored = repr([store.run(run_id), *store.blocks(run_id)])
    artefacts = [path.read_bytes() for path in stage.root.rglob("*") if path.is_file()]
    assert CANARY not in stored
    assert "***" in stored
    assert all(CANARY.encode() not in content for content in artefacts)


def told(block: Block) -> Block:
    """The block, with a secret in the name of each endpoint and in the kind of each error."""
    series = tuple(
        replace(
            one,
            name=f"{one.name}/{CANARY}" if one.scope is Scope.ENDPOINT else one.name,
            errors=tuple(replace(error, kind=f"{error.kind} {CANARY}") for error in one.errors),
        )
        for one in block.series
    )
    return replace(block, series=series)


def test_a_message_that_quotes_a_target_has_no_secret_in_it(stage: Stage) -> None:
    command = ["sh", "-c", f"echo 'cannot log in with {CANARY}' >&2; exit 3"]
    secret: dict[str, object] = {
        "targets.baseline.headers": {"Authorization": f"Bearer {CANARY}"},
        "targets.baseline.prepare": command,
    }
    options = rehearsal.CompareOptions(without_baseline=True)
    with pytest.raises(NotReady, match="cannot log in") as caught:
        rehearsal.compare(stage.settings(**secret), stage.parts([]), options)
    assert CANARY not in str(caught.value)


def test_a_stored_run_that_was_tampered_with_gets_no_report(stage: Stage) -> None:
    stage.baseline()
    run_id = stage.compare(script(blocks_of(CALM))).result.run_id
    with sqlite3.connect(stage.root / ".rehearse" / "rehearse.db") as database:
        database.execute("delete from blocks where rowid = (select max(rowid) from blocks)")
    database.close()
    with stage.store() as store, pytest.raises(StoreError):
        rehearsal.render(store, run_id, stage.root / "again")


def test_without_a_stored_baseline_there_is_no_comparison_unless_it_is_asked_for(stage: Stage) -> None:
    events = script(blocks_of(CALM))
    with pytest.raises(NotReady, match="rehearse baseline"):
        stage.compare(events)
    options = rehearsal.CompareOptions(without_baseline=True)
    comparison = rehearsal.compare(stage.settings(), stage.parts(events), options)
    assert comparison.result.baseline_name is None
    assert comparison.result.verdict.assumptions


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"load.rate": 60}, "schedule"),
        ({"load.arrivals": "uniform"}, "schedule"),
        ({"load.timeout": "9s"}, r"load.timeout"),
        ({"load.users": 30}, "load.users"),
        ({"load.workers": 2}, "load.workers"),
    ],
    ids=["another rate", "other arrivals", "another timeout", "other users", "other workers"],
)
def test_other_conditions_than_the_recorded_ones_are_not_comparable(
    stage: Stage, change: dict[str, object], named: str
) -> None:
    stage.baseline()
    with pytest.raises(NotComparable, match=named):
        stage.compare(script(blocks_of(CALM)), **change)
    declared = {**change, "baseline.declared_differences": [named]}
    assert stage.compare(script(blocks_of(CALM)), **declared).result.verdict.reasons


@pytest.mark.parametrize("key", ["rig.cpu", "rig.cores", "rig.kernel"])
def test_a_baseline_from_another_machine_is_no_reference_for_times_and_that_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    stage.baseline()
    monkeypatch.setattr(provenance, "fingerprint", lambda: {**fingerprint(), key: "another"})
    result = stage.compare(script(blocks_of(CALM))).result
    assert f"{key} was " in result.provenance["baseline.rig"]
    assert any("from another machine" in told for told in result.verdict.assumptions)
    with stage.store() as store:
        again = rehearsal.rejudge(store, result.run_id, stage.root / "again").result
    assert again.verdict == result.verdict
    declared = {"baseline.declared_differences": [key]}
    trusted = stage.compare(script(blocks_of(CALM)), **declared).result
    assert "baseline.rig" not in trusted.provenance
    assert not any("from another machine" in told for told in trusted.verdict.assumptions)


def test_another_python_of_the_rig_is_not_comparable(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.baseline()
    monkeypatch.setattr(provenance, "fingerprint", lambda: {**fingerprint(), "rig.python": "2.7"})
    with pytest.raises(NotComparable, match=r"rig\.python"):
        stage.compare(script(blocks_of(CALM)))


def test_a_baseline_side_that_runs_another_version_than_recorded_is_not_comparable(stage: Stage) -> None:
    facts = {"targets.baseline.facts": "/version", "targets.candidate.facts": "/version"}
    blocks = script(blocks_of(CALM))
    rehearsal.baseline(stage.settings(**facts), stage.parts(blocks), None, "test")
    with stage.store() as store:
        assert store.baseline("default").targets[0].facts == {"version": "1.0"}
    changed = {**facts, "targets.baseline.facts": ["echo", '{"version": "1.1", "rows": 5}']}
    with pytest.raises(NotComparable, match=r"facts\.version was '1\.0', is '1\.1'"):
        stage.compare(blocks, **changed)


def test_a_baseline_that_is_too_old_is_never_go(stage: Stage) -> None:
    stage.baseline()
    stage.now += timedelta(days=31)
    comparison = stage.compare(script(blocks_of(CALM)))
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert comparison.result.verdict.reasons[0].code == ReasonCode.BASELINE_STALE


def test_a_baseline_from_the_future_is_never_go(stage: Stage) -> None:
    stage.baseline()
    stage.now -= timedelta(hours=1)
    assert stage.compare(script(blocks_of(CALM))).result.verdict.decision is Decision.INCONCLUSIVE


def test_what_failed_too_often_does_not_become_a_baseline(stage: Stage) -> None:
    blocks = blocks_of(replace(CALM, baseline_errors=0.2, candidate_errors=0.2))
    with pytest.raises(NotReady, match="not recorded as a baseline"):
        rehearsal.baseline(stage.settings(), stage.parts(script(blocks)), None, "test")
    with stage.store() as store, pytest.raises(NotReady):
        store.baseline("default")


def test_judging_again_gives_the_same_verdict(stage: Stage) -> None:
    stage.baseline()
    first = stage.compare(script(blocks_of(CALM))).result
    with stage.store() as store:
        again = rehearsal.rejudge(store, first.run_id, stage.root / "again").result
    assert again.verdict == first.verdict


def test_judging_again_uses_the_baseline_of_then_not_a_newer_one_of_that_name(stage: Stage) -> None:
    stage.baseline()
    first = stage.compare(script(blocks_of(CALM))).result
    stage.now += timedelta(hours=1)
    stage.baseline(seed=9)
    with stage.store() as store:
        again = rehearsal.rejudge(store, first.run_id, stage.root / "again").result
    assert again.verdict == first.verdict


def test_a_baseline_has_no_report_to_judge(stage: Stage) -> None:
    stage.baseline()
    with stage.store() as store:
        run_id = store.baseline("default").run_id
        with pytest.raises(ConfigError, match="only comparisons"):
            rehearsal.rejudge(store, run_id, stage.root)


def test_a_target_off_the_allow_list_is_refused_before_anything_is_stored(stage: Stage) -> None:
    with serving("127.0.0.2") as forbidden, pytest.raises(TargetRefused):
        stage.compare([], **{"targets.candidate.url": forbidden.url})
    assert not (stage.root / ".rehearse").exists()
