"""The arithmetic of the verdict, free of any noun: t bounds with several variance components, Holm, exact counts.

Kalibera & Jones 2013 (nested variance), Satterthwaite 1946, Holm 1979, Clopper & Pearson 1934, Lindon et al. 2022
(anytime-valid tests on counts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, betaincinv, betaln, chdtri, stdtr, stdtrit

ENOUGH_FOR_CORRELATION = 32  # pairs from which the data's own serial correlation is believed
MOST_CORRELATION = 0.9
_CONTRADICTION = 0.05
_TINY = 1e-24  # a variance below this is rounding, not noise

Floats = NDArray[np.float64]


def tidy(value: float | None) -> float | None:
    """Twelve significant digits, so that the last bits of a platform cannot show; None for anything not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.12g}") + 0.0  # + 0.0: no negative zero


# --- one estimate from several sources of variance --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Component:
    """One independent source of variance, and how well it is known."""

    variance: float
    degrees_of_freedom: float = math.inf

    def times(self, factor: float) -> Component:
        """The same source, counted `factor` times."""
        return Component(self.variance * factor, self.degrees_of_freedom)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error; bounds and p-value by Student's t."""

    value: float
    standard_error: float
    degrees_of_freedom: float = math.inf

    def upper(self, alpha: float) -> float:
        """The one-sided upper bound at confidence 1 - alpha."""
        return self.value + self._reach(alpha)

    def lower(self, alpha: float) -> float:
        """The one-sided lower bound at confidence 1 - alpha."""
        return self.value - self._reach(alpha)

    @property
    def p_value(self) -> float:
        """One-sided, of "the value is not above 0". Without any noise the sign alone decides."""
        if self.standard_error <= 0:
            return 0.0 if self.value > 0 else 1.0
        return float(stdtr(self.degrees_of_freedom, -self.value / self.standard_error))

    def _reach(self, alpha: float) -> float:
        return t_quantile(alpha, self.degrees_of_freedom) * self.standard_error


def t_quantile(alpha: float, degrees_of_freedom: float) -> float:
    """The value that Student's t exceeds with probability `alpha`."""
    return -float(stdtrit(degrees_of_freedom, alpha))


def combined(value: float, components: Sequence[Component]) -> Estimate:
    """`value` with the summed variance of its components and Satterthwaite's degrees of freedom."""
    total = math.fsum(part.variance for part in components)
    if total <= _TINY:
        return Estimate(value, 0.0)
    spread = math.fsum(part.variance**2 / part.degrees_of_freedom for part in components)
    return Estimate(value, math.sqrt(total), max(1.0, total**2 / spread) if spread > 0 else math.inf)


