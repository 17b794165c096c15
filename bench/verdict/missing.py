"""Evidence with something missing, empty, stalled or cut short: GO must be impossible, whoever judges.

Each case takes one thing away from a rehearsal that is GO without it; a case that is not, proves nothing and stops the
benchmark. The peers see the same requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.verdict.evidence import POLICY, constant, finals_of
from bench.verdict.peers import PEERS, Answer, Seen
from bench.verdict.rehearsals import OURS, Rehearsal, simulated
from bench.verdict.simulator import Flags, Requests, World
from rehearse.histogram import Histogram
from rehearse.judge.verdict import judge
from rehearse.model import Block, Decision, Evidence, Incident, ReasonCode, RequestOutcome, Scope, Side

# Wide margins' worth of quiet: without the injection every seed is GO.
QUIET = World(
    endpoints={"GET /items": (0.6, 0.010), "POST /orders": (0.4, 0.010)},
    rate_per_s=100.0,
    blocks=12,
    rounds=4,
    warm_up_blocks=1,
    spread=0.2,
    shared_sd=0.03,
    own_sd=0.003,
)
ENDPOINT = 1
SEEDS = 3

Change = Callable[[Block], Block | None]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is missing; `seen` is what the peers then see, None where they would not notice."""

    name: str
    evidence: Callable[[Evidence], Evidence]
    seen: Callable[[Seen], Seen] | None = None


def measured_answers() -> Mapping[str, Mapping[str, Sequence[Decision]]]:
    """Case by case and rule by rule: the decisions over the seeds."""
    found: dict[str, dict[str, list[Decision]]] = {}
    for seed in range(SEEDS):
        good = simulated(QUIET, QUIET, POLICY, np.random.default_rng([73, seed]))
        assert judge(good.evidence).decision is Decision.GO, f"seed {seed} is not GO to begin with"
        for case in CASES:
            for rule, answer in _answers(case, good).items():
                found.setdefault(case.name, {}).setdefault(rule, []).append(answer)
    return found


def _answers(case: Case, good: Rehearsal) -> Mapping[str, Decision]:
    ours = {OURS: judge(case.evidence(good.evidence)).decision}
    if case.seen is None:
        return ours
    seen = case.seen(good.seen)
    return {**ours, **{name: _decision(peer(seen)) for name, peer in PEERS.items()}}


def _decision(answer: Answer) -> Decision:
    return answer.decision


# --- what the peers see -----------------------------------------------------------------------------------------


def _seen(side: Side, keep: Callable[[Requests], Flags]) -> Callable[[Seen], Seen]:
    def without(seen: Seen) -> Seen:
        if side is Side.BASELINE:
            return replace(seen, baseline=seen.baseline.chosen(keep(seen.baseline)))
        return replace(seen, candidate=seen.candidate.chosen(keep(seen.candidate)))

    return without


def _nothing(requests: Requests) -> Flags:
    return np.zeros(requests.block.size, dtype=np.bool_)


def _other_endpoints(requests: Requests) -> Flags:
    return np.asarray(requests.endpoint != ENDPOINT)


def _first_quarter(requests: Requests) -> Flags:
    return requests.block < QUIET.blocks * QUIET.rounds // 4


# --- what the judge sees ----------------------------------------------------------------------------------------


def _on(change: Change, *sides: Side, keeps_finals: bool = False) -> Callable[[Evidence], Evidence]:
    """Change (or, with None, lose) every measured block of `sides`."""

    def changed(evidence: Evidence) -> Evidence:
        rows = [
            change(block) if block.side in sides and not block.is_warm_up else block
            for block in evidence.blocks
        ]
        blocks = tuple(block for block in rows if block is not None)
        return replace(evidence, blocks=blocks, finals=evidence.finals if keeps_finals else finals_of(blocks))

    return changed


def _lost(_: Block) -> None:
    return None


def _lost_late(block: Block) -> Block | None:
    return block if block.round < QUIET.rounds // 4 else None


def _lost_one(block: Block) -> Block | None:
    return None if (block.round, block.index) == (1, 5) else block


def _lost_round(block: Block) -> Block | None:
    return None if block.round == 1 else block


def _without_endpoint(block: Block) -> Block:
    gone = {"POST /orders", "do POST /orders"}
    return replace(block, series=tuple(one for one in block.series if one.name not in gone))


