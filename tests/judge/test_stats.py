"""The arithmetic, against numbers worked out by hand or taken from tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rehearse.judge.stats import (
    Component,
    Estimate,
    Sample,
    believed_correlation,
    binomial_lower,
    binomial_upper,
    combined,
    holm,
    host_weight,
    inflation,
    log_e_value,
    noise_of_mean,
    requests_to_certify,
    share_p_value,
    start_of_cell,
    start_variance,
    t_quantile,
    tidy,
)


def flat(*values: float) -> Sample:
    """Values of one round."""
    return Sample(values, (0,) * len(values))


@pytest.mark.parametrize(
    ("p_values", "fallen"),
    [
        ((0.01, 0.04, 0.03, 0.005), (True, False, False, True)),  # .005 <= .05/4, .01 <= .05/3, .03 > .05/2
        ((0.02, 0.02), (True, True)),  # .02 <= .05/2, .02 <= .05
        ((0.03, 0.001), (True, True)),
        ((0.06,), (False,)),
        ((), ()),
    ],
)
def test_holm_steps_down_as_worked_out_by_hand(p_values: tuple[float, ...], fallen: tuple[bool, ...]) -> None:
    assert holm(p_values, 0.05) == fallen


def test_t_bounds_agree_with_the_table() -> None:
    assert t_quantile(0.05, 8) == pytest.approx(1.860, abs=0.001)
    assert t_quantile(0.025, math.inf) == pytest.approx(1.960, abs=0.001)
    estimate = Estimate(0.10, 0.02, 8)
    assert estimate.upper(0.05) == pytest.approx(0.1372, abs=0.0001)
    assert estimate.lower(0.05) == pytest.approx(0.0628, abs=0.0001)
    assert Estimate(1.860 * 0.02, 0.02, 8).p_value == pytest.approx(0.05, abs=0.0002)


def test_without_any_noise_the_sign_decides() -> None:
    assert combined(0.01, [Component(0.0, 3)]).p_value == 0.0
    assert combined(0.0, [Component(0.0, 3)]).p_value == 1.0


def test_variances_add_up_and_degrees_of_freedom_follow_satterthwaite() -> None:
    estimate = combined(0.0, [Component(1.0, 4), Component(3.0, 9)])
    assert estimate.standard_error == 2.0
    assert estimate.degrees_of_freedom == pytest.approx(16 / (1 / 4 + 9 / 9))


def test_a_component_that_is_known_for_certain_adds_degrees_of_freedom() -> None:
    assert combined(0.0, [Component(1.0, 4), Component(1.0)]).degrees_of_freedom == pytest.approx(16)


def test_the_noise_of_a_mean_is_that_of_its_values() -> None:
    noise = noise_of_mean(flat(1.0, 2.0, 3.0, 4.0))
    assert noise.variance == pytest.approx((5 / 3) / 4)
    assert noise.degrees_of_freedom == 3


def test_noise_is_taken_within_rounds_because_starts_have_a_term_of_their_own() -> None:
    sample = Sample((1.0, 2.0, 11.0, 12.0), (0, 0, 1, 1))
    assert sample.within.variance == pytest.approx(0.5)
    assert sample.within.degrees_of_freedom == 2
    assert sample.round_share == pytest.approx(1 / 2)


def test_a_lucky_quiet_run_is_floored_at_a_quarter_of_the_stored_noise() -> None:
    stored = flat(*np.tile([-0.1, 0.1], 8))
    assert noise_of_mean(flat(*[0.0] * 8), stored).variance == pytest.approx(stored.within.variance / 16 / 8)


def test_neighbours_that_resemble_each_other_count_for_less() -> None:
    assert inflation(0.5) == 3.0
    rng = np.random.default_rng(3)
    level, values = 0.0, []
    for _ in range(400):
        level = 0.6 * level + rng.normal()
        values.append(level)
    sample = flat(*values)
    assert sample.lag_one == pytest.approx(0.6, abs=0.08)
    assert noise_of_mean(sample).variance > 2.5 * sample.within.variance / sample.count


def test_what_was_stored_helps_to_tell_how_much_neighbours_resemble_each_other() -> None:
    stored = flat(*np.repeat([0.1, -0.1, 0.2, -0.2, 0.1, -0.1, 0.0, 0.1, -0.1, 0.2], 4))
    short = flat(*np.tile([0.1, -0.1], 6))
    assert believed_correlation([short]) == 0.0
    assert believed_correlation([stored]) > 0.4
    both = believed_correlation([short, stored])
    assert 0.2 < both < believed_correlation([stored])
    assert noise_of_mean(short, stored).variance == pytest.approx(
        short.within.variance / 12 * inflation(both)
    )


def test_short_rounds_hide_no_correlation() -> None:
    """AR(1) with 0.7 in rounds of 8 blocks: neighbours look like 0.3, for each round's own mean is taken off."""
    rng = np.random.default_rng(4)
    steps = rng.normal(size=(200, 8))
    for index in range(1, 8):
        steps[:, index] = 0.7 * steps[:, index - 1] + np.sqrt(1 - 0.49) * steps[:, index]
    sample = Sample(tuple(steps.ravel()), tuple(np.repeat(np.arange(200), 8).tolist()))
    assert sample.lag_one < 0.4
    assert believed_correlation([sample]) == pytest.approx(0.7, abs=0.08)


