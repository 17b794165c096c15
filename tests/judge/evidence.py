"""Whole rehearsals for tests, from a seed: the benchmark's simulator (bench/verdict) makes the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from bench.verdict.evidence import (
    OBJECTIVES,
    POLICY,
    SCENARIO,
    constant,
    evidence_of,
    finals_of,
    healthy_rig,
    histogram,
    recording,
)
from bench.verdict.simulator import World
from rehearse.model import Block, Evidence, Mode, Policy, Reference, Side

__all__ = [
    "OBJECTIVES",
    "POLICY",
    "QUIET",
    "SCENARIO",
    "World",
    "constant",
    "evidence_of",
    "finals_of",
    "good",
    "healthy_rig",
    "histogram",
    "paired",
    "recorded",
    "recording",
    "with_blocks",
]

QUIET = World(shared_sd=0.05, own_sd=0.003)


def paired(
    world: World, seed: int, *, before: World | None = None, policy: Policy = POLICY, looks: int = 1
) -> Evidence:
    """A complete paired rehearsal; `before` is the world of its A/A reference, None for no reference."""
    rng = np.random.default_rng(seed)
    reference = None if before is None else Reference("main", recording(before, rng))
    return evidence_of(recording(world, rng), world, reference, policy=policy, looks=looks)


def recorded(world: World, before: World, seed: int, *, policy: Policy = POLICY) -> Evidence:
    """A candidate alone against a stored recording of the baseline alone."""
    rng = np.random.default_rng(seed)
    reference = Reference("main", recording(before, rng, (Side.BASELINE,)))
    blocks = recording(world, rng, (Side.CANDIDATE,))
    return evidence_of(blocks, world, reference, mode=Mode.RECORDED, policy=policy)


@cache
def good(seed: int = 2) -> Evidence:
    """Identical code on quiet machines, with an A/A reference: this is GO, so that taking something away means much.

    Drawn once: evidence is frozen.
    """
    return paired(QUIET, seed, before=QUIET)


def with_blocks(evidence: Evidence, blocks: Sequence[Block]) -> Evidence:
    """The same evidence with other blocks, and the closing accounts that belong to them."""
    return replace(evidence, blocks=tuple(blocks), finals=finals_of(blocks))
