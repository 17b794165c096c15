"""Is everything there, once, and does it add up?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, replace

from rehearse.judge.faults import Fault, fault
from rehearse.model import Arrivals, Block, Evidence, Mode, Policy, ReasonCode, Scope, Side, WorkerFinal

_TRAILING_RATIO = 0.05  # of a round's blocks that one side may have more than the other when a run is stopped


def sides_of(mode: Mode) -> tuple[Side, ...]:
    """The sides that are loaded in a mode."""
    return tuple(Side) if mode is Mode.PAIRED else (Side.CANDIDATE,)


# --- numbers that cannot be -------------------------------------------------------------------------------------


def impossible_numbers(evidence: Evidence) -> list[Fault]:
    """NaN, infinite or negative anything: nothing may be computed from it."""
    reference = evidence.reference
    stored = (*reference.blocks, *reference.probe) if reference else ()
    bad = [_name(block) for block in (*evidence.blocks, *evidence.probe, *stored) if not _is_possible(block)]
    bad += [
        f"the final of {final.side} worker {final.worker}"
        for final in (*evidence.finals, *evidence.probe_finals)
        if not _is_sound(final)
    ]
    alphas = (evidence.policy.abort_alpha, evidence.policy.go_alpha)
    if not _all_possible(_policy_numbers(evidence.policy)) or not all(0 < alpha < 1 for alpha in alphas):
        bad.append("the policy")
    if min(evidence.planned_blocks, evidence.expected_workers, evidence.rounds, evidence.looks) < 1:
        bad.append("the plan (blocks, workers, rounds, looks)")
    if not bad:
        return []
    sentence = (
        f"{len(bad)} parts of the evidence hold a number that cannot be, first {bad[0]}; record it again"
    )
    return [fault(ReasonCode.NO_EVIDENCE, "evidence", sentence, parts=len(bad))]


def _is_possible(block: Block) -> bool:
    rig = block.rig
    numbers = [block.round, block.index, block.start_s, block.length_s, rig.stall_max_s, rig.cpu_ratio]
    errors = [
        number for series in block.series for error in series.errors for number in (error.bin, error.count)
    ]
    told = (
        block.completed,
        rig.steal_ratio,
        rig.queue_wait_ratio,
        rig.throttled,
        rig.clock_step_s,
        rig.gc_ratio,
        rig.exhausted,
    )
    known = [value for value in told if value is not None]
    return block.length_s > 0 and _all_possible([*numbers, *known, *astuple(block.arrivals), *errors])


def _is_sound(final: WorkerFinal) -> bool:
    counts = (
        final.blocks_closed,
        final.listener_errors,
        final.unscheduled_requests,
        final.unscheduled_errors,
    )
    return _all_possible([*astuple(final.arrivals), *counts])


def _all_possible(numbers: Iterable[float]) -> bool:
    return all(math.isfinite(number) and number >= 0 for number in numbers)


def _policy_numbers(policy: Policy) -> Iterator[float]:
    for objectives in (policy.objectives, *policy.overrides.values()):
        for objective in objectives:
            yield objective.margin or 0.0
            yield objective.limit or 0.0
    yield from (policy.floor_s, policy.certify_share_ratio, policy.max_baseline_error_ratio)
    yield from astuple(policy.noise)
    yield from (number for number in astuple(policy.rig) if number is not None)
    yield from astuple(policy.capacity) if policy.capacity is not None else ()


def _name(block: Block) -> str:
    return f"{block.side} round {block.round} block {block.index}"


# --- blocks -----------------------------------------------------------------------------------------------------


def block_faults(evidence: Evidence, sides: Sequence[Side]) -> list[Fault]:
    """Each block balances in itself, none is missing before the last, none is there twice."""
    if not any(not block.is_warm_up for block in evidence.blocks):
        return [
            fault(
                ReasonCode.NO_EVIDENCE, "blocks", "no measured block was recorded; there is nothing to judge"
            )
        ]
    return [
        *_unbalanced(evidence.blocks),
        *_twice(evidence.blocks),
        *(found for side in sides for found in _nothing_requested(evidence.blocks, side)),
        *_gaps(evidence.blocks, sides),
    ]


def _unbalanced(blocks: Sequence[Block]) -> list[Fault]:
    complaints = [(block, _imbalance(block)) for block in blocks]
    found = [f"{_name(block)}: {complaint}" for block, complaint in complaints if complaint is not None]
    if not found:
        return []
    return [
        fault(
            ReasonCode.LEDGER, "blocks", f"{len(found)} blocks do not add up, first {found[0]}; record again"
        )
    ]


def _imbalance(block: Block) -> str | None:
    arrivals = block.arrivals
    ended = arrivals.ok + arrivals.error + arrivals.timeout + arrivals.censored
    recorded, tasks = (_count(block, scope) for scope in (Scope.SCENARIO, Scope.TASK))
    if (complaint := arrivals.imbalance()) is not None:
        return complaint
    if recorded != ended:
        return f"{recorded} durations for {ended} arrivals that ended"
    if tasks not in (0, recorded):
        return f"{tasks} durations of tasks for {recorded} of scenarios"
    over = [
        series.name
        for series in block.series
        if series.errors and sum(error.count for error in series.errors) > series.failed
    ]
    return f"{over[0]} has more kinds of failure than failures" if over else None


def _count(block: Block, scope: Scope) -> int:
    return sum(series.count() for series in block.series if series.scope is scope)


def _twice(blocks: Sequence[Block]) -> list[Fault]:
    counts = Counter((block.side, block.round, block.index, block.is_warm_up) for block in blocks)
    found = [key for key, count in counts.items() if count > 1]
    if not found:
        return []
    side, number, index, _ = found[0]
    sentence = f"{len(found)} blocks are there twice, first {side} round {number} block {index}; record again"
    return [fault(ReasonCode.LEDGER, "blocks", sentence, blocks=len(found))]


def _nothing_requested(blocks: Sequence[Block], side: Side) -> list[Fault]:
    own = [block for block in blocks if block.side is side and not block.is_warm_up]
    series = [series for block in own for series in block.series if series.scope is Scope.ENDPOINT]
    if any(one.count() for one in series) and any(block.arrivals.dispatched for block in own):
        return []
    sentence = f"nothing was requested from the {side} in {len(own)} measured blocks; look at the scenario and the rate"
    return [fault(ReasonCode.NO_EVIDENCE, side, sentence, blocks=len(own))]


def _gaps(blocks: Sequence[Block], sides: Sequence[Side]) -> list[Fault]:
    places = {(block.side, block.round, block.index) for block in blocks if not block.is_warm_up}
    rounds = sorted({number for _, number, _ in places})
    if rounds and rounds[-1] - rounds[0] + 1 != len(rounds):
        return [
            fault(ReasonCode.LEDGER, "rounds", f"the rounds recorded are {rounds}: one is missing between")
        ]
    found = [gap for number in rounds for side in sides for gap in _gaps_in_round(places, side, number)]
    if not found:
        return []
    return [
        fault(
            ReasonCode.LEDGER,
            "blocks",
            f"{len(found)} blocks are missing, first {found[0]}",
            blocks=len(found),
        )
    ]


def _gaps_in_round(places: set[tuple[Side, int, int]], side: Side, number: int) -> list[str]:
    """What a side lacks between the round's first block and its own last."""
    all_indexes = [index for _, round_number, index in places if round_number == number]
    own = {
        index for block_side, round_number, index in places if (block_side, round_number) == (side, number)
    }
    wanted = range(min(all_indexes), max(own, default=min(all_indexes) - 1) + 1)
    return [f"{side} round {number} block {index}" for index in wanted if index not in own]