def test_without_correlation_hardly_any_is_believed() -> None:
    rng = np.random.default_rng(5)
    found = [
        believed_correlation([Sample(tuple(rng.normal(size=36)), (0,) * 18 + (1,) * 18)]) for _ in range(200)
    ]
    assert np.mean(found) < 0.05


def test_starts_are_assumed_until_rounds_show_them() -> None:
    one_round = start_variance([flat(0.0, 0.1, 0.2)], 0.015, 8)
    assert one_round.variance == pytest.approx(0.015**2)
    assert one_round.degrees_of_freedom == 8
    apart = Sample((0.02, 0.02, -0.02, -0.02), (0, 0, 1, 1))  # squares of the round means: 2 * 0.02^2
    two_rounds = start_variance([apart], 0.015, 8)
    assert two_rounds.variance == pytest.approx((8 * 0.015**2 + 0.0008 / 2) / 9)
    assert two_rounds.degrees_of_freedom == 9


def test_the_rounds_of_the_reference_show_starts_as_well() -> None:
    apart = Sample((0.02, 0.02, -0.02, -0.02), (0, 0, 1, 1))
    both = start_variance([apart, apart], 0.015, 8)
    assert both.variance == pytest.approx((8 * 0.015**2 + 2 * 0.0008 / 2) / 10)
    assert both.degrees_of_freedom == 10


def test_rounds_that_contradict_the_assumption_count_alone() -> None:
    """Round means 0.2 apart: the variance of a start is 0.01, 44 times what is assumed."""
    far = Sample((0.1, 0.1, -0.1, -0.1), (0, 0, 1, 1))
    alone = start_variance([far], 0.015, 8)
    assert alone.variance == pytest.approx(0.02 / 2)
    assert alone.degrees_of_freedom == 1


def test_a_rare_endpoint_believes_the_total_about_starts() -> None:
    told, quiet = Component(0.05**2, 3), Sample((0.01, 0.03, -0.01, -0.03), (0, 0, 1, 1))
    assert start_of_cell([quiet], told) == told


def test_an_endpoint_whose_rounds_contradict_the_total_counts_alone() -> None:
    far = Sample((0.2, 0.2, -0.2, -0.2), (0, 0, 1, 1))
    assert start_of_cell([far], Component(0.015**2, 14)).variance == pytest.approx(0.08 / 2)


def test_rounds_of_which_one_side_restarts_hold_one_start() -> None:
    apart = Sample((0.01, 0.01, -0.01, -0.01), (0, 0, 1, 1))  # squares of the round means: 2 * 0.01^2
    assert start_variance([apart], 0.015, 8, starts=1).variance == pytest.approx((8 * 0.015**2 + 0.0002) / 9)


def test_rounds_without_any_restart_show_no_start_but_can_contradict() -> None:
    alike = Sample((0.001, -0.001, 0.001, -0.001), (0, 0, 1, 1))
    shown = start_variance([alike], 0.015, 8, starts=0)
    assert shown.variance == pytest.approx(0.015**2)
    assert shown.degrees_of_freedom == 8
    far = Sample((0.1, 0.1, -0.1, -0.1), (0, 0, 1, 1))
    assert start_variance([far], 0.015, 8, starts=0).variance == pytest.approx(0.02)


def test_rounds_that_differ_by_the_noise_of_their_blocks_contradict_nothing() -> None:
    noisy = Sample((0.3, -0.1, 0.1, -0.3), (0, 0, 1, 1))
    shown = start_variance([noisy], 0.015, 8)
    assert shown.variance == pytest.approx(0.015**2, rel=1e-3)
    assert shown.degrees_of_freedom == pytest.approx(8, abs=0.01)  # they drown what they could tell of starts


