"""Cases that inject a fault for a moment while load runs, and watch whether all is well afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic

from rehearse.config.edges import TARGET, FaultCase
from rehearse.edge_cases.load import WARM_UP_S, Loaded
from rehearse.edge_cases.scene import Scene, planned_record
from rehearse.edges import pulse
from rehearse.edges.orders import Counters
from rehearse.edges.proxy import FaultInjector
from rehearse.edges.pulse import PulseRule, PulseSeen
from rehearse.edges.recovery import RecoveryRule, RecoveryState
from rehearse.edges.toxics import Stream, Toxic, ToxicType
from rehearse.errors import ConfigError, RehearseError
from rehearse.model import EdgeFamily, EdgeRecord, Side

WINDOW_S = 0.5
_BEFORE_S = 4.0  # of ordinary load before a fault: what is normal
_HOLD_S = 1.5  # back to normal for so long
_FAILED_RATIO = 0.10  # more failures in a fault than on the baseline are still as good
DOES = {
    ToxicType.LATENCY: "is slow",
    ToxicType.BANDWIDTH: "is narrow",
    ToxicType.SLOW_CLOSE: "closes late",
    ToxicType.TIMEOUT: "hangs",
    ToxicType.RESET_PEER: "resets connections",
    ToxicType.SLICER: "passes crumbs",
    ToxicType.LIMIT_DATA: "breaks off",
    ToxicType.DOWN: "is gone",
    ToxicType.REFUSE: "refuses connections",
    ToxicType.ACCEPT_THEN_HANG: "accepts and hangs",
}


def fault_kind(case: FaultCase) -> FaultKind:
    """With its toxic, which may be one that cannot be. Raises ConfigError."""
    try:
        toxic = Toxic(ToxicType(case.toxic), case.attributes, Stream(case.stream), case.toxicity)
    except ConfigError as error:
        raise ConfigError(f"edges.faults {case.id!r}: {error}") from None
    return FaultKind(case, toxic)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault for a moment; see Kind."""

    case: FaultCase
    toxic: Toxic
    seen_type = PulseSeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return planned_record(self.case, EdgeFamily(self.case.family))

    @property
    def rule_of_it(self) -> PulseRule:
        """What is accepted."""
        deadline_s, slack_s = self.case.recover_within_s, self.case.slack_s
        recovery = RecoveryRule(deadline_s, _HOLD_S, latency_floor_s=slack_s, failed_ratio=0.05)
        return PulseRule(recovery, slack_s, _FAILED_RATIO)

    def see(self, scene: Scene) -> tuple[Mapping[Side, PulseSeen], Loaded]:
        """See Kind."""
        with self._faults(scene) as faults:
            at_target = self.case.on == TARGET
            through = {side: one.address for side, one in faults.items()} if at_target else {}
            block_s = scene.load.block_s(WINDOW_S)
            injected = Pulse(self, faults, WARM_UP_S + max(_BEFORE_S, 8 * block_s))
            watch_s = self.case.lasts_s + self.case.recover_within_s + _HOLD_S + 3 * block_s
            try:
                loaded = scene.load.run(
                    scene.number, injected.from_s + watch_s, block_s, injected.at, through, self.case.scenario
                )
            finally:
                injected.end()
        seen = {side: pulse.with_blocks(one, loaded.of(side)) for side, one in injected.seen.items()}
        return seen, loaded

    def rule(self, scene: Scene, candidate: PulseSeen, baseline: PulseSeen | None) -> EdgeRecord:
        """See Kind."""
        return pulse.ruled(self.planned, self.injection, candidate, baseline, self.rule_of_it, scene.names)

    def is_disturbed(self, seen: PulseSeen) -> bool:
        """See Kind."""
        return pulse.recovery_of(seen, self.rule_of_it).state is not RecoveryState.RECOVERED

    @property
    def injection(self) -> str:
        """ "the network to the target hangs for 2 s"."""
        where = "the network to the target" if self.case.on == TARGET else f"the {self.case.on}"
        return f"{where} {DOES[self.toxic.type]} for {self.case.lasts_s:g} s"

    @contextmanager
    def _faults(self, scene: Scene) -> Iterator[Mapping[Side, FaultInjector]]:
        if self.case.on != TARGET:
            yield {side: scene.standing[self.case.on, side] for side in scene.sides}
            return
        with ExitStack() as stack:
            yield {side: stack.enter_context(scene.before_target(side)) for side in scene.sides}


@dataclass(slots=True)
class Pulse:
    """The fault on every side while load runs: set, cleared, and then watched until all is well."""

    kind: FaultKind
    faults: Mapping[Side, FaultInjector]
    from_s: float
    seen: dict[Side, PulseSeen] = field(default_factory=dict)
    _before: dict[Side, Counters] = field(default_factory=dict)
    _is_cleared: bool = False

    def at(self, at_s: float, loaded: Loaded) -> bool:
        """What is due at this moment; True when there is nothing more to see."""
        ahead_s = at_s - monotonic()
        if not self.seen and at_s >= self.from_s:
            for side, fault in self.faults.items():
                self._before[side] = fault.counters()
                fault.set(self.kind.toxic)
                self.seen[side] = PulseSeen(fault_from_s=monotonic() + ahead_s, is_injected=True)
        elif self.seen and not self._is_cleared and at_s >= self.from_s + self.kind.case.lasts_s:
            self._clear(ahead_s)
        return self._is_cleared and not any(
            self.kind.is_disturbed(pulse.with_blocks(one, loaded.of(side))) for side, one in self.seen.items()
        )

    def end(self) -> None:
        """No fault is left, however it ended."""
        for side in self.faults:
            self.seen.setdefault(side, PulseSeen(problem="the load ended before the fault began"))
        if self._before and not self._is_cleared:
            self._clear(None)

    def _clear(self, ahead_s: float | None) -> None:
        self._is_cleared = True
        for side, fault in self.faults.items():
            seen = self.seen[side]
            try:
                acted = fault.clear().acted(self.kind.toxic.name)
            except RehearseError as error:
                self.seen[side] = PulseSeen(problem=str(error), is_cleaned_up=False)
                continue
            self.seen[side] = PulseSeen(
                fault_from_s=seen.fault_from_s,
                fault_to_s=seen.fault_from_s if ahead_s is None else monotonic() + ahead_s,
                injected=acted - self._before[side].acted(self.kind.toxic.name),
                problem="the load ended in the middle of the fault" if ahead_s is None else "",
                is_injected=ahead_s is not None,
            )
