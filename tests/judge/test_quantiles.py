"""Many quantiles in one pass are what each would be by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rehearse.histogram import Histogram
from rehearse.judge.quantiles import Durations

TWO_HOURS = 7200.0
seconds = st.one_of(st.floats(0, 0.01), st.floats(0, 3600), st.just(TWO_HOURS))
histograms = st.lists(seconds, max_size=12).map(lambda values: of(values))


def of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(st.lists(histograms, min_size=1, max_size=4), max_size=5), st.floats(0, 1))
def test_the_quantile_of_a_pile_is_that_of_its_histograms_merged(
    piles: list[list[Histogram]], quantile: float
) -> None:
    piles = [pile for pile in piles if sum(one.count for one in pile)]
    durations = Durations(one for pile in piles for one in pile)
    ranges, first = [], 0
    for pile in piles:
        ranges.append((first, first + len(pile)))
        first += len(pile)
    assert durations.quantiles_s(ranges, quantile) == [
        Histogram.merged(pile).quantile_s(quantile) for pile in piles
    ]
    assert [durations.count(one) for one in ranges] == [Histogram.merged(pile).count for pile in piles]


def test_histograms_between_piles_are_left_out() -> None:
    durations = Durations([of([0.001]), of([5.0]), of([0.003]), of([0.004])])
    assert durations.quantiles_s([(0, 1), (2, 4)], 1.0) == [
        0.001,
        Histogram.merged([of([0.004])]).quantile_s(1),
    ]