def test_the_noise_of_blocks_is_no_part_of_what_rounds_show_of_starts() -> None:
    """Round means 0.1 apart, of which the blocks' noise explains half: 0.0025 a start, seen as a difference."""
    values = (0.0, 0.1, 0.1, 0.2)
    sample = Sample(values, (0, 0, 1, 1))
    squares, noise = sample.round_sum_of_squares / 2, sample.noise_of_round / 2
    assert [squares, noise] == pytest.approx([0.0025, 0.00125])
    told = 0.05**2 / (0.05**2 + noise)
    expected = (8 * 0.05**2 + told**2 * (squares - noise)) / (8 + told**2)
    assert start_variance([sample], 0.05, 8).variance == pytest.approx(expected)


def test_the_host_difference_is_taken_off_as_far_as_it_is_known() -> None:
    """w = host_sd^2 / (host_sd^2 + v0); what remains is w * v0, the posterior variance."""
    assert host_weight(0.01, 0.02**2, 0.02) == pytest.approx(0.5)
    assert host_weight(0.01, 0.0, 0.02) == 1.0
    assert host_weight(0.01, 0.2**2, 0.02) == pytest.approx(0.0004 / 0.0404)


def test_hosts_that_differ_more_than_assumed_are_believed() -> None:
    assert host_weight(0.10, 0.01**2, 0.02) == pytest.approx((0.01 - 0.0001) / 0.01)


def test_clopper_pearson_agrees_with_published_values() -> None:
    assert binomial_upper(0, 3000, 0.05) == pytest.approx(0.000998, abs=0.000001)
    assert binomial_upper(5, 100, 0.025) == pytest.approx(0.1128, abs=0.0001)
    assert binomial_lower(5, 100, 0.025) == pytest.approx(0.0164, abs=0.0001)
    assert (binomial_lower(0, 100, 0.025), binomial_upper(7, 7, 0.025)) == (0.0, 1.0)


def test_about_three_thousand_flawless_requests_certify_a_tenth_of_a_point() -> None:
    assert requests_to_certify(0.001, 0.05) == 2995
    assert binomial_upper(0, 2995, 0.05) < 0.001 < binomial_upper(0, 2994, 0.05)
    assert requests_to_certify(0.0, 0.05) is None


def test_the_share_test_is_the_binomial_tail() -> None:
    assert share_p_value(3, 3, 0.5) == pytest.approx(1 / 8)
    assert share_p_value(2, 3, 0.5) == pytest.approx(4 / 8)
    assert share_p_value(0, 0, 0.5) == 1.0


def test_the_e_value_of_thirteen_episodes_against_none_passes_a_thousand() -> None:
    assert math.exp(log_e_value(12, 12, 0.5)) < 1000 < math.exp(log_e_value(13, 13, 0.5))


def test_the_e_value_is_fair_under_the_null() -> None:
    """Its mean after n episodes is 1: the chance of ever passing 1000 is at most 1 in 1000."""
    for n in (1, 10, 40):
        weights = [math.comb(n, k) * 0.4**k * 0.6 ** (n - k) for k in range(n + 1)]
        assert sum(w * math.exp(log_e_value(k, n, 0.4)) for k, w in enumerate(weights)) == pytest.approx(1.0)


def test_the_e_value_rarely_crosses_by_chance_however_often_one_looks() -> None:
    """20,000 runs of 200 episodes; tolerance: the Wilson bound of 0.1 %, about 0.16 %."""
    rng = np.random.default_rng(7)
    hits = np.cumsum(rng.random((20_000, 200)) < 0.5, axis=1)
    crossed = 0
    worst = {
        n: next(k for k in range(n + 2) if k > n or log_e_value(k, n, 0.5) >= math.log(1000))
        for n in range(1, 201)
    }
    limits = np.array([worst[n] for n in range(1, 201)])
    crossed = int((hits >= limits).any(axis=1).sum())
    assert crossed / 20_000 <= 0.0016


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_nothing_that_is_not_finite_leaves(value: float | None) -> None:
    assert tidy(value) is None


def test_numbers_are_told_to_twelve_digits_and_zero_has_no_sign() -> None:
    assert tidy(0.1 + 0.2) == 0.3
    assert math.copysign(1.0, tidy(-0.0) or 0.0) == 1.0
