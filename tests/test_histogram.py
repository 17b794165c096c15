"""The histogram keeps its promises: a known error, exact merging, nothing dropped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearse.histogram import HIGHEST_US, Histogram, HistogramError, bucket_of, middle_of

seconds = st.floats(min_value=0, max_value=HIGHEST_US / 1e6)
many = st.lists(seconds, max_size=60)


def of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def is_close_enough(told_s: float, true_s: float) -> bool:
    """Within 0.1 % or half a microsecond (and the last bit of a float)."""
    return abs(told_s - true_s) <= max(0.001 * true_s, 0.5e-6) + 1e-12


@given(seconds)
def test_a_value_is_told_within_a_tenth_of_a_per_cent_or_half_a_microsecond(value: float) -> None:
    told = of([value]).quantile_s(0.5)
    assert told is not None
    assert is_close_enough(told, value)


@given(st.lists(seconds, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_a_quantile_is_the_nearest_rank_within_the_same_error(values: list[float], q: float) -> None:
    told = of(values).quantile_s(q)
    true = sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]
    assert told is not None
    assert is_close_enough(told, true)


@given(many, many)
def test_merging_is_exact(left: list[float], right: list[float]) -> None:
    assert Histogram.merged([of(left), of(right)]) == of(left + right)


@given(many)
def test_merging_leaves_the_parts_as_they_were(values: list[float]) -> None:
    part = of(values)
    Histogram.merged([part, of([1.0])])
    assert part == of(values)


@given(st.integers(min_value=0, max_value=HIGHEST_US - 1))
def test_buckets_are_in_the_order_of_their_values(value_us: int) -> None:
    assert bucket_of(value_us) <= bucket_of(value_us + 1) <= bucket_of(value_us) + 1
    assert middle_of(bucket_of(value_us)) <= middle_of(bucket_of(value_us + 1))


def test_what_is_above_one_hour_is_counted_and_a_lower_bound() -> None:
    histogram = of([0.001, 4000.0, 5000.0])
    assert (histogram.count, histogram.overflow) == (3, 2)
    assert histogram.quantile_s(0.99) == HIGHEST_US / 1e6
    assert histogram.quantile_s(0.33) == pytest.approx(0.001)


def test_a_negative_duration_counts_as_zero() -> None:
    assert of([-0.5]).quantile_s(0.5) == 0.0


def test_an_empty_histogram_has_no_quantile() -> None:
    assert Histogram().quantile_s(0.5) is None
    assert Histogram().count == 0


@given(st.lists(st.one_of(seconds, st.just(9999.0)), max_size=60))
def test_the_stored_form_brings_back_the_same(values: list[float]) -> None:
    assert Histogram.from_pairs(of(values).to_pairs()) == of(values)


@pytest.mark.parametrize(
    "pairs",
    [[1], [1, 0], [1, -2], [-2, 1], [10**9, 1], [1.5, 1], [1, True]],
    ids=[
        "odd",
        "no count",
        "negative count",
        "below overflow",
        "beyond the top",
        "not whole",
        "not a number",
    ],
)
def test_what_cannot_be_a_histogram_is_refused(pairs: list[int]) -> None:
    with pytest.raises(HistogramError):
        Histogram.from_pairs(pairs)
