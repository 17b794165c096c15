"""When the judge looks while load still runs. Apart from the rest: plans need it, and no statistics."""

from __future__ import annotations

import math

_FIRST_LOOKS_S = (45.0, 90.0)
_TOO_NEAR_RATIO = 0.8


def looks(budget_s: float, block_s: float, min_pairs: int) -> tuple[float, ...]:
    """When to judge, in seconds of measured load: about 45 s, 90 s, half the budget, and the end.

    Each look costs certainty, so one that is within 20 % of a later one, or that has too few blocks, is left out.
    """
    chosen = [budget_s]
    for wanted_s in sorted((*_FIRST_LOOKS_S, budget_s / 2), reverse=True):
        look_s = math.floor(wanted_s / block_s + 1e-9) * block_s
        if look_s < _TOO_NEAR_RATIO * chosen[0] and look_s >= min_pairs * block_s:
            chosen.insert(0, look_s)
    return tuple(chosen)
