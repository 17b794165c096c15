"""The arrivals of a capacity probe: bounded, equal steps, and the mix of the rounds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rehearse.load.schedule import Schedule
from rehearse.load.turns import climb, hold, short_climb
from rehearse.model import CapacityProbe, Phase, Side

BASE = Schedule(50.0, "poisson", 4.0, 2, 10, seed=3, shares=(3.0, 1.0))
PLAN = CapacityProbe(100.0, 400.0, 0.15, 3.0, 6, 200, 0.05)


def rates(schedule: Schedule) -> list[float]:
    return [schedule.rate_of(block) for block in range(schedule.blocks)]


@pytest.mark.parametrize("top", [116.0, 250.0, 400.0, 5000.0])
def test_a_staircase_ends_at_the_highest_rate_in_equal_steps_no_higher_than_asked(top: float) -> None:
    plan = CapacityProbe(100.0, top, 0.15, 3.0, 6, 200, 0.05)
    found = rates(climb(BASE, plan))
    rises = [high / low for low, high in pairwise(found)]
    assert found[0] == 100
    assert found[-1] == pytest.approx(top)
    assert all(rise == pytest.approx(rises[0]) and rise <= 1.15 + 1e-9 for rise in rises)


def test_each_step_has_the_arrivals_of_its_rate() -> None:
    schedule = climb(BASE, PLAN)
    counts = [0] * schedule.blocks
    for slot in schedule.slots(Side.BASELINE, 0):
        assert slot.block * 3.0 <= slot.due_s <= (slot.block + 1) * 3.0
        counts[slot.block] += 1
    assert counts == [schedule.arrivals_in(block) for block in range(schedule.blocks)] == schedule.planned()
    assert all(abs(count - 3.0 * rate) <= 1 for count, rate in zip(counts, rates(schedule), strict=True))


def test_a_staircase_has_no_warm_up_and_says_what_it_is_for() -> None:
    schedule = climb(BASE, PLAN)
    assert (schedule.phase, schedule.warm_up_blocks, schedule.shares) == (Phase.CLIMB, 0, BASE.shares)


def test_a_turn_holds_one_rate_and_does_not_count_its_first_step() -> None:
    schedule = hold(BASE, PLAN, 250.0)
    assert rates(schedule) == [250.0] * 3
    assert [schedule.is_warm_up(block) for block in range(3)] == [True, False, False]
    assert (schedule.phase, schedule.length_s) == (Phase.HOLD, 9.0)


def test_short_staircases_lie_around_the_break_each_a_part_of_a_step_higher() -> None:
    starts = [rates(short_climb(BASE, PLAN, 200.0, 230.0, shift / 4))[0] for shift in range(4)]
    assert starts[0] == pytest.approx(200 / 1.15**2)
    assert all(high / low == pytest.approx(1.15**0.25) for low, high in pairwise(starts))
    tops = [rates(short_climb(BASE, PLAN, 200.0, 230.0, shift / 4))[-1] for shift in range(4)]
    assert all(230 < top <= 230 * 1.15**2 + 1e-6 for top in tops)


def test_a_round_has_no_staircase() -> None:
    assert set(rates(BASE)) == {50.0}
    assert [BASE.arrivals_in(block) for block in range(3)] == [200, 200, 200]
