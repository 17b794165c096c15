"""Cases that ask the sides something themselves while ordinary load goes on: dates, and orders that are sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Barrier, BrokenBarrierError, Thread
from time import monotonic
from typing import Generic

from rehearse.config import Settings
from rehearse.config.edges import DateCase, EffectCount, RateLimitCase, RetryCaseSettings
from rehearse.databases import SQLITE, engine_to, read_database_url, way_to
from rehearse.edge_cases.load import WARM_UP_S, Loaded
from rehearse.edge_cases.scene import S, Scene, planned_record
from rehearse.edges import dates, rate_limits, retry_rulings
from rehearse.edges.asking import Place
from rehearse.edges.date_inputs import DateInput, inputs_of
from rehearse.edges.dates import Comparing, DateRequest, DatesSeen
from rehearse.edges.rate_limits import LimitProbe, LimitSeen
from rehearse.edges.retries import (
    EffectCounter,
    EndpointCounter,
    OneOrder,
    RetryCase,
    RetryProbe,
    RetrySeen,
    SqlCounter,
)
from rehearse.errors import ConfigError, NotReady, RehearseError
from rehearse.instants import Format
from rehearse.model import EdgeFamily, EdgeRecord, Mode, Side

PROBING_S = 60.0  # asking takes no longer
RETRIES = {
    "lost-response": RetryCase.LOST_RESPONSE,
    "concurrent": RetryCase.CONCURRENT,
    "other-payload": RetryCase.OTHER_PAYLOAD,
    "no-key": RetryCase.NO_KEY,
}


# --- dates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DateKind:
    """Boundary instants as inputs; see Kind."""

    case: DateCase
    seen_type = DatesSeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return planned_record(self.case, EdgeFamily.DATE)

    def see(self, scene: Scene) -> tuple[Mapping[Side, DatesSeen], Loaded]:
        """See Kind."""
        found: dict[Side, DatesSeen] = {}
        together = Barrier(len(scene.sides))
        inputs, compared = self._inputs, comparing(scene.settings)

        def ask(side: Side) -> DatesSeen:
            new_client, until_s = scene.place(side).new_client, monotonic() + PROBING_S
            found[side] = dates.ask_dates(self._request, inputs, new_client, until_s)
            together.wait(PROBING_S)
            if len(found) < len(Side):
                return found[side]
            disputed = dates.disputed(inputs, found[Side.CANDIDATE], found[Side.BASELINE], compared)
            return dates.ask_again(found[side], self._request, disputed, new_client, until_s)

        return probed(scene, ask, together)

    def rule(self, scene: Scene, candidate: DatesSeen, baseline: DatesSeen | None) -> EdgeRecord:
        """See Kind."""
        url = scene.settings.target(Side.CANDIDATE).url
        compared = comparing(scene.settings)
        return dates.ruled(self.planned, self._request, self._inputs, candidate, baseline, url, compared)

    def is_disturbed(self, seen: DatesSeen) -> bool:
        """See Kind."""
        del seen
        return False

    @property
    def _request(self) -> DateRequest:
        return DateRequest(self.case.path, self.case.method, self.case.body)

    @property
    def _inputs(self) -> tuple[DateInput, ...]:
        return inputs_of([Format(form) for form in self.case.formats], now=datetime.now(UTC))


def comparing(settings: Settings) -> Comparing:
    """What of two answers is compared: as the contract says, and values only of one moment's data."""
    has_values = settings.contract.values != "off" and settings.resolved_mode is Mode.PAIRED
    return Comparing(has_values, settings.contract.ignore_places)


# --- retries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryKind:
    """One order that is sent again; see Kind."""

    case: RetryCaseSettings
    seen_type = RetrySeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return planned_record(self.case, EdgeFamily.RETRY)

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
        return RETRIES[self.case.send]

    @property
    def _order(self) -> OneOrder:
        case = self.case
        bodies = case.body.encode(), case.other_body.encode()
        return OneOrder(case.path, *bodies, method=case.method, key_header=case.key_header)


# --- rate limits --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LimitKind:
    """Requests in a row until one is refused; see Kind."""

    case: RateLimitCase
    seen_type = LimitSeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return planned_record(self.case, EdgeFamily.RETRY)

    def see(self, scene: Scene) -> tuple[Mapping[Side, LimitSeen], Loaded]:
        """See Kind."""

        def ask(side: Side) -> LimitSeen:
            new_client = scene.place(side).new_client
            return LimitProbe(new_client, self.case.path, self.case.requests, self.case.longest_wait_s).run()

        return probed(scene, ask)

    def rule(self, scene: Scene, candidate: LimitSeen, baseline: LimitSeen | None) -> EdgeRecord:
        """See Kind."""
        del scene
        told = f"up to {self.case.requests} times GET {self.case.path} in a row"
        return rate_limits.ruled(self.planned, told, candidate, baseline, self.case.longest_wait_s)

    def is_disturbed(self, seen: LimitSeen) -> bool:
        """See Kind."""
        del seen
        return False


# --- counting effects ---------------------------------------------------------------------------------------------


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


# --- asking while load runs ---------------------------------------------------------------------------------------


def probed(
    scene: Scene, ask: Callable[[Side], S], together: Barrier | None = None
) -> tuple[Mapping[Side, S], Loaded]:
    """Ask every side at the same time, once ordinary load is under way. Raises what asking raised.

    Those that meet `together` do not wait for one that cannot come.
    """
    asking = _Asking(ask, scene.sides, together)
    loaded = scene.load.run(scene.number, WARM_UP_S + PROBING_S, scene.load.block_s(1.0), asking.at)
    return asking.answers(), loaded


class _Asking(Generic[S]):
    """A thread for each side: load needs this one."""

    def __init__(self, ask: Callable[[Side], S], sides: tuple[Side, ...], together: Barrier | None) -> None:
        self._ask = ask
        self._together = together
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
        except BrokenBarrierError:  # the other side has said why, or took too long
            return
        except RehearseError as error:
            self._errors.append(error)
            if self._together is not None:
                self._together.abort()
