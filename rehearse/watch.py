"""Decides, while load runs, whether to stop it; and tells how the comparison stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rehearse.journal import Journal
from rehearse.judge.sequential import Guard, LiveBin
from rehearse.judge.verdict import look_at, should_stop
from rehearse.load.engine import BlockClosed, LiveCounts, LoadEvent, Tick, Trouble
from rehearse.load.schedule import Schedule
from rehearse.model import Block, Incident, Reference, Verdict
from rehearse.progress import Listener, Silence

Foretell = Callable[[Iterable[Block]], Iterable[str]]


def live_bin(event: LiveCounts) -> LiveBin:
    """The guard's view of live counters."""
    return LiveBin(event.side, event.bin, event.requests, event.errors, event.answered)


class Watch:
    """The guard at any moment, the judge at the looks."""

    def __init__(
        self,
        journal: Journal,
        reference: Reference | None = None,
        looks_s: tuple[float, ...] = (),
        block_s: float = 1.0,
        listener: Listener | None = None,
        after_warm_up: Foretell | None = None,
    ) -> None:
        self._journal = journal
        self._reference = reference
        self._looks_s = list(looks_s[:-1])  # the last one is the end, judged from the store
        self._block_s = block_s
        self._listener = listener or Silence()
        self._after_warm_up = after_warm_up  # what to tell once the warm-up is over, where nothing is stored
        self._guard = Guard(journal.record.policy)
        self._arrivals_end_s = 0.0
        self._outlook = ""
        self._last: Verdict | None = None  # of the look before
        self.is_over = False
        self.note = ""

    def begins(self, schedule: Schedule) -> None:
        """A round begins: the guard starts anew."""
        self._guard = Guard(self._journal.record.policy, schedule.rate_per_s, schedule.length_s)
        self._arrivals_end_s = schedule.length_s

    def sees(self, event: LoadEvent) -> bool:
        """Take one event in; True when the load should stop now."""
        if self.is_over:
            return False
        incident = self._guard_on(event)
        if incident is not None:
            self._journal.add_incident(incident)
        self.is_over = incident is not None or isinstance(event, Trouble) or self._look_says_abort(event)
        return self.is_over

    def _guard_on(self, event: LoadEvent) -> Incident | None:
        if isinstance(event, LiveCounts):
            return self._guard.see(live_bin(event))
        if isinstance(event, Tick) and event.at_s < self._arrivals_end_s:
            return self._guard.see_time(event.at_s)
        return None

    def _look_says_abort(self, event: LoadEvent) -> bool:
        if not isinstance(event, BlockClosed):
            return False
        pairs = self._journal.measured_pairs()
        self.note = f"{pairs} blocks{self._outlook}"
        if pairs:
            self._tell_after_warm_up()
        if not self._looks_s or pairs * self._block_s < self._looks_s[0]:
            return False
        self._looks_s.pop(0)
        verdict, standing = look_at(self._journal.evidence(self._reference))
        self._listener.look(standing.line)
        self._outlook = f", {verdict.decision} so far, {standing.outlook}"
        self.note = f"{pairs} blocks{self._outlook}"
        before, self._last = self._last, verdict
        return should_stop(verdict, before)

    def _tell_after_warm_up(self) -> None:
        foretell, self._after_warm_up = self._after_warm_up, None
        if foretell is not None:
            for line in foretell(block for block in self._journal.blocks if block.is_warm_up):
                self._listener.look(line)
