"""What the load engine is told for one round, or for one turn of the capacity probe."""

from __future__ import annotations

from dataclasses import replace

from rehearse.config import Settings
from rehearse.config.policy import users_for
from rehearse.load.orders import LoadOrder, ScenarioOrder, SideOrder
from rehearse.load.schedule import Schedule
from rehearse.model import CapacityProbe, Phase, RunKind, RunRecord, Side
from rehearse.sides import (
    headers_of,
    other_sides,
    secrets_now,
    sides_of_baseline,
    sides_of_comparison,
    tls_of,
    work_dir,
)
from rehearse.wiring.contract import sampling_of
from rehearse.wiring.schedules import schedule_of

LOADED_PREFIXES = ("scenario.", "rig.", "rehearse")  # of the provenance: what each worker loads by itself


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
        sampling=sampling_of(settings, record),
        secrets=secrets_now(settings),  # after the headers: what a command told for them is one
    )


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


def describe_round(order: LoadOrder, record: RunRecord) -> str:
    """One line: what load goes where, for how long."""
    sides = " and ".join(side.side for side in sorted(order.sides, key=lambda side: side.side))
    rounds = f"round {order.round + 1} of {record.rounds}, " if record.rounds > 1 else ""
    schedule = order.schedule
    warm_up_s = schedule.warm_up_blocks * schedule.block_s
    measured_s = schedule.measured_blocks * schedule.block_s
    load = f"{schedule.rate_per_s:g}/s a side, {warm_up_s:g} s warm-up + up to {measured_s:g} s"
    return f"load on {sides}: {rounds}{load}"


def describe_turn(order: LoadOrder) -> str:
    """One line: what the capacity probe does next."""
    schedule, side = order.schedule, order.sides[0].side
    if schedule.phase is Phase.CLIMB:
        top = schedule.rate_of(schedule.blocks - 1)
        return f"capacity of the {side}: from {schedule.rate_per_s:.4g}/s in steps to {top:.4g}/s, until it breaks"
    return f"capacity of the {side}: {schedule.length_s:g} s at {schedule.rate_per_s:.4g}/s"
