"""The records of new runs, not started yet."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from rehearse.config import Settings, effective_toml, policy_of
from rehearse.journal import iso
from rehearse.model import RunKind, RunRecord, RunState
from rehearse.report.runbook import runbook_text
from rehearse.sides import cleaner
from rehearse.wiring.provenance import provenance_of
from rehearse.wiring.schedules import looks_s, schedule_of


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
        provenance=provenance_of(settings, kind),
        effective_config=effective_toml(settings),
        exit_plan=cleaner(settings)(runbook_text(settings.exit_plan.plan)),
        command=cleaner(settings)(command),
    )
