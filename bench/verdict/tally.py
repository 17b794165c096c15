"""What came of a row: how often each decision, with Wilson's interval, and when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.verdict.peers import Answer
from bench.verdict.rows import Target
from rehearse.model import Decision

_Z = 1.959963984540054


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The two-sided 95 % interval of a share; (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    share, square = hits / trials, _Z**2 / trials
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / trials + square / trials / 4) / (1 + square)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(slots=True)
class Tally:
    """The answers of one rule in one row."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many rehearsals were judged."""
        return len(self.answers)

    @property
    def counts(self) -> Counter[Decision]:
        """How often each decision."""
        return Counter(answer.decision for answer in self.answers)

    def count(self, decision: Decision) -> int:
        """How often it was this decision."""
        return self.counts[decision]

    def share(self, decision: Decision) -> float:
        """The same as a part of all; NaN without any."""
        return self.count(decision) / self.runs if self.runs else math.nan

    def times_s(self, decision: Decision) -> Sequence[float]:
        """After how much load, in order."""
        return sorted(answer.after_s for answer in self.answers if answer.decision is decision)

    def median_s(self, decision: Decision) -> float | None:
        """The middle one; None when it never was."""
        times_s = self.times_s(decision)
        return median(times_s) if times_s else None

    def meets(self, target: Target) -> bool:
        """Whether the target is reached by what was counted."""
        share, upper = self.share(target.decision), wilson(self.count(target.decision), self.runs)[1]
        median_s = self.median_s(target.decision)
        is_in_time = target.median_at_most_s is None or (
            median_s is not None and median_s <= target.median_at_most_s
        )
        return target.at_least <= share <= target.at_most and upper <= target.upper_at_most and is_in_time

    def refutes(self, target: Target) -> bool:
        """Whether chance cannot excuse that it is not met: its share is outside Wilson's interval, or it came late."""
        low, high = wilson(self.count(target.decision), self.runs)
        median_s, most_s = self.median_s(target.decision), target.median_at_most_s
        is_late = median_s is not None and most_s is not None and median_s > most_s
        return low > target.at_most or high < target.at_least or is_late
