"""How a comparison stands while it runs: what is open, what is widest, and how much more load would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearse.judge.remedies import Remedy, longest, remedy
from rehearse.judge.rulings import Ruling
from rehearse.judge.wording import change, margin, minutes
from rehearse.model import Decision, Outcome, Role


@dataclass(frozen=True, slots=True)
class Standing:
    """The state at one look, as one line of words tells it."""

    decision: Decision
    pairs: int
    open_cells: int  # of the certified ones
    widest: str  # the open cell whose bound is furthest beyond its margin, in words
    more_s: (
        float | None
    )  # until the open cells are settled; None when no more of this load settles all of them

    @property
    def line(self) -> str:
        """One line for whoever waits."""
        so_far = f"{self.decision} after {self.pairs} pair{'' if self.pairs == 1 else 's'}"
        if not self.open_cells:
            return f"{so_far}; no certified cell is open"
        cells = f"{self.open_cells} certified cell{'' if self.open_cells == 1 else 's'} open"
        return f"{so_far}; {cells}, widest {self.widest}; {self.outlook}"

    @property
    def outlook(self) -> str:
        """When a verdict can be expected."""
        if not self.open_cells:
            return "the end decides"
        if self.more_s is None:
            return "more of the same load would not settle all of them"
        return f"{minutes(self.more_s)} to a verdict"


def standing_of(decision: Decision, rulings: Sequence[Ruling], pairs: int, go_alpha: float) -> Standing:
    """The state of a judgement that is not the last one."""
    certified = [ruling for ruling in rulings if ruling.role is Role.CERTIFY]
    still_open = [ruling for ruling in certified if ruling.judgement.outcome is Outcome.INCONCLUSIVE]
    widest = max(still_open, key=lambda one: (_part_of_margin(one), one.measured.cell.label), default=None)
    more_s = longest([remedy_of(ruling, go_alpha) for ruling in still_open])
    return Standing(decision, pairs, len(still_open), "" if widest is None else _words(widest), more_s)


def remedy_of(ruling: Ruling, go_alpha: float) -> Remedy:
    """What would settle the cell of a ruling."""
    return remedy(ruling.measured, ruling.alpha, go_alpha)


def _part_of_margin(ruling: Ruling) -> float:
    measured = ruling.measured
    if measured.upper is None or not measured.margin:
        return float("inf")  # nothing is known of it yet
    return measured.upper / measured.margin


def _words(ruling: Ruling) -> str:
    measured = ruling.measured
    if measured.upper is None or measured.worsening is None or measured.margin is None:
        return f"{measured.cell.label} ({measured.shortage or 'not estimated'})"
    metric = measured.cell.metric
    bound = f"at most {change(metric, measured.upper)} of {margin(metric, measured.margin)}"
    return f"{measured.cell.label} {change(metric, measured.worsening)} ({bound})"