def _without_durations(block: Block) -> Block:
    empty = {RequestOutcome.OK: Histogram()}
    return replace(block, series=tuple(replace(one, durations=empty) for one in block.series))


def _without_scenario(block: Block) -> Block:
    return replace(block, series=tuple(one for one in block.series if one.scope is Scope.ENDPOINT))


def _without_rig(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, rig_lag=Histogram()))


def _stalled(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, stall_max_s=1.0))


def _late(block: Block) -> Block:
    return replace(block, rig=replace(block.rig, rig_lag=constant(0.05, block.arrivals.dispatched)))


def _not_a_number(block: Block) -> Block:
    return replace(block, length_s=math.nan)


def _unbalanced(block: Block) -> Block:
    return replace(block, arrivals=replace(block.arrivals, ok=block.arrivals.ok - 1))


def _all_failed(block: Block) -> Block:
    """The same expired token on both sides: fast failures, and no difference."""
    series = tuple(
        replace(one, durations={RequestOutcome.ERROR: one.durations[RequestOutcome.OK]})
        for one in block.series
    )
    arrivals = replace(block.arrivals, ok=0, error=block.arrivals.ok)
    return replace(block, series=series, arrivals=arrivals)


def _fewer_told(evidence: Evidence) -> Evidence:
    return replace(evidence, finals=(replace(evidence.finals[0], blocks_closed=3), *evidence.finals[1:]))


def _samples_lost(evidence: Evidence) -> Evidence:
    return replace(evidence, finals=(replace(evidence.finals[0], listener_errors=1), *evidence.finals[1:]))


def _worker_lost(evidence: Evidence) -> Evidence:
    return replace(
        evidence, incidents=(Incident(ReasonCode.WORKER_LOST, "a worker was lost", Side.CANDIDATE),)
    )


_B, _C = Side.BASELINE, Side.CANDIDATE
CASES = (
    Case("the candidate was never measured", _on(_lost, _C), _seen(_C, _nothing)),
    Case("the baseline was never measured", _on(_lost, _B), _seen(_B, _nothing)),
    Case("the candidate's blocks have no durations", _on(_without_durations, _C), _seen(_C, _nothing)),
    Case("an endpoint is missing on the candidate", _on(_without_endpoint, _C), _seen(_C, _other_endpoints)),
    Case("an endpoint is missing on the baseline", _on(_without_endpoint, _B), _seen(_B, _other_endpoints)),
    Case("the candidate's last three quarters are lost", _on(_lost_late, _C), _seen(_C, _first_quarter)),
    Case("both sides' last three quarters are lost", _on(_lost_late, _B, _C),
         lambda seen: _seen(_B, _first_quarter)(_seen(_C, _first_quarter)(seen))),
    Case("the load was cut short", lambda evidence: replace(evidence, is_complete=False)),
    Case("one block of the candidate is lost", _on(_lost_one, _C)),
    Case("one round is lost", _on(_lost_round, _B, _C)),
    Case("every block of the candidate twice",
         lambda evidence: replace(evidence, blocks=(*evidence.blocks, *(b for b in evidence.blocks if b.side is _C)))),
    Case("no series of the scenario", _on(_without_scenario, _B, _C)),
    Case("a block's length is not a number", _on(_not_a_number, _C)),
    Case("the accounts do not balance", _on(_unbalanced, _C, keeps_finals=True)),
    Case("everything fails on both sides", _on(_all_failed, _B, _C)),
    Case("the rig was not watched", _on(_without_rig, _C)),
    Case("the rig stalled", _on(_stalled, _C)),
    Case("the rig was late", _on(_late, _B)),
    Case("no closing accounts", lambda evidence: replace(evidence, finals=())),
    Case("a closing account is missing", lambda evidence: replace(evidence, finals=evidence.finals[1:])),
    Case("a closing account tells of fewer blocks", _fewer_told),
    Case("the recorder lost samples", _samples_lost),
    Case("a worker was lost", _worker_lost),
    Case("a scenario never ran", lambda evidence: replace(evidence, scenarios=("shop", "checkout"))),
    Case("nothing at all", lambda evidence: replace(evidence, blocks=(), finals=())),
)  # fmt: skip
