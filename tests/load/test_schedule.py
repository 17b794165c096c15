"""The arrival schedule: data that both sides share."""

from __future__ import annotations

from collections import Counter

import pytest

from rehearse.codec import from_jsonable, to_jsonable
from rehearse.errors import ConfigError
from rehearse.load.schedule import Rota, Schedule, read_recorded
from rehearse.model import Side


def schedule(**changes: object) -> Schedule:
    settings: dict[str, object] = {
        "rate_per_s": 12.5,
        "arrivals": "poisson",
        "block_s": 4.0,
        "warm_up_blocks": 2,
        "measured_blocks": 10,
        "seed": 7,
    }
    return Schedule(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.3, 7, 12.5, 33.333, 1000])
def test_every_block_has_the_same_number_of_arrivals_on_both_sides(rate: float) -> None:
    plan = schedule(rate_per_s=rate)
    per_block = [Counter(slot.block for slot in plan.slots(side, 0)) for side in Side]
    assert per_block[0] == per_block[1]


@pytest.mark.parametrize("rate", [7, 12.5, 33.333])
def test_the_offered_rate_is_exact_over_the_round(rate: float) -> None:
    plan = schedule(rate_per_s=rate, measured_blocks=98)
    assert sum(1 for _ in plan.slots(Side.BASELINE, 0)) == pytest.approx(rate * 400, abs=1)


def test_the_two_sides_have_independent_times_inside_a_block() -> None:
    baseline, candidate = ([slot.due_s for slot in schedule().slots(side, 0)] for side in Side)
    assert not set(baseline) & set(candidate)


