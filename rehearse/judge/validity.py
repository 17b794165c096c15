"""Everything that makes GO impossible before a single cell is looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rehearse.judge.faults import Fault, fault
from rehearse.judge.health import baseline_faults, isolation_faults
from rehearse.judge.ledger import block_faults, closing_faults, sides_of
from rehearse.judge.outside import outside_faults
from rehearse.judge.pairs import Column, JudgedBlocks, SeriesKey, measured
from rehearse.judge.refusals import refusal_faults
from rehearse.judge.rig import crowding_faults, rig_faults
from rehearse.judge.wording import share
from rehearse.model import Arrivals, Block, Evidence, Finding, Mode, Outcome, ReasonCode, Scope, Side

_LEAST_DISPATCHED_RATIO = 0.99
_MOST_LIMITED_RATIO = 0.05
_MOST_MIX_DIFFERENCE = 0.05
_MIX_STANDARD_ERRORS = 3.3  # random task choice alone must not look like another mix
_ANSWERED_FOR_SURE = 20


def incident_faults(evidence: Evidence) -> list[Fault]:
    """What went wrong while it ran; hard ones are the system's fault beyond doubt."""
    return [
        Fault(
            Finding(
                outcome=Outcome.FAIL if incident.is_hard else Outcome.INCONCLUSIVE,
                code=incident.code,
                subject=incident.side or "run",
                sentence=incident.sentence,
                is_hard=incident.is_hard,
            )
        )
        for incident in evidence.incidents
        if incident.code
        != ReasonCode.DISTRESS  # what a capacity probe looks for: its own cell says what it means
    ]


def validity_faults(
    evidence: Evidence,
    judged: JudgedBlocks,
    table: Mapping[SeriesKey, Column],
    stored: Mapping[SeriesKey, Column],
    *,
    is_final: bool,
) -> list[Fault]:
    """All faults of the evidence; those of its end only when it has ended."""
    sides = sides_of(evidence.mode)
    return [
        *block_faults(evidence, sides),
        *(closing_faults(evidence, sides) if is_final else ()),
        *rig_faults(judged, evidence.blocks, evidence.policy),
        *load_faults(evidence, table),
        *outside_faults(evidence),
        *refusal_faults(table, sides),
        *baseline_faults(table, stored, evidence.policy),
        *_reference_faults(evidence, table, stored),
        # Where the rig spoiled every block, nothing can be said of what was in them.
        *(scenario_faults(evidence, table, tuple(Side)) if judged.candidate else ()),
        *(missing_faults(evidence, table, stored) if judged.candidate else ()),
    ]


def _reference_faults(
    evidence: Evidence, table: Mapping[SeriesKey, Column], stored: Mapping[SeriesKey, Column]
) -> list[Fault]:
    """Recorded mode is nothing without its baseline; paired mode can do without one, and says what it assumes."""
    if evidence.mode is Mode.PAIRED:
        return isolation_faults(table, stored, evidence.policy) if can_check_isolation(evidence) else []
    stored_blocks = () if evidence.reference is None else measured(evidence.reference.blocks, Side.BASELINE)
    if stored_blocks:
        return crowding_faults(stored_blocks, measured(evidence.blocks, Side.CANDIDATE))
    sentence = "there is no recorded baseline to compare with; record one with `rehearse baseline`"
    return [fault(ReasonCode.MISSING_BASELINE, "baseline", sentence)]


def can_check_isolation(evidence: Evidence) -> bool:
    """Sides that share a box by design can only be compared with a recording in which both were loaded; and one from
    another machine had other times."""
    reference = evidence.reference
    if reference is None or reference.other_rig:
        return False
    return reference.is_calibrated or not evidence.policy.shares_host


# --- the load was what was planned ------------------------------------------------------------------------------


def load_faults(evidence: Evidence, table: Mapping[SeriesKey, Column]) -> list[Fault]:
    """Both sides were sent what was planned, and the same."""
    found = [one for side in sides_of(evidence.mode) for one in _not_sent(evidence.blocks, side)]
    stored = evidence.reference.blocks if evidence.reference is not None else ()
    baseline = evidence.blocks if evidence.mode is Mode.PAIRED else stored
    return [*found, *_other_plan(evidence), *_limited(baseline, Side.BASELINE), *_other_mix(table)]


def known_good_load_faults(evidence: Evidence, sides: Sequence[Side]) -> list[Fault]:
    """For a recording of known-good behaviour: each side was sent what was planned, and without waiting for users."""
    return [
        found
        for side in sides
        for found in (*_not_sent(evidence.blocks, side), *_limited(evidence.blocks, side))
    ]


def scenario_faults(
    evidence: Evidence, table: Mapping[SeriesKey, Column], sides: Sequence[Side]
) -> list[Fault]:
    """Each configured scenario was requested on each side: one that never ran proves nothing, and leaves no cell."""
    return [
        _absent_scenario(name, side)
        for name in evidence.scenarios
        for side in sides
        if (column := table.get((Scope.SCENARIO, name))) is None or not column.requests(side)
    ]


def _absent_scenario(name: str, side: Side) -> Fault:
    sentence = (
        f"the scenario {name} was not run once against the {side} in any judged block; "
        "look at its share, the rate and its file"
    )
    return fault(ReasonCode.NO_EVIDENCE, name, sentence, allows_abort=True, side=side)


def _account(blocks: Sequence[Block], side: Side) -> Arrivals:
    return sum((block.arrivals for block in measured(blocks, side)), Arrivals())


