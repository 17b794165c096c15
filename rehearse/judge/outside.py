"""Requests made outside any journey, such as a login in on_start: no arrival, no block, so no cell judges them.

They are counted in the closing accounts and never ignored. A few are told. Many, or many failures, make GO impossible:
a part of the load that nothing judges would be passed unseen, and users that could not log in are another load. They
can hide a worsening, or the candidate itself causes them, so that an ABORT is still sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rehearse.judge.faults import Fault, fault
from rehearse.judge.stats import binomial_lower
from rehearse.judge.wording import share
from rehearse.model import Evidence, Finding, Outcome, Policy, ReasonCode, Scope, Side

OUTSIDE = "outside_journeys"
_TOLD_RATIO = 0.05
# A login of each user is 3 % of a usual load, and 12 % where 20 users make 5 requests/s for a minute.
_MOST_RATIO = 0.20
_MOST_DIFFERENCE = 0.05
_STANDARD_ERRORS = 3.3  # chance alone must not look like another load
_SURE_ALPHA = 0.01
_WHAT = "outside any journey, such as a login in on_start"


@dataclass(frozen=True, slots=True)
class _Outside:
    """What one side was asked outside its journeys, over all rounds, and inside them, warm-up included."""

    side: Side
    requests: int
    errors: int
    in_journeys: int

    @property
    def total(self) -> int:
        return self.requests + self.in_journeys

    @property
    def ratio(self) -> float:
        return self.requests / self.total if self.total else 0.0

    @property
    def told(self) -> str:
        return f"{share(self.ratio)} of the requests to the {self.side} ({self.requests:,} of {self.total:,})"


def outside_faults(evidence: Evidence) -> list[Fault]:
    """Too many requests outside any journey, too many failures among them, or many on one side only."""
    sides = _by_side(evidence)
    return [
        *(_too_many(one) for one in sides if one.ratio > _MOST_RATIO),
        *(_failing(one) for one in sides if _surely_fails(one, evidence.policy)),
        *_one_sided(sides),
    ]


def outside_warnings(evidence: Evidence) -> list[Finding]:
    """How many failed, side by side; and how many there were, where that is much."""
    sides = _by_side(evidence)
    return [
        *(_warning(one.side, _failures(one)) for one in sides if one.errors),
        *(
            _warning(one.side, f"{one.told} were made {_WHAT}; nothing judges them")
            for one in sides
            if one.ratio > _TOLD_RATIO
        ),
    ]


def _by_side(evidence: Evidence) -> list[_Outside]:
    """Nothing when nothing was asked outside, as is usual: then there is no need to count what was asked inside."""
    if not any(final.unscheduled_requests or final.unscheduled_errors for final in evidence.finals):
        return []
    return [_outside(evidence, side) for side in Side if any(final.side is side for final in evidence.finals)]


def _outside(evidence: Evidence, side: Side) -> _Outside:
    finals = [final for final in evidence.finals if final.side is side]
    own = (series for block in evidence.blocks if block.side is side for series in block.series)
    return _Outside(
        side,
        sum(final.unscheduled_requests for final in finals),
        sum(final.unscheduled_errors for final in finals),
        sum(series.count() for series in own if series.scope is Scope.ENDPOINT),
    )


def _too_many(one: _Outside) -> Fault:
    sentence = (
        f"{one.told} were made {_WHAT}, where nothing judges them; at most {share(_MOST_RATIO)} may be: "
        "move them into tasks, use fewer users, or rehearse longer"
    )
    return fault(ReasonCode.LOAD_MISMATCH, one.side, sentence, allows_abort=True, outside=one.requests)


def _surely_fails(one: _Outside, policy: Policy) -> bool:
    return binomial_lower(one.errors, one.requests, _SURE_ALPHA) > policy.max_baseline_error_ratio


def _failing(one: _Outside) -> Fault:
    """Two sides with the same expired token are no sameness, and one side with it is no comparison."""
    is_baseline = one.side is Side.BASELINE
    code = ReasonCode.BASELINE_UNHEALTHY if is_baseline else ReasonCode.LOAD_MISMATCH
    sentence = f"{_failures(one)}; its users were not what the scenario wants; read the worker's log"
    return fault(code, one.side, sentence, allows_abort=not is_baseline, errors=one.errors)


def _one_sided(sides: Iterable[_Outside]) -> list[Fault]:
    """What the scenario does outside its journeys is the same code on both sides: only the answers can differ."""
    loaded = [one for one in sides if one.total]
    if len(loaded) < len(Side):
        return []
    low, high = sorted(loaded, key=lambda one: one.ratio)
    pooled = (low.requests + high.requests) / (low.total + high.total)
    chance = math.sqrt(pooled * (1 - pooled) * (1 / low.total + 1 / high.total))
    if high.ratio - low.ratio <= max(_MOST_DIFFERENCE, _STANDARD_ERRORS * chance):
        return []
    sentence = (
        f"{high.told} were made {_WHAT}, and {share(low.ratio)} of those to the {low.side}; "
        "the sides did not get the same load; look at the scenario"
    )
    return [fault(ReasonCode.LOAD_MISMATCH, high.side, sentence, allows_abort=True, outside=high.requests)]


def _failures(one: _Outside) -> str:
    return f"{one.errors:,} of {one.requests:,} requests to the {one.side} {_WHAT}, failed"


def _warning(side: Side, sentence: str) -> Finding:
    return Finding(Outcome.INCONCLUSIVE, OUTSIDE, side, sentence)
