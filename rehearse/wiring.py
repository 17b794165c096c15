"""Translates the settings into what each part takes, and says what is comparable with what."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rehearse import __version__
from rehearse.checks.contract import contracts_of
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.orders import refuse_unknown_packs
from rehearse.checks.values import Ask, Reply, differences_of
from rehearse.codec import to_bytes
from rehearse.config import Settings, effective_toml, policy_hash, policy_of
from rehearse.config.policy import checks_digest, edges_digest, users_for
from rehearse.databases import is_database, shown_url
from rehearse.errors import ConfigError, NotComparable, NotReady, StoreError, nearest
from rehearse.journal import Journal, iso, states_of
from rehearse.judge.looks import looks
from rehearse.load.engine import LiveCounts
from rehearse.load.orders import LoadOrder, SamplingOrder, ScenarioOrder, SideOrder
from rehearse.load.rig import fingerprint
from rehearse.load.schedule import Schedule, read_recorded
from rehearse.load.statements import files_of
from rehearse.load.turns import climb, hold
from rehearse.metrics.exhibits import series_of
from rehearse.model import (
    IDENTITY_KEY,
    OTHER_RIG_KEY,
    STAGE_KEY,
    STAGES_KEY,
    CapacityProbe,
    CheckEvidence,
    CheckResult,
    Incident,
    Mode,
    Phase,
    Policy,
    ReasonCode,
    Reference,
    Role,
    RunKind,
    RunRecord,
    RunState,
    Side,
)
from rehearse.report.runbook import runbook_text
from rehearse.sides import allowed_targets, cleaner, headers_of, other_sides, secrets_now, tls_of, work_dir
from rehearse.targets import ManagedTarget

if TYPE_CHECKING:  # SQLAlchemy and SciPy take a second, and a dry run neither stores nor judges
    from rehearse.judge.sequential import LiveBin
    from rehearse.store.records import Store

LOADED_PREFIXES = ("scenario.", "rig.", "rehearse")  # of the provenance: what each worker loads by itself
COMPARABLE_PREFIXES = ("scenario.", "schedule", "load.", "rig.")
MACHINE = ("rig.cpu", "rig.cores", "rig.kernel")  # of the rig; side by side it is the same for both
_JUDGING = ("objectives.", "judge.", "load.rig.")


class PolicyChoice(StrEnum):
    """By which policy a stored run is judged."""

    AS_RECORDED = "as-recorded"
    NOW = "now"


# --- which sides, which targets ---------------------------------------------------------------------------------


def sides_of_baseline(settings: Settings) -> tuple[Side, ...]:
    """Both sides in paired mode: with the known-good version on both, that is the A/A calibration."""
    return (Side.BASELINE, Side.CANDIDATE) if settings.resolved_mode is Mode.PAIRED else (Side.BASELINE,)


def sides_of_comparison(settings: Settings) -> tuple[Side, ...]:
    """Both sides in paired mode, the candidate alone in recorded mode."""
    return (Side.BASELINE, Side.CANDIDATE) if settings.resolved_mode is Mode.PAIRED else (Side.CANDIDATE,)


def restarted_sides(settings: Settings) -> frozenset[Side]:
    """The loaded sides of which `rehearse` itself can start a fresh process."""
    targets = {side: settings.target(side) for side in sides_of_comparison(settings)}
    return frozenset(side for side, target in targets.items() if target.can_restart)


# --- load -------------------------------------------------------------------------------------------------------


def schedule_of(settings: Settings, kind: RunKind) -> Schedule:
    """The arrivals of one round: the baseline has a budget per round, a comparison splits its budget over rounds."""
    load = settings.load
    is_baseline = kind is RunKind.BASELINE
    budget_s = settings.baseline.budget_s if is_baseline else load.budget_s / settings.resolved_rounds
    return Schedule(
        rate_per_s=load.rate,
        arrivals=load.arrivals,
        block_s=load.block_s,
        warm_up_blocks=math.ceil(load.warm_up_s / load.block_s),
        measured_blocks=max(1, math.floor(budget_s / load.block_s + 1e-9)),
        # Other arrival times than the baseline's own: the same ones would repeat its luck.
        seed=load.seed if is_baseline else load.seed + 1,
        shares=tuple(scenario.share for scenario in settings.scenarios),
        recorded_s=_recorded_s(settings),
    )


def _recorded_s(settings: Settings) -> tuple[float, ...]:
    recorded = settings.load.recorded
    if recorded is None:
        return ()
    return read_recorded((settings.root / recorded).read_text(encoding="utf-8"), str(recorded))


def load_order(settings: Settings, record: RunRecord, round_number: int) -> LoadOrder:
    """What the engine is told for one round."""
    recorded = (
        sides_of_baseline(settings) if record.kind is RunKind.BASELINE else sides_of_comparison(settings)
    )
    # Which side is started first alternates, so that no side always has the warmer core.
    sides = recorded if round_number % 2 == 0 else tuple(reversed(recorded))
    return LoadOrder(
        sides=tuple(_side_order(settings, side) for side in sides),
        schedule=schedule_of(settings, record.kind),
        round=round_number,
        scenarios=tuple(
            ScenarioOrder(one.name, str(settings.root / one.file), one.tags, one.exclude_tags)
            for one in settings.scenarios
        ),
        allow=settings.safety.allow,
        production=settings.safety.production,
        side_effects=settings.safety.side_effects,
        users=_users(settings),
        workers=settings.load.workers,
        timeout_s=settings.load.timeout_s,
        log_dir=str(work_dir(settings) / "logs" / record.run_id),
        working_dir=str(settings.root),
        expected={
            key: record.provenance[key] for key in record.provenance if key.startswith(LOADED_PREFIXES)
        },
        sampling=_sampling(settings, record),
        secrets=secrets_now(settings),  # after the headers: what a command told for them is one
    )


def _sampling(settings: Settings, record: RunRecord) -> SamplingOrder | None:
    """A run's samples of one endpoint are those of its workers and rounds together."""
    if record.policy.contract is None:
        return None
    contract = settings.contract
    parts = record.rounds * record.expected_workers
    return SamplingOrder(math.ceil(contract.samples / parts), contract.max_body_kb * 1024)


