"""Cases that inject a fault for a moment while load runs, and watch whether all is well afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Protocol

from rehearse.config.edges import TARGET, ClientCase, FaultCase
from rehearse.databases import is_database
from rehearse.edge_cases.load import WARM_UP_S, Loaded
from rehearse.edge_cases.scene import Scene, planned_record
from rehearse.edges import pulse
from rehearse.edges.asking import added_s
from rehearse.edges.clients import BadClients, Manner
from rehearse.edges.orders import Counters
from rehearse.edges.proxy import FaultInjector
from rehearse.edges.pulse import Asked, PulseRule, PulseSeen
from rehearse.edges.recovery import RecoveryRule, RecoveryState
from rehearse.edges.toxics import AT_THE_DOOR, Stream, Toxic, ToxicType
from rehearse.errors import ConfigError, NotReady, RehearseError
from rehearse.model import EdgeFamily, EdgeRecord, Side

WINDOW_S = 0.5
_BEFORE_S = 4.0  # of ordinary load before a fault: what is normal
_HOLD_S = 1.5  # back to normal for so long
_ATTEMPTS_RATIO = 1.0  # one more for each arrival is still as good, until it is back
_LOOK_S = WINDOW_S / 2  # how often it is asked what reached the dependency
FAILED_RATIO = 0.10  # more failures in a fault than on the baseline are still as good
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


CLIENTS_DO = {
    Manner.SLOW_HEADER: "send a head a byte at a time",
    Manner.SLOW_BODY: "send a body a byte at a time",
    Manner.SLOW_READING: "take the answer a byte at a time",
    Manner.GIVE_UP: "go away before they are answered",
}
Injected = tuple[Mapping[Side, "Fault"], Mapping[Side, tuple[str, int]]]


class Fault(Protocol):
    """Something that is done to one side for a while."""

    def begin(self) -> None:
        """From now on. Raises NotReady."""
        ...

    def end(self) -> None:
        """No longer. Raises NotReady when it may still be there."""
        ...

    def acted(self) -> int:
        """On how many connections it really did; asked when the load is over. Raises NotReady when it is not known."""
        ...

    def asked(self) -> int | None:
        """How often a dependency was, since the case began; None where there is none. Raises NotReady."""
        ...


@dataclass(slots=True)
class ToxicFault:
    """A toxic in a fault proxy; see Fault."""

    injector: FaultInjector
    toxic: Toxic
    is_before_dependency: bool
    at_start: Counters = field(default_factory=Counters)  # of the case
    _before: Counters = field(default_factory=Counters)  # the fault

    def begin(self) -> None:
        """See Fault."""
        self._before = self.injector.counters()
        self.injector.set(self.toxic)

    def end(self) -> None:
        """See Fault."""
        self.injector.clear()

    def acted(self) -> int:
        """See Fault. Who is refused at a closed door is not seen: it counts where clients come to this door at all."""
        now = self.injector.counters()
        acted = now.acted(self.toxic.name) - self._before.acted(self.toxic.name)
        return min(acted, self._clients(now)) if self.toxic.type in AT_THE_DOOR else acted

    def _clients(self, now: Counters) -> int:
        """Those that were let in before or after, and those that `down` found inside."""
        inside = self._before.open if self.toxic.type is ToxicType.DOWN else 0
        return inside + now.accepted - self.at_start.accepted

    def asked(self) -> int | None:
        """See Fault."""
        if not self.is_before_dependency:
            return None
        return self.injector.counters().attempts_since(self.at_start)


def fault_kind(case: FaultCase) -> FaultKind:
    """With its toxic, which may be one that cannot be. Raises ConfigError."""
    try:
        toxic = Toxic(ToxicType(case.toxic), case.attributes, Stream(case.stream), case.toxicity)
    except ConfigError as error:
        raise ConfigError(f"edges.faults {case.id!r}: {error}") from None
    where = "the network to the target" if case.on == TARGET else f"the {case.on}"

    @contextmanager
    def inject(scene: Scene) -> Iterator[Injected]:
        with ExitStack() as stack:
            if case.on != TARGET:
                standing = {side: scene.standing[case.on, side] for side in scene.sides}
                yield (
                    {side: ToxicFault(one, toxic, True, one.counters()) for side, one in standing.items()},
                    {},
                )
                return
            proxies = {side: stack.enter_context(scene.before_target(side)) for side in scene.sides}
            faults = {side: ToxicFault(proxy, toxic, False) for side, proxy in proxies.items()}
            yield faults, {side: proxy.address for side, proxy in proxies.items()}

    planned = planned_record(case, EdgeFamily(case.family))
    return FaultKind(
        case, planned, f"{where} {DOES[toxic.type]} for {case.lasts_s:g} s", inject, case.scenario
    )


def client_kind(case: ClientCase) -> FaultKind:
    """Slow or impatient clients are a fault too: of others."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[Injected]:
        manner = Manner(case.manner)
        clients = {
            side: BadClients(scene.place(side), manner, case.connections, case.path, case.patience_s)
            for side in scene.sides
        }
        yield clients, {}

    does = CLIENTS_DO[Manner(case.manner)]
    injection = f"{case.connections} clients {does} for {case.lasts_s:g} s"
    return FaultKind(case, planned_record(case, EdgeFamily.CLIENT), injection, inject)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault for a moment; see Kind."""

    case: FaultCase | ClientCase
    planned: EdgeRecord
    injection: str  # "the network to the target hangs for 2 s"
    inject: Callable[[Scene], AbstractContextManager[Injected]]
    scenario: Path | None = None
    seen_type = PulseSeen

    @property
    def rule_of_it(self) -> PulseRule:
        """What is accepted."""
        deadline_s, slack_s = self.case.recover_within_s, self.case.slack_s
        recovery = RecoveryRule(deadline_s, _HOLD_S, latency_floor_s=slack_s, failed_ratio=0.05)
        return PulseRule(recovery, _ATTEMPTS_RATIO, slack_s, FAILED_RATIO)

    def see(self, scene: Scene) -> tuple[Mapping[Side, PulseSeen], Loaded]:
        """See Kind."""
        with self.inject(scene) as (faults, through):
            block_s = scene.load.block_s(WINDOW_S)
            injected = Pulse(self, faults, WARM_UP_S + max(_BEFORE_S, 8 * block_s))
            watch_s = self.case.lasts_s + self.case.recover_within_s + _HOLD_S + 3 * block_s
            longest_s = injected.from_s + watch_s
            try:
                loaded = scene.load.run(scene.number, longest_s, block_s, injected.at, through, self.scenario)
            finally:
                injected.end()
            seen = {
                side: pulse.with_blocks(injected.counted(side), loaded.of(side)) for side in injected.seen
            }
            # After all was counted: whoever measures is no client of the case.
            for side, address in through.items():
                if not self.is_disturbed(seen[side]):
                    seen[side] = replace(seen[side], proxy_adds_s=_added_s(scene, side, address))
        return seen, loaded

    def rule(self, scene: Scene, candidate: PulseSeen, baseline: PulseSeen | None) -> EdgeRecord:
        """See Kind."""
        return pulse.ruled(
            self.planned,
            self.injection,
            candidate,
            baseline,
            self.rule_of_it,
            scene.names,
            scene.settings.objectives.rules,
        )

    def is_disturbed(self, seen: PulseSeen) -> bool:
        """See Kind."""
        return pulse.recovery_of(seen, self.rule_of_it).state is not RecoveryState.RECOVERED


def _added_s(scene: Scene, side: Side, through: tuple[str, int]) -> float | None:
    """What the proxy itself adds to a round trip; None where nobody can tell."""
    target = scene.settings.target(side)
    if is_database(target.url):
        return None
    try:
        return added_s(scene.place(side), through, target.ready)
    except NotReady:
        return None


@dataclass(slots=True)
class Pulse:
    """The fault on every side while load runs: begun, ended, and then watched until all is well."""

    kind: FaultKind
    faults: Mapping[Side, Fault]
    from_s: float
    seen: dict[Side, PulseSeen] = field(default_factory=dict)
    _asked: dict[Side, list[Asked]] = field(default_factory=dict)
    _ahead_s: float = 0.0  # of our clock, the load's
    _is_begun: bool = False
    _is_over: bool = False

    def at(self, at_s: float, loaded: Loaded) -> bool:
        """What is due at this moment; True when there is nothing more to see."""
        self._ahead_s = at_s - monotonic()
        self._look(_LOOK_S)
        if not self._is_begun and at_s >= self.from_s:
            self._is_begun = True
            for side, fault in self.faults.items():
                fault.begin()
                self.seen[side] = PulseSeen(fault_from_s=self._now_s, is_injected=True)
        elif self._is_begun and not self._is_over and at_s >= self.from_s + self.kind.case.lasts_s:
            self._end()
        return self._is_over and not any(
            self.kind.is_disturbed(pulse.with_blocks(self._with_asked(side), loaded.of(side)))
            for side in self.seen
        )

    @property
    def _now_s(self) -> float:
        return monotonic() + self._ahead_s

    def _look(self, every_s: float = 0.0) -> None:
        """Ask every dependency how often it was asked, once the load has begun, and not if that was a moment ago."""
        for side, fault in self.faults.items():
            looks = self._asked.setdefault(side, [])
            if self._now_s < 0 or (looks and self._now_s - looks[-1].at_s < every_s):
                continue
            times = fault.asked()
            if times is not None:
                looks.append(Asked(self._now_s, times))

    def _with_asked(self, side: Side) -> PulseSeen:
        return replace(self.seen[side], asked=tuple(self._asked.get(side, ())))

    def end(self) -> None:
        """No fault is left, however it ended."""
        for side in self.faults:
            self.seen.setdefault(side, PulseSeen(problem="the load ended before the fault began"))
        if self._is_begun and not self._is_over:
            self._end("the load ended in the middle of the fault")

    def counted(self, side: Side) -> PulseSeen:
        """What was seen there with what only the fault itself can tell, now that the load is over."""
        if not self.seen[side].is_injected:
            return self.seen[side]
        self._look()
        return replace(self._with_asked(side), injected=self.faults[side].acted())

    def _end(self, problem: str = "") -> None:
        self._is_over = True
        for side, fault in self.faults.items():
            begun_s = self.seen[side].fault_from_s
            try:
                fault.end()
            except RehearseError as error:
                self.seen[side] = PulseSeen(problem=str(error), is_cleaned_up=False)
                continue
            self.seen[side] = PulseSeen(
                fault_from_s=begun_s,
                fault_to_s=begun_s if problem else self._now_s,
                problem=problem,
                is_injected=not problem,
            )
