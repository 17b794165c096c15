"""How a comparison stands at a look, and what would settle what is open."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
import pytest

from rehearse.judge.verdict import judge, look_at
from rehearse.model import Decision, Evidence, Finding, Metric, Outcome, Reference, Role
from tests.judge.evidence import (
    OBJECTIVES,
    POLICY,
    QUIET,
    SCENARIO,
    World,
    evidence_of,
    paired,
    recording,
    with_blocks,
)

# As noisy as it takes to leave the tail open after a minute.
UNSTEADY = World(
    endpoints={"GET /items": (1.0, 0.010)}, rounds=2, blocks=40, spread=0.6, own_sd=0.08, has_tasks=False
)


TAIL = f"{SCENARIO} p95"
ONLY_THE_TAIL = replace(
    POLICY, objectives=tuple(one for one in OBJECTIVES if one.metric in (Metric.P95, Metric.ERROR_RATIO))
)


def until(evidence: Evidence, blocks: int) -> Evidence:
    """What was known after `blocks` of each round."""
    last = UNSTEADY.warm_up_blocks + blocks
    return with_blocks(evidence, [block for block in evidence.blocks if block.index < last])


def open_ones(evidence: Evidence) -> dict[str, Finding]:
    verdict = judge(evidence)
    certified = {one.cell.label for one in verdict.judgements if one.cell.role is Role.CERTIFY}
    return {
        one.subject: one for one in verdict.reasons if one.subject in certified and "pairs" in one.numbers
    }


def foretold_over_true(world: World, look: int, seed: int) -> list[float]:
    """How many times too long the minutes are that are named for the open tail; nothing where it is not open."""
    rng = np.random.default_rng(seed)
    known = Reference("main", recording(replace(world, blocks=80 // world.rounds), rng))
    evidence = evidence_of(recording(world, rng), world, known, policy=ONLY_THE_TAIL, looks=4)
    found = open_ones(until(evidence, look)).get(TAIL)
    more_s = found.numbers["more_load_s"] if found is not None else None
    if not isinstance(more_s, float):
        return []
    step_s = world.block_s * world.rounds
    later = (
        at
        for at in (4, 5, 6, 7, 9, 12, 16, 22, 30, 40)
        if at > look and TAIL not in open_ones(until(evidence, at))
    )
    return [max(more_s, step_s) / ((next(later, 80) - look) * step_s)]


def test_the_minutes_that_are_named_are_right_within_a_factor_of_two_in_the_median() -> None:
    """Until the cell is decided in whatever way, for identical code with an open tail at the look."""
    short, long = replace(UNSTEADY, rounds=4), UNSTEADY
    ratios = [ratio for seed in range(20) for ratio in foretold_over_true(short, 3, seed)]
    ratios += [ratio for seed in range(20) for ratio in foretold_over_true(long, 5, seed)]
    assert len(ratios) >= 5
    assert 0.5 <= statistics.median(ratios) <= 2.0


def test_an_open_cell_says_which_why_and_what_would_settle_it() -> None:
    evidence = paired(replace(UNSTEADY, blocks=4), 3, before=replace(UNSTEADY, blocks=20))
    reason = open_ones(evidence)[f"{SCENARIO} error ratio"]
    assert reason.outcome is Outcome.INCONCLUSIVE
    assert reason.sentence.startswith(reason.subject)
    assert reason.sentence.endswith(
        "margin +0.1 pp: it may be up to +0.19 pp; about 1 more minute would decide"
    )
    assert reason.numbers["more_load_s"] == pytest.approx(32 * (2995 / 1600 - 1))


def test_a_margin_below_what_the_rig_can_decide_is_told_with_the_one_that_it_can() -> None:
    world = replace(QUIET, rounds=1, blocks=30)
    verdict = judge(paired(world, 1))  # no recording: hosts and starts are assumed
    assert any(
        "this rig cannot decide a 5 % margin; it can decide " in one.sentence for one in verdict.reasons
    )
    assert all(
        one.numbers.get("more_load_s") is None for one in verdict.reasons if "cannot decide" in one.sentence
    )


def test_a_look_tells_the_widest_open_cell_and_the_minutes() -> None:
    evidence = paired(replace(UNSTEADY, blocks=4), 3, before=replace(UNSTEADY, blocks=20), looks=4)
    verdict, standing = look_at(evidence)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert standing.open_cells > 0
    assert standing.line.startswith(f"INCONCLUSIVE after {verdict.pairs_used} pairs; ")
    assert "widest" in standing.line
    assert standing.outlook in standing.line


def test_a_look_with_too_few_pairs_says_so() -> None:
    _, standing = look_at(paired(replace(QUIET, rounds=1, blocks=3), 1, before=QUIET, looks=4))
    assert "only 3 pairs" in standing.line
    assert standing.more_s is None


def test_a_look_at_which_nothing_is_open_leaves_it_to_the_end() -> None:
    _, standing = look_at(
        paired(replace(QUIET, rate_per_s=200), 1, before=replace(QUIET, rate_per_s=200), looks=4)
    )
    assert standing.open_cells == 0
    assert standing.line.endswith("no certified cell is open")
    assert standing.outlook == "the end decides"