def test_the_same_seed_gives_the_same_arrivals_and_another_round_other_ones() -> None:
    first, again, other = (list(schedule().slots(Side.BASELINE, number)) for number in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_arrivals_are_in_order_and_inside_their_block(arrivals: str) -> None:
    slots = list(schedule(arrivals=arrivals).slots(Side.CANDIDATE, 0))
    assert [slot.due_s for slot in slots] == sorted(slot.due_s for slot in slots)
    assert all(slot.block * 4.0 <= slot.due_s < (slot.block + 1) * 4.0 for slot in slots)


def test_workers_share_the_arrivals_without_gap_or_overlap() -> None:
    whole = {slot.number for slot in schedule().slots(Side.BASELINE, 0)}
    parts = [{slot.number for slot in schedule().slots(Side.BASELINE, 0, k, 3)} for k in range(3)]
    assert set.union(*parts) == whole
    assert sum(len(part) for part in parts) == len(whole)
    assert [len(part) for part in parts] == [sum(schedule().planned(k, 3)) for k in range(3)]


def test_scenarios_get_their_share_in_every_block_on_both_sides() -> None:
    plan = schedule(shares=(3.0, 1.0), rate_per_s=10)
    for side in Side:
        mix = Counter((slot.block, slot.scenario) for slot in plan.slots(side, 0))
        assert all(mix[block, 0] == 30 and mix[block, 1] == 10 for block in range(plan.blocks))


def test_a_small_share_is_served_late_and_not_never() -> None:
    plan = schedule(shares=(0.99, 0.01), rate_per_s=5, measured_blocks=25)
    mix = Counter(slot.scenario for slot in plan.slots(Side.BASELINE, 0))
    arrivals = sum(mix.values())
    assert abs(mix[1] - arrivals * 0.01) <= 1
    assert mix == Counter(slot.scenario for slot in plan.slots(Side.CANDIDATE, 0))


def test_a_rota_gives_each_position_its_share_after_any_number_of_turns() -> None:
    weights = (5.0, 1.0, 3.0, 0.0)
    rota, counts = Rota(weights), [0, 0, 0, 0]
    for turn in range(1, 500):
        counts[rota.next()] += 1
        expected = [weight / sum(weights) * turn for weight in weights]
        assert all(abs(count - share) <= 1.5 for count, share in zip(counts, expected, strict=True))


# --- recorded arrivals

RECORDED = (0.0, 0.1, 0.2, 3.0, 7.5, 7.6, 11.0, 19.0)


def recorded(**changes: object) -> Schedule:
    settings: dict[str, object] = {"arrivals": "recorded", "recorded_s": RECORDED, "warm_up_blocks": 1}
    return schedule(**{**settings, **changes})


@pytest.mark.parametrize("rate", [0.37, 2.0, 50.0])
def test_recorded_arrivals_are_as_many_per_block_on_both_sides_and_on_average_the_rate(rate: float) -> None:
    plan = recorded(rate_per_s=rate, measured_blocks=199)
    per_block = [Counter(slot.block for slot in plan.slots(side, 0)) for side in Side]
    assert per_block[0] == per_block[1]
    assert per_block[0].total() == sum(plan.planned()) == pytest.approx(rate * 800, abs=len(RECORDED))


def test_recorded_arrivals_come_as_they_came_when_the_rate_is_theirs() -> None:
    lap_s = 19.0 * 8 / 7
    plan = recorded(rate_per_s=8 / lap_s, block_s=lap_s, warm_up_blocks=0, measured_blocks=3)
    due_s = [slot.due_s for slot in plan.slots(Side.BASELINE, 0)]
    for lap in range(3):
        own = [at_s - lap * lap_s for at_s in due_s[lap * 8 : lap * 8 + 8]]
        # Each side is shifted by a part of a gap; what that carries over a block's end comes at its beginning.
        shifted = ([(at_s - shift_s) % lap_s for at_s in own] for shift_s in own)
        assert any(sorted(times) == pytest.approx(RECORDED, abs=1e-6) for times in shifted)


def test_recorded_arrivals_are_the_same_each_time_in_order_and_inside_their_block() -> None:
    slots = list(recorded().slots(Side.CANDIDATE, 0))
    assert slots == list(recorded().slots(Side.CANDIDATE, 0))
    assert [slot.due_s for slot in slots] == sorted(slot.due_s for slot in slots)
    assert all(slot.block * 4.0 <= slot.due_s < (slot.block + 1) * 4.0 for slot in slots)
    other = [slot.due_s for slot in recorded().slots(Side.BASELINE, 0)]
    assert not set(other) & {slot.due_s for slot in slots}


def test_another_recording_is_another_schedule_and_none_leaves_the_digest_as_it_was() -> None:
    assert recorded().digest() == recorded(measured_blocks=99).digest()
    assert recorded().digest() != recorded(recorded_s=(0.0, 1.0)).digest()
    assert recorded().as_poisson() == schedule(warm_up_blocks=1)
    assert schedule().digest() == "f2f536ff87383f1fa6a8f885c86a49f9577e937e5ad604c8fc48eade14b0cb91"


def test_a_schedule_with_a_recording_reaches_a_worker_unchanged() -> None:
    assert from_jsonable(Schedule, to_jsonable(recorded())) == recorded()


def test_recorded_times_are_read_from_the_first_one_on() -> None:
    assert read_recorded("# of a log\n10.5\n10.5\n\n12\n", "x.arrivals") == (0.0, 0.0, 1.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "fewer than two"),
        ("1\n", "fewer than two"),
        ("1\n1\n", "fewer than two"),
        ("1\ntwo\n", "line 2: 'two'"),
        ("2\n1\n", "line 2: '1'"),
        ("0\nnan\n", "line 2"),
        ("0\ninf\n", "line 2"),
        ("-1\n1\n", "line 1"),
        ("1\n" * 100_001, "more than 100,000"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recorded(text, "x.arrivals")


def test_the_digest_covers_what_must_be_comparable_and_not_the_length() -> None:
    assert schedule().digest() == schedule(measured_blocks=99, seed=8).digest()
    assert schedule().digest() != schedule(rate_per_s=13).digest()
    assert schedule().digest() != schedule(arrivals="uniform").digest()
