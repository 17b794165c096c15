"""The whole story: `baseline()` records known-good behaviour, `compare()` rehearses the upgrade and decides.

Everything recorded goes to the store as it happens; the verdict is computed from what the store holds, after it is
committed. This is the only place that puts the parts together (`wiring.py` translates the settings for them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rehearse import wiring
from rehearse.config import Settings
from rehearse.errors import ConfigError, Interrupted, NotReady, RehearseError
from rehearse.holding import holding
from rehearse.journal import Journal, evidence_of, iso, kept
from rehearse.judge.sequential import Guard
from rehearse.judge.verdict import baseline_findings, judge, judge_at_look, should_stop
from rehearse.load.engine import BlockClosed, LiveCounts, LoadEngine, LoadEvent, Tick, Trouble
from rehearse.load.schedule import Schedule
from rehearse.load.tapped import TappedEngine
from rehearse.model import Decision, Incident, Reference, Result, RunKind, RunRecord, RunState
from rehearse.probe import run_probe
from rehearse.progress import Listener
from rehearse.renewing import RenewingEngine
from rehearse.report.assemble import assemble
from rehearse.report.files import write_reports
from rehearse.store.records import Store
from rehearse.targets import ManagedTarget

DRAIN_S = 1.0  # what is in flight when load is stopped early has this long to be answered


@dataclass(frozen=True, slots=True)
class Parts:
    """What a rehearsal is made of; tests hand in fakes."""

    engine: LoadEngine
    listener: Listener
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What one comparison is asked for."""

    baseline_name: str | None = None
    without_baseline: bool = False
    command: str = "rehearse compare"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` ends in: the result, where its reports are, and the signal that cut it short, if one did."""

    result: Result
    reports: tuple[Path, ...]
    interrupted: Interrupted | None = None


# --- baseline ---------------------------------------------------------------------------------------------------


def baseline(settings: Settings, parts: Parts, name: str | None, command: str) -> RunRecord:
    """Record known-good behaviour, on both targets when there are two (A/A), and name it.

    Raises NotReady when a target is not ready or what was recorded is not known-good; nothing is named then.
    """
    name = name or settings.baseline.name
    targets = wiring.allowed_targets(settings, wiring.sides_of_baseline(settings))
    clean = wiring.cleaner(settings)
    with ExitStack() as stack:
        stack.enter_context(_errors_through(clean))
        store = stack.enter_context(Store.open(wiring.store_url(settings)))
        record = wiring.baseline_record(settings, parts.now(), name, command)
        parts = stack.enter_context(_alone(store, targets, record, parts))
        parts = replace(parts, engine=RenewingEngine(parts.engine, wiring.token_sources(settings)))
        journal = stack.enter_context(kept(store, record, parts.now, clean))
        for target in targets:
            stack.enter_context(target)
        _bring_up(targets, journal, parts)
        watch = Watch(journal)
        for round_number in range(record.rounds):
            _run_round(settings, targets, round_number, journal, parts, watch)
            if watch.is_over:
                break
        if not watch.is_over:
            run_probe(settings, journal, parts.engine, parts.listener)
        findings = baseline_findings(journal.evidence(None, is_complete=True))
        if findings:
            raise NotReady(f"not recorded as a baseline: {findings[0].sentence}")
        journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))
        store.name_baseline(name, record.run_id)
        return journal.record


# --- compare ----------------------------------------------------------------------------------------------------


def compare(settings: Settings, parts: Parts, options: CompareOptions) -> Comparison:
    """Rehearse the upgrade: load on both sides (or the candidate alone), judge, report.

    Raises NotReady, NotComparable or TargetRefused before load. An interruption is not raised: the evidence so far
    is judged (never GO) and reported, and `Comparison.interrupted` says what happened.
    """
    targets = wiring.allowed_targets(settings, wiring.sides_of_comparison(settings))
    clean = wiring.cleaner(settings)
    with _errors_through(clean), Store.open(wiring.store_url(settings)) as store:
        record = wiring.comparison_record(settings, parts.now(), options.command)
        stored = (
            None
            if options.without_baseline
            else store.baseline(options.baseline_name or settings.baseline.name)
        )
        record, reference = wiring.refer_to(stored, record, store, settings)
        interrupted = None
        try:
            with ExitStack() as stack:
                parts = stack.enter_context(_alone(store, targets, record, parts))
                parts = replace(parts, engine=RenewingEngine(parts.engine, wiring.token_sources(settings)))
                journal = stack.enter_context(kept(store, record, parts.now, clean))
                for target in targets:
                    stack.enter_context(target)
                _rehearse(settings, targets, journal, stored, reference, parts)
        except Interrupted as error:
            if not store.has_run(record.run_id):
                raise  # before anything was recorded: there is nothing to judge
            interrupted = error
        parts.listener.phase("judging what is stored")
        comparison = rejudge(store, record.run_id, wiring.report_dir(settings, record.run_id))
        return replace(comparison, interrupted=interrupted)


def rejudge(store: Store, run_id: str, folder: Path) -> Comparison:
    """Judge a stored comparison from its evidence, store the verdict and write the reports."""
    record = store.run(run_id)
    if record.kind is not RunKind.COMPARISON:
        raise ConfigError(f"run {run_id!r} is a {record.kind}: only comparisons are judged.")
    if record.state is RunState.FINISHED:
        store.verify(run_id)
    blocks = store.blocks(run_id)
    reference = wiring.reference_of(store, record)
    verdict = judge(evidence_of(record, blocks, store.finals(run_id), reference))
    record = replace(record, verdict=verdict)
    store.update_run(record)
    result = assemble(record, blocks, verdict, reference)
    return Comparison(result, write_reports(result, folder))


def render(store: Store, run_id: str, folder: Path) -> tuple[Path, ...]:
    """Write the reports of a stored comparison again; one that never came to a verdict is judged first."""
    record = store.run(run_id)
    if record.kind is not RunKind.COMPARISON:
        raise ConfigError(f"run {run_id!r} is a {record.kind}: only comparisons have a report.")
    if record.verdict is None:
        return rejudge(store, run_id, folder).reports
    if record.state is RunState.FINISHED:
        store.verify(run_id)
    reference = wiring.reference_of(store, record)
    return write_reports(assemble(record, store.blocks(run_id), record.verdict, reference), folder)


def _rehearse(
    settings: Settings,
    targets: list[ManagedTarget],
    journal: Journal,
    stored: RunRecord | None,
    reference: Reference | None,
    parts: Parts,
) -> None:
    """Every round of the comparison; it ends early at a look that says ABORT, or when the guard fires."""
    _bring_up(targets, journal, parts)
    if stored is not None:
        wiring.check_same_baseline(settings, stored, journal.record)
    watch = Watch(journal, reference, wiring.looks_s(settings), settings.load.block_s)
    for round_number in range(journal.record.rounds):
        _run_round(settings, targets, round_number, journal, parts, watch)
        if watch.is_over:
            break
    if not watch.is_over:
        run_probe(settings, journal, parts.engine, parts.listener)
    journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))


# --- one round of load ------------------------------------------------------------------------------------------


class Watch:
    """Decides, while load runs, whether to stop it: the guard at any moment, the judge at the looks."""

    def __init__(
        self,
        journal: Journal,
        reference: Reference | None = None,
        looks_s: tuple[float, ...] = (),
        block_s: float = 1.0,
    ) -> None:
        self._journal = journal
        self._reference = reference
        self._looks_s = list(looks_s[:-1])  # the last one is the end, judged from the store
        self._block_s = block_s
        self._guard = Guard(journal.record.policy)
        self._arrivals_end_s = 0.0
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
            return self._guard.see(wiring.live_bin(event))
        if isinstance(event, Tick) and event.at_s < self._arrivals_end_s:
            return self._guard.see_time(event.at_s)
        return None

    def _look_says_abort(self, event: LoadEvent) -> bool:
        if not isinstance(event, BlockClosed):
            return False
        pairs = self._journal.measured_pairs()
        self.note = f"{pairs} blocks"
        if not self._looks_s or pairs * self._block_s < self._looks_s[0]:
            return False
        self._looks_s.pop(0)
        verdict = judge_at_look(self._journal.evidence(self._reference))
        self.note = f"{pairs} blocks, {verdict.decision} so far"
        return verdict.decision is Decision.ABORT and should_stop(verdict)


@contextmanager
def _errors_through(clean: Callable[[str], str]) -> Iterator[None]:
    """Messages quote logs and answers of others: what leaves here has no secret in it."""
    try:
        yield
    except RehearseError as error:
        error.args = (clean(str(error)), *error.args[1:])
        raise


@contextmanager
def _alone(store: Store, targets: list[ManagedTarget], record: RunRecord, parts: Parts) -> Iterator[Parts]:
    """Nobody else loads these targets meanwhile: the load stops when that can no longer be known."""
    with holding(store, [target.spec.url for target in targets], record.run_id) as hold:
        yield replace(parts, engine=TappedEngine(parts.engine, hold.check))


def _bring_up(targets: list[ManagedTarget], journal: Journal, parts: Parts) -> None:
    for target in targets:
        parts.listener.phase(f"bringing up {target.spec.name} at {target.spec.shown_url}")
        target.bring_up()
    restarted = frozenset(target.spec.side for target in targets if target.can_restart)
    journal.add_targets([target.facts() for target in targets], restarted)


def _run_round(
    settings: Settings,
    targets: list[ManagedTarget],
    number: int,
    journal: Journal,
    parts: Parts,
    watch: Watch,
) -> None:
    """Fresh processes (from the second round on), warm-up, measured blocks; each block is stored as it closes."""
    if number > 0:
        for target in targets:
            target.fresh_process()
    order = wiring.load_order(settings, journal.record, number)
    parts.listener.phase(wiring.describe_round(order, journal.record))
    watch.begins(order.schedule)
    with parts.engine.start(order) as session:
        for event in session.events():
            journal.keep(event)
            if watch.sees(event):
                session.stop(DRAIN_S)
            if isinstance(event, Tick):
                parts.listener.load(event.at_s, order.schedule.length_s, watch.note)
