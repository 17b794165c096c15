"""`cutover()`: bring up, load, probe, go there and back, judge, report. `undo()` takes back what one left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from rehearse import rehearsal
from rehearse.checks.runner import CheckRunner, PytestRunner
from rehearse.config import Settings
from rehearse.cutover.exhibits import probes_exhibit, terms_exhibit
from rehearse.cutover.questions import AskedTwice
from rehearse.cutover.rows import RowKeeper
from rehearse.cutover.steps import ProcessRunner, StepRunner
from rehearse.cutting_over.crew import Recording, asked_twice, criteria_of, row_keeper, verified_ids
from rehearse.cutting_over.criteria import Blocks, Criteria
from rehearse.cutting_over.orders import (
    CutoverOrder,
    check_budget,
    long_round,
    order_of,
    prober_order,
    record_of,
)
from rehearse.cutting_over.standing import check_way_back, refuse_to_start_anew, standing_in
from rehearse.cutting_over.steady import Idle, SteadyLoad
from rehearse.cutting_over.verifying import ScriptedVerifier, Verifier, verifier_of
from rehearse.cutting_over.walk import Crew, Walk
from rehearse.edge_cases.running import standing_proxies
from rehearse.errors import Interrupted, NotReady
from rehearse.holding import holding
from rehearse.journal import Journal, iso, kept
from rehearse.load.engine import LoadEngine, LoadEvent
from rehearse.model import Incident, ReasonCode, RunRecord, RunState, Side
from rehearse.prober.probing import ChildProber, Prober, ProbeSession
from rehearse.progress import Listener
from rehearse.redaction import Clean
from rehearse.renewing import RenewingEngine
from rehearse.sides import allowed_targets, cleaner, headers_of, token_sources, work_dir
from rehearse.store.records import Store
from rehearse.targets import ManagedTarget
from rehearse.wiring.judging import report_dir
from rehearse.wiring.records import cutover_record


@dataclass(frozen=True, slots=True)
class CutoverParts:
    """What a cutover is made of; tests hand in fakes. Without a runner and a prober they are the real ones."""

    engine: LoadEngine
    listener: Listener
    now: Callable[[], datetime]
    checks: CheckRunner = field(default_factory=PytestRunner)
    runner: StepRunner | None = None
    prober: Prober | None = None

    @property
    def for_load(self) -> rehearsal.Parts:
        """Those that every rehearsal has."""
        return rehearsal.Parts(self.engine, self.listener, self.now, self.checks)


# --- there and back -----------------------------------------------------------------------------------------------


def cutover(
    settings: Settings, parts: CutoverParts, command: str, *, with_forward: bool = False
) -> rehearsal.Comparison:
    """Rehearse the exit plan there and back in one environment, judge, report.

    Raises ConfigError, TargetRefused or NotReady before anything is touched; NotReady too when an earlier cutover left
    steps behind. An interruption is not raised: what was seen so far is judged (never GO), and the steps that were
    begun stay for `undo`.
    """
    clean = cleaner(settings)
    order = order_of(settings, clean, with_forward=with_forward)
    place = order.settings
    check_budget(place)
    targets = allowed_targets(place, (Side.CANDIDATE,))
    with rehearsal.errors_through(clean), Store.open(settings.store_url) as store:
        record = record_of(settings, cutover_record(place, parts.now(), command), place)
        interrupted = None
        try:
            with rehearsal.alone(store, targets, record, parts.for_load) as alone:
                refuse_to_start_anew(standing_in(store, order.terms.place))
                engine = RenewingEngine(alone.engine, token_sources(place))
                _rehearse(order, replace(parts, engine=engine), store, record, targets[0], clean)
        except Interrupted as error:
            if not store.has_run(record.run_id):
                raise
            interrupted = error
        parts.listener.phase("judging what is stored")
        comparison = rehearsal.rejudge(store, record.run_id, report_dir(settings, record.run_id))
        return replace(comparison, interrupted=interrupted)


@dataclass(frozen=True, slots=True)
class _Helpers:
    """Who asks and who writes. Made before anything runs: what they connect to is on the allow-list by then."""

    verifier: Verifier
    criteria: Criteria
    questions: tuple[AskedTwice, ...]
    rows: RowKeeper | None


def _helpers(
    order: CutoverOrder, parts: CutoverParts, record: RunRecord, target: ManagedTarget, clean: Clean
) -> _Helpers:
    place, today = order.settings, parts.now().date().isoformat()
    verifier = verifier_of(place, verified_ids(order), parts.checks, clean, today, record.run_id)
    return _Helpers(
        verifier, criteria_of(place, verifier, clean), asked_twice(place, target, clean), row_keeper(place)
    )


def _rehearse(
    order: CutoverOrder,
    parts: CutoverParts,
    store: Store,
    record: RunRecord,
    target: ManagedTarget,
    clean: Clean,
) -> None:
    """Bring it up, and go there and back while load and probes go on; all of it is stored as it happens."""
    place, helpers = order.settings, _helpers(order, parts, record, target, clean)
    proxies = standing_proxies(
        place, (Side.CANDIDATE,)
    )  # what it depends on is reached through them, as in any run
    with kept(store, record, parts.now, clean) as journal, proxies, target:
        journal.add_exhibit(terms_exhibit(order.terms))
        parts.listener.phase(f"bringing up {target.spec.name} at {target.spec.shown_url}")
        target.bring_up()
        round_, seen, tokens = long_round(place, record), Recording(journal, order), _Tokens(place)

        def keep(event: LoadEvent) -> None:
            seen.keep(event)
            tokens.renew()

        with SteadyLoad(parts.engine, round_, keep) as load:
            seen.begins(load.began_s or 0.0)
            prober = parts.prober or ChildProber(clean)
            with _probing(prober.start(prober_order(place, round_)), journal, tokens), _written(helpers.rows):
                Walk(
                    order, journal, _crew(order, parts, record, target, helpers, load, seen, clean)
                ).there_and_back()
            load.end()
            if load.trouble:
                journal.add_incident(Incident(ReasonCode.WORKER_LOST, load.trouble))
        journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))


def _crew(
    order: CutoverOrder,
    parts: CutoverParts,
    record: RunRecord,
    target: ManagedTarget,
    helpers: _Helpers,
    load: SteadyLoad,
    seen: Recording,
    clean: Clean,
) -> Crew:
    place = order.settings
    return Crew(
        pace=load,
        runner=parts.runner or ProcessRunner(place.root, clean),
        verifier=helpers.verifier,
        listener=parts.listener,
        log_dir=work_dir(place) / "logs" / record.run_id,
        look=seen.blocks,
        begin_watch=seen.begin_watch,
        ran=seen.ran,
        facts=lambda side: _keep_facts(target, seen.journal, side, parts.listener),
        criteria=helpers.criteria,
        rows=helpers.rows,
        questions=helpers.questions,
        trouble=lambda: load.trouble,
    )


@contextmanager
def _probing(session: ProbeSession, journal: Journal, tokens: _Tokens) -> Iterator[None]:
    """What the probes have seen is kept, also when the cutover is cut short."""
    with session:
        tokens.session = session
        try:
            yield
        finally:
            journal.add_exhibit(probes_exhibit(session.stop()))


@dataclass(slots=True)
class _Tokens:
    """A new token reaches the probes as it reaches the load."""

    place: Settings
    session: ProbeSession | None = None
    _told: Mapping[str, str] | None = None

    def renew(self) -> None:
        """Tell them, if there is another one."""
        source = token_sources(self.place).get(Side.CANDIDATE)
        if source is None or self.session is None or source.current() == self._told:
            return
        self.session.tell_headers(dict(headers_of(self.place, self.place.target(Side.CANDIDATE))))
        self._told = source.current()


@contextmanager
def _written(rows: RowKeeper | None) -> Iterator[None]:
    try:
        yield
    finally:
        if rows is not None:
            rows.end()


def _keep_facts(target: ManagedTarget, journal: Journal, side: Side, listener: Listener) -> None:
    """What the environment says it is: the known-good version before the upgrade, the candidate after it."""
    try:
        facts = replace(target.facts(), side=side)
    except NotReady as error:
        listener.phase(f"what it is now is not known: {error}")
        return
    others = [one for one in journal.record.targets if one.side is not side]
    journal.add_targets([*others, facts], frozenset())


# --- back alone ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What `undo` came to."""

    comparison: rehearsal.Comparison
    names: tuple[str, ...]  # that were to be taken back, the last one first
    is_back: bool


