"""One environment, upgraded in place: the candidate alone against what was recorded of the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.errors import ConfigError, NotComparable, NotReady
from rehearse.load.engine import (
    BlockClosed,
    LoadEvent,
    LoadStarted,
    Sampled,
    SamplesCounted,
    ScriptedEngine,
    WorkerDone,
)
from rehearse.load.rig import fingerprint
from rehearse.model import Block, Decision, Mode, ReasonCode, RunKind, Sample, Sampling, Series, Side
from rehearse.progress import Silence
from rehearse.store.records import Store
from rehearse.wiring import provenance
from tests.judge.evidence import QUIET, World, finals_of, recording
from tests.project import make_project
from tests.servers import serving

ROUNDS = 3
CALM = replace(QUIET, rounds=ROUNDS, blocks=10, rate_per_s=200.0)


def scripts(world: World, side: Side, seed: int) -> list[Sequence[LoadEvent]]:
    """One script per round, of one side alone."""
    blocks = recording(world, np.random.default_rng(seed), (side,))
    rounds = [[block for block in blocks if block.round == number] for number in range(world.rounds)]
    return [
        [LoadStarted({}), *map(BlockClosed, some), *(WorkerDone(final) for final in finals_of(some))]
        for some in rounds
    ]


class InPlace:
    """A project with a single target."""

    def __init__(self, root: Path) -> None:
        self.file = root / "rehearse.toml"

    def _parts(self, played: Sequence[Sequence[LoadEvent]]) -> rehearsal.Parts:
        moment = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        return rehearsal.Parts(ScriptedEngine(played), Silence(), lambda: moment)

    def baseline(self, rounds: int = ROUNDS, extra: Sequence[LoadEvent] = ()) -> None:
        played = [
            [*events, *extra] for events in scripts(replace(CALM, rounds=rounds), Side.BASELINE, seed=1)
        ]
        settings = load_settings(self.file, {}, {"baseline.rounds": rounds})
        rehearsal.baseline(settings, self._parts(played), None, "test")

    def compare(
        self,
        world: World,
        played: Sequence[Sequence[LoadEvent]] | None = None,
        days_later: int = 0,
        changes: Mapping[str, object] | None = None,
    ) -> rehearsal.Comparison:
        parts = self._parts(played or scripts(world, Side.CANDIDATE, seed=2))
        later = parts.now() + timedelta(days=days_later)
        settings = load_settings(self.file, {}, changes or {})
        assert settings.resolved_mode is Mode.RECORDED
        parts = replace(parts, now=lambda: later)
        return rehearsal.compare(settings, parts, rehearsal.CompareOptions())


@pytest.fixture
def in_place(tmp_path: Path) -> Iterator[InPlace]:
    with serving() as site:
        project = make_project(tmp_path, site.url, site.url)
        project.edit(f'[targets.candidate]\nurl = "{site.url}"', "")
        project.edit("[targets.baseline]\n", '[targets.staging]\nrole = "in-place"\n')
        project.edit(
            'warm_up = "1s"\nblock = "1s"\nbudget = "8s"',
            'warm_up = "4s"\nblock = "4s"\nbudget = "120s"\nrounds = 3',
        )
        project.edit('floor = "40ms"\nshared = ["host"]', 'floor = "0.2ms"')
        project.edit('budget = "8s"', 'budget = "40s"')
        yield InPlace(tmp_path)


def test_the_same_behaviour_is_not_abort_and_the_report_says_what_cannot_be_told(in_place: InPlace) -> None:
    in_place.baseline()
    verdict = in_place.compare(CALM).result.verdict
    assert verdict.decision is not Decision.ABORT
    assert any("drift" in assumption for assumption in verdict.assumptions)


def test_a_candidate_three_times_as_slow_is_abort(in_place: InPlace) -> None:
    in_place.baseline()
    comparison = in_place.compare(replace(CALM, slowdown={"": 3.0}))
    assert comparison.result.verdict.decision is Decision.ABORT
    assert comparison.result.mode is Mode.RECORDED


def test_a_baseline_of_one_round_decides_nothing_about_latency(in_place: InPlace) -> None:
    in_place.baseline(rounds=1)
    verdict = in_place.compare(CALM).result.verdict
    assert verdict.decision is Decision.INCONCLUSIVE
    assert ReasonCode.TOO_FEW_ROUNDS in {finding.code for finding in verdict.reasons}


def test_the_candidate_alone_without_a_baseline_is_never_go(in_place: InPlace) -> None:
    settings = load_settings(in_place.file, {}, {})
    parts = in_place._parts(scripts(CALM, Side.CANDIDATE, seed=2))
    comparison = rehearsal.compare(settings, parts, rehearsal.CompareOptions(without_baseline=True))
    assert comparison.result.verdict.decision is Decision.INCONCLUSIVE
    assert comparison.result.verdict.reasons[0].code == ReasonCode.MISSING_BASELINE


# --- what a recording keeps, and what it can be compared with ---------------------------------------------------


def cold(block: Block) -> Block:
    """The same with every duration from a process ten times as slow."""
    slow = recording(replace(CALM, slowdown={"": 10.0}), np.random.default_rng(9), (Side.CANDIDATE,))
    series: tuple[Series, ...] = next(one.series for one in slow if one.is_warm_up)
    return replace(block, series=series)


def test_the_cold_first_seconds_are_stored_and_never_judged(in_place: InPlace) -> None:
    in_place.baseline()
    usual = in_place.compare(CALM).result
    played = [
        [
            BlockClosed(cold(event.block))
            if isinstance(event, BlockClosed) and event.block.is_warm_up
            else event
            for event in events
        ]
        for events in scripts(CALM, Side.CANDIDATE, seed=2)
    ]
    after_cold_starts = in_place.compare(CALM, played).result
    assert after_cold_starts.verdict.judgements == usual.verdict.judgements
    with Store.open(load_settings(in_place.file, {}, {}).store_url) as store:
        blocks = store.blocks(after_cold_starts.run_id)
    assert sum(block.is_warm_up for block in blocks) == ROUNDS


def test_a_baseline_keeps_how_its_rounds_differ_and_where_it_was_recorded(in_place: InPlace) -> None:
    in_place.baseline()
    with Store.open(load_settings(in_place.file, {}, {}).store_url) as store:
        record = store.baseline("default")
        rounds = {block.round for block in store.blocks(record.run_id) if not block.is_warm_up}
    assert rounds == set(range(ROUNDS))
    assert {key.partition(".")[0] for key in record.provenance} >= {"scenario", "schedule", "rig", "load"}


@pytest.mark.parametrize(
    ("days", "decisions"), [(29, {Decision.GO, Decision.INCONCLUSIVE}), (31, {Decision.INCONCLUSIVE})]
)
def test_a_baseline_has_an_age_limit(in_place: InPlace, days: int, decisions: set[Decision]) -> None:
    in_place.baseline()
    verdict = in_place.compare(CALM, days_later=days).result.verdict
    assert verdict.decision in decisions
    is_stale = ReasonCode.BASELINE_STALE in {finding.code for finding in verdict.reasons}
    assert is_stale is (days > 30)


def test_other_conditions_are_refused_unless_they_are_declared(in_place: InPlace) -> None:
    in_place.baseline()
    with pytest.raises(NotComparable, match=r"load\.timeout was '2 s', is '3 s'"):
        in_place.compare(CALM, changes={"load.timeout": "3s"})
    changes = {"load.timeout": "3s", "baseline.declared_differences": ["load.timeout"]}
    assert in_place.compare(CALM, changes=changes).result.verdict.judgements


def test_a_recording_from_another_machine_is_refused(
    in_place: InPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place.baseline()
    monkeypatch.setattr(provenance, "fingerprint", lambda: {**fingerprint(), "rig.cpu": "another"})
    with pytest.raises(NotComparable, match=r"rig\.cpu"):
        in_place.compare(CALM)


def test_a_candidate_is_never_a_baseline(in_place: InPlace) -> None:
    in_place.baseline()
    run_id = in_place.compare(CALM).result.run_id
    with Store.open(load_settings(in_place.file, {}, {}).store_url) as store:
        assert store.baseline("default").kind is RunKind.BASELINE
        with pytest.raises((ConfigError, NotReady)):
            store.name_baseline("default", run_id)
        assert store.baseline("default").run_id != run_id


def answers(side: Side, body: bytes) -> list[LoadEvent]:
    sample = Sample(
        side, "GET /items", "/items", 200, {"content-type": "application/json"}, body, is_whole=True
    )
    return [*[Sampled(sample)] * 40, SamplesCounted(Sampling(side, 40))]


def test_a_broken_contract_is_found_against_a_recording(in_place: InPlace) -> None:
    in_place.baseline(extra=answers(Side.BASELINE, b'{"total": 1.5}'))
    played = [
        [*one, *answers(Side.CANDIDATE, b'{"total": "1.5"}')] for one in scripts(CALM, Side.CANDIDATE, seed=2)
    ]
    verdict = in_place.compare(CALM, played).result.verdict
    assert verdict.decision is Decision.ABORT
    assert verdict.reasons[0].code == ReasonCode.CONTRACT
