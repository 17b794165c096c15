"""When each journey of a run is due, and when the judge looks."""

from __future__ import annotations

import math

from rehearse.config import Settings
from rehearse.judge.looks import looks
from rehearse.load.schedule import Schedule, read_recorded
from rehearse.model import RunKind


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


def looks_s(settings: Settings) -> tuple[float, ...]:
    """When the judge looks, in seconds of measured load; the last one is the end."""
    schedule = schedule_of(settings, RunKind.COMPARISON)
    budget_s = schedule.measured_blocks * schedule.block_s * settings.resolved_rounds
    return looks(budget_s, schedule.block_s, settings.judge.min_pairs)