def _not_sent(blocks: Sequence[Block], side: Side) -> list[Fault]:
    """An arrival that no user was free for is the candidate's doing; that can hide a worsening, not feign one."""
    account = _account(blocks, side)
    if account.dispatched >= _LEAST_DISPATCHED_RATIO * account.planned:
        return []
    is_limited = account.concurrency_limited > 0
    cause = "every user was still waiting for answers" if is_limited else "no sign that users were all busy"
    sentence = (
        f"{account.dispatched:,} of {account.planned:,} planned arrivals were sent to the {side} ({cause}); "
        f"at least {share(_LEAST_DISPATCHED_RATIO)} are needed: more users, or less rate"
    )
    return [
        fault(
            ReasonCode.LOAD_MISMATCH,
            side,
            sentence,
            allows_abort=is_limited and side is Side.CANDIDATE,
            planned=account.planned,
            dispatched=account.dispatched,
        )
    ]


def _other_plan(evidence: Evidence) -> list[Fault]:
    """Both blocks of a pair have the same number of arrivals in the schedule."""
    if evidence.mode is Mode.RECORDED:
        return []
    planned: dict[tuple[int, int], set[int]] = {}
    for block in evidence.blocks:
        planned.setdefault((block.round, block.index), set()).add(block.arrivals.planned)
    different = sorted(place for place, counts in planned.items() if len(counts) > 1)
    if not different:
        return []
    number, index = different[0]
    sentence = (
        f"{len(different)} pairs had another number of arrivals planned on each side, first round {number} "
        f"block {index}; the sides did not get the same load"
    )
    return [fault(ReasonCode.LOAD_MISMATCH, "blocks", sentence, pairs=len(different))]


def _limited(blocks: Sequence[Block], side: Side) -> list[Fault]:
    """Known-good behaviour that was measured with every user waiting is not that of an open model."""
    account = _account(blocks, side)
    if account.concurrency_limited <= _MOST_LIMITED_RATIO * account.dispatched:
        return []
    sentence = (
        f"the {side} was refused as open model: {account.concurrency_limited:,} of {account.dispatched:,} arrivals "
        "waited because every user was busy; more users or less rate"
    )
    return [fault(ReasonCode.LOAD_MISMATCH, side, sentence, limited=account.concurrency_limited)]


def _other_mix(table: Mapping[SeriesKey, Column]) -> list[Fault]:
    """Tasks are drawn by the rig: another mix is another load. What a task then asks for, the candidate decides."""
    found = []
    for scope, allows_abort in ((Scope.TASK, False), (Scope.ENDPOINT, True)):
        counts = {
            name: (column.requests(Side.BASELINE), column.requests(Side.CANDIDATE))
            for (one, name), column in table.items()
            if one is scope
        }
        totals = [sum(pair[position] for pair in counts.values()) for position in (0, 1)]
        if not all(totals):
            continue
        for name, pair in counts.items():
            shares = (pair[0] / totals[0], pair[1] / totals[1])
            if _differ(shares, totals):
                sentence = (
                    f"{name} is {share(shares[0])} of the baseline's {scope}s and {share(shares[1])} "
                    "of the candidate's; the sides did not get the same load; look at the scenario"
                )
                found.append(fault(ReasonCode.LOAD_MISMATCH, name, sentence, allows_abort=allows_abort))
    return found


def _differ(shares: tuple[float, float], totals: Sequence[int]) -> bool:
    pooled = (shares[0] * totals[0] + shares[1] * totals[1]) / sum(totals)
    chance = math.sqrt(pooled * (1 - pooled) * (1 / totals[0] + 1 / totals[1]))
    return abs(shares[0] - shares[1]) > max(_MOST_MIX_DIFFERENCE, _MIX_STANDARD_ERRORS * chance)


# --- everything that answers on one side answers on the other ---------------------------------------------------


def missing_faults(
    evidence: Evidence, table: Mapping[SeriesKey, Column], stored: Mapping[SeriesKey, Column]
) -> list[Fault]:
    """An endpoint or task that one side, or the recorded baseline, answered and the other side never saw."""
    keys = [key for key in {**table, **stored} if key[0] in (Scope.TASK, Scope.ENDPOINT)]
    found = [one for key in keys if (one := _missing(key, table.get(key), stored.get(key))) is not None]
    known = {name for (_, name), column in table.items() if column.requests(Side.CANDIDATE)}
    for name in evidence.policy.critical:
        if name not in known:
            sentence = f"{name} is critical and the candidate was never asked for it; look at the scenario"
            found.append(fault(ReasonCode.MISSING_ENDPOINT, name, sentence, allows_abort=True))
    return found


def _missing(key: SeriesKey, now: Column | None, before: Column | None) -> Fault | None:
    answered = {
        "baseline": _answered(now, Side.BASELINE),
        "recorded baseline": _answered(before, Side.BASELINE),
        "candidate": _answered(now, Side.CANDIDATE),
    }
    unseen = {side: now is None or not now.requests(side) for side in Side}
    for where in ("baseline", "recorded baseline"):
        if answered[where] >= _ANSWERED_FOR_SURE and unseen[Side.CANDIDATE]:
            return _missing_fault(key, where, answered[where], Side.CANDIDATE)
    if answered["candidate"] >= _ANSWERED_FOR_SURE and unseen[Side.BASELINE]:
        return _missing_fault(key, "candidate", answered["candidate"], Side.BASELINE)
    return None


def _missing_fault(key: SeriesKey, where: str, answered: int, side: Side) -> Fault:
    sentence = (
        f"{key[0]} {key[1]}: the {where} answered {answered:,} times, the {side} was never asked; "
        "look at the routes and the scenario"
    )
    return fault(ReasonCode.MISSING_ENDPOINT, key[1], sentence, allows_abort=True, answered=answered)


def _answered(column: Column | None, side: Side) -> int:
    return 0 if column is None else sum(part.answered for part in column.of(side))