def asker(settings: Settings, targets: Iterable[ManagedTarget]) -> Ask:
    """Who asks a side one more question, with its headers and through the allow-list."""
    by_side = {target.spec.side: target for target in targets}

    def ask(side: Side, path: str) -> Reply | None:
        answer = by_side[side].answer(path)
        is_kept = answer is not None and len(answer[1]) <= settings.contract.max_body_kb * 1024
        return Reply(*answer) if answer is not None and is_kept else None

    return ask


def _users(settings: Settings) -> int:
    return settings.load.users or users_for(settings.load.rate)


def _side_order(settings: Settings, side: Side) -> SideOrder:
    target = settings.target(side)
    return SideOrder(
        side,
        target.url,
        dict(headers_of(settings, target)),
        tls_of(settings, target),
        other_sides(settings, target),
        target.proxy_url,
    )


def turn_order(
    settings: Settings, record: RunRecord, plan: CapacityProbe, side: Side, number: int, schedule: Schedule
) -> LoadOrder:
    """What the engine is told for one turn of the capacity probe: one side, with the load for itself."""
    order = load_order(settings, record, number)
    alone = tuple(one for one in order.sides if one.side is side)
    return replace(order, sides=alone, schedule=schedule, users=plan.users, sampling=None)


def describe_turn(order: LoadOrder) -> str:
    """One line: what the capacity probe does next."""
    schedule, side = order.schedule, order.sides[0].side
    if schedule.phase is Phase.CLIMB:
        top = schedule.rate_of(schedule.blocks - 1)
        return f"capacity of the {side}: from {schedule.rate_per_s:.4g}/s in steps to {top:.4g}/s, until it breaks"
    return f"capacity of the {side}: {schedule.length_s:g} s at {schedule.rate_per_s:.4g}/s"


def describe_round(order: LoadOrder, record: RunRecord) -> str:
    """One line: what load goes where, for how long."""
    sides = " and ".join(side.side for side in sorted(order.sides, key=lambda side: side.side))
    rounds = f"round {order.round + 1} of {record.rounds}, " if record.rounds > 1 else ""
    schedule = order.schedule
    warm_up_s = schedule.warm_up_blocks * schedule.block_s
    measured_s = schedule.measured_blocks * schedule.block_s
    load = f"{schedule.rate_per_s:g}/s a side, {warm_up_s:g} s warm-up + up to {measured_s:g} s"
    return f"load on {sides}: {rounds}{load}"


