"""The ordinary load under which an edge case runs: as that of a round, but neither judged nor stored as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rehearse.config import Settings
from rehearse.load.engine import BlockClosed, LoadEngine, Tick, Trouble
from rehearse.load.orders import LoadOrder, ScenarioOrder
from rehearse.load.schedule import Schedule
from rehearse.model import Block, RunRecord, Side
from rehearse.progress import Listener
from rehearse.wiring.orders import load_order
from rehearse.wiring.schedules import schedule_of

WARM_UP_S = 2.0
DRAIN_S = 1.0
_FIRST_NUMBER = 1000  # of the load of edge cases, in the names of logs: rounds and turns come before
_FEWEST = 5  # arrivals in a block


@dataclass(slots=True)
class Loaded:
    """What the load of one case came to."""

    rate_per_s: float
    lasted_s: float = 0.0
    blocks: list[Block] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def of(self, side: Side) -> list[Block]:
        """One side's blocks."""
        return [block for block in self.blocks if block.side is side]

    def answered(self, side: Side) -> int:
        """Arrivals that ended well there."""
        return sum(block.arrivals.ok for block in self.of(side))

    @property
    def told(self) -> str:
        """ "50/s a side for 12 s"."""
        return f"{self.rate_per_s:g}/s a side for {self.lasted_s:.0f} s"


@dataclass(frozen=True, slots=True)
class Load:
    """Makes load for the cases of one run."""

    settings: Settings
    record: RunRecord
    engine: LoadEngine
    listener: Listener

    @property
    def rate_per_s(self) -> float:
        """Arrivals per second and side."""
        return self.settings.edges.rate or self.settings.load.rate

    def block_s(self, shortest_s: float) -> float:
        """The length of a block with enough arrivals in it."""
        return max(shortest_s, _FEWEST / self.rate_per_s)

    def run(
        self,
        number: int,
        longest_s: float,
        block_s: float,
        at: Callable[[float, Loaded], bool],
        through: Mapping[Side, tuple[str, int]] | None = None,
        scenario: Path | None = None,
    ) -> Loaded:
        """Load until `at`, which is told the time since the start again and again, says that it is over.

        `through` are proxies that stand before the sides. Raises what `at` raises, TargetRefused and NotReady.
        """
        schedule = self._schedule(longest_s, block_s)
        order = self._order(number, schedule, through or {}, scenario)
        loaded, is_over = Loaded(schedule.rate_per_s), False
        with self.engine.start(order) as session:
            for event in session.events():
                match event:
                    case BlockClosed(block):
                        loaded.blocks.append(block)
                    case Trouble(incident):
                        loaded.troubles.append(incident.sentence)
                    case Tick(at_s):
                        self.listener.load(at_s, schedule.length_s, "")
                        if not is_over:
                            loaded.lasted_s = max(0.0, at_s)
                            is_over = at(at_s, loaded)
                            if is_over:
                                session.stop(DRAIN_S)
                    case _:
                        pass
        return loaded

    def _schedule(self, longest_s: float, block_s: float) -> Schedule:
        base = schedule_of(self.settings, self.record.kind).as_poisson()
        warm_up_blocks = math.ceil(WARM_UP_S / block_s)
        return replace(
            base,
            rate_per_s=self.rate_per_s,
            block_s=block_s,
            warm_up_blocks=warm_up_blocks,
            measured_blocks=max(1, math.ceil(longest_s / block_s) - warm_up_blocks),
        )

    def _order(
        self,
        number: int,
        schedule: Schedule,
        through: Mapping[Side, tuple[str, int]],
        scenario: Path | None,
    ) -> LoadOrder:
        order = load_order(self.settings, self.record, _FIRST_NUMBER + number)
        sides = tuple(
            replace(one, through=through[one.side]) if one.side in through else one for one in order.sides
        )
        proxies = tuple(
            f"{host}:{port}" for host, port in through.values()
        )  # each leads to an allowed target
        order = replace(order, sides=sides, schedule=schedule, sampling=None, allow=(*order.allow, *proxies))
        if scenario is None:
            return order
        alone = (ScenarioOrder(scenario.stem, str(scenario)),)
        return replace(order, scenarios=alone, schedule=replace(schedule, shares=(1.0,)), expected={})
