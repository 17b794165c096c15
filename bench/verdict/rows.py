"""What is measured: each row is a truth, the noise around it, and what the verdict must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.verdict import traces
from bench.verdict.evidence import OBJECTIVES, POLICY
from bench.verdict.peers import Answer
from bench.verdict.rehearsals import answers, guard_answers, simulated
from bench.verdict.simulator import World, zipf
from rehearse.model import Decision, Metric, Objective, Policy

Answers = Mapping[str, Answer]  # by rule: "rehearse", and the peers


@dataclass(frozen=True, slots=True)
class Target:
    """What the share of one decision must be, and the median time to it."""

    decision: Decision
    at_least: float = 0.0
    at_most: float = 1.0
    upper_at_most: float = 1.0  # the upper end of Wilson's 95 % interval
    median_at_most_s: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One truth, rehearsed many times."""

    name: str
    truth: str  # in words
    targets: tuple[Target, ...]
    runs: int
    answer: Callable[[np.random.Generator], Answers]


def _simulated(
    name: str,
    truth: str,
    worlds: tuple[World, World | None],  # of the comparison, and of its A/A reference
    targets: tuple[Target, ...],
    runs: int,
    policy: Policy | None = None,
    *,
    with_peers: bool = False,
) -> Row:
    def answer(rng: np.random.Generator) -> Answers:
        return answers(simulated(*worlds, policy or DECIDING, rng), with_peers=with_peers)

    return Row(name, truth, targets, runs, answer)


# --- worlds -----------------------------------------------------------------------------------------------------

# 6 endpoints at 100 requests/s a side; d has the SD of the real traces: 2-3 % at p50, about 9 % at p95, 15-20 % at p99.
# Rounds and blocks are the defaults of rehearse.toml for a comparison of 5 minutes.
USUAL = World(
    endpoints=zipf(6),
    rate_per_s=100.0,
    blocks=9,
    rounds=8,
    warm_up_blocks=0,
    spread=0.22,
    tail=(0.25, 3.2),
    own_sd=0.01,
    start_sd=0.015,
    has_tasks=False,
)
ONE_START = replace(USUAL, blocks=72, rounds=1)
FEW_STARTS = replace(USUAL, blocks=18, rounds=4)
SHORT = replace(USUAL, rate_per_s=50.0, blocks=8, rounds=2)
LONG = replace(USUAL, blocks=15, rounds=15)


# What decides: the advisory p99 costs a third of the time and has no say.
DECIDING = replace(POLICY, objectives=tuple(one for one in OBJECTIVES if not one.is_advisory))


def _with(metric: Metric, margin: float) -> Policy:
    """The usual objectives with another margin of one metric, which decides."""
    changed = Objective(metric, margin)
    return replace(POLICY, objectives=tuple(changed if one.metric is metric else one for one in OBJECTIVES))


def _slower(world: World, factor: float) -> World:
    return replace(world, slowdown={"": factor})


# --- identical code ---------------------------------------------------------------------------------------------

NO_ABORT = Target(Decision.ABORT, at_most=0.01, upper_at_most=0.02)
NEVER_GO = Target(Decision.GO, at_most=0.0)

_NOISES: Mapping[str, tuple[str, World]] = {
    "bimodal": ("bimodal service", replace(USUAL, second_mode=(0.3, 4.0))),
    "ar-0.4": ("own level of each side 2 %, AR(1) 0.4", replace(USUAL, own_sd=0.02, own_lag=0.4)),
    "ar-0.7": ("own level of each side 2 %, AR(1) 0.7", replace(USUAL, own_sd=0.02, own_lag=0.7)),
    "starts-0": ("starts do not differ", replace(USUAL, start_sd=0.0)),
    "starts-3": ("starts differ by 3 %", replace(USUAL, start_sd=0.03)),
    "starts-5": ("starts differ by 5 %", replace(USUAL, start_sd=0.05)),
    "drift": ("drift of 5 % an hour", replace(USUAL, drift_per_h=0.05, level=1.05)),
    "pauses": ("each side stands still 0.2 s every 20 s", replace(USUAL, pause=(0.05, 0.2))),
    "neighbour": ("a noisy neighbour: +50 % in a fifth of the blocks", replace(USUAL, neighbour=(0.2, 1.5))),
    "error-bursts": ("error bursts of 0.3 s every 100 s", replace(USUAL, error_bursts=(0.01, 0.3))),
    "20-endpoints": ("20 endpoints", replace(USUAL, endpoints=zipf(20))),
    "50-endpoints": ("50 endpoints", replace(USUAL, endpoints=zipf(50))),
}


