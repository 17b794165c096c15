"""How much load a question takes: the judge's uncertainty, carried forward to another length of the same load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rehearse.judge.measurement import NoiseOutlook
from rehearse.judge.stats import t_quantile

MOST_TIMES = 64.0  # as much load as there is: beyond that nothing is foretold
_STEPS = 30


def first_times(holds: Callable[[float], bool], least: float = 1 / MOST_TIMES) -> float | None:
    """How many times the load until `holds`; None when even the most does not bring it about."""
    if not holds(MOST_TIMES):
        return None
    low, high = least, MOST_TIMES
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def distance(outlook: NoiseOutlook, freedom: float, times: float, alphas: Sequence[float]) -> float:
    """Bound less estimate after `times` the load, for each of `alphas`, added up.

    `freedom` is what the noise between pairs rests on (pairs less rounds). It grows with the load, and with it
    Student's t comes down: twice the load is worth more than twice the load where there is little of it.
    """
    shrinking = outlook.shrinking / times
    variance = shrinking + outlook.fixed
    if variance <= 0:
        return 0.0
    spread = shrinking**2 / max(freedom * times, 1.0) + _spread_of_fixed(outlook, freedom)
    reached = max(1.0, variance**2 / spread) if spread > 0 else math.inf
    return math.fsum(t_quantile(alpha, reached) for alpha in alphas) * math.sqrt(variance)


def _spread_of_fixed(outlook: NoiseOutlook, freedom: float) -> float:
    """What Satterthwaite's sum holds beside the noise between pairs: that part does not change with the load."""
    now = (outlook.shrinking + outlook.fixed) ** 2 / outlook.degrees_of_freedom
    return max(0.0, now - outlook.shrinking**2 / max(freedom, 1.0))
