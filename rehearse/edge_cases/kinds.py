"""The families of edge cases, out of the settings: what each does to the sides, and how what was seen is ruled on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port
from rehearse.config import Settings
from rehearse.config.edges import TARGET, DateCase, EdgeCase, EffectCount, FaultCase, RetryCaseSettings
from rehearse.databases import SQLITE, engine_to, read_database_url, way_to
from rehearse.edge_cases.load import WARM_UP_S, Load, Loaded
from rehearse.edges import dates, pulse, retry_rulings
from rehearse.edges.asking import Place
from rehearse.edges.dates import DateRequest, DatesSeen
from rehearse.edges.orders import Counters, ProxyOrder
from rehearse.edges.proxy import FaultInjector, FaultProxy
from rehearse.edges.pulse import PulseRule, PulseSeen
from rehearse.edges.recovery import RecoveryRule, RecoveryState
from rehearse.edges.retries import (
    EffectCounter,
    EndpointCounter,
    OneOrder,
    RetryCase,
    RetryProbe,
    RetrySeen,
    SqlCounter,
)
from rehearse.edges.toxics import Stream, Toxic, ToxicType
from rehearse.errors import ConfigError, NotReady, RehearseError
from rehearse.instants import Format
from rehearse.model import EdgeFamily, EdgeRecord, Side
from rehearse.sides import headers_of, other_sides, tls_of

S = TypeVar("S")
PROBING_S = 60.0  # asking takes no longer
WINDOW_S = 0.5
_BEFORE_S = 4.0  # of ordinary load before a fault: what is normal
_HOLD_S = 1.5  # back to normal for so long
_FAILED_RATIO = 0.10  # more failures in a fault than on the baseline are still as good
_RETRIES = {
    "lost-response": RetryCase.LOST_RESPONSE,
    "concurrent": RetryCase.CONCURRENT,
    "other-payload": RetryCase.OTHER_PAYLOAD,
    "no-key": RetryCase.NO_KEY,
}
_DOES = {
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
Standing = Mapping[tuple[str, Side], FaultInjector]  # the proxies before dependencies, for the whole run


@dataclass(frozen=True, slots=True)
class Scene:
    """What a case works with."""

    load: Load
    number: int  # of the case
    sides: tuple[Side, ...]
    standing: Standing
    names: Mapping[Side, str] = field(default_factory=dict)  # how sentences call them

    @property
    def settings(self) -> Settings:
        """The project's."""
        return self.load.settings

    def place(self, side: Side) -> Place:
        """How to ask a side."""
        settings, target = self.settings, self.settings.target(side)
        allow = AllowList(settings.safety.allow, settings.safety.production, other_sides(settings, target))
        is_encrypted = urlsplit(target.url).scheme == "https"
        verify = tls_of(settings, target).context() if is_encrypted else True
        place = Place(target.url, allow, headers_of(settings, target), verify, settings.load.timeout_s)
        login = settings.edges.login
        return (
            place
            if login is None
            else place.logged_in(login.path, login.body.get_secret_value(), login.token)
        )

    def before_target(self, side: Side) -> FaultProxy:
        """A fault proxy of its own before a side."""
        return FaultProxy(proxy_order(self.settings, *host_and_port(self.settings.target(side).url)))


def proxy_order(
    settings: Settings, host: str, port: int, listen: tuple[str, int] = ("127.0.0.1", 0)
) -> ProxyOrder:
    """A proxy to somewhere, under the project's allow-list."""
    safety = settings.safety
    return ProxyOrder(host, port, safety.allow, safety.production, *listen, seed=settings.load.seed)


class Kind(Protocol[S]):
    """One edge case of some family."""

    @property
    def planned(self) -> EdgeRecord:
        """Its record with nothing done yet."""
        ...

    @property
    def seen_type(self) -> type[S]:
        """What its sides' behaviour is kept as."""
        ...

    def see(self, scene: Scene) -> tuple[Mapping[Side, S], Loaded]:
        """Inject, under load, and say what was seen. Raises RehearseError when it cannot be done."""
        ...

    def rule(self, scene: Scene, candidate: S, baseline: S | None) -> EdgeRecord:
        """What it comes to."""
        ...

    def is_disturbed(self, seen: S) -> bool:
        """Whether a side is still not what it was: the next case needs a fresh process."""
        ...


def kinds_of(settings: Settings) -> list[Kind[DatesSeen] | Kind[RetrySeen] | Kind[PulseSeen]]:
    """Every case, those that leave nothing behind first. Raises ConfigError for a toxic that cannot be."""
    edges = settings.edges
    return [*map(DateKind, edges.dates), *map(RetryKind, edges.retries), *map(fault_kind, edges.faults)]


def _planned(case: EdgeCase, family: EdgeFamily) -> EdgeRecord:
    return EdgeRecord(case.id, family, case.why, case.required, case.ref)


