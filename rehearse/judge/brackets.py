"""A cutover's blocks, each given to the phase in which it lies as a whole. What was before the upgrade and what is
after its undo bracket the candidate: a drift of the environment shifts their mean as it shifts the candidate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rehearse.cutovers import CutoverEvidence, CutoverPhase, PhaseKind
from rehearse.model import Block, Reference, Side

NAME = "before, and after the undo"
_MOVING = (PhaseKind.STEP, PhaseKind.WINDOW)


@dataclass(frozen=True, slots=True)
class Brackets:
    """The blocks of each phase; what was before, and after the undo, are the baseline's rounds 0 and 1."""

    before: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    candidate: tuple[Block, ...] = ()
    repaired: tuple[Block, ...] = ()
    moving: tuple[Block, ...] = ()  # those that touch a step, or the window between two

    @property
    def reference(self) -> Reference | None:
        """What the candidate is compared with."""
        both = (*self.before, *self.after)
        return Reference(NAME, both) if both else None

    @property
    def compared(self) -> tuple[Block, ...]:
        """The candidate's: as it came, and repaired."""
        return (*self.candidate, *self.repaired)


def brackets_of(blocks: Iterable[Block], found: CutoverEvidence) -> Brackets:
    """Every block in its phase. Without a common start nobody knows which is which."""
    if found.load_began_s is None:
        return Brackets()
    own = [block for block in blocks if not block.is_warm_up]
    began_s = found.load_began_s

    def of(kind: PhaseKind, side: Side, number: int) -> tuple[Block, ...]:
        phases = [phase for phase in found.phases if phase.kind is kind]
        inside = [block for block in own if any(_is_inside(block, began_s, phase) for phase in phases)]
        return tuple(replace(block, side=side, round=number) for block in inside)

    return Brackets(
        before=of(PhaseKind.BEFORE, Side.BASELINE, 0),
        after=of(PhaseKind.AFTER_UNDO, Side.BASELINE, 1),
        candidate=of(PhaseKind.CANDIDATE, Side.CANDIDATE, 0),
        repaired=of(PhaseKind.REPAIRED, Side.CANDIDATE, 1),
        moving=touching(own, began_s, [phase for phase in found.phases if phase.kind in _MOVING]),
    )


def touching(
    blocks: Iterable[Block], load_began_s: float, phases: Sequence[CutoverPhase]
) -> tuple[Block, ...]:
    """The blocks of which a part lies in one of the phases."""
    return tuple(
        block
        for block in blocks
        if any(
            load_began_s + block.start_s < phase.ended_s
            and phase.began_s < load_began_s + block.start_s + block.length_s
            for phase in phases
        )
    )


def _is_inside(block: Block, load_began_s: float, phase: CutoverPhase) -> bool:
    from_s = load_began_s + block.start_s
    return phase.began_s <= from_s and from_s + block.length_s <= phase.ended_s
