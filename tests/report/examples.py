"""Four results as a release engineer would meet them: GO, ABORT, INCONCLUSIVE, and a run that was cut off.

The durations are drawn from a seed, and every number of a judgement comes from them, so pictures, tables and
sentences tell one story.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from rehearse.histogram import Histogram
from rehearse.judge.edges import edge_results
from rehearse.model import (
    Arrivals,
    Assertion,
    Block,
    CapacityStep,
    Cell,
    CheckEvidence,
    CheckOutcome,
    CheckResult,
    ChecksEnd,
    DataState,
    Decision,
    EdgeFamily,
    EdgeOutcome,
    EdgeRecord,
    EdgeResult,
    ErrorBin,
    Finding,
    Judgement,
    Metric,
    Mode,
    Moment,
    Objective,
    Outcome,
    Phase,
    Policy,
    Proof,
    ReasonCode,
    RequestOutcome,
    Result,
    RigHealth,
    Role,
    RunKind,
    RunRecord,
    RunState,
    Scope,
    Series,
    SeriesCurve,
    Severity,
    Side,
    Step,
    TargetFacts,
    Verdict,
)
from rehearse.report.assemble import assemble

BLOCK_S = 5.0
MARGINS = {Metric.P50: 0.05, Metric.P95: 0.10, Metric.ERROR_RATIO: 0.001}
ENDPOINTS = {  # requests a block, typical duration in seconds
    "GET /": (120, 0.0062),
    "GET /products": (90, 0.0118),
    "GET /product/{id}": (110, 0.0087),
    "GET /search": (60, 0.0315),
    "POST /basket": (45, 0.0149),
    "POST /checkout": (40, 0.0480),
    "GET /orders/{id}": (20, 0.0203),
    "POST /login": (15, 0.0550),
}
EXIT_PLAN = """\
Decision point: T+20 min, or as soon as checkout p95 stays above 120 ms for 5 min
Who decides: release engineer on duty (Mara Lind), deputy Jo Okafor

1. Stop the roll-out: `deploy pause shop`
2. Switch the traffic back to 4.1.7: `deploy route shop --to blue`
3. Undo migration 0042 (additive: nothing to do before the decision point)
4. Verify: orders per minute back to the level of the hour before
"""
CONFIG = """\
title = "Shop 4.1.7 to 4.2.0"

[targets.baseline]
url = "https://blue.staging.example.internal"

[targets.candidate]
url = "https://green.staging.example.internal"
token = "[redacted]"

[load]
rate = 100.0
duration = "2m"

[[objectives]]
metric = "p95"
margin = "10%"
"""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens in one rehearsal."""

    seed: int
    pairs: int = 24
    slower: float = 1.0
    slow: tuple[str, ...] = ()
    failing: str = ""
    late_rig: tuple[int, ...] = ()
    noise: float = 0.03
    fails: float = 0.0003


# --- what was recorded --------------------------------------------------------------------------------------------


def blocks_of(story: Story) -> tuple[Block, ...]:
    """One warm-up block and `pairs` measured ones on each side."""
    rng = random.Random(story.seed)
    return tuple(
        _block(story, side, index, rng)
        for index in range(story.pairs + 1)
        for side in (Side.BASELINE, Side.CANDIDATE)
    )


def _block(story: Story, side: Side, index: int, rng: random.Random) -> Block:
    moment = 1 + 0.12 * math.sin(index / 3.1) + (0.5 if index == 9 else 0)
    is_candidate = side is Side.CANDIDATE
    series, total = [], _Recorder()
    for name, (count, typical_s) in ENDPOINTS.items():
        factor = story.slower if is_candidate and name in story.slow else 1.0
        level_s = typical_s * moment * factor * math.exp(rng.gauss(0, story.noise))
        recorder = _Recorder()
        fails = 0.02 if is_candidate and name == story.failing else story.fails
        for _ in range(count):
            seconds = level_s * math.exp(rng.gauss(0, 0.32)) * (4.0 if rng.random() < 0.012 else 1.0)
            is_failure = rng.random() < fails
            recorder.add(seconds, is_failure, index, is_candidate)
            if not is_failure:
                total.add(seconds + 0.0006, False, index, is_candidate)
        series.append(recorder.series(Scope.ENDPOINT, name))
    total.take_failures(series)
    return Block(
        side=side,
        round=0,
        index=index,
        is_warm_up=index == 0,
        start_s=index * BLOCK_S,
        length_s=BLOCK_S,
        arrivals=Arrivals(500, 500, 0, 500 - total.failed, total.failed, 0, 0, 0),
        series=(total.series(Scope.SCENARIO, "shopper"), *series),
        rig=_rig(rng, is_late=index in story.late_rig and is_candidate),
    )


