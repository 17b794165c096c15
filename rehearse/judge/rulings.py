"""From measurements to judgements: all cells are tested together, then each is ruled on by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rehearse.judge.measurement import Level, Measurement, Strictness
from rehearse.judge.remedies import remedy
from rehearse.judge.stats import holm, tidy
from rehearse.judge.wording import against_limit, change, margin, of_the_machine, what_changed
from rehearse.model import Finding, Judgement, Outcome, ReasonCode, Role

_ORDER = (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A judgement with the measurement under it."""

    judgement: Judgement
    measured: Measurement
    alpha: float  # what one cell had to beat to be proven worse, at the least

    @property
    def role(self) -> Role:
        """What the cell is for."""
        return self.measured.cell.role

    @property
    def margin_used(self) -> float:
        """How much of the margin the worsening is; what breaks a tight margin furthest comes first."""
        if self.measured.worsening is None or not self.measured.margin:
            return 0.0
        return self.measured.worsening / self.measured.margin

    @property
    def breaks_limit(self) -> bool:
        """True when an absolute limit is broken with confidence, where that counts."""
        level = self.measured.level
        return self.role is not Role.ADVISORY and level is not None and level.is_broken


@dataclass(frozen=True, slots=True)
class _Proof:
    """Whether a worsening is proven: as it was seen, and what is left of it without the slowdown of the rig as well."""

    is_seen: bool
    is_beside_rig: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """One half of a ruling: against the margin, or against the limit."""

    outcome: Outcome
    code: str
    words: str


def rule_on(measurements: Sequence[Measurement], strictness: Strictness) -> tuple[Ruling, ...]:
    """Every cell ruled on. Advisory cells are tested among themselves: they must not cost the others power."""
    proven: dict[int, bool] = {}
    beside_rig: dict[int, bool] = {}
    alphas: dict[bool, float] = {}
    for is_advisory in (False, True):
        family = [
            index
            for index, measured in enumerate(measurements)
            if measured.p_value is not None and (measured.cell.role is Role.ADVISORY) is is_advisory
        ]
        seen = [measurements[index].p_value or 0.0 for index in family]
        left = [
            p_value if (beside := measurements[index].p_value_beside_rig) is None else beside
            for index, p_value in zip(family, seen, strict=True)
        ]
        proven |= dict(zip(family, holm(seen, strictness.abort_alpha), strict=True))
        beside_rig |= dict(zip(family, holm(left, strictness.abort_alpha), strict=True))
        alphas[is_advisory] = strictness.abort_alpha / max(len(family), 1)
    return tuple(
        _ruling(
            measured,
            _Proof(proven.get(index, False), beside_rig.get(index, False)),
            alphas[measured.cell.role is Role.ADVISORY],
            strictness.go_alpha,
        )
        for index, measured in enumerate(measurements)
    )


def _ruling(measured: Measurement, proof: _Proof, alpha: float, go_alpha: float) -> Ruling:
    parts = [_against_margin(measured, proof, alpha, go_alpha), *_against_limit(measured)]
    worst = min(parts, key=lambda part: (_ORDER.index(part.outcome), part.code != ReasonCode.LIMIT))
    words = "; ".join(part.words for part in parts if part.words)
    sentence = f"{what_changed(measured)}; {words}" if measured.worsening is not None else words
    if measured.worsening is None:
        sentence = f"{measured.cell.label}: {words}"
    return Ruling(_judgement(measured, proof.is_beside_rig, worst, sentence), measured, alpha)


def _against_margin(measured: Measurement, proof: _Proof, alpha: float, go_alpha: float) -> _Part:
    """FAIL needs both proof and size; PASS needs proof of being inside; everything else is open."""
    if measured.shortage:
        return _Part(Outcome.INCONCLUSIVE, measured.shortage_code, measured.shortage)
    if measured.margin is None:
        return _Part(Outcome.PASS, "", "no margin is set")
    allowed = f"margin {margin(measured.cell.metric, measured.margin)}"
    if measured.worsening is None or measured.upper is None:
        return _Part(Outcome.INCONCLUSIVE, ReasonCode.NO_EVIDENCE, f"{allowed}: nothing could be estimated")
    if proof.is_seen and measured.worsening >= measured.margin:
        if proof.is_beside_rig:
            return _Part(Outcome.FAIL, ReasonCode.WORSE, f"{allowed}: worse")
        return _Part(
            Outcome.INCONCLUSIVE,
            ReasonCode.NOT_COMPARABLE,
            f"{allowed}: worse, {of_the_machine(measured.rig_slowdown)}",
        )
    if measured.upper < measured.margin:
        ending = "proven worse, but inside the margin" if proof.is_beside_rig else "proven inside the margin"
        return _Part(Outcome.PASS, "", f"{allowed}: {ending}")
    decide = remedy(measured, alpha, go_alpha).words
    if measured.worsening >= measured.margin:
        return _Part(
            Outcome.INCONCLUSIVE, ReasonCode.GREY_ZONE, f"{allowed}: beyond it, but not proven; {decide}"
        )
    worst = change(measured.cell.metric, measured.upper)
    return _Part(Outcome.INCONCLUSIVE, ReasonCode.NOISE, f"{allowed}: it may be up to {worst}; {decide}")