def undo(settings: Settings, parts: CutoverParts, command: str, *, has_ended: bool = False) -> TakenBack:
    """Take back what an earlier cutover left, in reverse. Raises NotReady when there is nothing, or no way back; and
    when the command that was cut off may still run, unless somebody says that it `has_ended`."""
    clean = cleaner(settings)
    order = order_of(settings, clean, with_forward=False)
    place = order.settings
    targets = allowed_targets(place, (Side.CANDIDATE,))
    with rehearsal.errors_through(clean), Store.open(settings.store_url) as store:
        record = record_of(settings, cutover_record(place, parts.now(), command), place)
        with rehearsal.alone(store, targets, record, parts.for_load):
            standing = standing_in(store, order.terms.place)
            check_way_back(standing, order, has_ended=has_ended)
            if targets[0].answers():
                targets[0].prove()
            with kept(store, record, parts.now, clean) as journal:
                journal.add_exhibit(terms_exhibit(replace(order.terms, is_undo_only=True)))
                is_back = Walk(order, journal, _alone_with_steps(parts, place, record)).come_back(
                    standing.open
                )
                journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))
        comparison = rehearsal.rejudge(store, record.run_id, report_dir(settings, record.run_id))
        return TakenBack(comparison, tuple(reversed(standing.open)), is_back)


def _alone_with_steps(parts: CutoverParts, place: Settings, record: RunRecord) -> Crew:
    """Neither load nor probes."""
    return Crew(
        pace=Idle(),
        runner=parts.runner or ProcessRunner(place.root, cleaner(place)),
        verifier=ScriptedVerifier(),
        listener=parts.listener,
        log_dir=work_dir(place) / "logs" / record.run_id,
        look=Blocks,
        begin_watch=lambda _: None,
        ran=lambda *_: None,
        facts=lambda _: None,
        criteria=Criteria({}),
    )


def restored(settings: Settings, parts: CutoverParts, command: str, person: str) -> RunRecord:
    """Record that somebody put the environment back by hand. Raises NotReady when nothing is to be put back."""
    clean = cleaner(settings)
    order = order_of(settings, clean, with_forward=False)
    place = order.settings
    with rehearsal.errors_through(clean), Store.open(settings.store_url) as store:
        record = record_of(settings, cutover_record(place, parts.now(), command), place)
        with holding(store, [place.targets[0].url], record.run_id):
            if standing_in(store, order.terms.place).is_clear:
                raise NotReady(f"nothing is to be put back at {order.terms.place}.")
            with kept(store, record, parts.now, clean) as journal:
                terms = replace(order.terms, is_undo_only=True, restored_by=clean(" ".join(person.split())))
                journal.add_exhibit(terms_exhibit(terms))
                journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))
        rehearsal.rejudge(store, record.run_id, report_dir(settings, record.run_id))
        return journal.record