# --- the capacity probe -----------------------------------------------------------------------------------------


def probe_faults(evidence: Evidence) -> list[Fault]:
    """What was recorded of the probe adds up. How far it came is for the capacity's own cell to say."""
    probe = replace(evidence, blocks=evidence.probe, finals=evidence.probe_finals)
    return [
        *_unbalanced(probe.blocks),
        *_twice(probe.blocks),
        *(found for side in Side for found in final_faults(probe, side)),
    ]


# --- the end of a recording -------------------------------------------------------------------------------------


def closing_faults(evidence: Evidence, sides: Sequence[Side]) -> list[Fault]:
    """The load ended by itself, every worker closed its account, and the accounts agree with the blocks."""
    return [
        *_incomplete(evidence),
        *_short(evidence, sides),
        *_one_sided(evidence.blocks, sides),
        *(found for side in sides for found in final_faults(evidence, side)),
    ]


def _incomplete(evidence: Evidence) -> list[Fault]:
    if evidence.is_complete:
        return []
    return [
        fault(
            ReasonCode.INTERRUPTED, "run", "the load did not end by itself; rehearse again and let it finish"
        )
    ]


def _short(evidence: Evidence, sides: Sequence[Side]) -> list[Fault]:
    """A run that a look has ended early can abort; GO needs all that was planned."""
    counts = [sum(block.side is side and not block.is_warm_up for block in evidence.blocks) for side in sides]
    if min(counts) >= evidence.planned_blocks:
        return []
    sentence = (
        f"{min(counts)} of {evidence.planned_blocks} planned blocks were recorded; "
        "a run that ended early can be ABORT, never GO"
    )
    return [fault(ReasonCode.TOO_FEW_PAIRS, "blocks", sentence, allows_abort=True, blocks=min(counts))]


