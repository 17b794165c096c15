"""The arrivals of a capacity probe: staircases of rates, and turns that are offered more than can be completed.

Each is made from the schedule of a round, so that scenarios and arrivals are mixed as they are there.
"""

from __future__ import annotations

import math
from dataclasses import replace

from rehearse.load.schedule import Schedule
from rehearse.model import CapacityProbe, Phase

_HOLD_STEPS = 2  # that are counted, after one while queues fill
_FEWEST_STEPS = 3
_STEPS_AROUND = 2  # of a short staircase, below and above what the long ones found


def climb(base: Schedule, plan: CapacityProbe) -> Schedule:
    """The staircase: equal steps, none higher than the plan's, the last one at the highest rate that may be offered."""
    start, top = plan.start_rate_per_s, plan.max_rate_per_s
    rises = max(1, math.ceil(math.log(top / start) / math.log1p(plan.step_ratio) - 1e-9))
    return _staircase(base, plan, start, (top / start) ** (1 / rises) - 1, rises + 1)


def short_climb(
    base: Schedule, plan: CapacityProbe, low_per_s: float, high_per_s: float, shift: float
) -> Schedule:
    """A staircase around what the long ones found. `shift` (0..1) raises it by that part of a step: over many turns
    the break is then found to within a part of a step, too."""
    growth = 1 + plan.step_ratio
    start = max(low_per_s / growth**_STEPS_AROUND, plan.start_rate_per_s) * growth**shift
    top = min(high_per_s * growth**_STEPS_AROUND, plan.max_rate_per_s)
    rises = math.floor(math.log(max(top / start, 1.0)) / math.log(growth) + 1e-9)
    return _staircase(base, plan, start, plan.step_ratio, max(_FEWEST_STEPS, rises + 1))


def hold(base: Schedule, plan: CapacityProbe, rate_per_s: float) -> Schedule:
    """One turn at one rate; its first step, while queues fill, is not counted."""
    return replace(
        base.as_poisson(),
        rate_per_s=rate_per_s,
        block_s=plan.step_s,
        warm_up_blocks=1,
        measured_blocks=_HOLD_STEPS,
        phase=Phase.HOLD,
    )


def _staircase(
    base: Schedule, plan: CapacityProbe, start_per_s: float, growth_ratio: float, steps: int
) -> Schedule:
    return replace(
        base.as_poisson(),
        rate_per_s=start_per_s,
        block_s=plan.step_s,
        warm_up_blocks=0,
        measured_blocks=steps,
        growth_ratio=growth_ratio,
        phase=Phase.CLIMB,
    )
