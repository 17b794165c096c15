"""The checks of the `http` pack by name, and options that let all of them run."""

from __future__ import annotations

from collections.abc import Callable

from rehearse.checks.packs import http
from tests.checks.asking import Outcome, outcome_of

Check = Callable[..., None]

PAGE = "/products?category=tea&page=2"
OPTIONS: dict[str, object] = {
    "paths": ["/", PAGE],
    "health": "/health",
    "ready": "/ready",
    "failing": "/boom",
    "posts": ["/orders"],
    "idle_s": 0.2,
}


def mark_of(check: Check) -> dict[str, str]:
    """What its `breakage` marker says."""
    (mark,) = check.pytestmark  # type: ignore[attr-defined]  # set by its decorator
    return dict(mark.kwargs)


CHECKS: dict[str, Check] = {
    mark_of(value)["id"].removeprefix("http/"): value
    for name, value in vars(http).items()
    if name.startswith("test_")
}


def outcomes_of(baseline: str, candidate: str, options: dict[str, object]) -> dict[str, Outcome]:
    """Of the whole pack."""
    return {name: outcome_of(check, baseline, candidate, options) for name, check in CHECKS.items()}


def failures(outcomes: dict[str, Outcome]) -> dict[str, str]:
    """The sentence of each check that failed."""
    return {name: outcome.sentence for name, outcome in outcomes.items() if outcome.word == "failed"}


def passed(outcomes: dict[str, Outcome]) -> int:
    """How many spoke for the candidate."""
    return sum(outcome.word == "passed" for outcome in outcomes.values())
