"""What a reader must know beside the decision: small worsenings, what was only watched, what was assumed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rehearse.judge.ledger import sides_of
from rehearse.judge.measurement import Strictness
from rehearse.judge.rulings import Ruling
from rehearse.judge.stats import requests_to_certify
from rehearse.judge.validity import can_check_isolation
from rehearse.judge.wording import change, machine_speed, share
from rehearse.model import Evidence, Finding, Metric, Mode, Outcome, Reference, Role, Scope, Side

ASSUMED, WATCHED, SMALL, ADVISORY, CERTAIN = (
    "assumed",
    "only_watched",
    "small_worsening",
    "advisory",
    "certified_errors",
)


def caveats(
    rulings: Sequence[Ruling], assumptions: Iterable[str], strictness: Strictness
) -> tuple[Finding, ...]:
    """The warnings of a verdict, in the order of how much they matter."""
    return (
        *_small_worsenings(rulings),
        *_advisory_worsenings(rulings),
        *_what_no_failure_means(rulings, strictness),
        *_only_watched(rulings),
        *(Finding(Outcome.INCONCLUSIVE, ASSUMED, "assumptions", sentence) for sentence in assumptions),
    )


def _small_worsenings(rulings: Sequence[Ruling]) -> list[Finding]:
    return [
        _warning(Outcome.PASS, SMALL, ruling, ruling.judgement.sentence)
        for ruling in rulings
        if ruling.role is not Role.ADVISORY and ruling.judgement.is_proven_worse and not _is_worse(ruling)
    ]


def _is_worse(ruling: Ruling) -> bool:
    return ruling.judgement.outcome is Outcome.FAIL


def _advisory_worsenings(rulings: Sequence[Ruling]) -> list[Finding]:
    return [
        _warning(
            Outcome.FAIL, ADVISORY, ruling, f"{ruling.judgement.sentence} (advisory: it does not decide)"
        )
        for ruling in rulings
        if ruling.role is Role.ADVISORY and _is_worse(ruling)
    ]


def _what_no_failure_means(rulings: Sequence[Ruling], strictness: Strictness) -> list[Finding]:
    """A scenario without any failure: what that rules out, and whether it can be enough."""
    found = []
    for ruling in rulings:
        measured = ruling.measured
        is_total = measured.cell.scope is Scope.SCENARIO and measured.cell.metric is Metric.ERROR_RATIO
        if not is_total or measured.candidate != 0 or measured.upper is None:
            continue
        needed = requests_to_certify(measured.cell.objective.margin or 0.0, strictness.go_alpha)
        enough = "" if needed is None else f"; {needed:,} are needed for the margin"
        sentence = (
            f"{measured.cell.name}: no failure in {measured.candidate_count:,} requests of the candidate rules out an "
            f"error ratio of {share(measured.upper)} or more{enough}"
        )
        found.append(_warning(Outcome.PASS, CERTAIN, ruling, sentence))
    return found


def _only_watched(rulings: Sequence[Ruling]) -> list[Finding]:
    return [
        _warning(
            Outcome.INCONCLUSIVE,
            WATCHED,
            ruling,
            f"{ruling.measured.cell.label}: only watched; {_sight(ruling)}",
        )
        for ruling in rulings
        if ruling.role is Role.WATCH and not _is_worse(ruling)
    ]


def _sight(ruling: Ruling) -> str:
    """What a watched cell could have shown."""
    measured = ruling.measured
    if measured.outlook is None or measured.margin is None:
        return measured.shortage or "it has no margin"
    smallest = max(measured.margin, measured.outlook.smallest(ruling.alpha))
    return f"could only have seen {change(measured.cell.metric, smallest)} or worse"


def _warning(outcome: Outcome, code: str, ruling: Ruling, sentence: str) -> Finding:
    return Finding(outcome, code, ruling.measured.cell.label, sentence)


# --- assumptions ------------------------------------------------------------------------------------------------


def assumptions_of(evidence: Evidence, rulings: Sequence[Ruling]) -> tuple[str, ...]:
    """What the verdict takes for granted, because nothing measured it."""
    if evidence.mode is Mode.RECORDED:
        return _recorded_assumptions(evidence, rulings)
    noise, reference = evidence.policy.noise, evidence.reference
    starts = (
        f"two starts of the same process are assumed to differ by a standard deviation of {_percent(noise.start_sd)} "
        f"each (worth {noise.start_degrees_of_freedom} restarts), beside "
        f"{evidence.rounds if evidence.restarted else 'none'} measured"
    )
    hosts = (
        f"the two hosts are assumed to differ by a standard deviation of {_percent(noise.host_sd)}: "
        f"{_why_no_hosts(reference)}"
    )
    tells_hosts = reference is not None and reference.tells_hosts
    return (
        starts,
        *_without_restarts(evidence, sides_of(evidence.mode)),
        *([] if tells_hosts else [hosts]),
        *_of_series(evidence),
        *_isolation_assumption(evidence),
    )


def _why_no_hosts(reference: Reference | None) -> str:
    if reference is None or not reference.is_calibrated:
        return "no baseline was recorded with both targets"
    return (
        f"baseline {reference.name!r} was recorded with both targets, but from another machine "
        f"({reference.other_rig}), so its times are no reference"
    )


def _of_series(evidence: Evidence) -> list[str]:
    if not evidence.policy.series:
        return []
    noise = evidence.policy.noise
    told = (
        "server-side series of two starts of the same process are assumed to differ by a standard deviation of "
        f"{_percent(noise.series_sd)} each, and their growth by {_percent(noise.growth_sd)} a minute (worth 4 rounds), "
        f"beside {evidence.rounds if evidence.restarted else 'none'} measured"
    )
    return [told]


def _without_restarts(evidence: Evidence, sides: Iterable[Side]) -> list[str]:
    return [
        f"the {side} was not started anew between the rounds: all of them count as one start of its process"
        for side in sides
        if evidence.rounds > 1 and side not in evidence.restarted
    ]


def _isolation_assumption(evidence: Evidence) -> list[str]:
    if can_check_isolation(evidence):
        return []
    reference = evidence.reference
    if reference is None:
        why = "no recording to compare it with"
    else:
        why = (
            "it was recorded from another machine"
            if reference.other_rig
            else "the sides share a host by design"
        )
    return [f"the baseline is assumed not to be slowed down by the candidate: {why}"]


def _recorded_assumptions(evidence: Evidence, rulings: Sequence[Ruling]) -> tuple[str, ...]:
    noise = evidence.policy.noise
    drift = (
        "recorded mode cannot measure what drifted between the two recordings; two runs of the same code are assumed "
        f"to differ by a standard deviation of {_percent(noise.run_to_run_sd)} as a whole, however alike the rounds of "
        "each are, beside what the rounds show"
    )
    rig_slowdown = next(
        (ruling.measured.rig_slowdown for ruling in rulings if ruling.measured.rig_slowdown), 0.0
    )
    reaches = [
        ruling.measured.outlook.reach(evidence.policy.go_alpha) + max(-rig_slowdown, 0.0)
        for ruling in rulings
        if ruling.measured.outlook is not None
        and ruling.measured.cell.scope is Scope.SCENARIO
        and ruling.measured.cell.metric is Metric.P50
    ]
    told = (
        drift,
        *_of_rig(rig_slowdown),
        *_of_series(evidence),
        *_without_restarts(evidence, sides_of(evidence.mode)),
    )
    if not reaches:
        return told
    return (
        *told,
        f"the smallest p50 margin that this comparison could decide is {_percent(math.expm1(min(reaches)))}",
    )


def _of_rig(rig_slowdown: float) -> list[str]:
    """What of the changes is the machine's own."""
    if not (told := machine_speed(rig_slowdown)):
        return []
    and_so = (
        "a latency that is worse only by that is left open"
        if rig_slowdown > 0
        else "on the machine of then the candidate may be slower by as much"
    )
    return [f"going by the CPU time of the load generator's own work: {told} than in the recording; {and_so}"]


def _percent(value: float) -> str:
    return f"{value * 100:.2g} %"
