"""The capacity of one side against the other's: one cell, from turns in which each side had the load for itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rehearse.judge.cells import capacity_cells
from rehearse.judge.measurement import (
    Level,
    Measurement,
    NoiseOutlook,
    PairedCase,
    Strictness,
    usable,
    with_estimate,
)
from rehearse.judge.paired import environment_terms
from rehearse.judge.staircase import Climb, Ending, Reading, climb_of, middle_of, readings_of, turns_of
from rehearse.judge.stats import Component, Sample, combined, noise_of_mean, start_variance
from rehearse.model import Block, Cell, Evidence, Policy, ReasonCode, Side

_FEWEST_TURNS = 4  # of each side: fewer cannot show how much turns differ
_ASSUMED_FREEDOM = 4  # what the assumed run-to-run noise is worth, in runs
_OPEN = "at least: the highest rate did not saturate it"


@dataclass(frozen=True, slots=True)
class _Probed:
    """The probe of one side."""

    climb: Climb | None
    readings: tuple[Reading, ...]

    @classmethod
    def of(cls, probe: Sequence[Block], side: Side, policy: Policy) -> _Probed:
        turns = turns_of(probe, side)
        return cls(climb_of(turns[0], policy) if turns else None, readings_of(turns, policy))

    @property
    def fit(self) -> tuple[Reading, ...]:
        return tuple(reading for reading in self.readings if not reading.complaint)

    @property
    def is_open(self) -> bool:
        """Whether only a lower bound of its capacity is known."""
        return any(reading.is_at_least for reading in self.fit)


def measure_capacity(
    evidence: Evidence, strictness: Strictness, case: PairedCase | None
) -> tuple[Measurement, ...]:
    """The capacity's cell, measured; nothing when nobody asked. `case` is None in recorded mode."""
    return tuple(_measure(evidence, strictness, case, cell) for cell in capacity_cells(evidence.policy))


def _measure(evidence: Evidence, strictness: Strictness, case: PairedCase | None, cell: Cell) -> Measurement:
    stored = evidence.reference.probe if evidence.reference is not None else ()
    known = evidence.probe if case is not None else stored
    baseline = _Probed.of(known, Side.BASELINE, evidence.policy)
    candidate = _Probed.of(evidence.probe, Side.CANDIDATE, evidence.policy)
    seen = Measurement(cell, level=_level(cell, candidate, strictness))
    for side, probed in zip(Side, (baseline, candidate), strict=True):
        if probed.climb is None:
            shortage = "; ".join([_never_probed(side), *_distress(evidence)])
            return replace(seen, shortage=shortage, shortage_code=ReasonCode.NO_EVIDENCE)
    if _distress(evidence):
        return _in_distress(evidence, strictness, seen, baseline, candidate)
    if case is not None:
        return _paired(evidence, case, seen, baseline, candidate)
    return _recorded(evidence, strictness, seen, baseline, candidate)


def _never_probed(side: Side) -> str:
    return f"the capacity of the {side} was not probed: the load ended before, or its baseline has none"


# --- turn by turn -----------------------------------------------------------------------------------------------


def _paired(
    evidence: Evidence, case: PairedCase, seen: Measurement, baseline: _Probed, candidate: _Probed
) -> Measurement:
    """Turns alternate between the sides, so that a slow drift of the machines cancels in the mean of the pairs."""
    pairs = _pairs(baseline, candidate)
    seen = _what_was_seen(seen, [one for one, _ in pairs], [other for _, other in pairs])
    if len(pairs) < _FEWEST_TURNS or _is_cut_short(evidence.policy, baseline, candidate):
        return _too_few(seen, baseline, candidate)
    sample = _log_ratios(pairs)
    earlier = usable(_stored_ratios(evidence))
    noise, policy = noise_of_mean(sample, earlier), evidence.policy
    samples = [sample] if earlier is None else [sample, earlier]
    start = start_variance(
        samples, policy.noise.start_sd, policy.noise.start_degrees_of_freedom, len(case.restarted)
    )
    taken_off, fixed = environment_terms(case, sample, earlier, start)
    measured_s = math.fsum(one.length_s + other.length_s for one, other in pairs)
    found = _estimated(seen, sample.mean - taken_off, noise, fixed, case.strictness, measured_s)
    return _as_far_as_known(found, baseline, candidate)


