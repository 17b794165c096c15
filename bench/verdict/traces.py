"""Real measurements (traces/README.md), resampled into rehearsals.

A rehearsal draws runs of neighbouring slices with replacement (a block bootstrap), for the comparison and for its A/A
reference alike; with the same variant in both the true difference is exactly the injected one.
"""

from __future__ import annotations

import csv
import lzma
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from bench.verdict.evidence import POLICY, blocks_of, evidence_of
from bench.verdict.peers import Answer
from bench.verdict.rehearsals import Rehearsal, answers, seen_in
from bench.verdict.simulator import Draw, Flags, Floats, Requests, World
from rehearse.model import Reference, Side

FILE = Path(__file__).parent / "traces" / "pairs.csv.xz"
SLICE_S = 5.0
SLICES = 60
_RUN = 4  # neighbouring slices that are drawn together
_WORLD = World(
    endpoints={"GET /work": (1.0, 0.002)},
    rate_per_s=100.0,
    block_s=SLICE_S,
    blocks=SLICES,
    rounds=1,
    warm_up_blocks=0,
    has_tasks=False,
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One side of one slice, in the order of time."""

    offset_s: Floats
    service_s: Floats
    failed: Flags


Pair = Mapping[Side, Slice]


@cache
def pairs() -> Mapping[str, tuple[Pair, ...]]:
    """The slices of each variant, by cycle."""
    rows: defaultdict[tuple[str, int, Side], list[tuple[float, float, bool]]] = defaultdict(list)
    with lzma.open(FILE, "rt", encoding="ascii", newline="") as text:
        for row in csv.DictReader(text):
            key = row["candidate"], int(row["cycle"]), Side(row["side"])
            rows[key].append((float(row["offset_s"]), float(row["service_ms"]) / 1000, row["ok"] != "1"))
    variants = sorted({variant for variant, _, _ in rows})
    return {
        variant: tuple({side: _slice(rows[variant, cycle, side]) for side in Side} for cycle in range(SLICES))
        for variant in variants
    }


def _slice(rows: Sequence[tuple[float, float, bool]]) -> Slice:
    offset_s, service_s, failed = zip(*rows, strict=True)
    return Slice(np.array(offset_s), np.array(service_s), np.array(failed))


def answers_of(
    variant: str,
    rng: np.random.Generator,
    factor: float = 1.0,
    has_reference: bool = True,
    floor_s: float = POLICY.floor_s,
) -> Mapping[str, Answer]:
    """What every rule says of one resampled rehearsal; `factor` slows the candidate down.

    A request takes 2.3 ms, of which the usual floor of 0.2 ms is 9 %: where a margin is what is tested, without it.
    """
    rehearsal = resampled(variant, rng, factor, has_reference)
    policy = replace(rehearsal.evidence.policy, floor_s=floor_s)
    return answers(replace(rehearsal, evidence=replace(rehearsal.evidence, policy=policy)), with_peers=True)


def resampled(variant: str, rng: np.random.Generator, factor: float, has_reference: bool) -> Rehearsal:
    """One rehearsal of as many slices as there are."""
    now = _drawn(pairs()[variant], rng, factor)
    earlier = _drawn(pairs()["A2"], rng, 1.0) if has_reference else None
    reference = None if earlier is None else Reference("main", blocks_of(earlier))
    evidence = evidence_of(blocks_of(now), now.world, reference, policy=POLICY)
    # Every process was started once. The candidate of a reference is another process than the one that is compared.
    evidence = replace(evidence, restarted=frozenset())
    return Rehearsal(evidence, replace(seen_in(now, earlier), endpoints=0))


def _drawn(slices: Sequence[Pair], rng: np.random.Generator, factor: float) -> Draw:
    starts = rng.integers(0, len(slices), SLICES // _RUN)
    chosen = [slices[(start + step) % len(slices)] for start in starts for step in range(_RUN)]
    kept = [_equal_numbers(pair, rng) for pair in chosen]
    return Draw(_WORLD, {side: _requests([pair[side] for pair in kept], side, factor) for side in Side})


def _equal_numbers(pair: Pair, rng: np.random.Generator) -> Pair:
    """Arrivals chose their side by chance; ours have the same number on both: some of the larger side are left out."""
    size = min(one.service_s.size for one in pair.values())
    kept = {}
    for side, one in pair.items():
        chosen = np.sort(rng.permutation(one.service_s.size)[:size])
        kept[side] = Slice(one.offset_s[chosen], one.service_s[chosen], one.failed[chosen])
    return kept


def _requests(slices: Sequence[Slice], side: Side, factor: float) -> Requests:
    block = np.repeat(np.arange(len(slices)), [one.service_s.size for one in slices])
    offsets_s = np.concatenate([one.offset_s for one in slices])
    seconds = np.concatenate([one.service_s for one in slices]) * (factor if side is Side.CANDIDATE else 1.0)
    return Requests(
        block,
        block * SLICE_S + np.clip(offsets_s, 0, SLICE_S - 1e-6),
        np.zeros(block.size, dtype=np.int64),
        seconds,
        np.concatenate([one.failed for one in slices]),
    )
