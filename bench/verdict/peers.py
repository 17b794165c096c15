"""What people decide with today, re-implemented from its description; the same requests and the same time as we have.

Each rule is a pure function of what was seen. Where a description leaves something open, the choice here is the one
that is kinder to the rule, and its docstring says so. Every rule looks at the whole and at each endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind

from bench.verdict.simulator import Floats, Requests
from rehearse.model import Decision

_MORE = 1.10
_ALPHA = 0.05
_K6_FIRST_S, _K6_EVERY_S, _K6_MOST_FAILED = 10.0, 2.0, 0.01
_KAYENTA_Z, _KAYENTA_TOLERANCE = 2.3263478740408408, 0.25  # a 98 % interval
_KAYENTA_PASS, _KAYENTA_MARGINAL = 95.0, 75.0


@dataclass(frozen=True)
class Seen:
    """What a rule may look at: both sides now, and earlier runs of the baseline, oldest first.

    Blocks and moments count measured load from its beginning.
    """

    baseline: Requests
    candidate: Requests
    earlier: tuple[Requests, ...]
    endpoints: int
    length_s: float

    @cached_property
    def series(self) -> tuple[tuple[Requests, Requests, tuple[Requests, ...]], ...]:
        """The whole first, then each endpoint that either side was asked for."""
        return ((self.baseline, self.candidate, self.earlier), *self._by_endpoint())

    def _by_endpoint(self) -> Iterator[tuple[Requests, Requests, tuple[Requests, ...]]]:
        for one in range(self.endpoints):
            yield (
                _of(self.baseline, one),
                _of(self.candidate, one),
                tuple(_of(run, one) for run in self.earlier),
            )


def _of(requests: Requests, endpoint: int) -> Requests:
    return requests.chosen(requests.endpoint == endpoint)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule says, and after how much load."""

    decision: Decision
    after_s: float


Peer = Callable[[Seen], Answer]


def _answer(is_worse: bool, seen: Seen) -> Answer:
    return Answer(Decision.ABORT if is_worse else Decision.GO, seen.length_s)


def point10(seen: Seen) -> Answer:
    """The pooled p95, or the error ratio in points, is more than 10 % (0.1 points) above the baseline's.

    A comparison with NaN is false, as it is in the tools that do this: without data nothing is worse.
    """
    return _answer(
        any(
            candidate.p95_s > _MORE * baseline.p95_s or candidate.error_ratio > baseline.error_ratio + 0.001
            for baseline, candidate, _ in seen.series
        ),
        seen,
    )


def k6(seen: Seen) -> Answer:
    """`p(95)<1.1 x baseline` over all so far, looked at every 2 s from 10 s on; `http_req_failed: rate<0.01`.

    The threshold is set from the baseline of the same moment, which is kinder than one from last week. No requests are
    a p95 of 0, which passes.
    """
    first: float = math.inf
    for baseline, candidate, _ in seen.series:
        limit_s = _MORE * baseline.p95_s
        order = np.argsort(candidate.at_s)
        at_s, seconds, failed = candidate.at_s[order], candidate.seconds[order], candidate.failed[order]
        for look_s in np.arange(_K6_FIRST_S, min(seen.length_s, first - 1e-9) + 1e-9, _K6_EVERY_S):
            size = int(np.searchsorted(at_s, look_s))
            if size and (
                np.quantile(seconds[:size], 0.95) > limit_s or failed[:size].mean() > _K6_MOST_FAILED
            ):
                first = float(look_s)
                break
    return Answer(Decision.ABORT, first) if first < math.inf else Answer(Decision.GO, seen.length_s)


def keptn(seen: Seen) -> Answer:
    """p95 and error ratio at most 10 % above the mean of the last three results; without any, it passes."""
    return _answer(any(_is_above_last(candidate, earlier) for _, candidate, earlier in seen.series), seen)


