"""What a comparison would do, in lines: hosts, requests, minutes."""

from __future__ import annotations

from rehearse.config import Settings, policy_of
from rehearse.databases import shown_url
from rehearse.judge.server_series import series_cells
from rehearse.load.turns import climb, hold
from rehearse.model import Role, RunKind
from rehearse.sides import allowed_targets, sides_of_comparison
from rehearse.wiring.schedules import looks_s, schedule_of


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
