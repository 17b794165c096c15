"""The order in which a tired reader should meet the cells: worst first, and nearest to its margin first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearse.model import Decision, Judgement, Outcome, Role, Verdict

_OUTCOME_ORDER = (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS)
_ROLE_ORDER = (Role.CERTIFY, Role.WATCH, Role.ADVISORY)


@dataclass(frozen=True, slots=True)
class Row:
    """A judgement with its place on the page."""

    anchor: str
    judgement: Judgement


def turned(judgement: Judgement, value: float | None) -> float | None:
    """A worsening as a change, or the other way round: of what is completed less is worse, of all else more."""
    return value if value is None or judgement.cell.metric.lower_is_better else -value


def worst_bound(judgement: Judgement) -> float | None:
    """The largest worsening that the evidence allows; the measured one when there is no bound."""
    return judgement.upper_bound if judgement.upper_bound is not None else turned(judgement, judgement.change)


def margin_used(judgement: Judgement) -> float | None:
    """How much of its margin a cell may have used up, at worst: 1.0 = all of it; None = it cannot be told."""
    bound = worst_bound(judgement)
    if bound is None or judgement.margin is None or judgement.margin <= 0:
        return None
    used = bound / judgement.margin
    return used if math.isfinite(used) else None


def _worst_first(judgement: Judgement, reasons: Sequence[str]) -> tuple[int, int, int, float, str]:
    used, label = margin_used(judgement), judgement.cell.label
    return (
        _OUTCOME_ORDER.index(judgement.outcome),
        reasons.index(label) if label in reasons else len(reasons),
        _ROLE_ORDER.index(judgement.cell.role),
        -used if used is not None else math.inf,
        label,
    )


def ranked(verdict: Verdict) -> tuple[Row, ...]:
    """Every judgement: fail, error, inconclusive, pass; then as the verdict's reasons are ordered; certified before
    watched; nearest to the margin first."""
    reasons = [finding.subject for finding in verdict.reasons]
    ordered = sorted(verdict.judgements, key=lambda judgement: _worst_first(judgement, reasons))
    return tuple(Row(f"cell-{position}", judgement) for position, judgement in enumerate(ordered, start=1))


@dataclass(frozen=True, slots=True)
class Split:
    """The rows that are shown at once, and two kinds that are folded away."""

    shown: tuple[Row, ...]
    watched: tuple[Row, ...]  # open, and GO does not rest on them
    same: tuple[Row, ...]  # passed, and no change can be told from the interval


def split(rows: Sequence[Row], decision: Decision) -> Split:
    """What a reader must see at once, and what can wait: a GO shows all that it certified."""
    places = [_place(row.judgement, decision) for row in rows]
    shown, watched, same = (
        tuple(row for row, place in zip(rows, places, strict=True) if place == wanted)
        for wanted in ("shown", "watched", "same")
    )
    return Split(shown, watched, same)


def _place(judgement: Judgement, decision: Decision) -> str:
    is_certified = judgement.cell.role is Role.CERTIFY
    if judgement.outcome is Outcome.INCONCLUSIVE and not is_certified:
        return "watched"
    if judgement.outcome is not Outcome.PASS or (decision is Decision.GO and is_certified):
        return "shown"
    is_same = judgement.low is None or judgement.high is None or judgement.low <= 0 <= judgement.high
    return "same" if is_same else "shown"


def nearest_to_margin(rows: Iterable[Row], wanted: int) -> tuple[Row, ...]:
    """The certified cells that passed with the least to spare, tightest first."""
    passed = [
        (used, row)
        for row in rows
        if row.judgement.outcome is Outcome.PASS
        and row.judgement.cell.role is Role.CERTIFY
        and (used := margin_used(row.judgement)) is not None
    ]
    return tuple(row for _, row in sorted(passed, key=lambda pair: -pair[0])[:wanted])