def _against_limit(measured: Measurement) -> list[_Part]:
    limit = measured.cell.objective.limit
    if limit is None:
        return []
    if measured.level is None:
        return [
            _Part(Outcome.INCONCLUSIVE, ReasonCode.TOO_FEW_PAIRS, "too little was measured for its limit")
        ]
    words = against_limit(measured, measured.level)
    if measured.level.is_broken:
        return [_Part(Outcome.FAIL, ReasonCode.LIMIT, words)]
    if measured.level.is_kept:
        return [_Part(Outcome.PASS, "", words)]
    return [_Part(Outcome.INCONCLUSIVE, ReasonCode.NOISE, words)]


def _judgement(measured: Measurement, is_proven: bool, worst: _Part, sentence: str) -> Judgement:
    return Judgement(
        cell=measured.cell,
        outcome=worst.outcome,
        sentence=sentence,
        baseline=tidy(measured.baseline),
        candidate=tidy(measured.candidate),
        change=_as_change(measured, measured.worsening),
        low=_as_change(measured, _ends(measured)[0]),
        high=_as_change(measured, _ends(measured)[1]),
        upper_bound=_as_worsening(measured, measured.upper),
        margin=_as_worsening(measured, measured.margin),
        p_value=tidy(measured.p_value),
        is_proven_worse=is_proven,
        pairs=measured.pairs,
        baseline_count=measured.baseline_count,
        candidate_count=measured.candidate_count,
        standard_error=tidy(measured.standard_error),
        degrees_of_freedom=tidy(measured.degrees_of_freedom),
        code=worst.code,
    )


def _ends(measured: Measurement) -> tuple[float | None, float | None]:
    """Low and high as the reader counts: a completed ratio that fell has a negative change."""
    if measured.cell.metric.lower_is_better:
        return measured.low, measured.high
    return measured.high, measured.low


def _as_change(measured: Measurement, value: float | None) -> float | None:
    worsening = _as_worsening(measured, value)
    return worsening if worsening is None or measured.cell.metric.lower_is_better else tidy(-worsening)


def _as_worsening(measured: Measurement, value: float | None) -> float | None:
    """Off the scale of the test. A third less is 0.33 worse, and not 0.5 as a log ratio the other way round."""
    if value is None or not measured.cell.metric.is_relative:
        return tidy(value)
    return tidy(math.expm1(value) if measured.cell.metric.lower_is_better else -math.expm1(-value))


def finding_of(ruling: Ruling) -> Finding:
    """The judgement as a reason."""
    judgement = ruling.judgement
    return Finding(
        outcome=judgement.outcome,
        code=judgement.code,
        subject=judgement.cell.label,
        sentence=judgement.sentence,
        numbers={
            "change": judgement.change,
            "low": judgement.low,
            "high": judgement.high,
            "upper_bound": judgement.upper_bound,
            "margin": judgement.margin,
            "p_value": judgement.p_value,
            "pairs": judgement.pairs,
            "baseline_count": judgement.baseline_count,
            "candidate_count": judgement.candidate_count,
        },
    )


def limit_finding_of(ruling: Ruling, level: Level) -> Finding:
    """A broken absolute limit: beyond doubt the system's fault."""
    return Finding(
        outcome=Outcome.FAIL,
        code=ReasonCode.LIMIT,
        subject=ruling.measured.cell.label,
        sentence=f"{ruling.measured.cell.label}: {against_limit(ruling.measured, level)}",
        is_hard=True,
        numbers={"value": tidy(level.value), "bound": tidy(level.bound), "limit": tidy(level.limit)},
    )