def dry_run_lines(settings: Settings) -> list[str]:
    """What a comparison would do: hosts, requests, minutes. Refused targets are refused here too."""
    sides = sides_of_comparison(settings)
    schedule, rounds = schedule_of(settings, RunKind.COMPARISON), settings.resolved_rounds
    arrivals = sum(schedule.arrivals_in(block) for block in range(schedule.blocks)) * rounds
    allowed_targets(settings, sides)
    length = f"{schedule.length_s * rounds / 60:.1f} minutes{f' in {rounds} rounds' if rounds > 1 else ''}"
    looks_at = ", ".join(f"{look:g} s" for look in looks_s(settings))
    return [
        f"mode: {settings.resolved_mode}",
        *(f"{side}: {shown_url(settings.target(side).url)}" for side in sides),
        f"arrivals: {arrivals} a side at {schedule.rate_per_s:g}/s ({', '.join(s.name for s in settings.scenarios)})",
        f"load: up to {length}, warm-up included; the judge looks at {looks_at} of measured load",
        *_probe_lines(settings),
        *_check_lines(settings),
        *_series_lines(settings),
        *_edge_lines(settings),
    ]


def _probe_lines(settings: Settings) -> list[str]:
    """What the capacity probe costs at most: every step of the staircase, and every turn at the highest rate."""
    plan = policy_of(settings).capacity
    if plan is None:
        return []
    base = schedule_of(settings, RunKind.COMPARISON)
    turns = [climb(base, plan)] + [hold(base, plan, plan.max_rate_per_s)] * plan.pairs
    arrivals = sum(turn.arrivals_in(block) for turn in turns for block in range(turn.blocks))
    minutes = sum(turn.length_s for turn in turns) * len(sides_of_comparison(settings)) / 60
    bounds = f"at most {plan.max_rate_per_s:g}/s and {plan.users} requests under way"
    return [
        f"capacity: up to {arrivals} more arrivals a side and {minutes:.1f} more minutes, in turn; {bounds}"
    ]


def _check_lines(settings: Settings) -> list[str]:
    checks = settings.checks
    own = [f"folder {checks.dir.name}"] if checks.dir.is_dir() else []
    packs = [f"packs {', '.join(checks.packs)}"] if checks.packs else []
    return [f"checks: {'; '.join([*own, *packs])}; up to {checks.budget_s:g} s"] if own or packs else []


def _series_lines(settings: Settings) -> list[str]:
    if not settings.series:
        return []
    from rehearse.judge.server_series import series_cells

    cells = series_cells(policy_of(settings).series)
    roles = (("certified", Role.CERTIFY), ("only shown", Role.ADVISORY))
    told = [
        f"{', '.join(cell.label for cell in cells if cell.role is role)} {word}"
        for word, role in roles
        if any(cell.role is role for cell in cells)
    ]
    return [f"server-side series: {'; '.join(told)}; a point each {settings.prometheus.step_s:g} s"]


def _edge_lines(settings: Settings) -> list[str]:
    ids = [case.id for case in settings.edges.cases]
    rate = settings.edges.rate or settings.load.rate
    told = f"edge cases: {', '.join(ids)}; each under {rate:g}/s a side, one after the other"
    return [told] if ids else []


def live_bin(event: LiveCounts) -> LiveBin:
    """The guard's view of live counters."""
    from rehearse.judge.sequential import LiveBin

    return LiveBin(event.side, event.bin, event.requests, event.errors, event.answered)


def looks_s(settings: Settings) -> tuple[float, ...]:
    """When the judge looks, in seconds of measured load; the last one is the end."""
    schedule = schedule_of(settings, RunKind.COMPARISON)
    budget_s = schedule.measured_blocks * schedule.block_s * settings.resolved_rounds
    return looks(budget_s, schedule.block_s, settings.judge.min_pairs)


# --- records ----------------------------------------------------------------------------------------------------


def baseline_record(settings: Settings, now: datetime, name: str, command: str) -> RunRecord:
    """A new baseline run, not started yet."""
    return _record(settings, RunKind.BASELINE, now, name, command, settings.baseline.rounds, looks_count=1)


def checks_record(settings: Settings, now: datetime, command: str) -> RunRecord:
    """A new run of checks alone, not started yet."""
    record = _record(settings, RunKind.CHECKS, now, None, command, rounds=0, looks_count=0)
    return replace(record, has_checks=True)


