"""What became of an edge case: what was injected, what proves it, and what held meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EdgeFamily(StrEnum):
    """What kind of condition it is."""

    TIMEOUT = "timeout"  # something is slow, hangs or is gone: what its users get meanwhile, and afterwards
    RECOVERY = "recovery"  # the same, and only whether it comes back matters
    CLIENT = "client"  # slow or impatient ones: what the others get meanwhile
    RETRY = "retry"  # a client sends again: how often did it take effect
    DATE = "date"  # moments at which programs that calculate with dates go wrong


class EdgeOutcome(StrEnum):
    """How one edge case came out. Only `pass` speaks for the candidate, and only `fail` against it."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ALREADY_BROKEN = "already broken"  # the baseline does the same: not the upgrade's doing
    NOT_RUN = "not run"  # it was not injected, or nobody can show that it was


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done or looked at: the precondition, the injection, the clean-up."""

    what: str
    is_done: bool
    sentence: str = ""  # what was seen; why not, when it was not done


@dataclass(frozen=True, slots=True)
class Proof:
    """Why we believe that the condition was really there: a number that can only come from it."""

    what: str  # "connections on which reset_peer_downstream acted"
    count: int
    needed: int = 1

    @property
    def holds(self) -> bool:
        """Whether it was seen often enough."""
        return self.count >= self.needed > 0


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must hold, and what was found."""

    what: str
    outcome: EdgeOutcome
    sentence: str
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)

    @property
    def counts_as(self) -> EdgeOutcome:
        """What it makes of the whole case: one that could not be looked at, or passes on no number, leaves it open."""
        is_empty = any(
            isinstance(number, float) and not math.isfinite(number) for number in self.numbers.values()
        )
        if self.outcome is EdgeOutcome.NOT_RUN or (self.outcome is EdgeOutcome.PASS and is_empty):
            return EdgeOutcome.INCONCLUSIVE
        return self.outcome


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """One edge case on one comparison. `outcome` follows from the rest: never better than its proof."""

    case_id: str
    family: EdgeFamily
    why: str  # what happened once, or could; a person reads this first
    is_required: bool = True  # without it no verdict can be GO
    ref: str = ""  # the incident
    precondition: Step | None = None
    injection: Step | None = None
    load: str = ""  # "50/s a side for 20 s"
    assertions: tuple[Assertion, ...] = ()
    cleanup: Step | None = None
    proofs: tuple[Proof, ...] = ()
    told: str = ""  # what happened on both sides, in one sentence
    reproduce: str = ""  # one command

    @property
    def outcome(self) -> EdgeOutcome:
        """Earned like a verdict: not run without injection and proof, inconclusive without an assertion."""
        return self.ruling[0]

    @property
    def sentence(self) -> str:
        """Why it came out so, in one sentence."""
        return self.ruling[1]

    @property
    def blocks_go(self) -> bool:
        """Whether no verdict can be GO because of this; a failure of a required one is an ABORT."""
        return self.is_required and self.outcome not in (EdgeOutcome.PASS, EdgeOutcome.ALREADY_BROKEN)

    @property
    def ruling(self) -> tuple[EdgeOutcome, str]:
        """The outcome and its sentence."""
        if reason := self._why_not_run():
            return EdgeOutcome.NOT_RUN, reason
        if not self.assertions:
            return EdgeOutcome.INCONCLUSIVE, "nothing was asserted"
        for outcome in (EdgeOutcome.FAIL, EdgeOutcome.INCONCLUSIVE):
            for assertion in self.assertions:
                if assertion.counts_as is outcome:
                    return outcome, f"{assertion.what}: {assertion.sentence}"
        if self.cleanup is None or not self.cleanup.is_done:
            why = self.cleanup.sentence or self.cleanup.what if self.cleanup else "nobody said so"
            return EdgeOutcome.INCONCLUSIVE, f"it is not known to be cleaned up: {why}"
        worst = next((one for one in self.assertions if one.counts_as is not EdgeOutcome.PASS), None)
        decisive = worst or self.assertions[0]
        return decisive.counts_as, decisive.sentence

    def _why_not_run(self) -> str:
        if self.precondition is not None and not self.precondition.is_done:
            return f"its precondition does not hold: {self.precondition.sentence or self.precondition.what}"
        if self.injection is None or not self.injection.is_done:
            why = self.injection.sentence if self.injection is not None else ""
            return f"nothing was injected{': ' if why else ''}{why}"
        if not self.proofs:
            return "nothing proves that the condition was there"
        for proof in self.proofs:
            if not proof.holds:
                return f"no proof that the condition was there: {proof.what}: {proof.count}, needed {proof.needed}"
        return ""


@dataclass(frozen=True, slots=True)
class EdgeResult:
    """One edge case as a report shows it: its record, and what follows from that."""

    outcome: EdgeOutcome
    sentence: str  # why it came out so
    record: EdgeRecord