# --- dates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DateKind:
    """Boundary instants as inputs; see Kind."""

    case: DateCase
    seen_type = DatesSeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return _planned(self.case, EdgeFamily.DATE)

    def see(self, scene: Scene) -> tuple[Mapping[Side, DatesSeen], Loaded]:
        """See Kind."""

        def ask(side: Side) -> DatesSeen:
            until_s = monotonic() + PROBING_S
            return dates.ask_dates(self._request, self._inputs, scene.place(side).new_client, until_s)

        return probed(scene, ask)

    def rule(self, scene: Scene, candidate: DatesSeen, baseline: DatesSeen | None) -> EdgeRecord:
        """See Kind."""
        url = scene.settings.target(Side.CANDIDATE).url
        return dates.ruled(self.planned, self._request, self._inputs, candidate, baseline, url)

    def is_disturbed(self, seen: DatesSeen) -> bool:
        """See Kind."""
        del seen
        return False

    @property
    def _request(self) -> DateRequest:
        return DateRequest(self.case.path, self.case.method, self.case.body)

    @property
    def _inputs(self) -> tuple[dates.DateInput, ...]:
        return dates.inputs_of([Format(form) for form in self.case.formats])


# --- retries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryKind:
    """One order that is sent again; see Kind."""

    case: RetryCaseSettings
    seen_type = RetrySeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return _planned(self.case, EdgeFamily.RETRY)

    def see(self, scene: Scene) -> tuple[Mapping[Side, RetrySeen], Loaded]:
        """See Kind."""

        def send(side: Side) -> RetrySeen:
            place = scene.place(side)
            with scene.before_target(side) as faults:
                new_client = partial(place.new_client, faults.address)
                counter = effect_counter(scene.settings, place, self.case.count, side)
                return RetryProbe(self._order, new_client, faults, counter).try_case(self._send)

        return probed(scene, send)

    def rule(self, scene: Scene, candidate: RetrySeen, baseline: RetrySeen | None) -> EdgeRecord:
        """See Kind."""
        url = scene.settings.target(Side.CANDIDATE).url
        return retry_rulings.record_of(self.planned, candidate, baseline, self._order.command(url))

    def is_disturbed(self, seen: RetrySeen) -> bool:
        """See Kind."""
        del seen
        return False

    @property
    def _send(self) -> RetryCase:
        return _RETRIES[self.case.send]

    @property
    def _order(self) -> OneOrder:
        case = self.case
        bodies = case.body.encode(), case.other_body.encode()
        return OneOrder(case.path, *bodies, method=case.method, key_header=case.key_header)


def effect_counter(settings: Settings, place: Place, count: EffectCount, side: Side) -> EffectCounter:
    """What counts effects on one side. Raises ConfigError, NotReady and TargetRefused."""
    if count.path is not None:
        return EndpointCounter(place.new_client, count.path, count.value)
    given = count.database_of(side)
    if given is None or count.sql is None:
        raise ConfigError(
            f"{settings.source.name}: edges.retries.count: the database of the {side} is missing."
        )
    try:
        url = read_database_url(given.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"{settings.source.name}: edges.retries.count.{side}: the URL {error}.") from None
    if url.dialect == SQLITE:
        url = read_database_url(f"sqlite:///{settings.root / url.database}")
    way = way_to(url, place.allow_list)
    return SqlCounter(engine_to(way, settings.load.timeout_s, side_effects=False), count.sql)


# --- faults -------------------------------------------------------------------------------------------------------


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
        return _planned(self.case, EdgeFamily(self.case.family))

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
        return f"{where} {_DOES[self.toxic.type]} for {self.case.lasts_s:g} s"

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


# --- asking while load runs ---------------------------------------------------------------------------------------


def probed(scene: Scene, ask: Callable[[Side], S]) -> tuple[Mapping[Side, S], Loaded]:
    """Ask every side at the same time, once ordinary load is under way. Raises what asking raised."""
    asking = _Asking(ask, scene.sides)
    loaded = scene.load.run(scene.number, WARM_UP_S + PROBING_S, scene.load.block_s(1.0), asking.at)
    return asking.answers(), loaded


class _Asking(Generic[S]):
    """A thread for each side: load needs this one."""

    def __init__(self, ask: Callable[[Side], S], sides: tuple[Side, ...]) -> None:
        self._ask = ask
        self._found: dict[Side, S] = {}
        self._errors: list[RehearseError] = []
        self._threads = [Thread(target=self._run, args=(side,), daemon=True) for side in sides]
        self._sides = sides
        self._is_begun = False

    def at(self, at_s: float, _: Loaded) -> bool:
        """Begin after the warm-up; True when all have answered."""
        if not self._is_begun and at_s >= WARM_UP_S:
            self._is_begun = True
            for thread in self._threads:
                thread.start()
        return self._is_begun and not any(thread.is_alive() for thread in self._threads)

    def answers(self) -> Mapping[Side, S]:
        """What each side said. Raises NotReady when one did not come to an end."""
        if self._errors:
            raise self._errors[0]
        missing = [str(side) for side in self._sides if side not in self._found]
        if missing:
            raise NotReady(
                f"asking the {' and the '.join(missing)} did not come to its end (in {PROBING_S:g} s)"
            )
        return self._found

    def _run(self, side: Side) -> None:
        try:
            self._found[side] = self._ask(side)
        except RehearseError as error:
            self._errors.append(error)
