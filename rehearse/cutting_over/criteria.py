"""The abort criteria of the exit plan, watched while the upgrade goes on. The first that fires turns it back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Protocol

from rehearse.cutovers import CriterionSeen, StepOutcome
from rehearse.cutting_over.steady import Asking
from rehearse.cutting_over.verifying import Verifier
from rehearse.errors import NotReady
from rehearse.judge.criteria import broken_by
from rehearse.metrics.promql import Prometheus, Window
from rehearse.model import Block, Objective
from rehearse.redaction import Clean

ASK_EVERY_S = 5.0
MOST_BLIND_S = 3 * ASK_EVERY_S  # one answer may be lost, or be slow


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the load has shown: in the known-good phase, and lately."""

    before: Sequence[Block] = ()
    recent: Sequence[Block] = ()


class Watch(Protocol):
    """One criterion being watched."""

    @property
    def most_blind_s(self) -> float:
        """How long it may be without an answer, and still be watched."""
        ...

    def begin(self) -> None:
        """Watch from now on; what was asked before that does not count."""
        ...

    def look(self, now_s: float, blocks: Blocks) -> str | None:
        """Why it fires; empty when it is quiet, None when nothing new is known. Raises NotReady."""
        ...


@dataclass(slots=True)
class ObjectiveWatch:
    """An objective, by the load itself. That the load goes on is for others to see to."""

    objective: Objective
    alpha: float
    floor_s: float
    most_blind_s: float = math.inf

    def begin(self) -> None:
        """See Watch."""

    def look(self, now_s: float, blocks: Blocks) -> str | None:  # noqa: ARG002  # the protocol's
        """See Watch."""
        if not blocks.recent:
            return None
        return broken_by(self.objective, blocks.before, blocks.recent, self.alpha, self.floor_s)


@dataclass(slots=True)
class AskedWatch:
    """Something that has to be asked, which takes a while: in a thread of its own, every ASK_EVERY_S."""

    ask: Callable[[], str]
    most_blind_s: float = MOST_BLIND_S
    _asked_s: float = -math.inf
    _asking: Asking[str] | None = None

    def begin(self) -> None:
        """See Watch."""
        self._asked_s, self._asking = -math.inf, None

    def look(self, now_s: float, blocks: Blocks) -> str | None:  # noqa: ARG002  # the protocol's
        """See Watch."""
        if self._asking is None:
            if now_s - self._asked_s >= ASK_EVERY_S:
                self._asked_s, self._asking = now_s, Asking(self._answer)
            return None
        if not self._asking.is_over:
            return None
        asking, self._asking = self._asking, None
        return asking.answer()

    def _answer(self) -> str:
        """In its thread. Whatever goes wrong there is told: a thread that dies tells nothing."""
        try:
            return self.ask()
        except NotReady:
            raise
        except Exception as error:
            raise NotReady(f"{type(error).__name__}: {error}") from error


def check_question(verifier: Verifier, check_id: str) -> Callable[[], str]:
    """What asks a check whether it fails."""

    def ask() -> str:
        found = verifier.verify([check_id])
        if found.outcome is StepOutcome.BROKEN:
            return found.sentence
        if found.outcome is not StepOutcome.DONE:
            raise NotReady(found.sentence)
        return ""

    return ask


def series_question(
    source: Prometheus, query: str, limit: float, watch_s: float, step_s: float
) -> Callable[[], str]:
    """What asks whether a server-side series has been above its limit all the time, lately."""

    def ask() -> str:
        length_s = max(watch_s, 3 * step_s)
        window = Window(time() + source.clock_ahead_s() - length_s, length_s, step_s)
        found = source.series(query, window)
        if found.trouble or not found.points:
            raise NotReady(found.trouble or "it has no points")
        least = min(value for _, value in found.points)
        return f"it was at {least:.4g} or more, and {limit:.4g} may be" if least > limit else ""

    return ask


@dataclass(slots=True)
class _Sight:
    """How well one criterion was seen."""

    most_blind_s: float
    known_s: float = 0.0  # when it was answered last, or began to be watched
    blind_s: float = 0.0  # the longest time without an answer
    is_answered: bool = False
    trouble: str = ""  # of the question that failed last

    def note(self, now_s: float) -> None:
        """Until now there was no answer."""
        self.blind_s = max(self.blind_s, now_s - self.known_s)
        self.known_s = now_s

    def unwatched(self) -> str:
        """Why nobody can say that it was watched; empty when it was."""
        if not self.is_answered:
            return self.trouble or "it never had an answer"
        if self.blind_s <= self.most_blind_s:
            return ""
        return f"for {self.blind_s:.0f} s it had no answer: {self.trouble or 'the question took so long'}"


@dataclass(slots=True)
class Criteria:
    """All of them; `blocks` are those of the load, as they close."""

    watches: dict[str, Watch]
    clean: Clean = str
    unwatched: dict[str, str] = field(default_factory=dict)  # criterion: why nobody can
    _sights: dict[str, _Sight] = field(default_factory=dict)
    _fired: CriterionSeen | None = None

    @property
    def fired(self) -> CriterionSeen | None:
        """The first that fired."""
        return self._fired

    def begin(self, now_s: float) -> None:
        """Watch from now on."""
        for when, watch in self.watches.items():
            watch.begin()
            self._sights.setdefault(when, _Sight(watch.most_blind_s)).known_s = now_s

    def rest(self, now_s: float) -> None:
        """Watch no more, until it begins again."""
        for sight in self._sights.values() if self._fired is None else ():
            sight.note(now_s)

    def look(self, now_s: float, blocks: Blocks) -> None:
        """Look at each once. After one has fired nothing more is watched."""
        for when, watch in self.watches.items() if self._fired is None else ():
            sight = self._sights[when]
            try:
                why = watch.look(now_s, blocks)
            except NotReady as error:
                sight.trouble = self.clean(str(error))  # the next answer may be one
                continue
            if why is None:
                continue
            sight.is_answered = True
            sight.note(now_s)
            if why:
                self.rest(now_s)
                self._fired = CriterionSeen(when, now_s, self.clean(why), blind_s=sight.blind_s)
                return

    def results(self) -> tuple[CriterionSeen, ...]:
        """What came of each, once they rest; one that nobody could look at says so."""
        nobody = (CriterionSeen(when, trouble=why) for when, why in self.unwatched.items())
        return (*map(self._seen, self.watches), *nobody)

    def _seen(self, when: str) -> CriterionSeen:
        if self._fired is not None and self._fired.when == when:
            return self._fired
        sight = self._sights.get(when)
        if sight is None:
            return CriterionSeen(when, trouble="nobody began to look")
        return CriterionSeen(when, trouble=sight.unwatched(), blind_s=sight.blind_s)
