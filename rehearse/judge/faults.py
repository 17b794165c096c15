"""What makes evidence unfit for GO."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.judge.stats import tidy
from rehearse.model import Finding, Outcome, ReasonCode


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding against the evidence. GO is impossible with any.

    `allows_abort`: a statistical ABORT is still sound, because the fault can only have hidden a worsening, or because
    the candidate itself caused it.
    """

    finding: Finding
    allows_abort: bool = False


def fault(
    code: ReasonCode,
    subject: str,
    sentence: str,
    *,
    allows_abort: bool = False,
    **numbers: float | int | str | None,
) -> Fault:
    """A fault with its sentence and its numbers."""
    told = {name: tidy(value) if isinstance(value, float) else value for name, value in numbers.items()}
    return Fault(Finding(Outcome.INCONCLUSIVE, code, subject, sentence, numbers=told), allows_abort)