class _Recorder:
    def __init__(self) -> None:
        self.ok, self.error, self.kinds = Histogram(), Histogram(), list[ErrorBin]()

    def add(self, seconds: float, is_failure: bool, index: int, is_candidate: bool) -> None:
        if not is_failure:
            self.ok.record(seconds)
            return
        self.error.record(seconds / 5)
        kind = "503 Service Unavailable" if is_candidate else "ReadTimeout"
        self.kinds.append(ErrorBin(kind, int(index * BLOCK_S * 2) + self.error.count % 10, 1))

    def take_failures(self, endpoints: Sequence[Series]) -> None:
        for series in endpoints:
            self.error.merge(series.durations[RequestOutcome.ERROR])
            self.kinds.extend(series.errors)

    @property
    def failed(self) -> int:
        return self.error.count

    def series(self, scope: Scope, name: str) -> Series:
        durations = {RequestOutcome.OK: self.ok, RequestOutcome.ERROR: self.error}
        return Series(scope, name, durations, tuple(self.kinds))


def _rig(rng: random.Random, is_late: bool) -> RigHealth:
    lag = Histogram()
    for _ in range(100):
        lag.record(abs(rng.gauss(0.0004, 0.0003)) + (0.03 if is_late else 0))
    return RigHealth(lag, Histogram(), 0.012 + (0.2 if is_late else 0), rng.uniform(0.22, 0.38))


# --- how it was judged --------------------------------------------------------------------------------------------


def judgements_of(blocks: Sequence[Block], unsure: float = 1.0) -> tuple[Judgement, ...]:
    """One for each series and metric, with numbers from the blocks."""
    names = [(Scope.SCENARIO, "shopper"), *((Scope.ENDPOINT, name) for name in ENDPOINTS)]
    return tuple(_judged(blocks, scope, name, metric, unsure) for scope, name in names for metric in MARGINS)


def _judged(blocks: Sequence[Block], scope: Scope, name: str, metric: Metric, unsure: float) -> Judgement:
    series = {
        side: [
            series for block in blocks if block.side is side and not block.is_warm_up
            for series in block.series if series.scope is scope and series.name == name
        ]
        for side in Side
    }  # fmt: skip
    baseline, candidate = (_value(series[side], metric) for side in (Side.BASELINE, Side.CANDIDATE))
    counts = [sum(part.count() for part in series[side]) for side in (Side.BASELINE, Side.CANDIDATE)]
    is_latency = metric.quantile is not None
    change = candidate / baseline - 1 if is_latency else candidate - baseline
    error = (0.011 if metric is Metric.P50 else 0.024 if is_latency else 0.00028) * unsure
    cell = Cell(scope, name, metric, _role(scope, name), Objective(metric, MARGINS[metric]))
    judgement = Judgement(
        cell=cell,
        outcome=Outcome.PASS,
        sentence="",
        baseline=baseline,
        candidate=candidate,
        change=change,
        low=change - 2.07 * error,
        high=change + 2.07 * error,
        upper_bound=change + 1.71 * error,
        margin=MARGINS[metric],
        p_value=min(1.0, math.erfc(max(0.0, change) / error / 1.41421) / 2),
        pairs=len(series[Side.BASELINE]),
        baseline_count=counts[0],
        candidate_count=counts[1],
        standard_error=error,
        degrees_of_freedom=21.4,
    )
    return _with_outcome(judgement)


def _value(series: Sequence[Series], metric: Metric) -> float:
    if metric.quantile is None:
        return sum(part.failed for part in series) / max(1, sum(part.count() for part in series))
    return Histogram.merged(part.judged for part in series).quantile_s(metric.quantile) or 0.0


def _role(scope: Scope, name: str) -> Role:
    is_rare = scope is Scope.ENDPOINT and ENDPOINTS[name][0] < 50 and name != "POST /checkout"
    return Role.WATCH if is_rare else Role.CERTIFY


