"""Was the load generator fit to judge? It is judged before the system: what it did badly is not the system's fault."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rehearse.judge import fitness
from rehearse.judge.faults import Fault, fault
from rehearse.judge.fitness import Cause, Complaint
from rehearse.judge.pairs import JudgedBlocks
from rehearse.judge.wording import duration, share
from rehearse.model import Block, Finding, Outcome, Policy, ReasonCode, Reference, RigHealth

DISCARDED = "discarded_blocks"
_AWAY_S = 4.0  # the engine calls a worker lost that was silent for so long
_WORTH_TELLING = 0.05
_MOST_STRETCH = 1.25  # a margin that recorded mode decides at best (docs/verdict.md)


def rig_faults(judged: JudgedBlocks, blocks: Sequence[Block], policy: Policy) -> list[Fault]:
    """Too many blocks in which the load generator was late or busy, or it was away, or was not watched."""
    under_load = [block for block in blocks if not block.is_warm_up]
    return [*_too_many_discarded(judged, policy), *_was_away(under_load), *_not_watched(under_load)]


def rig_warnings(judged: JudgedBlocks, policy: Policy) -> list[Finding]:
    """The few blocks that were discarded, and why: the verdict rests on what is left."""
    if not judged.discarded or _is_unfit(judged, policy):
        return []
    return [Finding(Outcome.INCONCLUSIVE, DISCARDED, "rig", _discarded(judged))]


def _is_unfit(judged: JudgedBlocks, policy: Policy) -> bool:
    return judged.discarded > policy.rig.max_discarded_ratio * judged.offered


def _too_many_discarded(judged: JudgedBlocks, policy: Policy) -> list[Fault]:
    if not _is_unfit(judged, policy):
        return []
    sentence = (
        f"{_discarded(judged)}; at most {share(policy.rig.max_discarded_ratio)} may be; "
        "use a quieter host or a lower rate"
    )
    return [
        fault(ReasonCode.RIG_UNHEALTHY, "rig", sentence, discarded=judged.discarded, blocks=judged.offered)
    ]


def _discarded(judged: JudgedBlocks) -> str:
    """How many for which cause, and the worst block of each."""
    causes = Counter(complaint.cause.name for complaint in judged.complaints).most_common()
    counts = ", ".join(f"{count} {name}" for name, count in causes)
    worst = [
        max((one for one in judged.complaints if one.cause.name == name), key=lambda one: one.size)
        for name, _ in causes
    ]
    return (
        f"{judged.discarded} of {judged.offered} blocks were discarded because the load generator was unfit "
        f"({counts}): at worst {'; '.join(map(_sentence, worst))}"
    )


def _sentence(complaint: Complaint) -> str:
    """Its number, and where it was."""
    block = complaint.block
    words = _WORDS[complaint.cause](block.rig, complaint.size)
    return f"{words} ({block.side}, round {block.round}, block {block.index})"


def _stall(rig: RigHealth) -> str:
    why = f": {rig.stalled_in}" if rig.stalled_in else ""
    return f"its event loop stood still for {duration(rig.stall_max_s)}{why}"


def _lag(rig: RigHealth, size_s: float) -> str:
    """How late, and what the rig was busy with, as far as it was measured."""
    told = [f"1 % of the arrivals were {duration(size_s)} late or later"]
    if (rig.queue_wait_ratio or 0.0) >= _WORTH_TELLING:
        told.append(f"it waited for a core {share(rig.queue_wait_ratio or 0.0)} of the time")
    if (rig.gc_ratio or 0.0) >= _WORTH_TELLING:
        told.append(f"garbage collection took {share(rig.gc_ratio or 0.0)} of it")
    if rig.stalled_in:
        told.append(_stall(rig))
    return ", ".join(told)


_WORDS: Mapping[Cause, Callable[[RigHealth, float], str]] = {
    fitness.EXHAUSTED: lambda _, size: f"{size:.0f} times the load generator had no descriptor or port left",
    fitness.CLOCK_STEP: lambda _, size: f"the wall clock was set by {duration(size)}, or the machine slept",
    fitness.QUOTA: lambda _, size: f"the quota of its control group stopped the worker {size:.0f} times",
    fitness.STEAL: lambda _, size: f"the hypervisor gave {share(size)} of the CPU to others",
    fitness.QUEUE: lambda _, size: f"the worker waited for a core {share(size)} of the time",
    fitness.STALL: lambda rig, _: _stall(rig),
    fitness.CPU: lambda _, size: f"the worker used {share(size)} of a core",
    fitness.RIG_LAG: _lag,
}


def _was_away(blocks: Sequence[Block]) -> list[Fault]:
    """A worker that did nothing for seconds was lost for that long, however few blocks that were."""
    away = [block for block in blocks if block.rig.stall_max_s >= _AWAY_S]
    if not away:
        return []
    worst = max(away, key=lambda block: block.rig.stall_max_s)
    sentence = (
        f"the load generator of the {worst.side} was away in round {worst.round}, block {worst.index}: "
        f"{_stall(worst.rig)}"
    )
    return [fault(ReasonCode.RIG_UNHEALTHY, "rig", sentence, stall_s=worst.rig.stall_max_s)]


def _not_watched(blocks: Sequence[Block]) -> list[Fault]:
    """Arrivals from the backlog have their own lag; all others must have a rig lag."""
    blind = [
        block
        for block in blocks
        if block.rig.rig_lag.count == 0 and block.arrivals.dispatched > block.rig.backlog_lag.count
    ]
    if not blind:
        return []
    first = blind[0]
    sentence = (
        f"the rig's own lag was not measured in {len(blind)} blocks, first {first.side} round {first.round} "
        f"block {first.index}; a rig that is not watched proves nothing"
    )
    return [fault(ReasonCode.RIG_UNHEALTHY, "rig", sentence, blocks=len(blind))]


def crowding_faults(stored: Sequence[Block], new: Sequence[Block]) -> list[Fault]:
    """Two recordings of which one had to share its machine with more: what it made slower is not the candidate's.

    The load generator is its own witness: its work per arrival is always the same, so how much longer it took than the
    CPU time it needed is how crowded the machine was, what the hypervisor gave to other virtual machines included. A
    load generator on a machine that nobody shares is at 1 both times.
    """
    then, now = _stretch(stored), _stretch(new)
    if then is None or now is None or max(then, now) <= _MOST_STRETCH * min(then, now):
        return []
    sentence = (
        f"the machine of the load generator was more crowded {'now' if now > then else 'then'}: its work took "
        f"{then:.2f} times its CPU time when the baseline was recorded, and {now:.2f} times for the candidate; keep "
        "other work off it, or rehearse both sides at once"
    )
    return [fault(ReasonCode.NOT_COMPARABLE, "rig", sentence, baseline=then, candidate=now)]


def _stretch(blocks: Sequence[Block]) -> float | None:
    """Time that the worker's CPU time took, 1.0 = a core was always free; None where it cannot be told.

    Steal is a part of all CPU time, and None where no hypervisor tells it: then nothing is known to be stolen.
    """
    waits = [block.rig.queue_wait_ratio for block in blocks]
    known_s = [wait * block.length_s for wait, block in zip(waits, blocks, strict=True) if wait is not None]
    cpu_s = math.fsum(block.rig.cpu_ratio * block.length_s for block in blocks)
    if not cpu_s or len(known_s) < len(blocks):
        return None
    stolen_s = math.fsum((block.rig.steal_ratio or 0.0) * block.length_s for block in blocks)
    left_ratio = 1 - stolen_s / math.fsum(block.length_s for block in blocks)
    return (1 + math.fsum(known_s) / cpu_s) / left_ratio if left_ratio > 0 else math.inf


def rig_slowdown_of(reference: Reference | None, judged: JudgedBlocks) -> float:
    """How much slower the machine itself was than in the recording, as a log ratio; 0 where it cannot be told.

    The load generator is the witness again: CPU time for an arrival, whose work is the same. Cores that are shared with
    other virtual machines, or that have no turbo left, make it longer: on the sample shop, by as much as its answers.
    """
    if reference is None or reference.other_rig:
        return 0.0
    then, now = _cpu_per_arrival_s(judged.baseline), _cpu_per_arrival_s(judged.candidate)
    return math.log(now / then) if then > 0 and now > 0 else 0.0


def _cpu_per_arrival_s(blocks: Sequence[Block]) -> float:
    arrivals = sum(block.arrivals.dispatched for block in blocks)
    cpu_s = math.fsum(block.rig.cpu_ratio * block.length_s for block in blocks)
    return cpu_s / arrivals if arrivals else 0.0


def not_measured(blocks: Sequence[Block]) -> tuple[str, ...]:
    """What no block could tell of the rig: advisory, but never a silent pass."""
    told: Mapping[str, Sequence[float | None]] = {
        "CPU time taken by other virtual machines (steal)": [block.rig.steal_ratio for block in blocks],
        "the time that the load generator waited for a core": [
            block.rig.queue_wait_ratio for block in blocks
        ],
        "whether a CPU quota stopped the load generator": [block.rig.throttled for block in blocks],
        "steps of the wall clock": [block.rig.clock_step_s for block in blocks],
        "garbage collection in the load generator": [block.rig.gc_ratio for block in blocks],
    }
    return tuple(what for what, values in told.items() if values and all(value is None for value in values))