def _identical() -> list[Row]:
    usual = (NO_ABORT, Target(Decision.GO, at_least=0.90))
    rows = [
        _simulated("same/usual", "usual noise, 8 + 8 rounds of 36 s", (USUAL, USUAL), usual, 1000),
        _simulated(
            "same/peers", "the same, with the peers", (USUAL, USUAL), (NO_ABORT,), 100, with_peers=True
        ),
    ]
    rows += [
        _simulated(f"same/{name}", truth, (world, world), (NO_ABORT,), 200, with_peers=name == "20-endpoints")
        for name, (truth, world) in _NOISES.items()
    ]
    starts = replace(SHORT, start_sd=0.05)
    alike = replace(SHORT, own_sd=0.05, own_lag=0.7)
    return [
        *rows,
        _simulated(
            "same/4-rounds", "usual noise, 4 + 4 rounds of 72 s", (FEW_STARTS, FEW_STARTS), (NO_ABORT,), 300
        ),
        _simulated(
            "same/long-reference",
            "usual noise, 8 rounds of 36 s against a reference of 16",
            (USUAL, replace(USUAL, rounds=16)),
            usual,
            300,
        ),
        _simulated(
            "same/no-reference", "usual noise, no A/A reference, 1 round", (ONE_START, None), (NO_ABORT,), 300
        ),
        _simulated("same/short", "usual noise, 2 + 2 rounds of 32 s", (SHORT, SHORT), (NO_ABORT,), 500),
        _simulated(
            "same/short-starts-5",
            "starts differ by 5 %, 2 + 2 rounds of 32 s",
            (starts, starts),
            (NO_ABORT,),
            400,
        ),
        _simulated(
            "same/short-ar-0.7",
            "own level of each side 5 %, AR(1) 0.7, 2 + 2 rounds of 32 s",
            (alike, alike),
            (NO_ABORT,),
            400,
        ),
    ]


# --- changes ----------------------------------------------------------------------------------------------------


def _changes() -> list[Row]:
    fast, mostly = (
        Target(Decision.ABORT, at_least=0.99, median_at_most_s=90.0),
        Target(Decision.ABORT, at_least=0.9),
    )
    two_rounds = replace(USUAL, blocks=36, rounds=2)
    failing = replace(USUAL, candidate_errors=0.005)
    return [
        _simulated(
            "worse/+20", "+20 %", (_slower(USUAL, 1.2), USUAL), (fast, NEVER_GO), 200, with_peers=True
        ),
        _simulated(
            "worse/+20-no-reference",
            "+20 %, no A/A reference, 1 round",
            (_slower(ONE_START, 1.2), None),
            (NEVER_GO,),
            100,
        ),
        _simulated(
            "worse/+10", "+10 %", (_slower(USUAL, 1.1), USUAL), (mostly, NEVER_GO), 200, with_peers=True
        ),
        _simulated(
            "worse/+10-4-rounds",
            "+10 %, 4 + 4 rounds of 72 s",
            (_slower(FEW_STARTS, 1.1), FEW_STARTS),
            (mostly, NEVER_GO),
            100,
        ),
        _simulated(
            "worse/+10-2-rounds",
            "+10 %, 2 + 2 rounds of 144 s",
            (_slower(two_rounds, 1.1), two_rounds),
            (mostly, NEVER_GO),
            100,
        ),
        _simulated(
            "worse/+5",
            "+5 % (p50 margin 3 %; 15 minutes, 15 + 15 rounds)",
            (_slower(LONG, 1.05), LONG),
            (Target(Decision.ABORT, at_least=0.8),),
            60,
            _with(Metric.P50, 0.03),
        ),
        _simulated(
            "worse/p99",
            "p99 alone +20 % (p99 decides, margin 10 %)",
            (replace(USUAL, slowest=(0.03, 1.2)), USUAL),
            (mostly,),
            100,
            _with(Metric.P99, 0.10),
            with_peers=True,
        ),
        _simulated(
            "worse/errors",
            "errors 0 to 0.5 %",
            (failing, USUAL),
            (Target(Decision.ABORT, at_least=0.99), NEVER_GO),
            200,
            with_peers=True,
        ),
        _simulated(
            "worse/eater",
            "the candidate eats the shared CPU: both sides +60 %, itself +3 % more",
            (replace(_slower(USUAL, 1.03), level=1.6), USUAL),
            (NEVER_GO,),
            200,
            with_peers=True,
        ),
    ]


