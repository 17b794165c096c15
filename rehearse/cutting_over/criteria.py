"""The abort criteria of the exit plan, watched while the upgrade goes on. The first that fires turns it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Thread
from time import time
from typing import Protocol

from rehearse.cutovers import CriterionSeen, StepOutcome
from rehearse.cutting_over.verifying import Verifier
from rehearse.errors import NotReady, RehearseError
from rehearse.judge.criteria import broken_by
from rehearse.metrics.promql import Prometheus, Window
from rehearse.model import Block, Objective
from rehearse.redaction import Clean

ASK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the load has shown: in the known-good phase, and lately."""

    before: Sequence[Block] = ()
    recent: Sequence[Block] = ()


class Watch(Protocol):
    """One criterion being watched."""

    def look(self, now_s: float, blocks: Blocks) -> str:
        """Why it fires; empty while it does not. Raises NotReady when that cannot be told."""
        ...


@dataclass(slots=True)
class ObjectiveWatch:
    """An objective, by the load itself."""

    objective: Objective
    alpha: float
    floor_s: float

    def look(self, now_s: float, blocks: Blocks) -> str:  # noqa: ARG002  # the protocol's
        """See Watch."""
        if not blocks.recent:
            return ""
        return broken_by(self.objective, blocks.before, blocks.recent, self.alpha, self.floor_s)


@dataclass(slots=True)
class AskedWatch:
    """Something that has to be asked, which takes a while: in a thread of its own, every ASK_EVERY_S."""

    ask: Callable[[], str]
    _asked_s: float | None = None
    _thread: Thread | None = None
    _found: list[str] = field(default_factory=list)
    _trouble: list[str] = field(default_factory=list)

    def look(self, now_s: float, blocks: Blocks) -> str:  # noqa: ARG002  # the protocol's
        """See Watch."""
        is_idle = self._thread is None or not self._thread.is_alive()
        if is_idle and self._trouble:
            raise NotReady(self._trouble[-1])
        if is_idle and (self._asked_s is None or now_s - self._asked_s >= ASK_EVERY_S):
            self._asked_s = now_s
            self._thread = Thread(target=self._ask, name="criterion", daemon=True)
            self._thread.start()
        return self._found[-1] if self._found else ""

    def _ask(self) -> None:
        try:
            answer = self.ask()
        except RehearseError as error:
            self._trouble.append(str(error))
        else:
            self._found += [answer] if answer else []


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
class Criteria:
    """All of them; `blocks` are those of the load, as they close."""

    watches: dict[str, Watch]
    clean: Clean = str
    unwatched: dict[str, str] = field(default_factory=dict)  # criterion: why nobody can
    _seen: dict[str, CriterionSeen] = field(default_factory=dict)
    _fired: CriterionSeen | None = None
    _looked: set[str] = field(default_factory=set)

    @property
    def fired(self) -> CriterionSeen | None:
        """The first that fired."""
        return self._fired

    def look(self, now_s: float, blocks: Blocks) -> None:
        """Look at each once. After one has fired nothing more is watched."""
        for when, watch in self.watches.items():
            if self._fired is not None or when in self._seen:
                continue
            try:
                why = watch.look(now_s, blocks)
            except NotReady as error:
                self._seen[when] = CriterionSeen(when, trouble=self.clean(str(error)))
                continue
            self._looked.add(when)
            if why:
                self._fired = self._seen[when] = CriterionSeen(when, now_s, self.clean(why))

    def results(self) -> tuple[CriterionSeen, ...]:
        """What came of each; one that nobody looked at says so."""
        rest = {
            when: CriterionSeen(when, trouble="" if when in self._looked else "nothing was there to look at")
            for when in self.watches
            if when not in self._seen
        }
        unwatched = {when: CriterionSeen(when, trouble=why) for when, why in self.unwatched.items()}
        return tuple({**rest, **self._seen, **unwatched}.values())
