"""One rehearsal from beginning to end: the looks, the guard, and what the peers say of the same requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.verdict.evidence import blocks_of, evidence_of
from bench.verdict.peers import PEERS, Answer, Seen
from bench.verdict.simulator import Draw, Requests, World, draw
from rehearse.judge.looks import looks
from rehearse.judge.sequential import BINS_PER_S, Guard, LiveBin
from rehearse.judge.verdict import judge, judge_at_look, should_stop
from rehearse.model import Block, Decision, Evidence, Policy, Reference, Side

HOST_SD = 0.02
OURS = "rehearse"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Evidence for the judge, and the raw requests under it for the peers."""

    evidence: Evidence
    seen: Seen


def simulated(world: World, before: World | None, policy: Policy, rng: np.random.Generator) -> Rehearsal:
    """A rehearsal of `world` with an A/A reference of `before`; the pair of hosts is drawn by chance."""
    host = float(np.exp(rng.normal(0, HOST_SD)))
    earlier = None if before is None else draw(replace(before, host=host), rng)
    now = draw(replace(world, host=host), rng)
    reference = None if earlier is None else Reference("main", blocks_of(earlier))
    return Rehearsal(evidence_of(blocks_of(now), world, reference, policy=policy), seen_in(now, earlier))


def seen_in(now: Draw, earlier: Draw | None) -> Seen:
    """The raw requests, warm-up left out; each round of the reference is an earlier run of the baseline."""
    world = now.world
    sides = {side: _requests(now, side) for side in now.sides}
    rounds = () if earlier is None else tuple(_rounds(earlier))
    length_s = world.blocks * world.rounds * world.block_s
    return Seen(sides[Side.BASELINE], sides[Side.CANDIDATE], rounds, len(world.endpoints), length_s)


def _rounds(earlier: Draw) -> Iterator[Requests]:
    all_of_them = _requests(earlier, Side.BASELINE)
    for number in range(earlier.world.rounds):
        yield all_of_them.chosen(all_of_them.block // earlier.world.blocks == number)


def _requests(drawn: Draw, side: Side) -> Requests:
    """Windows and moments count measured load only."""
    world, own = drawn.world, drawn.sides[side]
    number, index = np.divmod(own.block, world.blocks_per_round)
    block = number * world.blocks + index - world.warm_up_blocks
    at_s = own.at_s + (number * world.blocks - world.warm_up_blocks) * world.block_s
    return replace(own, block=block, at_s=at_s).chosen(index >= world.warm_up_blocks)


# --- answers ----------------------------------------------------------------------------------------------------


def our_answer(evidence: Evidence) -> Answer:
    """As `rehearse compare` does it: a look may end it with ABORT, the end decides the rest."""
    block_s = evidence.blocks[0].length_s
    looks_s = looks(evidence.planned_blocks * block_s, block_s, evidence.policy.min_pairs)
    evidence = replace(evidence, looks=len(looks_s))
    before = None
    for look_s in looks_s[:-1]:
        verdict = judge_at_look(until(evidence, look_s))
        if should_stop(verdict, before):
            return Answer(verdict.decision, look_s)
        before = verdict
    return Answer(judge(evidence).decision, looks_s[-1])


def until(evidence: Evidence, end_s: float) -> Evidence:
    """The same evidence as it was after `end_s` of measured load."""
    measured = sorted({(block.round, block.index) for block in evidence.blocks if not block.is_warm_up})
    length_s = evidence.blocks[0].length_s
    places = set(measured[: round(end_s / length_s)])
    kept = tuple(block for block in evidence.blocks if _is_kept(block, places))
    return replace(evidence, blocks=kept, finals=(), is_complete=False)


def _is_kept(block: Block, places: set[tuple[int, int]]) -> bool:
    return (block.round, block.index) in places or (
        block.is_warm_up and (block.round, block.index + 1) in places
    )


def answers(rehearsal: Rehearsal, *, with_peers: bool) -> Mapping[str, Answer]:
    """What we say, and every peer."""
    ours = {OURS: our_answer(rehearsal.evidence)}
    return {**ours, **{name: peer(rehearsal.seen) for name, peer in PEERS.items()}} if with_peers else ours


def guard_answers(world: World, policy: Policy, rng: np.random.Generator) -> Mapping[str, Answer]:
    """The guard on live counters, one report of each side a bin; GO stands for "did not fire"."""
    return {OURS: _guarded(world, policy, rng)}


def _guarded(world: World, policy: Policy, rng: np.random.Generator) -> Answer:
    sides = draw(world, rng).sides
    guard = Guard(policy, world.rate_per_s, world.blocks * world.block_s)
    bins = round(world.blocks * world.block_s * BINS_PER_S)
    counts = {
        side: np.array([np.bincount((own.at_s[mask] * BINS_PER_S).astype(int), minlength=bins)
                        for mask in (np.ones_like(own.failed), own.failed)])
        for side, own in sides.items()
    }  # fmt: skip
    for bin_ in range(bins):
        for side, of_side in counts.items():
            requests, errors = (int(number) for number in of_side[:, bin_])
            if (incident := guard.see(LiveBin(side, bin_, requests, errors, requests))) is not None:
                return Answer(
                    Decision.ABORT if incident.is_hard else Decision.INCONCLUSIVE, (bin_ + 1) / BINS_PER_S
                )
    return Answer(Decision.GO, bins / BINS_PER_S)