def _one_sided(blocks: Sequence[Block], sides: Sequence[Side]) -> list[Fault]:
    """Trailing blocks may be missing on both sides; on one side only it is not a comparison."""
    found = []
    for number in sorted({block.round for block in blocks if not block.is_warm_up}):
        own = [block.side for block in blocks if block.round == number and not block.is_warm_up]
        counts = [own.count(side) for side in sides]
        if max(counts) - min(counts) > max(1, _TRAILING_RATIO * max(counts)):
            told = " and ".join(f"{count} of the {side}" for count, side in zip(counts, sides, strict=True))
            sentence = f"round {number} has {told} blocks; a pair needs both"
            found.append(fault(ReasonCode.NO_EVIDENCE, f"round {number}", sentence))
    return found


def final_faults(evidence: Evidence, side: Side) -> list[Fault]:
    """Every worker's closing account of one side, round by round."""
    finals = [final for final in evidence.finals if final.side is side]
    rounds = {block.round for block in evidence.blocks if block.side is side} | {
        final.round for final in finals
    }
    found = []
    for number in sorted(rounds):
        own = [final for final in finals if final.round == number]
        blocks = [block for block in evidence.blocks if block.side is side and block.round == number]
        found += _missing_workers(own, evidence.expected_workers, side, number)
        found += _disagreements(own, blocks, f"{side} round {number}", evidence.expected_workers)
    return found


def _missing_workers(finals: Sequence[WorkerFinal], expected: int, side: Side, number: int) -> list[Fault]:
    workers = Counter(final.worker for final in finals)
    where = f"{side} round {number}"
    if len(workers) < expected:
        sentence = (
            f"{where}: {len(workers)} of {expected} workers closed their account; read the worker's log"
        )
        return [fault(ReasonCode.WORKER_LOST, where, sentence, workers=len(workers))]
    if len(finals) > expected:
        return [
            fault(ReasonCode.LEDGER, where, f"{where}: {len(finals)} closing accounts of {expected} workers")
        ]
    return []


def _disagreements(
    finals: Sequence[WorkerFinal], blocks: Sequence[Block], where: str, workers: int
) -> Iterator[Fault]:
    lost = sum(final.listener_errors for final in finals)
    if lost:
        yield fault(
            ReasonCode.LEDGER, where, f"{where}: the recorder itself failed {lost} times; samples are lost"
        )
    complaints = [complaint for final in finals if (complaint := final.arrivals.imbalance()) is not None]
    if complaints:
        yield fault(ReasonCode.LEDGER, where, f"{where}: a closing account does not balance: {complaints[0]}")
    if workers > 1 and _was_stopped_between_workers(finals, len(blocks)):
        return  # parts of a block that not all workers closed: they were never merged, so sums cannot agree
    closed = {final.blocks_closed for final in finals}
    if finals and closed != {len(blocks)}:
        yield fault(
            ReasonCode.LEDGER,
            where,
            f"{where}: workers closed {sorted(closed)} blocks, {len(blocks)} are here",
        )
    accounts = sum((final.arrivals for final in finals), Arrivals())
    recorded = sum((block.arrivals for block in blocks), Arrivals())
    if finals and accounts != recorded:
        yield fault(
            ReasonCode.LEDGER,
            where,
            f"{where}: the workers count {accounts.dispatched} arrivals sent, the blocks {recorded.dispatched}; "
            "some were lost or counted twice",
        )


def _was_stopped_between_workers(finals: Sequence[WorkerFinal], blocks: int) -> bool:
    """True when the load was stopped while some workers had closed a block and others had not."""
    closed = [final.blocks_closed for final in finals]
    return any(final.abandoned for final in finals) and bool(closed) and min(closed) == blocks < max(closed)