# --- values over blocks, in rounds ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Values in the order of time, with the round that each belongs to."""

    values: tuple[float, ...]
    rounds: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The plain mean; 0.0 when there are none."""
        return math.fsum(self.values) / self.count if self.values else 0.0

    @property
    def round_count(self) -> int:
        """How many rounds have values."""
        return len(self._round_means)

    @property
    def round_share(self) -> float:
        """What part of a variance that is drawn once a round is left in the mean: 1/R for rounds of equal size."""
        return math.fsum((self.rounds.count(number) / self.count) ** 2 for number in self._round_means)

    @property
    def round_sum_of_squares(self) -> float:
        """The squared distances of the round means from their own mean."""
        means = list(self._round_means.values())
        middle = math.fsum(means) / max(len(means), 1)
        return math.fsum((mean - middle) ** 2 for mean in means)

    @property
    def noise_of_round(self) -> float:
        """The variance that the noise of blocks puts on the mean of one round."""
        return self.within.variance * self.round_count / max(self.count, 1)

    @property
    def within(self) -> Component:
        """The variance of one value inside its round."""
        freedom = self.count - self.round_count
        if freedom < 1:
            return Component(0.0, 1.0)
        variance = float(np.sum(self._residuals**2)) / freedom
        return Component(variance if variance > _TINY else 0.0, freedom)

    @property
    def lag_one(self) -> float:
        """The serial correlation of neighbours within a round; 0.0 where nothing varies."""
        residuals = self._residuals
        total = float(np.sum(residuals**2))
        if total <= _TINY * max(self.count, 1):
            return 0.0
        rounds = np.asarray(self.rounds)
        return float(np.sum(residuals[1:] * residuals[:-1] * (rounds[1:] == rounds[:-1]))) / total

    @cached_property
    def _round_means(self) -> dict[int, float]:
        members: dict[int, list[float]] = {}
        for number, value in zip(self.rounds, self.values, strict=True):
            members.setdefault(number, []).append(value)
        return {number: math.fsum(values) / len(values) for number, values in members.items()}

    @cached_property
    def _residuals(self) -> Floats:
        means = [self._round_means[number] for number in self.rounds]
        return np.asarray(self.values, dtype=np.float64) - np.asarray(means, dtype=np.float64)


def inflation(correlation: float) -> float:
    """How many times larger the variance of a mean is when neighbours have this serial correlation."""
    return (1 + correlation) / (1 - correlation)


def believed_correlation(samples: Sequence[Sample]) -> float:
    """The serial correlation within rounds that all of `samples` show, less what chance alone shows; 0 to 0.9.

    Taking off the mean of a short round makes neighbours look alike less than they are (Marriott & Pope 1954): that is
    put right first. Chance is one standard error.
    """
    count = sum(sample.count for sample in samples)
    weights = math.fsum(sample.count * sample.within.variance for sample in samples)
    if not count or weights <= _TINY:
        return 0.0
    seen = math.fsum(sample.count * sample.within.variance * sample.lag_one for sample in samples) / weights
    length = count / sum(sample.round_count for sample in samples)
    shrunk = max(1 - 3 / length, 0.25)
    corrected = (seen + 1 / length - 1 / math.sqrt(count)) / shrunk
    return min(max(0.0, corrected), MOST_CORRELATION)


def noise_of_mean(sample: Sample, stored: Sample | None = None) -> Component:
    """The variance that blocks put on the mean of `sample`.

    `stored` is the same cell between identical versions: a quarter of its noise is the floor, and it helps to tell
    how much neighbours resemble each other.
    """
    within = sample.within
    floor = stored.within.variance / 16 if stored is not None else 0.0
    correlation = believed_correlation([sample] if stored is None else [sample, stored])
    factor = inflation(correlation) / max(sample.count, 1)
    return Component(max(within.variance, floor), within.degrees_of_freedom).times(factor)


@dataclass(frozen=True, slots=True)
class _Rounds:
    """What the means of rounds show of starts, in units of one side's start."""

    freedom: int
    squares: float
    noise: float  # how much of the squares the noise of blocks explains

    @classmethod
    def of(cls, samples: Sequence[Sample], starts: int) -> _Rounds:
        """`starts` is how many sides draw a start in each round: their difference holds it as often."""
        found = [(sample, sample.round_count - 1) for sample in samples if sample.count]
        sides = max(starts, 1)
        return cls(
            sum(more for _, more in found),
            math.fsum(sample.round_sum_of_squares for sample, _ in found) / sides,
            math.fsum(more * sample.noise_of_round for sample, more in found) / sides,
        )

    def contradicts(self, variance: float) -> bool:
        """True when starts of this variance would show such rounds less than once in twenty times."""
        if self.freedom <= 0:
            return False
        most = float(chdtri(self.freedom, _CONTRADICTION))
        return self.squares > most * (variance + self.noise / self.freedom)

    @property
    def alone(self) -> Component:
        """What the rounds say when nothing else is believed."""
        return Component(self.squares / self.freedom, self.freedom)


def start_variance(
    samples: Sequence[Sample], assumed_sd: float, assumed_freedom: float, starts: int = 2
) -> Component:
    """The variance that one process start puts on a side: the assumption, and what rounds show, in one formula.

    What the noise of blocks alone puts into the rounds is taken off, and rounds whose noise drowns their starts count
    for as little as they tell. Rounds that contradict the assumption count alone: a wrong one must not drown them.
    Rounds without any start can only contradict: that they are alike says nothing of starts.
    """
    rounds, assumed = _Rounds.of(samples, starts), assumed_sd**2
    if rounds.contradicts(assumed):
        return rounds.alone
    if starts == 0 or rounds.freedom == 0 or assumed <= 0:
        return Component(assumed, assumed_freedom if assumed_freedom > 0 else math.inf)
    told = assumed / (assumed + rounds.noise / rounds.freedom)
    weight = rounds.freedom * told**2  # a variance that is known as a difference is known that much worse
    seen = max(0.0, rounds.squares - rounds.noise) / rounds.freedom
    total = assumed_freedom + weight
    return Component((assumed_freedom * assumed + weight * seen) / total, total)


