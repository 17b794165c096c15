"""What a retry case's evidence comes to. Pure: seen on one side, and on the known-good one, a record out."""

from __future__ import annotations

from dataclasses import replace

from rehearse.edges.retries import RetryCase, RetrySeen
from rehearse.model import Assertion, EdgeOutcome, EdgeRecord, Proof, Step

Ruling = tuple[EdgeOutcome, str]

INJECTION = {
    RetryCase.LOST_RESPONSE: "the answer is lost after the order was delivered; sent again with the same key",
    RetryCase.CONCURRENT: "the same order twice at the same moment, with the same key",
    RetryCase.OTHER_PAYLOAD: "another order under a key that was used",
    RetryCase.NO_KEY: "the answer is lost after the order was delivered; sent again, without any key",
}
PROOF = {
    RetryCase.LOST_RESPONSE: ("answers that the proxy took from the server and gave to nobody", 1),
    RetryCase.CONCURRENT: ("sendings that were under way at the same moment", 2),
    RetryCase.OTHER_PAYLOAD: ("orders that had used the key before", 1),
    RetryCase.NO_KEY: ("answers that the proxy took from the server and gave to nobody", 1),
}


def record_of(
    planned: EdgeRecord, seen: RetrySeen, known_good: RetrySeen | None, reproduce: str = ""
) -> EdgeRecord:
    """The record of one case on the candidate, `known_good` being what the baseline did."""
    what, needed = PROOF[seen.case]
    outcome, _ = rule_on(seen, known_good)
    return replace(
        planned,
        precondition=Step("one plain order takes effect once", seen.is_tried, seen.problem),
        injection=Step(INJECTION[seen.case], seen.is_tried),
        assertions=(_assertion(seen, known_good),),
        cleanup=Step("no fault is left in the proxy", seen.is_cleaned_up, seen.problem),
        proofs=(Proof(what, seen.injected, needed),),
        told=_told(seen, known_good),
        reproduce=reproduce if outcome is EdgeOutcome.FAIL else "",
    )


def _told(seen: RetrySeen, known_good: RetrySeen | None) -> str:
    """ "the answer is lost ...: one order took effect 2 times on the candidate, on the baseline once"."""
    mine = _times(seen.effects)
    also = f", on the baseline {_times(known_good.effects)}" if known_good is not None else ""
    return f"{INJECTION[seen.case]}: one order took effect {mine} on the candidate{also}"


def _times(effects: int | None) -> str:
    if effects is None:
        return "nobody knows how often"
    return {0: "never", 1: "once"}.get(effects, f"{effects} times")


def _assertion(seen: RetrySeen, known_good: RetrySeen | None) -> Assertion:
    outcome, sentence = rule_on(seen, known_good)
    numbers = {
        "effects": seen.effects,
        "baseline_effects": known_good.effects if known_good is not None else None,
        "answers": ", ".join(answer.shown for answer in seen.answers),
    }
    what = "not worse than the baseline" if seen.case is RetryCase.NO_KEY else "it takes effect once"
    return Assertion(what, outcome, sentence, numbers)


def rule_on(seen: RetrySeen, known_good: RetrySeen | None) -> Ruling:
    """How it came out, and why. What could not be counted, or was not answered, is inconclusive."""
    if not seen.is_tried or seen.injected < PROOF[seen.case][1]:
        return EdgeOutcome.NOT_RUN, seen.problem or "the condition was not there"
    if seen.problem or seen.effects is None:
        return EdgeOutcome.INCONCLUSIVE, seen.problem or "its effects are not known"
    if seen.case is RetryCase.NO_KEY:
        return _without_key(seen.effects, known_good)
    if seen.effects > 1:
        alike = known_good is not None and known_good.effects is not None and known_good.effects > 1
        if alike:
            return (
                EdgeOutcome.ALREADY_BROKEN,
                f"one order took effect {seen.effects} times, as on the baseline",
            )
        return EdgeOutcome.FAIL, f"one order took effect {seen.effects} times"
    if not any(answer.is_success for answer in seen.answers):
        why = ", ".join(answer.shown for answer in seen.answers)
        return _unanswered(seen, known_good, why)
    if seen.effects < 1:
        return EdgeOutcome.FAIL, "it was answered as a success and took no effect"
    return _other_answer(seen, known_good)


def _without_key(effects: int, known_good: RetrySeen | None) -> Ruling:
    if known_good is None or known_good.effects is None or known_good.injected < 1:
        return EdgeOutcome.INCONCLUSIVE, f"it took effect {effects} times; the baseline's count is not known"
    if effects > known_good.effects:
        return EdgeOutcome.FAIL, f"it took effect {effects} times, on the baseline {known_good.effects}"
    return EdgeOutcome.PASS, f"it took effect {effects} times, as often as on the baseline or less"


def _unanswered(seen: RetrySeen, known_good: RetrySeen | None, why: str) -> Ruling:
    """Whoever sends it never learns that it was done, though the baseline would have said so."""
    if known_good is not None and any(answer.is_success for answer in known_good.answers):
        return EdgeOutcome.FAIL, f"no sending was answered as a success ({why}); on the baseline one was"
    return EdgeOutcome.INCONCLUSIVE, f"it took effect {seen.effects} times, and nobody was told: {why}"


def _other_answer(seen: RetrySeen, known_good: RetrySeen | None) -> Ruling:
    """It took effect once, and somebody was told. What was the other sending told?"""
    last = seen.answers[-1]
    broken = [answer for answer in seen.answers if answer.status is not None and answer.status >= 500]
    if broken:
        return EdgeOutcome.FAIL, f"it took effect once, and a sending was answered {broken[0].shown}"
    if seen.case is RetryCase.OTHER_PAYLOAD and last.is_success:
        if known_good is not None and known_good.answers and not known_good.answers[-1].is_success:
            refused = known_good.answers[-1].shown
            return (
                EdgeOutcome.FAIL,
                f"another order under a used key is answered {last.shown}, on the baseline {refused}",
            )
        return (
            EdgeOutcome.PASS,
            f"it took effect once; another order under its key is answered {last.shown}, not refused",
        )
    return EdgeOutcome.PASS, f"it took effect once; the second sending was answered {last.shown}"