def _with_outcome(judgement: Judgement) -> Judgement:
    change, low, margin = judgement.change or 0, judgement.low or 0, judgement.margin or 0
    if low > 0 and change >= margin:
        outcome, code, ending = Outcome.FAIL, str(ReasonCode.WORSE), "worse"
    elif (judgement.upper_bound or 0) < margin or judgement.cell.role is Role.WATCH:
        outcome, code, ending = Outcome.PASS, "", "proven inside the margin"
    else:
        outcome, code, ending = Outcome.INCONCLUSIVE, ReasonCode.NOISE, "about 4 more minutes would decide"
    scale, unit = (100, "%") if judgement.cell.unit == "s" else (100, "pp")
    seen = (
        f"{judgement.cell.label} changed by {change * scale:+.2f} {unit} ({low * scale:+.2f} to"
        f" {(judgement.high or 0) * scale:+.2f} {unit}, {judgement.pairs} pairs); margin {margin * scale:+g} {unit}"
    )
    is_worse = outcome is Outcome.FAIL
    return replace(
        judgement, outcome=outcome, code=code, is_proven_worse=is_worse, sentence=f"{seen}: {ending}."
    )


def finding_of(judgement: Judgement) -> Finding:
    """The reason that a judgement becomes."""
    return Finding(
        judgement.outcome,
        judgement.code,
        judgement.cell.label,
        judgement.sentence,
        numbers={
            "change": judgement.change,
            "low": judgement.low,
            "high": judgement.high,
            "pairs": judgement.pairs,
        },
    )


# --- whole results ------------------------------------------------------------------------------------------------


