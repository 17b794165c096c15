"""How one check came out, from what pytest saw of it. Pure: today is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rehearse.checks.breakage import Breakage
from rehearse.model import CheckOutcome, CheckResult
from rehearse.redaction import cut

MOST_CHARACTERS = 20_000  # of what a failure says; `rehearse` redacts it before it is cut to a sentence
# A mistake of the check itself says nothing of the side that it asked.
OWN_MISTAKES = ("ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "UnboundLocalError")
_NO_REASON = ("", "unconditional skip")


@dataclass(frozen=True, slots=True)
class Phase:
    """Set-up, call or teardown of one check, as pytest reported it."""

    when: str
    outcome: str  # "passed", "failed", "skipped"
    said: str = ""  # the failure, or the reason of a skip or an xfail
    error: str = ""  # the name of the exception's class
    is_xfail: bool = False
    duration_s: float = 0.0


def planned_result(breakage: Breakage, source: str, story: str) -> CheckResult:
    """A check that never came to its end."""
    return CheckResult(
        check_id=breakage.check_id,
        source=source,
        story=breakage.story or story,
        outcome=CheckOutcome.ERROR,
        severity=breakage.severity,
        sentence="it never came to its end",
        component=breakage.component,
        broke_on=breakage.broke_on,
        ref=breakage.ref,
        expires=breakage.expires,
    )


def result_of(
    planned: CheckResult, phases: Sequence[Phase], refusals: Sequence[str], today: str
) -> CheckResult:
    """The result of a check that came to its end. What cannot be told is an error, never passed."""
    outcome, sentence = _outcome(planned, phases, refusals, today)
    duration_s = sum(phase.duration_s for phase in phases)
    return replace(
        planned, outcome=outcome, sentence=cut(sentence, MOST_CHARACTERS), duration_s=round(duration_s, 4)
    )


def _outcome(
    planned: CheckResult, phases: Sequence[Phase], refusals: Sequence[str], today: str
) -> tuple[CheckOutcome, str]:
    by_name = {phase.when: phase for phase in phases}
    is_over = bool(planned.expires) and planned.expires < today
    if refusals:
        return CheckOutcome.ERROR, refusals[0]
    for phase in phases:
        if phase.outcome == "skipped":
            return _accepted(planned, phase, is_over) if phase.is_xfail else _not_run(phase)
    setup, call, teardown = (by_name.get(when) for when in ("setup", "call", "teardown"))
    if setup is None or setup.outcome != "passed":
        return CheckOutcome.ERROR, f"its set-up failed: {setup.said if setup else 'it never ended'}"
    if call is None:
        return planned.outcome, planned.sentence
    if call.is_xfail or call.said.startswith("[XPASS"):
        return CheckOutcome.ERROR, "it passes, and is marked as failing: take the xfail off"
    if call.outcome == "failed":
        is_own = call.error in OWN_MISTAKES
        return (
            (CheckOutcome.ERROR, f"the check is broken: {call.said}")
            if is_own
            else (
                CheckOutcome.FAILED,
                call.said,
            )
        )
    if teardown is None or teardown.outcome != "passed":
        return CheckOutcome.ERROR, f"its teardown failed: {teardown.said if teardown else 'it never ended'}"
    if is_over:
        return CheckOutcome.ERROR, f"it expired on {planned.expires}: renew the date, or take the check out"
    return CheckOutcome.PASSED, ""


def _not_run(phase: Phase) -> tuple[CheckOutcome, str]:
    if phase.said.strip() in _NO_REASON:
        return CheckOutcome.ERROR, "it was skipped without a reason; give one: pytest.skip('...')"
    return CheckOutcome.NOT_RUN, phase.said


def _accepted(planned: CheckResult, phase: Phase, is_over: bool) -> tuple[CheckOutcome, str]:
    if not planned.expires:
        return CheckOutcome.ERROR, "it is accepted as failing without an end; give its breakage an expires="
    if is_over:
        return CheckOutcome.ERROR, f"it was accepted as failing until {planned.expires}, which is over"
    reason = f": {phase.said}" if phase.said else ""
    return CheckOutcome.ACCEPTED, f"accepted as failing until {planned.expires}{reason}"