def _pairs(baseline: _Probed, candidate: _Probed) -> list[tuple[Reading, Reading]]:
    """The k-th turn of one side with the k-th of the other: they followed each other."""
    both = zip(baseline.readings, candidate.readings, strict=False)
    return [(one, other) for one, other in both if not one.complaint and not other.complaint]


def _log_ratios(pairs: Sequence[tuple[Reading, Reading]]) -> Sample:
    """log(baseline/candidate): positive is worse. All turns are of one round: one start of each process."""
    values = tuple(math.log(_some(one) / _some(other)) for one, other in pairs)
    return Sample(values, (0,) * len(values))


def _some(reading: Reading) -> float:
    """A turn in which nothing was completed has no logarithm: half of one completion stands for it."""
    return max(reading.per_s, 0.5 / reading.length_s)


def _stored_ratios(evidence: Evidence) -> Sample | None:
    """The same between identical versions, when the baseline was probed on both sides."""
    if evidence.reference is None or evidence.reference.other_rig:
        return None
    sides = [_Probed.of(evidence.reference.probe, side, evidence.policy) for side in Side]
    return _log_ratios(_pairs(sides[0], sides[1]))


def _recorded(
    evidence: Evidence, strictness: Strictness, seen: Measurement, baseline: _Probed, candidate: _Probed
) -> Measurement:
    """The candidate's turns against the stored ones: what drifted between the two recordings is assumed."""
    seen = _what_was_seen(seen, baseline.fit, candidate.fit)
    is_cut_short = _is_cut_short(evidence.policy, baseline, candidate)
    if min(len(baseline.fit), len(candidate.fit)) < _FEWEST_TURNS or is_cut_short:
        return _too_few(seen, baseline, candidate)
    stored, new = (_logs(probed.fit) for probed in (baseline, candidate))
    noise = [noise_of_mean(stored), noise_of_mean(new)]
    turns = Component(
        math.fsum(part.variance for part in noise), min(part.degrees_of_freedom for part in noise)
    )
    runs = Component(2 * evidence.policy.noise.run_to_run_sd**2, _ASSUMED_FREEDOM)
    measured_s = math.fsum(reading.length_s for reading in candidate.fit)
    found = _estimated(seen, stored.mean - new.mean, turns, [runs], strictness, measured_s)
    return _as_far_as_known(found, baseline, candidate)


def _logs(readings: Sequence[Reading]) -> Sample:
    return Sample(tuple(math.log(_some(reading)) for reading in readings), (0,) * len(readings))


def _what_was_seen(
    seen: Measurement, baseline: Sequence[Reading], candidate: Sequence[Reading]
) -> Measurement:
    if not baseline or not candidate:
        return seen
    return replace(
        seen,
        baseline=math.exp(_logs(baseline).mean),
        candidate=math.exp(_logs(candidate).mean),
        worsening=_logs(baseline).mean - _logs(candidate).mean,
        pairs=min(len(baseline), len(candidate)),
        baseline_count=sum(reading.completed for reading in baseline),
        candidate_count=sum(reading.completed for reading in candidate),
        detail=f"{min(len(baseline), len(candidate))} turns a side",
    )


def _estimated(
    seen: Measurement,
    worsening: float,
    turns: Component,
    fixed: Sequence[Component],
    strictness: Strictness,
    measured_s: float = 0.0,
) -> Measurement:
    change = combined(worsening, [turns, *fixed])
    outlook = NoiseOutlook(
        turns.variance, math.fsum(part.variance for part in fixed), change.degrees_of_freedom, measured_s
    )
    margin = seen.cell.objective.margin
    return replace(
        with_estimate(seen, change, strictness),
        margin=None if margin is None else -math.log1p(-margin),
        outlook=outlook,
    )


def _as_far_as_known(found: Measurement, baseline: _Probed, candidate: _Probed) -> Measurement:
    """A side that the highest rate did not saturate can take more than was seen: the change is known on one side.

    Both: they are equal as far as was asked, and nothing is worse. The candidate alone: it can only be better than it
    looks. The baseline alone: the candidate can only be worse than it looks, so that nothing is proven inside.
    """
    if candidate.is_open:
        which = f"both {_OPEN.replace('it', 'them')}" if baseline.is_open else f"the candidate {_OPEN}"
        return replace(found, p_value=None, detail=f"{found.detail}, {which}")
    if baseline.is_open:
        return replace(found, upper=math.inf, high=math.inf, detail=f"{found.detail}, the baseline {_OPEN}")
    return found