def cutover_record(settings: Settings, now: datetime, command: str) -> RunRecord:
    """A new cutover, not started yet."""
    return _record(settings, RunKind.CUTOVER, now, None, command, rounds=1, looks_count=1)


def comparison_record(settings: Settings, now: datetime, command: str) -> RunRecord:
    """A new comparison, not started yet and not yet tied to a baseline."""
    count = len(looks_s(settings))
    return _record(
        settings, RunKind.COMPARISON, now, None, command, settings.resolved_rounds, looks_count=count
    )


def _record(
    settings: Settings,
    kind: RunKind,
    now: datetime,
    name: str | None,
    command: str,
    rounds: int,
    looks_count: int,
) -> RunRecord:
    return RunRecord(
        run_id=f"{now:%Y%m%d-%H%M%S}-{kind}-{secrets.token_hex(2)}",
        kind=kind,
        state=RunState.RUNNING,
        mode=settings.resolved_mode,
        started_at=iso(now),
        ended_at=None,
        baseline_name=name,
        title=cleaner(settings)(settings.title),
        policy=policy_of(settings),
        planned_blocks=schedule_of(settings, kind).measured_blocks * rounds,
        expected_workers=settings.load.workers,
        rounds=rounds,
        looks=looks_count,
        scenarios=tuple(scenario.name for scenario in settings.scenarios),
        has_checks=settings.checks.are_due,
        is_complete=False,
        restarted=frozenset(),
        targets=(),
        provenance=_provenance(settings, kind),
        effective_config=effective_toml(settings),
        exit_plan=cleaner(settings)(runbook_text(settings.exit_plan.plan)),
        command=cleaner(settings)(command),
    )


def _provenance(settings: Settings, kind: RunKind) -> Mapping[str, str]:
    schedule = schedule_of(settings, kind)
    scenarios = {f"scenario.{one.name}": _digest(settings.root / one.file) for one in settings.scenarios}
    tags = {
        f"scenario.{one.name}.tags": " ".join([*one.tags, *(f"-{tag}" for tag in one.exclude_tags)])
        for one in settings.scenarios
        if one.tags or one.exclude_tags
    }
    return {
        "rehearse": __version__,
        "policy": policy_hash(settings),
        **_stage(settings),
        "schedule": schedule.digest(),
        "seed": str(schedule.seed),
        "load.users": str(settings.load.users or "as many as the rate needs"),
        "load.workers": str(settings.load.workers),
        "load.timeout": f"{settings.load.timeout_s:g} s",
        **_probed(settings),
        **_in_place(settings),
        **scenarios,
        **_statements(settings),
        **tags,
        **fingerprint(),
        **_drivers(settings),
        **_checks(settings),
        **_edges(settings),
    }


def _stage(settings: Settings) -> Mapping[str, str]:
    """In which environment of the way to production."""
    promotion = settings.promotion
    if not promotion.stage:
        return {}
    identity = {IDENTITY_KEY: " ".join(settings.gate.identity)} if settings.gate.identity else {}
    return {STAGE_KEY: promotion.stage, STAGES_KEY: " ".join(promotion.stages), **identity}


def _probed(settings: Settings) -> Mapping[str, str]:
    """Another search for the capacity finds another capacity: with other users, for one."""
    plan = policy_of(settings).capacity
    if plan is None:
        return {}
    rates = f"{plan.start_rate_per_s:g} to {plan.max_rate_per_s:g}/s by {plan.step_ratio:.0%}"
    return {"load.capacity": f"{rates} in {plan.step_s:g} s, {plan.users} users, {plan.pairs} turns"}


def _in_place(settings: Settings) -> Mapping[str, str]:
    """One environment, before and after its upgrade: a recording of another one says nothing about it."""
    return {"load.url": shown_url(settings.targets[0].url)} if len(settings.targets) == 1 else {}


def _statements(settings: Settings) -> Mapping[str, str]:
    """What a SqlUser's own files say is as much of the load as the scenario is."""
    if not _are_databases(settings):
        return {}
    found = {scenario.name: files_of(settings.root / scenario.file) for scenario in settings.scenarios}
    return {
        f"scenario.{name}.statements": hashlib.sha256("".join(map(_digest, files)).encode()).hexdigest()
        for name, files in found.items()
        if files
    }


def _are_databases(settings: Settings) -> bool:
    return any(is_database(target.url) for target in settings.targets)


