"""The whole story: `baseline()` records known-good behaviour, `compare()` rehearses the upgrade and decides.

Everything recorded goes to the store as it happens; the verdict is computed from what the store holds, after it is
committed. This is the only place that puts the parts together (`wiring/` translates the settings for them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from rehearse import foresight
from rehearse.checking import listing, run_checks, write_check
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.registry import Entry, PastRun, entries
from rehearse.checks.runner import CheckRunner, PytestRunner
from rehearse.checks.scaffold import Answers
from rehearse.checks.values import compare_values, values_exhibit
from rehearse.config import Settings
from rehearse.cutover_results import cutover_result_of, judge_stored_cutover
from rehearse.edge_cases.running import plan_edges, run_edges, standing_proxies
from rehearse.edge_cases.scene import Standing
from rehearse.edges.exhibits import edge_records, planned_edges
from rehearse.errors import ConfigError, Interrupted, NotReady, RehearseError
from rehearse.holding import holding
from rehearse.journal import Journal, evidence_of, iso, kept, states_of
from rehearse.judge.checks import judge_checks, settled
from rehearse.judge.edges import edge_results
from rehearse.judge.forecast_words import forecast_lines
from rehearse.judge.policies import policy_differences
from rehearse.judge.verdict import baseline_findings, judge
from rehearse.known_version import check_no_failed_candidate, check_same_version, tells_version
from rehearse.load.engine import LoadEngine, Tick
from rehearse.load.tapped import TappedEngine
from rehearse.metrics.exhibits import series_of
from rehearse.model import (
    CheckReport,
    Moment,
    Policy,
    Reference,
    Result,
    RunKind,
    RunRecord,
    RunState,
    Side,
    Verdict,
)
from rehearse.monitoring import RoundClock, check_queries, keep_series
from rehearse.probe import run_probe
from rehearse.progress import Listener
from rehearse.renewing import RenewingEngine
from rehearse.report.assemble import assemble
from rehearse.report.files import write_reports
from rehearse.sides import allowed_targets, cleaner, sides_of_baseline, sides_of_comparison, token_sources
from rehearse.stages import standings_of
from rehearse.store.blocks import many_objects
from rehearse.store.records import Store
from rehearse.targets import ManagedTarget
from rehearse.watch import Watch
from rehearse.wiring.comparability import check_same_baseline, check_same_data
from rehearse.wiring.contract import asker
from rehearse.wiring.judging import folder_of_other_policy, report_dir
from rehearse.wiring.orders import describe_round, load_order
from rehearse.wiring.records import baseline_record, checks_record, comparison_record
from rehearse.wiring.references import recorded_checks, refer_to, reference_of, stored_baseline
from rehearse.wiring.schedules import looks_s

JUDGED = (RunKind.COMPARISON, RunKind.CUTOVER)
PAST_RUNS = 50  # that the registry of checks looks at
DRAIN_S = 1.0  # what is in flight when load is stopped early has this long to be answered


@dataclass(frozen=True, slots=True)
class Parts:
    """What a rehearsal is made of; tests hand in fakes."""

    engine: LoadEngine
    listener: Listener
    now: Callable[[], datetime]
    checks: CheckRunner = field(default_factory=PytestRunner)


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What one comparison is asked for."""

    baseline_name: str | None = None
    without_baseline: bool = False
    is_advisory: bool = False  # measured and reported; nobody may promote on it
    command: str = "rehearse compare"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` ends in: the result, where its reports are, and the signal that cut it short, if one did."""

    result: Result
    reports: tuple[Path, ...]
    interrupted: Interrupted | None = None


# --- baseline ---------------------------------------------------------------------------------------------------


def baseline(
    settings: Settings, parts: Parts, name: str | None, command: str, *, accepts_candidate: bool = False
) -> RunRecord:
    """Record known-good behaviour, on both targets when there are two (A/A), and name it.

    Raises NotReady when a target is not ready or what was recorded is not known-good; nothing is named then. What was
    rehearsed as a candidate and was not GO is known-good only when somebody says so: `accepts_candidate`.
    """
    name = name or settings.baseline.name
    targets = allowed_targets(settings, sides_of_baseline(settings))
    clean = cleaner(settings)
    with ExitStack() as stack:
        stack.enter_context(errors_through(clean))
        store = stack.enter_context(Store.open(settings.store_url))
        record = baseline_record(settings, parts.now(), name, command)
        parts = stack.enter_context(alone(store, targets, record, parts))
        parts = replace(parts, engine=RenewingEngine(parts.engine, token_sources(settings)))
        journal = stack.enter_context(kept(store, record, parts.now, clean))
        standing = stack.enter_context(standing_proxies(settings, _sides(targets)))
        for target in targets:
            stack.enter_context(target)
        _bring_up(targets, journal, parts)
        _check_known_good(settings, store, journal.record, parts, accepts_candidate=accepts_candidate)
        _keep_states(targets, journal, Moment.BEFORE, parts)
        check_same_data(journal, None)
        check_queries(settings, [target.spec.side for target in targets], parts.listener)
        watch = Watch(journal)
        for round_number in range(record.rounds):
            _run_round(settings, targets, round_number, journal, parts, watch)
            if watch.is_over:
                break
        _keep_states(targets, journal, Moment.AFTER, parts)
        _keep_contract(settings, targets, journal, watch)
        _ask(settings, targets, journal, parts)
        if not watch.is_over:
            run_probe(settings, journal, parts.engine, parts.listener)
        run_edges(settings, journal, targets, parts.engine, parts.listener, standing)
        findings = baseline_findings(journal.evidence(None, is_complete=True))
        if findings:
            raise NotReady(f"not recorded as a baseline: {findings[0].sentence}")
        journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))
        store.name_baseline(name, record.run_id)
        return journal.record


def _check_known_good(
    settings: Settings, store: Store, record: RunRecord, parts: Parts, *, accepts_candidate: bool
) -> None:
    identity = settings.gate.identity
    check_same_version(record, settings.baseline.declared_differences, identity)
    if not accepts_candidate:
        check_no_failed_candidate(store, record, identity)
    if not tells_version(record):
        parts.listener.phase(
            "whether the known-good version runs there is not looked at: give targets `facts`"
        )


# --- compare ----------------------------------------------------------------------------------------------------


def compare(settings: Settings, parts: Parts, options: CompareOptions) -> Comparison:
    """Rehearse the upgrade: load on both sides (or the candidate alone), judge, report.

    Raises NotReady, NotComparable or TargetRefused before load, and ConfigError when a certified cell is out of reach
    of the planned load. An interruption is not raised: the evidence so far
    is judged (never GO) and reported, and `Comparison.interrupted` says what happened.
    """
    targets = allowed_targets(settings, sides_of_comparison(settings))
    clean = cleaner(settings)
    with errors_through(clean), Store.open(settings.store_url) as store:
        record = comparison_record(settings, parts.now(), options.command)
        stored = (
            None
            if options.without_baseline
            else stored_baseline(store, options.baseline_name or settings.baseline.name, settings)
        )
        if stored is not None:
            check_same_version(stored, settings.baseline.declared_differences, settings.gate.identity)
        record = replace(record, is_advisory=options.is_advisory)
        record, reference = refer_to(stored, record, store, settings)
        _foretell(settings, reference, parts, options)
        interrupted = None
        try:
            with ExitStack() as stack:
                parts = stack.enter_context(alone(store, targets, record, parts))
                parts = replace(parts, engine=RenewingEngine(parts.engine, token_sources(settings)))
                journal = stack.enter_context(kept(store, record, parts.now, clean))
                plan_edges(settings, journal)
                standing = stack.enter_context(standing_proxies(settings, _sides(targets)))
                for target in targets:
                    stack.enter_context(target)
                _rehearse(settings, targets, journal, stored, reference, parts, standing)
        except Interrupted as error:
            if not store.has_run(record.run_id):
                raise  # before anything was recorded: there is nothing to judge
            interrupted = error
        parts.listener.phase("judging what is stored")
        comparison = rejudge(store, record.run_id, report_dir(settings, record.run_id))
        return replace(comparison, interrupted=interrupted)


def _foretell(settings: Settings, reference: Reference | None, parts: Parts, options: CompareOptions) -> None:
    told = foresight.foretold(settings, reference)
    for line in forecast_lines(told):
        parts.listener.phase(line)
    if not options.is_advisory:
        foresight.refuse(told)


# --- checks alone -----------------------------------------------------------------------------------------------


def check(settings: Settings, parts: Parts, command: str) -> CheckReport:
    """Ask the sides what broke before, without load. What was asked is kept, also when it is cut short.

    Raises ConfigError when there is nothing to ask, NotReady or TargetRefused like `compare`.
    """
    if not settings.checks.are_due:
        raise ConfigError(
            f"{settings.source.name}: checks.dir: there is no folder {settings.checks.dir.name!r}, and checks.packs"
            " is empty. Write the first check with `rehearse check new`."
        )
    targets = allowed_targets(settings, sides_of_comparison(settings))
    clean = cleaner(settings)
    with errors_through(clean), Store.open(settings.store_url) as store:
        record = checks_record(settings, parts.now(), command)
        with ExitStack() as stack:
            parts = stack.enter_context(alone(store, targets, record, parts))
            journal = stack.enter_context(kept(store, record, parts.now, clean))
            stack.enter_context(standing_proxies(settings, _sides(targets)))
            for target in targets:
                stack.enter_context(target)
            _bring_up(targets, journal, parts)
            _ask(settings, targets, journal, parts)
            journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))
        found = check_evidence(journal.exhibits)
        recorded = recorded_checks(settings, store, found)
        return CheckReport(
            record.run_id, record.title, judge_checks(found, recorded), settled(found, recorded)
        )


def new_check(settings: Settings, answers: Answers, today: str) -> Path:
    """Ask the baseline, which nobody else touches meanwhile, and write what it answers as a check.

    Raises ConfigError for an answer that cannot be, NotReady and TargetRefused.
    """
    (target,) = allowed_targets(settings, (Side.BASELINE,))
    with (
        errors_through(cleaner(settings)),
        Store.open(settings.store_url) as store,
        holding(store, [target.spec.url], "check new"),
        standing_proxies(settings, (Side.BASELINE,)),
    ):
        return write_check(settings, target, answers, today)


def registry(settings: Settings, parts: Parts) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Every check with its last results in the store, and what could not be collected."""
    today = parts.now().date()
    clean = cleaner(settings)
    planned, troubles = listing(settings, parts.checks, clean, today.isoformat())
    with Store.open(settings.store_url) as store:
        past = [
            PastRun(record.started_at, (*found.on_candidate, *found.on_baseline))
            for record in store.runs(PAST_RUNS)
            if record.has_checks
            for found in [check_evidence(store.exhibits(record.run_id))]
        ]
    return entries(planned, past, today), troubles


# --- judging again ----------------------------------------------------------------------------------------------


def rejudge(store: Store, run_id: str, folder: Path, policy: Policy | None = None) -> Comparison:
    """Judge a stored comparison from its evidence and write the reports.

    By the policy that was fixed before the run, and then the verdict is stored with it; or by another `policy`, which
    the report says, and then the run keeps the verdict that it has.
    """
    record = store.run(run_id)
    if record.kind not in JUDGED:
        raise ConfigError(f"run {run_id!r} is a {record.kind}: only comparisons and cutovers are judged.")
    if record.state is RunState.FINISHED:
        store.verify(run_id)
    with many_objects():
        if record.kind is RunKind.CUTOVER:
            return _cutover_again(store, record, folder, policy)
        return _judged_again(store, record, folder, policy)


def judged_anew(store: Store, record: RunRecord) -> Verdict:
    """The verdict that the stored evidence gives, by the policy that was fixed before the run; nothing is written."""
    with many_objects():
        if record.kind is RunKind.CUTOVER:
            return judge_stored_cutover(store, record)
        blocks, finals, exhibits = (
            store.blocks(record.run_id),
            store.finals(record.run_id),
            store.exhibits(record.run_id),
        )
        reference = reference_of(store, record)
        return judge(evidence_of(record, blocks, finals, reference, exhibits))


def _cutover_again(store: Store, record: RunRecord, folder: Path, policy: Policy | None) -> Comparison:
    if policy is not None:
        raise ConfigError(
            "--policy now: a cutover is judged by the terms that were fixed before it; leave it out."
        )
    record = replace(record, verdict=judge_stored_cutover(store, record))
    store.update_run(record)
    result = _with_decisions(cutover_result_of(store, record), store, record)
    return Comparison(result, write_reports(result, folder))


def _judged_again(store: Store, record: RunRecord, folder: Path, policy: Policy | None) -> Comparison:
    blocks = store.blocks(record.run_id)
    reference = reference_of(store, record)
    other = () if policy is None else policy_differences(record.policy, policy)
    if policy is not None and other:
        # How the capacity was probed is a fact of the run, and no wish.
        record = replace(record, policy=replace(policy, capacity=record.policy.capacity))
        folder = folder_of_other_policy(folder, record.policy)
    exhibits = store.exhibits(record.run_id)
    evidence = evidence_of(record, blocks, store.finals(record.run_id), reference, exhibits)
    verdict = judge(evidence)
    record = replace(record, verdict=verdict)
    if not other:
        store.update_run(record)
    edges = edge_results(evidence.planned_edges, evidence.edges)
    seen = (evidence.checks, edges, evidence.data, evidence.series)
    result = assemble(record, blocks, verdict, reference, *seen)
    result = replace(_with_decisions(result, store, record), other_policy=other)
    return Comparison(result, write_reports(result, folder))


def render(store: Store, run_id: str, folder: Path) -> tuple[Path, ...]:
    """Write the reports of a stored comparison again; one that never came to a verdict is judged first."""
    record = store.run(run_id)
    if record.kind not in JUDGED:
        raise ConfigError(f"run {run_id!r} is a {record.kind}: only comparisons and cutovers have a report.")
    if record.verdict is None:
        return rejudge(store, run_id, folder).reports
    if record.state is RunState.FINISHED:
        store.verify(run_id)
    if record.kind is RunKind.CUTOVER:
        return write_reports(_with_decisions(cutover_result_of(store, record), store, record), folder)
    reference, blocks = reference_of(store, record), store.blocks(run_id)
    exhibits = store.exhibits(run_id)
    checks = check_evidence(exhibits) if record.has_checks else None
    edges = edge_results(planned_edges(exhibits), edge_records(exhibits))
    seen = (checks, edges, states_of(exhibits), series_of(exhibits))
    result = assemble(record, blocks, record.verdict, reference, *seen)
    return write_reports(_with_decisions(result, store, record), folder)


def _with_decisions(result: Result, store: Store, record: RunRecord) -> Result:
    """What people decided since, here and in other stages."""
    return replace(result, sign_offs=store.sign_offs(record.run_id), stages=standings_of(store, record))


def _rehearse(
    settings: Settings,
    targets: list[ManagedTarget],
    journal: Journal,
    stored: RunRecord | None,
    reference: Reference | None,
    parts: Parts,
    standing: Standing,
) -> None:
    """Every round of the comparison; it ends early at a look that says ABORT, or when the guard fires."""
    _bring_up(targets, journal, parts)
    if stored is not None:
        check_same_baseline(settings, stored, journal.record)
    _keep_states(targets, journal, Moment.BEFORE, parts)
    check_same_data(journal, reference)
    check_queries(settings, [target.spec.side for target in targets], parts.listener)
    watch = Watch(
        journal,
        reference,
        looks_s(settings),
        settings.load.block_s,
        parts.listener,
        foresight.after_warm_up(settings, reference),
    )
    for round_number in range(journal.record.rounds):
        _run_round(settings, targets, round_number, journal, parts, watch)
        if watch.is_over:
            break
    _keep_states(targets, journal, Moment.AFTER, parts)
    _keep_contract(settings, targets, journal, watch)
    _ask(settings, targets, journal, parts)
    if not watch.is_over:
        run_probe(settings, journal, parts.engine, parts.listener)
    run_edges(settings, journal, targets, parts.engine, parts.listener, standing)
    journal.update(is_complete=True, state=RunState.FINISHED, ended_at=iso(parts.now()))


def _ask(settings: Settings, targets: list[ManagedTarget], journal: Journal, parts: Parts) -> None:
    """The checks: also when the load was stopped, so that one report names everything that broke."""
    today = parts.now().date().isoformat()
    run_checks(settings, journal, targets, parts.checks, parts.listener, today)


def _keep_contract(settings: Settings, targets: list[ManagedTarget], journal: Journal, watch: Watch) -> None:
    """What the answers under load had in common; and, unless the load was cut short, whether equal requests that
    `rehearse` sends itself have equal answers."""
    journal.keep_contract()
    rules = journal.record.policy.contract
    if rules is None or rules.values == "off" or watch.is_over or len(targets) < len(Side):
        return
    asked = journal.contract.targets()
    ask = asker(settings, targets)
    journal.add_exhibit(values_exhibit(compare_values(asked, ask, cleaner(settings))))


# --- one round of load ------------------------------------------------------------------------------------------


@contextmanager
def errors_through(clean: Callable[[str], str]) -> Iterator[None]:
    """Messages quote logs and answers of others: what leaves here has no secret in it."""
    try:
        yield
    except RehearseError as error:
        error.args = (clean(str(error)), *error.args[1:])
        raise


@contextmanager
def alone(store: Store, targets: list[ManagedTarget], record: RunRecord, parts: Parts) -> Iterator[Parts]:
    """Nobody else touches these targets meanwhile: the load stops when that can no longer be known."""
    with holding(store, [target.spec.url for target in targets], record.run_id) as hold:
        yield replace(parts, engine=TappedEngine(parts.engine, hold.check))


def _sides(targets: list[ManagedTarget]) -> tuple[Side, ...]:
    return tuple(target.spec.side for target in targets)


def _bring_up(targets: list[ManagedTarget], journal: Journal, parts: Parts) -> None:
    for target in targets:
        parts.listener.phase(f"bringing up {target.spec.name} at {target.spec.shown_url}")
        target.bring_up()
    restarted = frozenset(target.spec.side for target in targets if target.can_restart)
    journal.add_targets([target.facts() for target in targets], restarted)


def _keep_states(targets: list[ManagedTarget], journal: Journal, moment: Moment, parts: Parts) -> None:
    """What data each side has. Before the load it must say so; after it a side may be down."""
    for target in targets:
        try:
            state = target.data_state(moment)
        except NotReady as error:
            if moment is Moment.BEFORE:
                raise
            parts.listener.phase(f"how its data grew is not known: {error}")
        else:
            if state is not None:
                journal.add_state(state)


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
    order = load_order(settings, journal.record, number)
    parts.listener.phase(describe_round(order, journal.record))
    watch.begins(order.schedule)
    clock = RoundClock(parts.now)
    with parts.engine.start(order) as session:
        for event in session.events():
            journal.keep(event)
            if watch.sees(event):
                session.stop(DRAIN_S)
            if isinstance(event, Tick):
                clock.sees(event.at_s)
                parts.listener.load(event.at_s, order.schedule.length_s, watch.note)
    window = clock.measured(order.schedule, settings.prometheus.step_s)
    sides = [target.spec.side for target in targets]
    keep_series(settings, journal, sides, number, window, parts.listener)
