"""One environment, upgraded in place: the candidate alone against what was recorded of the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.load.engine import BlockClosed, LoadEvent, LoadStarted, ScriptedEngine, WorkerDone
from rehearse.model import Decision, Mode, ReasonCode, Side
from rehearse.progress import Silence
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

    def baseline(self, rounds: int = ROUNDS) -> None:
        played = scripts(replace(CALM, rounds=rounds), Side.BASELINE, seed=1)
        settings = load_settings(self.file, {}, {"baseline.rounds": rounds})
        rehearsal.baseline(settings, self._parts(played), None, "test")

    def compare(self, world: World) -> rehearsal.Comparison:
        played = scripts(world, Side.CANDIDATE, seed=2)
        settings = load_settings(self.file, {}, {})
        assert settings.resolved_mode is Mode.RECORDED
        return rehearsal.compare(settings, self._parts(played), rehearsal.CompareOptions())


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