def _drivers(settings: Settings) -> Mapping[str, str]:
    """With a database they are part of the load generator."""
    if not _are_databases(settings):
        return {}
    return {f"rig.{name}": _version(name) for name in ("sqlalchemy", "psycopg")}


def _checks(settings: Settings) -> Mapping[str, str]:
    """What was asked: another file of checks asks something else."""
    if not settings.checks.are_due:
        return {}
    refuse_unknown_packs(settings.checks.packs, settings.source.name)  # now, and not after the load
    return {
        "checks": checks_digest(settings),
        "checks.packs": " ".join(settings.checks.packs) or "none",
    }


def _edges(settings: Settings) -> Mapping[str, str]:
    """What is injected, and what is accepted of it."""
    if not settings.edges.cases:
        return {}
    return {"edges": edges_digest(settings)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # an extra
        return "not installed"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- what may be compared with what -----------------------------------------------------------------------------


def stored_baseline(store: Store, name: str, settings: Settings) -> RunRecord:
    """The recording of that name. Raises NotReady, with the way out, when there is none."""
    try:
        return store.baseline(name)
    except StoreError:
        raise
    except NotReady as error:
        raise NotReady(f"{error}{way_without_baseline(settings)}") from None


def way_without_baseline(settings: Settings) -> str:
    """The end of a message: two sides side by side can do without a recording, one side alone cannot."""
    if settings.resolved_mode is Mode.RECORDED:
        return ""
    return " Or go without one: `rehearse compare --without-baseline` assumes what two equal sides differ by."


def refer_to(
    stored: RunRecord | None, record: RunRecord, store: Store, settings: Settings
) -> tuple[RunRecord, Reference | None]:
    """Tie a comparison to its baseline. Raises NotComparable when conditions differ that must not."""
    if stored is None:
        return record, None
    _check_comparable(settings, stored, record)
    incidents = (*record.incidents, *_staleness(settings, stored, record))
    record = replace(
        record,
        baseline_name=stored.baseline_name,
        baseline_run_id=stored.run_id,
        incidents=incidents,
        provenance={**record.provenance, **_other_machine(settings, stored, record)},
    )
    return record, reference_of(store, record)


def _other_machine(settings: Settings, stored: RunRecord, record: RunRecord) -> Mapping[str, str]:
    """Where the baseline was recorded, if that was not here and is not declared."""
    told = [
        f"{key} was {_short(stored.provenance.get(key))}, is {_short(record.provenance.get(key))}"
        for key in MACHINE
        if stored.provenance.get(key) != record.provenance.get(key)
        and key not in settings.baseline.declared_differences
    ]
    return {OTHER_RIG_KEY: "; ".join(told)} if told else {}


def reference_of(store: Store, record: RunRecord) -> Reference | None:
    """The stored blocks that a comparison refers to. Raises StoreError when they are not what was sealed."""
    if record.baseline_run_id is None:
        return None
    store.verify(record.baseline_run_id)
    blocks = store.blocks(record.baseline_run_id)
    exhibits = store.exhibits(record.baseline_run_id)
    return Reference(
        record.baseline_name or record.baseline_run_id,
        tuple(block for block in blocks if block.phase is Phase.ROUND),
        tuple(block for block in blocks if block.phase is not Phase.ROUND),
        check_evidence(store.exhibits(record.baseline_run_id)).on_baseline,
        contracts_of(exhibits),
        differences_of(exhibits),
        series_of(exhibits),
        states_of(exhibits),
        record.provenance.get(OTHER_RIG_KEY, ""),
    )


def recorded_checks(settings: Settings, store: Store, found: CheckEvidence) -> tuple[CheckResult, ...]:
    """How the checks of now came out when the baseline was recorded: who else could be asked in recorded mode?"""
    if settings.resolved_mode is not Mode.RECORDED:
        return ()
    try:
        stored = store.baseline(settings.baseline.name)
    except NotReady:  # none yet: then nothing is known to have been broken before
        return ()
    ids = {result.check_id for result in found.on_candidate}
    results = check_evidence(store.exhibits(stored.run_id)).on_baseline
    return tuple(result for result in results if result.check_id in ids)


def _check_comparable(settings: Settings, stored: RunRecord, record: RunRecord) -> None:
    declared = set(settings.baseline.declared_differences)
    keys = sorted(
        key
        for key in {**stored.provenance, **record.provenance}
        if key.startswith(COMPARABLE_PREFIXES)
        and key not in declared
        and not (record.mode is Mode.PAIRED and key in MACHINE)  # see `_other_machine`
    )
    different = [key for key in keys if stored.provenance.get(key) != record.provenance.get(key)]
    if stored.mode is not record.mode:
        raise NotComparable(
            f"baseline {stored.baseline_name!r} was recorded in {stored.mode} mode, this is {record.mode}."
        )
    if different:
        raise NotComparable(
            _differences(stored, {k: (stored.provenance.get(k), record.provenance.get(k)) for k in different})
        )


def check_same_baseline(settings: Settings, stored: RunRecord, record: RunRecord) -> None:
    """The known-good side must say of itself what it said when it was recorded; numbers (row counts) may move."""
    declared = set(settings.baseline.declared_differences)
    then, now = _baseline_words(stored), _baseline_words(record)
    if record.mode is not Mode.PAIRED:
        return
    different = {
        f"facts.{key}": (then.get(key), now.get(key))
        for key in sorted({**then, **now})
        if then.get(key) != now.get(key) and f"facts.{key}" not in declared
    }
    if different:
        raise NotComparable(_differences(stored, different))


def check_same_data(journal: Journal, reference: Reference | None) -> None:
    """Both sides must work on the same data, as far as they say. Raises NotComparable."""
    from rehearse.judge.data import data_faults

    faults = data_faults(journal.evidence(reference))
    if faults:
        raise NotComparable(
            f"{faults[0].finding.sentence}. Give both sides the same data (`prepare`, `reset`), or list what the "
            "upgrade changes in baseline.declared_differences."
        )


def _baseline_words(record: RunRecord) -> dict[str, str]:
    facts = next((target.facts for target in record.targets if target.side is Side.BASELINE), {})
    return {key: value for key, value in facts.items() if not value.lstrip("-").isdigit()}


def _differences(stored: RunRecord, different: Mapping[str, tuple[str | None, str | None]]) -> str:
    listed = "; ".join(
        f"{key} was {_short(then)}, is {_short(now)}" for key, (then, now) in different.items()
    )
    return (
        f"not comparable with baseline {stored.baseline_name!r} of {stored.started_at}: {listed}."
        " Record a new baseline, or list what the upgrade changes in baseline.declared_differences."
    )


def _short(value: str | None) -> str:
    return "absent" if value is None else repr(value[:40])


def _staleness(settings: Settings, stored: RunRecord, record: RunRecord) -> tuple[Incident, ...]:
    age = datetime.fromisoformat(record.started_at) - datetime.fromisoformat(stored.started_at)
    limit = timedelta(seconds=settings.baseline.max_age_s)
    if timedelta(0) <= age <= limit:
        return ()
    if age < timedelta(0):
        sentence = f"baseline {stored.baseline_name!r} was recorded {-age} in the future: check the clock"
    else:
        sentence = (
            f"baseline {stored.baseline_name!r} is {age.days} days old; baseline.max_age allows {limit.days}"
        )
    return (Incident(ReasonCode.BASELINE_STALE, sentence),)


def policy_to_judge_by(settings: Settings, choice: str, changed: Iterable[str]) -> Policy | None:
    """The settings' own policy when it is asked for; None for the one that was fixed before the run.

    Raises ConfigError for another word, and when `changed` names settings that would have no effect.
    """
    if choice not in tuple(PolicyChoice):
        raise ConfigError(f"--policy {choice!r}: {nearest(choice, [one.value for one in PolicyChoice])}")
    if choice == PolicyChoice.NOW:
        return policy_of(settings)
    idle = sorted(key for key in changed if key.startswith(_JUDGING))
    if idle:
        raise ConfigError(
            f"--set {idle[0]} changes nothing here: a run is judged by the policy that was fixed before it. "
            "Add --policy now to see what other objectives would say; the run keeps its own verdict."
        )
    return None


# --- places -----------------------------------------------------------------------------------------------------


def store_url(settings: Settings) -> str:
    """The store's url; a relative SQLite path is relative to the project."""
    return settings.store_url


def folder_of_other_policy(folder: Path, policy: Policy) -> Path:
    """Beside the run's own reports: what another policy says of it never takes their place."""
    return folder.with_name(f"{folder.name}-other-policy-{hashlib.sha256(to_bytes(policy)).hexdigest()[:8]}")


def report_dir(settings: Settings, run_id: str) -> Path:
    """The folder of one run's reports."""
    return settings.root / settings.report.dir / run_id
