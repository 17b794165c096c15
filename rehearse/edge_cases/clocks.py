"""Cases that start the targets with another time of day, and let it pass a boundary while load runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic

import httpx

from rehearse.codec import CodecError, parse_json
from rehearse.config.edges import ClockCase
from rehearse.edge_cases.faults import FAILED_RATIO
from rehearse.edge_cases.load import WARM_UP_S, Loaded
from rehearse.edge_cases.probes import comparing
from rehearse.edge_cases.scene import Scene, planned_record
from rehearse.edges import clock, pulse
from rehearse.edges.asking import Place, value_at
from rehearse.edges.clock import ClockSeen
from rehearse.edges.dates import DateAnswer, answer_to
from rehearse.edges.pulse import PulseSeen
from rehearse.errors import Interrupted, NotReady, RehearseError
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord, Side
from rehearse.targets import ManagedTarget

_EVERY_S = 0.7  # between two rounds of questions
_FIRST_S = 2.5  # so long before the boundary the first question must be asked
_BLOCK_S = 1.0
_JOIN_S = 15.0  # a question takes no longer


@dataclass(frozen=True, slots=True)
class ClockKind:
    """The targets live through a boundary; see Kind."""

    case: ClockCase
    seen_type = ClockSeen

    @property
    def planned(self) -> EdgeRecord:
        """See Kind."""
        return planned_record(self.case, EdgeFamily.DATE)

    def see(self, scene: Scene) -> tuple[Mapping[Side, ClockSeen], Loaded]:
        """See Kind."""
        targets = self._startable(scene)
        today = {side: self._asked_today(scene.place(side)) for side in scene.sides}
        offset = timedelta(seconds=round((self._starts_at - datetime.now(UTC)).total_seconds()))
        under = clock.shifted_start(round(offset.total_seconds()), self.case.monotonic)
        try:
            self._shift(targets, under)
            seen, loaded = self._watched(scene, offset)
        except Interrupted:  # then nothing is started again
            _stop(targets)
            raise
        except RehearseError:
            self.put_back(scene, targets)
            raise
        problems = self.put_back(scene, targets)
        return {
            side: replace(one, today=today[side], left_behind=problems.get(side, ""))
            for side, one in seen.items()
        }, loaded

    def rule(self, scene: Scene, candidate: ClockSeen, baseline: ClockSeen | None) -> EdgeRecord:
        """See Kind."""
        injection = f"the clock of each side was set so that it passes {self.case.across} under load"
        compared = comparing(scene.settings)
        record = clock.ruled(
            self.planned, injection, self.case.across, candidate, baseline, FAILED_RATIO, compared
        )
        if record.outcome is not EdgeOutcome.FAIL:
            return record
        start = scene.settings.target(Side.CANDIDATE).start or ()
        command = shlex.join(["faketime", "-m", f"{self._starts_at:%Y-%m-%d %H:%M:%S} UTC", *start])
        return replace(record, reproduce=command)

    def is_disturbed(self, seen: ClockSeen) -> bool:
        """See Kind: it has a fresh process already."""
        del seen
        return False

    @property
    def boundary(self) -> datetime:
        """What the targets' clock passes."""
        return datetime.fromisoformat(self.case.across).astimezone(UTC)

    @property
    def _starts_at(self) -> datetime:
        return self.boundary - timedelta(seconds=self.case.lead_s)

    def _startable(self, scene: Scene) -> Mapping[Side, ManagedTarget]:
        for side in scene.sides:
            target = scene.targets.get(side)
            if target is None or target.spec.start is None:
                raise NotReady(
                    f"the clock of the {side} cannot be set: it is not started by `rehearse` (`start`)"
                )
        return {side: scene.targets[side] for side in scene.sides}

    def _shift(self, targets: Mapping[Side, ManagedTarget], under: Sequence[str]) -> None:
        """Fresh processes with another time of day. Raises NotReady."""
        for target in targets.values():
            try:
                target.fresh_process(under)
            except NotReady as error:
                raise NotReady(f"started at {self._starts_at:%Y-%m-%dT%H:%M:%SZ}: {error}") from None

    def put_back(self, scene: Scene, targets: Mapping[Side, ManagedTarget]) -> Mapping[Side, str]:
        """Processes with the true time again, by the same witness as in the case; what went wrong, by side."""
        problems = {}
        _stop(targets)
        for side, target in targets.items():
            try:
                target.fresh_process()
                problem = _doubts(side, self._says(scene.place(side)))
            except NotReady as error:
                problem = str(error)
            if problem:
                problems[side] = problem
        return problems

    def _says(self, place: Place) -> datetime | None:
        """What time it is there; None when no path is answered with one."""
        with place.new_client() as client:
            told = (self.ask(client, path)[1] for path in self.case.paths)
            return next((one for one in told if one is not None), None)

    def _watched(self, scene: Scene, offset: timedelta) -> tuple[Mapping[Side, ClockSeen], Loaded]:
        """Questions and load on all sides, from before the boundary until some time after it."""
        asking = {side: _Asking(self, scene.place(side), offset) for side in scene.sides}
        crossing = _Crossing(monotonic() + (self.boundary - offset - datetime.now(UTC)).total_seconds())

        def at(at_s: float, _: Loaded) -> bool:
            if at_s >= WARM_UP_S and not crossing.is_watched:
                crossing.begin()
                for one in asking.values():
                    one.begin()
            return crossing.is_past(at_s, self.case.lasts_s)

        longest_s = WARM_UP_S + self.case.lead_s + self.case.lasts_s
        try:
            loaded = scene.load.run(scene.number, longest_s, scene.load.block_s(_BLOCK_S), at)
        finally:
            for one in asking.values():
                one.stop()
        since = PulseSeen(
            fault_from_s=max(0.0, crossing.at_s), fault_to_s=max(crossing.at_s, loaded.lasted_s)
        )
        late = f"the load was not under way before the boundary: raise `lead` ({self.case.lead_s:g} s)"
        late = late if crossing.is_late else ""
        return {
            side: replace(
                one.ended(), load=pulse.with_blocks(since, loaded.of(side)), problem=one.problem or late
            )
            for side, one in asking.items()
        }, loaded

    def _asked_today(self, place: Place) -> tuple[DateAnswer, ...]:
        with place.new_client() as client:
            return tuple(self.ask(client, path)[0] for _ in range(2) for path in self.case.paths)

    def ask(self, client: httpx.Client, path: str) -> tuple[DateAnswer, datetime | None]:
        """What a path is answered, and when by the target's own clock. Nothing but reads."""
        told = self._told_by(client)  # before the answer, which can only be later than that
        answer, date = answer_to(client, "GET", path, {}, written=path)
        return answer, clock.read_instant(date if self.case.clock is None else told)

    def _told_by(self, client: httpx.Client) -> object:
        if self.case.clock is None:
            return None
        try:
            document = parse_json(client.get(self.case.clock.path).content)
        except (httpx.HTTPError, CodecError):
            return None
        return value_at(document, self.case.clock.value)