def _is_above_last(candidate: Requests, earlier: tuple[Requests, ...]) -> bool:
    last = [run for run in earlier if run.seconds.size][-3:]
    if not last or not candidate.seconds.size:
        return False
    p95_s = math.fsum(run.p95_s for run in last) / len(last)
    errors = math.fsum(run.error_ratio for run in last) / len(last)
    return candidate.p95_s > _MORE * p95_s or candidate.error_ratio > _MORE * errors


def kayenta(seen: Seen) -> Answer:
    """Mann-Whitney over windows of p50, p95 and error ratio; a score of 95 passes, below 75 fails.

    A metric is High when the 98 % interval of the shift begins above a quarter of the estimated shift. Metrics without
    data are in no score; a group of none scores 100.
    """
    found = [_is_high(*pair) for one in seen.series for pair in _window_metrics(one[0], one[1])]
    scored = [one for one in found if one is not None]
    score = 100.0 * (1 - sum(scored) / len(scored)) if scored else 100.0
    if score >= _KAYENTA_PASS:
        return Answer(Decision.GO, seen.length_s)
    return Answer(Decision.INCONCLUSIVE if score >= _KAYENTA_MARGINAL else Decision.ABORT, seen.length_s)


def _window_metrics(baseline: Requests, candidate: Requests) -> Iterator[tuple[Floats, Floats]]:
    sides = [_by_window(side) for side in (baseline, candidate)]
    for metric in range(3):
        yield sides[0][:, metric], sides[1][:, metric]


def _by_window(requests: Requests) -> Floats:
    """p50, p95 and error ratio of each window that has requests."""
    order = np.argsort(requests.block, kind="stable")
    _, firsts = np.unique(requests.block[order], return_index=True)
    if not firsts.size:
        return np.empty((0, 3))
    seconds = np.split(requests.seconds[order], firsts[1:])
    failed = np.split(requests.failed[order], firsts[1:])
    return np.array(
        [(*np.quantile(some, (0.5, 0.95)), bad.mean()) for some, bad in zip(seconds, failed, strict=True)]
    )


def _is_high(baseline: Floats, candidate: Floats) -> bool | None:
    if not baseline.size or not candidate.size:
        return None
    low, estimate = hodges_lehmann(baseline, candidate)
    return low > _KAYENTA_TOLERANCE * abs(estimate) if estimate else low > 0


def hodges_lehmann(baseline: Floats, candidate: Floats) -> tuple[float, float]:
    """(lower end of the 98 % interval, estimate) of the shift, by Mann-Whitney's normal approximation."""
    shifts = np.sort((candidate[:, None] - baseline[None, :]).ravel())
    m, n = baseline.size, candidate.size
    below = math.floor(m * n / 2 - _KAYENTA_Z * math.sqrt(m * n * (m + n + 1) / 12))
    return (float(shifts[below]) if below >= 0 else -math.inf), float(np.median(shifts))


def welch(seen: Seen) -> Answer:
    """Welch's t on all requests, two-sided at 5 %, and slower."""
    return _answer(any(_differs(one[0], one[1], ttest_ind, equal_var=False) for one in seen.series), seen)


def mann_whitney(seen: Seen) -> Answer:
    """Mann-Whitney's U on all requests, normal approximation, two-sided at 5 %, and slower."""
    return _answer(
        any(_differs(one[0], one[1], mannwhitneyu, method="asymptotic") for one in seen.series), seen
    )


def _differs(
    baseline: Requests, candidate: Requests, test: Callable[..., tuple[float, float]], **how: object
) -> bool:
    if min(baseline.seconds.size, candidate.seconds.size) < 2:
        return False
    _, p_value = test(candidate.seconds, baseline.seconds, alternative="greater", **how)
    return p_value < _ALPHA / 2


PEERS: Mapping[str, Peer] = {
    "point10": point10,
    "k6": k6,
    "keptn": keptn,
    "kayenta": kayenta,
    "welch": welch,
    "mann-whitney": mann_whitney,
}
