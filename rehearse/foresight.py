"""What a comparison can certify, told before load; and refused where it would be a waste of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rehearse.config import Settings, policy_of
from rehearse.errors import ConfigError, NotReady
from rehearse.judge.forecast import Forecast, forecast, forecast_from_warm_up
from rehearse.judge.forecast_words import forecast_lines, refusal
from rehearse.judge.prospects import Plan
from rehearse.model import Block, Mode, Reference, RunKind
from rehearse.sides import restarted_sides
from rehearse.store.records import Store
from rehearse.watch import Foretell
from rehearse.wiring.dry_run import dry_run_lines
from rehearse.wiring.records import comparison_record
from rehearse.wiring.references import refer_to, stored_baseline, way_without_baseline
from rehearse.wiring.schedules import looks_s, schedule_of


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a comparison would do, and why it would be refused."""

    lines: tuple[str, ...]
    refusal: str | None


def plan_of(settings: Settings) -> Plan:
    """The comparison that the settings describe, as the forecast takes it."""
    schedule = schedule_of(settings, RunKind.COMPARISON)
    total = sum(schedule.shares)
    per_block = schedule.rate_per_s * schedule.block_s
    return Plan(
        mode=settings.resolved_mode,
        policy=policy_of(settings),
        block_s=schedule.block_s,
        blocks=schedule.measured_blocks,
        rounds=settings.resolved_rounds,
        looks=len(looks_s(settings)),
        restarted=restarted_sides(settings),
        arrivals={one.name: per_block * one.share / total for one in settings.scenarios},
    )


def foretold(settings: Settings, reference: Reference | None) -> Forecast:
    """What the comparison can certify by what is stored."""
    return forecast(plan_of(settings), reference)


def refuse(told: Forecast) -> None:
    """Raise ConfigError when a certified cell is out of reach by so much that load would be a waste."""
    reason = refusal(told)
    if reason is not None:
        raise ConfigError(reason)


def after_warm_up(settings: Settings, reference: Reference | None) -> Foretell | None:
    """What to tell once the warm-up is over: nothing, where a recording has told it before load."""
    if reference is not None or settings.resolved_mode is Mode.RECORDED:
        return None
    return partial(_lines_of_warm_up, plan_of(settings))


def _lines_of_warm_up(plan: Plan, blocks: Iterable[Block]) -> list[str]:
    told = forecast_from_warm_up(plan, blocks)
    return [] if told is None else forecast_lines(told)


def dry_run(
    settings: Settings, now: datetime, baseline_name: str | None, *, without_baseline: bool
) -> DryRun:
    """Hosts, requests, minutes, and what can be certified. Nothing is sent, and nothing stored."""
    lines = dry_run_lines(settings)
    reference, trouble = None, []
    if not without_baseline:
        try:
            reference = _stored(settings, now, baseline_name or settings.baseline.name)
        except NotReady as error:
            trouble = [f"not ready: {error}"]
    told = foretold(settings, reference)
    return DryRun((*lines, *trouble, *forecast_lines(told), "nothing was sent"), refusal(told))


def _stored(settings: Settings, now: datetime, name: str) -> Reference | None:
    url = settings.store_url
    if not Store.is_there(url):
        way_out = way_without_baseline(settings)
        raise NotReady(f"no baseline is named {name!r}. Record one with `rehearse baseline`.{way_out}")
    with Store.open(url) as store:
        record = comparison_record(settings, now, "rehearse compare --dry-run")
        return refer_to(stored_baseline(store, name, settings), record, store, settings)[1]