@dataclass(slots=True)
class _Crossing:
    """When the targets' clock passes the boundary: by our own, and in the time of the load."""

    at_monotonic_s: float
    at_s: float = 0.0
    is_watched: bool = False
    is_late: bool = False

    def begin(self) -> None:
        """The load is under way, and the sides are asked from now on."""
        self.is_watched, self.is_late = True, monotonic() >= self.at_monotonic_s - _FIRST_S

    def is_past(self, at_s: float, by_s: float) -> bool:
        left_s = self.at_monotonic_s - monotonic()
        self.at_s = at_s + left_s
        return left_s <= -by_s


class _Asking:
    """A thread that asks one side, again and again."""

    def __init__(self, kind: ClockKind, place: Place, offset: timedelta) -> None:
        self._kind, self._place, self._offset = kind, place, offset
        self._seen = ClockSeen()
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._is_begun = False
        self.problem = ""

    def begin(self) -> None:
        """From now on."""
        self._is_begun = True
        self._thread.start()

    def stop(self) -> None:
        """No more, after the question that is under way."""
        self._stop.set()
        if self._is_begun:
            self._thread.join(_JOIN_S)

    def ended(self) -> ClockSeen:
        """What was seen until then."""
        return self._seen

    def _run(self) -> None:
        try:
            with self._place.new_client() as client:
                while not self._stop.is_set():
                    for path in self._kind.case.paths:
                        self._ask(client, path)
                    self._stop.wait(_EVERY_S)
        except RehearseError as error:
            self.problem = str(error)

    def _ask(self, client: httpx.Client, path: str) -> None:
        answer, says = self._kind.ask(client, path)
        expected = datetime.now(UTC) + self._offset
        self._seen = clock.with_answer(self._seen, answer, says, expected, self._kind.boundary)


def _stop(targets: Mapping[Side, ManagedTarget]) -> None:
    """End the processes with another time, and all that they shared."""
    process_ids = [target.process_id for target in targets.values()]
    for target in targets.values():
        target.stop()
    clock.remove_traces(one for one in process_ids if one is not None)


def _doubts(side: Side, says: datetime | None) -> str:
    """Why a clock may still be another one; empty when it is not."""
    if says is None:
        return f"the {side} does not say by which clock it runs now"
    if abs(says - datetime.now(UTC)) > timedelta(seconds=clock.CLOSE_S):
        return f"the clock of the {side} still says {says:%Y-%m-%dT%H:%M:%SZ}"
    return ""