def start_of_cell(samples: Sequence[Sample], told: Component, starts: int = 2) -> Component:
    """The start term of one cell: `told` by the cell that sees starts best, unless its own rounds contradict that."""
    rounds = _Rounds.of(samples, starts)
    return rounds.alone if rounds.contradicts(told.variance) else told


def host_weight(seen: float, seen_variance: float, assumed_sd: float) -> float:
    """How much of the difference `seen` between identical versions is believed to be the hosts': 0 to 1.

    Taking all of it off (difference of differences) would add all of its noise to the result, which for the tail of
    a rare endpoint is far more than the hosts ever differ. Taking off the posterior mean leaves the posterior variance
    weight * seen_variance. The prior widens to what is seen, so that hosts that do differ are believed.
    """
    host_variance = max(assumed_sd**2, seen**2 - seen_variance)
    total = host_variance + seen_variance
    return host_variance / total if total > _TINY else 1.0


# --- many tests at once -----------------------------------------------------------------------------------------


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which null hypotheses fall when all are tested together at family-wise error rate `alpha`."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    fallen = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(order) - rank):
            break
        fallen[index] = True
    return tuple(fallen)


# --- counts -----------------------------------------------------------------------------------------------------


def binomial_upper(hits: float, trials: float, alpha: float) -> float:
    """Clopper-Pearson's one-sided upper bound of a share; 1.0 without trials."""
    if trials <= 0 or hits >= trials:
        return 1.0
    return float(betaincinv(hits + 1, trials - hits, 1 - alpha))


def binomial_lower(hits: float, trials: float, alpha: float) -> float:
    """Clopper-Pearson's one-sided lower bound of a share; 0.0 without hits."""
    if trials <= 0 or hits <= 0:
        return 0.0
    return (
        1.0 if hits >= trials and alpha >= 1 else float(betaincinv(hits, max(trials - hits, 0.0) + 1, alpha))
    )


def share_p_value(hits: float, of_both: float, share: float) -> float:
    """One-sided, exact: the chance of at least `hits` of `of_both` on a side that has `share` of the exposure."""
    if hits <= 0:
        return 1.0
    return float(betainc(hits, of_both - hits + 1, share))


def fisher_p_value(had: int, of: int, has: int, of_now: int) -> float:
    """One-sided, exact (Fisher 1934): the chance that at least `has` of all `had + has` fall on the second side.

    Whole numbers throughout, so that 100 of 100 against 0 of 100 is not rounded to nothing.
    """
    hits = had + has
    most = min(hits, of_now)
    ways = sum(math.comb(of_now, k) * math.comb(of, hits - k) for k in range(has, most + 1))
    return ways / math.comb(of + of_now, hits)


def log_e_value(hits: int, of_both: int, share: float) -> float:
    """Evidence against "the candidate's share of episodes is its share of requests", valid at any moment.

    A uniform mixture over all larger shares; at or beyond log(1/alpha) the error rate is at most alpha, however often
    one looks (Ville).
    """
    if not 0 < share < 1:
        return -math.inf
    misses = of_both - hits
    tail = float(betaincc(hits + 1, misses + 1, share))
    if tail <= 0:
        return -math.inf
    mixture = math.log(tail) + float(betaln(hits + 1, misses + 1)) - math.log1p(-share)
    return mixture - hits * math.log(share) - misses * math.log1p(-share)


def requests_to_certify(margin: float, alpha: float) -> int | None:
    """How many requests without any failure prove a failure share below `margin`; None when no number does."""
    if margin <= 0:
        return None
    return 1 if margin >= 1 else math.floor(math.log(alpha) / math.log1p(-margin)) + 1
