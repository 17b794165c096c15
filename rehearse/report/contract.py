"""The changes of the response contract as the page shows them: by endpoint, what decides first, notes folded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rehearse.model import ContractChange, Outcome, Weight

_OUTCOMES = {Weight.GATE: Outcome.FAIL, Weight.WARN: Outcome.INCONCLUSIVE, Weight.NOTE: Outcome.PASS}
_WORDS = {Weight.GATE: "breaks clients", Weight.WARN: "warning", Weight.NOTE: "note"}
_WAIVED = "waived"
WORDS = (*_WORDS.values(), _WAIVED)


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One change, and how it is marked. What somebody accepted decides nothing any more, and stays where it was."""

    change: ContractChange

    @property
    def outcome(self) -> Outcome:
        """Which mark it gets."""
        return Outcome.INCONCLUSIVE if self.change.waiver is not None else _OUTCOMES[self.change.weight]

    @property
    def word(self) -> str:
        """What it leads to, in a word."""
        return _WAIVED if self.change.waiver is not None else _WORDS[self.change.weight]


@dataclass(frozen=True, slots=True)
class ChangedAnswer:
    """What changed in the answers of one endpoint with one status."""

    endpoint: str
    status: int
    shown: tuple[ShownChange, ...]
    notes: tuple[ShownChange, ...]


def changed_answers(changes: Iterable[ContractChange]) -> tuple[ChangedAnswer, ...]:
    """Those with the gravest change first, as the changes come."""
    grouped: dict[tuple[str, int], list[ShownChange]] = {}
    for change in changes:
        grouped.setdefault((change.endpoint, change.status), []).append(ShownChange(change))
    return tuple(
        ChangedAnswer(
            endpoint,
            status,
            tuple(one for one in found if one.change.weight is not Weight.NOTE),
            tuple(one for one in found if one.change.weight is Weight.NOTE),
        )
        for (endpoint, status), found in grouped.items()
    )
