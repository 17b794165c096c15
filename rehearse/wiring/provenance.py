"""What exactly a run ran: digests, versions, and how its load was made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rehearse import __version__
from rehearse.checks.orders import refuse_unknown_packs
from rehearse.config import Settings, policy_hash, policy_of
from rehearse.config.policy import checks_digest, edges_digest
from rehearse.databases import is_database, shown_url
from rehearse.load.rig import fingerprint
from rehearse.load.statements import files_of
from rehearse.model import IDENTITY_KEY, STAGE_KEY, STAGES_KEY, RunKind
from rehearse.wiring.schedules import schedule_of


def provenance_of(settings: Settings, kind: RunKind) -> Mapping[str, str]:
    """All of it, by key: what a recording and a comparison must have in common is in there too."""
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
