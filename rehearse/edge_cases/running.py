"""Runs the edge cases of a project, one after the other, and stores a record of each.

They come last, because they may break what they touch. What a side did is stored beside the record, so that recorded
mode can compare with a baseline of another day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from rehearse.allowlist import host_and_port
from rehearse.codec import CodecError
from rehearse.config import Settings
from rehearse.config.edges import ProxyAddress
from rehearse.edge_cases.clocks import ClockKind
from rehearse.edge_cases.faults import client_kind, fault_kind
from rehearse.edge_cases.load import Load, Loaded
from rehearse.edge_cases.probes import DateKind, LimitKind, RetryKind
from rehearse.edge_cases.scene import Kind, S, Scene, Standing, proxy_order
from rehearse.edges.clock import ClockSeen
from rehearse.edges.dates import DatesSeen
from rehearse.edges.exhibits import planned_exhibit, record_exhibit, seen_exhibit, seen_of, without_secrets
from rehearse.edges.proxy import FaultInjector, FaultProxy
from rehearse.edges.pulse import PulseSeen, fails_by_times_alone
from rehearse.edges.rate_limits import LimitSeen
from rehearse.edges.retries import RetrySeen
from rehearse.errors import Interrupted, NotReady, RehearseError, TargetRefused
from rehearse.journal import Journal
from rehearse.load.engine import LoadEngine
from rehearse.model import (
    EdgeOutcome,
    EdgeRecord,
    Exhibit,
    Mode,
    Proof,
    RunKind,
    Side,
    Step,
)
from rehearse.progress import Listener
from rehearse.targets import ManagedTarget

_AGAIN = " again"  # no id of a case ends like that
GUARDED = "the guard stopped the load, so nothing more is sent to the candidate"


AnyKind = Kind[DatesSeen] | Kind[RetrySeen] | Kind[LimitSeen] | Kind[PulseSeen] | Kind[ClockSeen]


def kinds_of(settings: Settings) -> list[AnyKind]:
    """Every case, those that leave nothing behind first. Raises ConfigError for a toxic that cannot be."""
    edges = settings.edges
    return [
        *map(DateKind, edges.dates),
        *map(RetryKind, edges.retries),
        *map(LimitKind, edges.rate_limits),
        *map(client_kind, edges.clients),
        *map(fault_kind, edges.faults),
        *map(ClockKind, edges.clocks),
    ]


def plan_edges(settings: Settings, journal: Journal) -> None:
    """Store what is due, before anything is loaded: a case that never comes is missed. Raises ConfigError."""
    if journal.record.kind is RunKind.COMPARISON:
        for kind in kinds_of(settings):
            journal.add_exhibit(planned_exhibit(without_secrets(kind.planned, journal.clean)))


@contextmanager
def standing_proxies(settings: Settings, sides: Sequence[Side]) -> Iterator[Standing]:
    """The fault proxies before the dependencies, for as long as the targets run. Raises NotReady and TargetRefused."""
    with ExitStack() as stack:
        yield {
            (name, side): stack.enter_context(_proxy(settings, address))
            for name, dependency in settings.edges.dependencies.items()
            for side in sides
            if (address := dependency.of(side)) is not None
        }


def _proxy(settings: Settings, address: ProxyAddress) -> FaultProxy:
    listen = host_and_port(f"http://{address.listen}")
    return FaultProxy(proxy_order(settings, *host_and_port(f"http://{address.upstream}"), listen))


def run_edges(
    settings: Settings,
    journal: Journal,
    targets: Sequence[ManagedTarget],
    engine: LoadEngine,
    listener: Listener,
    standing: Standing,
) -> None:
    """Run every case. In a baseline of recorded mode, only what the known-good side does is kept."""
    is_baseline = journal.record.kind is RunKind.BASELINE
    if is_baseline and journal.record.mode is Mode.PAIRED:
        return  # a comparison runs them on both sides at the same moment
    run = _Run(settings, journal, targets, Load(settings, journal.record, engine, listener), standing)
    for kind in kinds_of(settings):
        listener.phase(f"edge case {kind.planned.case_id} ({kind.planned.family})")
        record = run.case(kind)
        if record is not None:
            journal.add_exhibit(record_exhibit(without_secrets(record, journal.clean)))
            if record.outcome is not EdgeOutcome.PASS:
                listener.look(journal.clean(f"{record.outcome}: {record.sentence}"))


@dataclass(frozen=True, slots=True)
class _Run:
    """What all cases of one run have in common."""

    settings: Settings
    journal: Journal
    targets: Sequence[ManagedTarget]
    load: Load
    standing: Mapping[tuple[str, Side], FaultInjector]
    _numbers: Iterator[int] = field(default_factory=count)  # of looks at a case

    def case(self, kind: Kind[Any]) -> EdgeRecord | None:
        """One case; None for a baseline, of which only what was seen is kept.

        Failed by times alone it is looked at again: a rig that stalls once does not do so in every fault.
        """
        record = self._look(kind)
        if record is None or not fails_by_times_alone(record, self.settings.objectives.rules):
            return record
        self.load.listener.phase(f"edge case {kind.planned.case_id} ({kind.planned.family}), once more")
        return _decided(record, self._look(kind, _AGAIN))

    def _look(self, kind: Kind[Any], again: str = "") -> EdgeRecord | None:
        sides = tuple(target.spec.side for target in self.targets)
        targets = {target.spec.side: target for target in self.targets}
        scene = Scene(self.load, next(self._numbers), sides, self.standing, self._names(), targets)
        if reason := self._why_not():
            return _not_run(kind.planned, reason)
        try:
            seen, loaded = kind.see(scene)
        except (Interrupted, TargetRefused):
            raise
        except RehearseError as error:
            return _not_run(kind.planned, str(error))
        for side, one in seen.items():
            self.journal.add_exhibit(
                seen_exhibit(kind.planned.case_id + again, side, without_secrets(one, self.journal.clean))
            )
        self._refresh([side for side, one in seen.items() if kind.is_disturbed(one)])
        if Side.CANDIDATE not in seen:
            return None
        known = seen.get(Side.BASELINE) or self._recorded(kind)
        return _under(loaded, sides, kind.rule(scene, seen[Side.CANDIDATE], known))

    def _why_not(self) -> str:
        if any(incident.is_hard for incident in self.journal.record.incidents):
            return GUARDED
        silent = [target.spec.label for target in self.targets if not target.answers()]
        return f"{' and '.join(silent)} does not answer any more" if silent else ""

    def _refresh(self, disturbed: Sequence[Side]) -> None:
        """A fresh process for whoever did not come back, where we can give one."""
        for target in self.targets:
            if target.spec.side in disturbed and target.can_restart:
                with suppress(NotReady):  # then it does not answer, which the next case says
                    target.fresh_process()

    def _recorded(self, kind: Kind[S]) -> S | None:
        """What the recorded baseline did in this case; None too when another `rehearse` wrote it in another way."""
        try:
            return seen_of(self._stored(), kind.planned.case_id, Side.BASELINE, kind.seen_type)
        except CodecError:
            return None

    def _stored(self) -> tuple[Exhibit, ...]:
        """What the recorded baseline did, unless other cases were injected then."""
        record, store = self.journal.record, self.journal.store
        if record.baseline_run_id is None:
            return ()
        then = store.run(record.baseline_run_id).provenance.get("edges")
        is_alike = then == record.provenance.get("edges")
        return tuple(store.exhibits(record.baseline_run_id)) if is_alike else ()

    def _names(self) -> Mapping[Side, str]:
        """ "the candidate (2.0)", when it says its version."""
        facts = {one.side: one.facts for one in self.journal.record.targets}
        versions = {side: facts.get(side, {}).get("version", "") for side in Side}
        return {
            side: f"the {side} ({version})" if version else f"the {side}"
            for side, version in versions.items()
        }


def _not_run(planned: EdgeRecord, reason: str) -> EdgeRecord:
    return replace(planned, injection=Step("nothing", is_done=False, sentence=reason))


def _decided(first: EdgeRecord, second: EdgeRecord | None) -> EdgeRecord:
    """What two looks at one case come to: a second one that decides nothing does not excuse the first."""
    if second is None or second.outcome in (EdgeOutcome.INCONCLUSIVE, EdgeOutcome.NOT_RUN):
        return first
    return replace(second, told=f"{second.told}; looked at twice, at first {first.sentence}")


def _under(loaded: Loaded, sides: Sequence[Side], record: EdgeRecord) -> EdgeRecord:
    """The record with the load that it ran under: without any it says nothing about a system at work."""
    proofs = [Proof(f"arrivals that the {side} answered meanwhile", loaded.answered(side)) for side in sides]
    is_well = not loaded.troubles
    precondition = Step("the load generator is well", is_well, "; ".join(loaded.troubles))
    if record.precondition is not None and not record.precondition.is_done:
        precondition = record.precondition
    return replace(record, load=loaded.told, precondition=precondition, proofs=(*record.proofs, *proofs))