def _margins() -> list[Row]:
    at_margin, beyond = Target(Decision.GO, at_most=0.05), Target(Decision.GO, at_most=0.001)
    deciding = tuple(one for one in OBJECTIVES if one.metric in (Metric.P50, Metric.ERROR_RATIO))
    p50 = replace(POLICY, objectives=deciding)
    errors = replace(POLICY, objectives=(Objective(Metric.P50, 0.5), *deciding[1:]))
    failing = replace(USUAL, baseline_errors=0.002, candidate_errors=0.003)
    return [
        _simulated(
            "margin/p50", "p50 +5 %, its margin", (_slower(USUAL, 1.05), USUAL), (at_margin,), 200, p50
        ),
        _simulated(
            "margin/p50-x2", "p50 +10 %, twice its margin", (_slower(USUAL, 1.10), USUAL), (beyond,), 200, p50
        ),
        _simulated(
            "margin/p50-short",
            "p50 +5 %, its margin; 2 + 2 rounds of 32 s",
            (_slower(SHORT, 1.05), SHORT),
            (at_margin,),
            200,
            p50,
        ),
        _simulated(
            "margin/errors", "errors 0.2 to 0.3 %, their margin", (failing, USUAL), (at_margin,), 200, errors
        ),
        _simulated(
            "margin/errors-x2",
            "errors 0.2 to 0.4 %, twice their margin",
            (replace(failing, candidate_errors=0.004), USUAL),
            (beyond,),
            200,
            errors,
        ),
        _simulated(
            "margin/errors-0",
            "errors 0 to 0.1 %, their margin",
            (replace(USUAL, candidate_errors=0.001), USUAL),
            (at_margin,),
            200,
            errors,
        ),
    ]


def _guards() -> list[Row]:
    world = replace(USUAL, rate_per_s=50.0, blocks=75, rounds=1)
    dying = replace(world, blocks=8, candidate_errors=0.10)
    few = replace(world, baseline_errors=0.002, candidate_errors=0.002)
    stopped = Target(Decision.ABORT, at_least=0.99, median_at_most_s=10.0)
    silent = Target(Decision.ABORT, at_most=0.001, upper_at_most=0.005)
    return [
        Row(
            "guard/10-percent", "10 % errors at 50/s", (stopped,), 1000, partial(guard_answers, dying, POLICY)
        ),
        Row(
            "guard/same",
            "0.2 % errors on both sides, 5 minutes",
            (silent,),
            1000,
            partial(guard_answers, few, POLICY),
        ),
        Row(
            "guard/bursts",
            "bursts of errors of 1 s every 50 s on both sides, 5 minutes",
            (silent,),
            1000,
            partial(guard_answers, replace(world, error_bursts=(0.02, 1.0)), POLICY),
        ),
    ]


# --- real traces ------------------------------------------------------------------------------------------------


def _traced() -> list[Row]:
    never, mostly = (Target(Decision.ABORT, at_most=0.0),), (Target(Decision.ABORT, at_least=0.9), NEVER_GO)
    return [
        Row("trace/A2", "identical code, A/A reference", never, 500, partial(traces.answers_of, "A2")),
        Row(
            "trace/A2-no-reference",
            "identical code, no reference",
            never,
            500,
            partial(traces.answers_of, "A2", has_reference=False),
        ),
        Row("trace/B20", "the CPU part +20 % (p50 +12 %)", mostly, 100, partial(traces.answers_of, "B20")),
        Row("trace/B10", "the CPU part +10 % (p50 +6 %)", (), 100, partial(traces.answers_of, "B10")),
        Row(
            "trace/Btail",
            "2 % of the requests do 8 times the work",
            mostly,
            100,
            partial(traces.answers_of, "Btail"),
        ),
        Row("trace/Berr", "0.5 % of the requests fail", mostly, 100, partial(traces.answers_of, "Berr")),
        Row(
            "trace/x1.05",
            "all times x 1.05, the p50 margin (no floor)",
            (Target(Decision.GO, at_most=0.05),),
            100,
            partial(traces.answers_of, "A2", factor=1.05, floor_s=0.0),
        ),
        Row(
            "trace/x1.10",
            "all times x 1.10 (no floor)",
            (Target(Decision.ABORT, at_least=0.9), NEVER_GO),
            100,
            partial(traces.answers_of, "A2", factor=1.10, floor_s=0.0),
        ),
        Row(
            "trace/x1.20",
            "all times x 1.20 (no floor)",
            mostly,
            100,
            partial(traces.answers_of, "A2", factor=1.20, floor_s=0.0),
        ),
    ]


# --- curves -----------------------------------------------------------------------------------------------------

CURVE = (0.0, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20)


def _curve() -> list[Row]:
    """The operating curve: all that differs is the true change."""
    return [
        _simulated(
            f"curve/{change * 100:g}",
            f"{change * 100:+g} %",
            (_slower(USUAL, 1 + change), USUAL),
            (),
            60,
            with_peers=True,
        )
        for change in CURVE
    ]


def all_rows() -> tuple[Row, ...]:
    """Every row, in the order of the tables."""
    return (*_identical(), *_margins(), *_changes(), *_guards(), *_traced(), *_curve())