def _is_cut_short(policy: Policy, baseline: _Probed, candidate: _Probed) -> bool:
    """Whether turns that were planned are not there at all."""
    taken = min(len(baseline.readings), len(candidate.readings))
    return policy.capacity is not None and taken < policy.capacity.pairs


def _too_few(seen: Measurement, baseline: _Probed, candidate: _Probed) -> Measurement:
    """Which turns are missing, and why."""
    unfit = [one for probed in (baseline, candidate) for one in probed.readings if one.complaint]
    taken = f"{len(baseline.readings)} and {len(candidate.readings)} turns were taken"
    shortage = (
        f"the capacity rests on {seen.pairs} turns of each side ({taken}); all that were planned are needed, and "
        f"{_FEWEST_TURNS} that count"
    )
    if not unfit:
        return replace(seen, shortage=shortage, shortage_code=ReasonCode.TOO_FEW_PAIRS)
    (complaint, code), count = Counter((one.complaint, one.code) for one in unfit).most_common(1)[0]
    return replace(seen, shortage=f"{shortage}; {count} do not count: {complaint}", shortage_code=code)


# --- after distress ---------------------------------------------------------------------------------------------


def _in_distress(
    evidence: Evidence, strictness: Strictness, seen: Measurement, baseline: _Probed, candidate: _Probed
) -> Measurement:
    """One staircase of each side is all there is: nobody is driven into distress twice.

    Between which two steps it ended is known, and where inside them is not (a uniform error); that the next staircase
    would end there too is assumed, as between two runs.
    """
    said = "; ".join(_distress(evidence))
    climbs = (baseline.climb, candidate.climb)
    plan = evidence.policy.capacity
    if plan is None or any(climb is None or not climb.sustained_per_s for climb in climbs):
        return replace(seen, shortage=said, shortage_code=ReasonCode.DISTRESS)
    sides = {
        side: _ended(climb, plan.step_ratio, _is_in_distress(evidence, side))
        for side, climb in zip(Side, climbs, strict=True)
        if climb is not None
    }
    values = [middle_of(sides[side]) for side in Side]
    inside_a_step = Component(2 * math.log1p(plan.step_ratio) ** 2 / 12)
    runs = Component(2 * evidence.policy.noise.run_to_run_sd**2, _ASSUMED_FREEDOM)
    seen = replace(
        seen,
        baseline=values[0],
        candidate=values[1],
        worsening=math.log(values[0] / values[1]),
        pairs=1,
        detail=said,
    )
    found = _estimated(
        seen, math.log(values[0] / values[1]), Component(0.0), [inside_a_step, runs], strictness
    )
    is_open = {side: climb.broken_per_s is None for side, climb in sides.items()}
    if is_open[Side.CANDIDATE]:
        return replace(found, p_value=None)
    return replace(found, upper=math.inf, high=math.inf) if is_open[Side.BASELINE] else found


def _distress(evidence: Evidence) -> list[str]:
    return [one.sentence for one in evidence.incidents if one.code == ReasonCode.DISTRESS]


def _is_in_distress(evidence: Evidence, side: Side) -> bool:
    return any(one.code == ReasonCode.DISTRESS and one.side is side for one in evidence.incidents)


def _ended(climb: Climb, step_ratio: float, is_in_distress: bool) -> Climb:
    """Distress ends a staircase inside its next step, which was never whole."""
    if climb.ending is not Ending.TOP or not is_in_distress or climb.sustained_per_s is None:
        return climb
    return replace(climb, ending=Ending.SATURATED, broken_per_s=climb.sustained_per_s * (1 + step_ratio))


# --- on its own -------------------------------------------------------------------------------------------------


def _level(cell: Cell, candidate: _Probed, strictness: Strictness) -> Level | None:
    """The candidate's own capacity, of which the limit is the lowest acceptable value."""
    limit = cell.objective.limit
    if limit is None or len(candidate.fit) < _FEWEST_TURNS:
        return None
    sample = _logs(candidate.fit)
    found = combined(sample.mean, [noise_of_mean(sample)])
    lowest, highest = (
        math.exp(found.lower(strictness.go_alpha)),
        math.exp(found.upper(strictness.limit_alpha)),
    )
    return Level(
        limit, math.exp(found.value), lowest, highest < limit and not candidate.is_open, lowest > limit
    )