def record(**changes: object) -> RunRecord:
    """A finished comparison of the sample shop."""
    whole = RunRecord(
        run_id="2026-11-21-0331-shop-7c1f",
        kind=RunKind.COMPARISON,
        state=RunState.FINISHED,
        mode=Mode.PAIRED,
        started_at="2026-11-21T03:31:07+00:00",
        ended_at="2026-11-21T03:33:52+00:00",
        baseline_name="prod-4.1.7",
        title="Shop 4.1.7 to 4.2.0",
        policy=Policy(tuple(Objective(metric, margin) for metric, margin in MARGINS.items())),
        planned_blocks=24,
        expected_workers=1,
        rounds=1,
        looks=4,
        is_complete=True,
        restarted=frozenset({Side.CANDIDATE}),
        targets=(
            TargetFacts(
                Side.BASELINE, "blue", "https://blue.staging.example.internal", _facts("4.1.7", "16.4")
            ),
            TargetFacts(
                Side.CANDIDATE, "green", "https://green.staging.example.internal", _facts("4.2.0", "17.1")
            ),
        ),
        provenance={
            "rehearse": "0.1.0",
            "locust": "2.47.0",
            "scenario sha256": "5c9c3f2a7b3e1f0d",
            "schedule sha256": "a2f1b7c0d4e8",
            "policy sha256": "0b77aa10c3",
            "rig": "8 cores, Linux 6.12, Python 3.11.7",
            "seed": "20261121",
        },
        effective_config=CONFIG,
        exit_plan=EXIT_PLAN,
        command="rehearse compare --baseline prod-4.1.7 --config rehearse.toml",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # each test changes what it is about


def _facts(version: str, postgres: str) -> dict[str, str]:
    return {"version": version, "postgres": postgres, "python": "3.12.4", "orders": "1,204,551 rows"}


_ASSUMED = ("how much the start of a process alone changes latency: 1.5 % (8 degrees of freedom)",)


@cache
def go() -> Result:
    """Everything certified; one proven small worsening as a warning."""
    blocks = blocks_of(Story(seed=31, noise=0.012, fails=0.00004))
    judgements = judgements_of(blocks)
    tight = max((j for j in judgements if j.cell.metric is Metric.P95), key=lambda j: j.change or 0)
    warning = replace(finding_of(tight), outcome=Outcome.PASS, code="small_worsening")
    verdict = Verdict(Decision.GO, (), (warning,), judgements, 24, 0, _ASSUMED)
    return assemble(record(), blocks, verdict)


@cache
def abort() -> Result:
    """Checkout and search are slower, and checkout fails in a new way."""
    story = Story(
        seed=7, slower=1.24, slow=("POST /checkout", "GET /search"), failing="POST /checkout", late_rig=(5,)
    )
    blocks = blocks_of(story)
    judgements = (*judgements_of(blocks), *_of_series())
    failed = sorted((j for j in judgements if j.outcome is Outcome.FAIL), key=lambda j: -(j.change or 0))
    verdict = Verdict(Decision.ABORT, tuple(map(finding_of, failed)), (), judgements, 23, 1, _ASSUMED)
    whole = assemble(
        record(has_checks=True), blocks, verdict, checks=_asked(), edges=_at_the_edges(), data=_data()
    )
    return replace(whole, capacity=_probed(), production_rows={"orders": 48_000_000}, series=_memory())


def _memory() -> tuple[SeriesCurve, ...]:
    """The candidate's grows by 9 MB a minute."""
    moments = [5.0 * number for number in range(24)]
    return tuple(
        SeriesCurve("memory", "bytes", side, tuple((at_s, 104e6 + rise * at_s) for at_s in moments))
        for side, rise in ((Side.BASELINE, 2e3), (Side.CANDIDATE, 146e3))
    )


def _of_series() -> tuple[Judgement, ...]:
    """Memory that leaks, of a level that is still inside, and a number of connections of which nothing is known."""
    margins = {Metric.LEVEL: 0.10, Metric.GROWTH: 0.05}
    memory, growth = (
        Cell(Scope.SERIES, "memory", metric, Role.CERTIFY, Objective(metric, margin), "bytes")
        for metric, margin in margins.items()
    )
    connections = Objective(Metric.LEVEL, 0.10)
    unknown = Cell(Scope.SERIES, "connections", Metric.LEVEL, Role.CERTIFY, connections, "connections")
    return (
        Judgement(
            memory,
            Outcome.PASS,
            "memory level changed by +4.4 %, 104 MB to 109 MB",
            104e6,
            108.6e6,
            0.044,
            0.021,
            0.068,
            0.063,
            0.10,
            0.002,
            pairs=114,
            baseline_count=114,
            candidate_count=114,
        ),
        Judgement(
            growth,
            Outcome.FAIL,
            "memory growth changed by +8.3 %/min, 120 kB/min to 8.75 MB/min; margin +5 %/min: worse",
            0.12e6,
            8.75e6,
            0.083,
            0.071,
            0.095,
            0.093,
            0.05,
            1e-9,
            is_proven_worse=True,
            pairs=14,
            baseline_count=114,
            candidate_count=114,
            code=ReasonCode.WORSE,
        ),
        Judgement(
            unknown,
            Outcome.INCONCLUSIVE,
            "connections level: the query found no series; is the target scraped? (of the candidate in round 1)",
            code=ReasonCode.SERIES_MISSING,
        ),
    )


def _data() -> tuple[DataState, ...]:
    """The candidate wrote twice as many orders as the baseline, under the same load."""
    rows = {
        (Side.BASELINE, Moment.BEFORE): 48_000,
        (Side.CANDIDATE, Moment.BEFORE): 48_000,
        (Side.BASELINE, Moment.AFTER): 49_812,
        (Side.CANDIDATE, Moment.AFTER): 51_620,
    }
    return tuple(
        DataState(side, moment, "2026-11-01, scrubbed", {"orders": count, "customers": 900})
        for (side, moment), count in rows.items()
    )


def _at_the_edges() -> tuple[EdgeResult, ...]:
    """Every outcome of an edge case once."""
    records = [
        EdgeRecord(
            f"{outcome.replace(' ', '-')}-case",
            EdgeFamily.TIMEOUT,
            "In March the database hung, and every page with it.",
            precondition=Step("the load generator is well", True),
            injection=Step("the database hangs for 5 s", outcome is not EdgeOutcome.NOT_RUN, ""),
            load="50/s a side for 24 s",
            assertions=(
                Assertion("it recovers", outcome, "never back to normal in the 12.5 s after the fault"),
            ),
            cleanup=Step("no fault is left in the proxy", True),
            proofs=(Proof("connections of the candidate on which the fault acted", 40),),
            told="the database hangs for 5 s: 4.1.7 was back 2.0 s after it, 4.2.0 never was",
            reproduce="curl -i 'https://green.staging.example.internal/reports?day=2028-02-29'",
        )
        for outcome in EdgeOutcome
    ]
    return edge_results(records, ())


def _asked() -> CheckEvidence:
    """Every outcome of a check once."""
    results = tuple(
        CheckResult(
            check_id=f"INC-{number}",
            source=f"checks/test_orders.py::test_{number}",
            story="Totals came as texts, and the front-end joined them.",
            outcome=CheckOutcome.FAILED if outcome is CheckOutcome.ALREADY_BROKEN else outcome,
            severity=Severity.WARN if outcome is CheckOutcome.FAILED else Severity.ABORT,
            sentence="" if outcome is CheckOutcome.PASSED else "assert <class 'str'> is int",
            component="orders",
            broke_on="2026-03-02",
            ref="https://tracker.example.internal/INC-231",
            expires="2027-01-01" if outcome is CheckOutcome.ACCEPTED else "",
            duration_s=0.25,
        )
        for number, outcome in enumerate(CheckOutcome)
    )
    broken = tuple(
        one for one in results if one.outcome is CheckOutcome.FAILED and one.severity is Severity.ABORT
    )
    return CheckEvidence(results, broken, ChecksEnd(len(results)))


def _probed() -> tuple[CapacityStep, ...]:
    """A staircase of each side, and one turn: the candidate completes 15 % less."""
    return tuple(
        CapacityStep(
            side, turn, phase, offered, min(offered, most), 0.2 if offered <= most else 1.5, 0.0, turn > 0
        )
        for side, most in ((Side.BASELINE, 1000.0), (Side.CANDIDATE, 850.0))
        for turn, phase, rates in (
            (0, Phase.CLIMB, (600.0, 690.0, 790.0, 910.0, 1050.0, 1200.0)),
            (1, Phase.HOLD, (1250.0, 1250.0)),
        )
        for offered in rates
    )


@cache
def inconclusive() -> Result:
    """A late rig and a short run: too much noise, a third of the pairs discarded."""
    blocks = blocks_of(Story(seed=12, pairs=9, noise=0.08, late_rig=(2, 3, 7)))
    judgements = tuple(j if j.outcome is not Outcome.FAIL else replace(j, outcome=Outcome.INCONCLUSIVE, code="noise")
                       for j in judgements_of(blocks, unsure=3.2))  # fmt: skip
    rig = Finding(
        Outcome.INCONCLUSIVE,
        ReasonCode.RIG_UNHEALTHY,
        "load generator",
        "3 of 9 pairs (33 %) were discarded because the load generator was late (lag p99 31 ms, limit 5 ms);"
        " at most 20 % may be.",
        numbers={"discarded": 3, "pairs": 9, "limit": 0.2},
    )
    open_cells = (j for j in judgements if j.outcome is Outcome.INCONCLUSIVE)
    verdict = Verdict(
        Decision.INCONCLUSIVE, (rig, *map(finding_of, open_cells)), (), judgements, 6, 3, _ASSUMED
    )
    return assemble(record(planned_blocks=9), blocks, verdict)


@cache
def partial() -> Result:
    """Stopped by SIGTERM after six of 24 pairs."""
    blocks = blocks_of(Story(seed=5, pairs=6))
    judgements = judgements_of(blocks, unsure=2.5)
    cut = Finding(
        Outcome.INCONCLUSIVE,
        ReasonCode.INTERRUPTED,
        "run",
        "The run was stopped by SIGTERM after 6 of 24 pairs.",
        numbers={"pairs": 6, "planned": 24},
    )
    open_cells = (j for j in judgements if j.outcome is Outcome.INCONCLUSIVE)
    verdict = Verdict(
        Decision.INCONCLUSIVE, (cut, *map(finding_of, open_cells)), (), judgements, 6, 0, _ASSUMED
    )
    return assemble(record(state=RunState.INTERRUPTED, is_complete=False, ended_at=None), blocks, verdict)


EXAMPLES = {"GO": go, "ABORT": abort, "INCONCLUSIVE": inconclusive, "PARTIAL": partial}


def empty() -> Result:
    """A run of which nothing is known but its number: every optional part is missing."""
    cell = Cell(Scope.ENDPOINT, "GET /", Metric.P95, Role.CERTIFY, Objective(Metric.P95, None))
    nothing = Judgement(cell, Outcome.ERROR, "GET / p95: nothing was recorded.")
    missing = Finding(
        Outcome.ERROR, ReasonCode.NO_EVIDENCE, "", "Nothing was recorded.", numbers={"pairs": None}
    )
    return Result(
        run_id="r0",
        title="",
        mode=Mode.RECORDED,
        baseline_name=None,
        started_at="",
        ended_at="",
        load_s=0.0,
        verdict=Verdict(reasons=(missing,), judgements=(nothing,)),
        sides=(),
        timeline=(),
        curves=(),
        error_kinds=(),
        provenance={},
        effective_config="",
        exit_plan="",
        command="",
        blind_spots=(),
    )
