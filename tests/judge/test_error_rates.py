"""How often the whole verdict is wrong, and how often it decides, on simulated rehearsals whose truth is known.

Each is a small rehearsal: 16 pairs of 4 s at 40 requests/s, 2 endpoints, 10 deciding cells; a shared block level with
SD 18 % and serial correlation 0.4, 1 % of each side's own, 1.5 % for each process start, hosts that differ by 2 %.
Tolerances: about three standard errors of the count beyond the promised rate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rehearse.judge.verdict import judge
from rehearse.model import Decision
from tests.judge.evidence import World, paired

NOISY = World(
    start_sd=0.015, own_sd=0.01, warm_up_blocks=0, blocks=16, rounds=1, rate_per_s=40.0, has_tasks=False
)
ROUNDS = replace(NOISY, blocks=8, rounds=2)
LONG = replace(NOISY, blocks=18, rounds=4)
HOST_SD = 0.02
LOOKS = 3


def decisions(world: World, before: World | None, runs: int, first_seed: int = 0) -> Counter[Decision]:
    """What `runs` rehearsals of `world` are judged to be; the hosts of each differ by chance."""
    found: Counter[Decision] = Counter()
    for seed in range(first_seed, first_seed + runs):
        host = float(np.exp(np.random.default_rng(10_000 + seed).normal(0, HOST_SD)))
        reference = None if before is None else replace(before, host=host)
        found[judge(paired(replace(world, host=host), seed, before=reference, looks=LOOKS)).decision] += 1
    return found


@pytest.mark.parametrize(
    ("world", "before"),
    [(NOISY, None), (ROUNDS, ROUNDS)],
    ids=["without a reference", "with an A/A reference"],
)
def test_identical_code_is_hardly_ever_abort(world: World, before: World | None) -> None:
    """Promised <= 1 %; 120 rehearsals each: 1 expected, 4 tolerated."""
    assert decisions(world, before, 120)[Decision.ABORT] <= 4


def test_a_fifth_slower_is_abort() -> None:
    """Promised >= 95 %; 60 rehearsals: 57 expected at least, 52 tolerated. Never GO."""
    found = decisions(replace(NOISY, slowdown={"": 1.2}), None, 60)
    assert found[Decision.ABORT] >= 52
    assert found[Decision.GO] == 0


def test_a_fifth_slower_with_rounds_and_a_reference_is_abort() -> None:
    found = decisions(replace(ROUNDS, slowdown={"": 1.2}), ROUNDS, 40)
    assert found[Decision.ABORT] >= 38
    assert found[Decision.GO] == 0


def test_what_lies_at_the_margin_is_hardly_ever_go() -> None:
    """True p50 change = the margin of 5 %; promised <= 5 %; 80 rehearsals: 9 tolerated."""
    assert decisions(replace(ROUNDS, slowdown={"": 1.05}), ROUNDS, 80)[Decision.GO] <= 9


def test_what_lies_at_twice_the_margin_is_never_go() -> None:
    assert decisions(replace(ROUNDS, slowdown={"": 1.10}), ROUNDS, 60)[Decision.GO] == 0


def test_identical_code_is_mostly_go_with_rounds_and_a_reference_within_five_minutes() -> None:
    """4 rounds of 72 s at 100/s; measured 83 % of 150; 10 rehearsals here, 6 tolerated."""
    long = replace(LONG, rate_per_s=100.0)
    assert decisions(long, long, 10)[Decision.GO] >= 6
