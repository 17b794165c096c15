"""Rate, users and floors follow from what was measured, by arithmetic that is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rehearse.doctor.findings import Proposal
from rehearse.doctor.proposals import BUSY_RATIO, Measured, proposals, round_down, round_up
from rehearse.judge.stats import requests_to_certify

SEEN = Measured(
    journey_s=0.020,
    rig_cpu_s=0.001,
    rig_lag_s=0.0008,
    rate_per_s=20.0,
    users=20,
    floor_s=0.0002,
    block_s=4.0,
    budget_s=120.0,
    error_margin=0.01,
    certify_share_ratio=0.15,
    least_rate_per_s=1.25,
    sides=2,
    cores_here=None,
)


def proposed(seen: Measured) -> dict[str, Proposal]:
    return {one.key: one for one in proposals(seen)}


@pytest.mark.parametrize("journey_s", [0.001, 0.02, 0.3, 2.0])
def test_at_the_proposed_rate_a_system_that_does_one_thing_at_a_time_keeps_up(journey_s: float) -> None:
    seen = replace(SEEN, journey_s=journey_s, least_rate_per_s=0.1)
    assert float(proposed(seen)["load.rate"].value) * journey_s <= max(BUSY_RATIO, journey_s)


def test_one_machine_for_all_of_it_gets_less_load() -> None:
    alone, shared = (
        float(proposed(replace(SEEN, cores_here=cores))["load.rate"].value) for cores in (None, 1)
    )
    assert shared < alone
    assert 2 * shared * (SEEN.journey_s + SEEN.rig_cpu_s) <= BUSY_RATIO


def test_a_costly_load_generator_bounds_the_rate() -> None:
    found = proposed(replace(SEEN, journey_s=0.0001, rig_cpu_s=0.05))["load.rate"]
    assert float(found.value) == 10
    assert "50.0 ms of CPU" in found.why


def test_the_rate_never_falls_below_what_a_block_needs() -> None:
    assert float(proposed(replace(SEEN, journey_s=30.0))["load.rate"].value) == 2


def test_a_small_endpoint_gets_enough_pairs_for_its_p95() -> None:
    found = proposed(replace(SEEN, certify_share_ratio=0.05))["load.budget"]
    assert found.value == '"7m"', (
        "20/s in 4 s are 4 requests of it: 10 blocks make one pair of 40, and 10 of them 400 s"
    )
    often = replace(SEEN, certify_share_ratio=0.5)
    assert proposed(often)["load.budget"].line.startswith('keep load.budget = "2m"')


def test_users_have_room_for_a_system_that_becomes_ten_times_as_slow() -> None:
    seen = replace(SEEN, journey_s=4.0, least_rate_per_s=1.0)
    found = proposed(seen)
    assert int(found["load.users"].value) >= 10 * float(found["load.rate"].value) * seen.journey_s


def test_a_change_that_the_rig_cannot_tell_is_below_the_floor() -> None:
    assert proposed(SEEN)["judge.floor"].value == '"0.8ms"'
    assert proposed(replace(SEEN, rig_lag_s=0.0))["judge.floor"].value == '"0.2ms"'


def test_the_margin_of_errors_can_be_proven_by_the_smallest_endpoint_at_the_proposed_rate() -> None:
    found = proposed(SEEN)
    margin = float(found["objectives.error_ratio"].value.strip('"<=+p')) / 100
    requests = float(found["load.rate"].value) * SEEN.budget_s * SEEN.certify_share_ratio
    assert (requests_to_certify(margin, 0.05) or 0) <= requests < (requests_to_certify(margin / 2, 0.05) or 0)


def test_without_a_margin_of_errors_none_is_proposed() -> None:
    assert "objectives.error_ratio" not in proposed(replace(SEEN, error_margin=None))


def test_what_is_configured_already_is_kept() -> None:
    assert proposed(replace(SEEN, rate_per_s=20.0))["load.rate"].line.startswith("keep load.rate = 20")


@pytest.mark.parametrize(("value", "down", "up"), [(1.0, 1.0, 1.0), (2.4, 2.0, 3.0), (99.0, 80.0, 100.0)])
def test_numbers_are_those_that_people_say(value: float, down: float, up: float) -> None:
    assert round_down(value) == pytest.approx(down)
    assert round_up(value) == pytest.approx(up)
