"""What a verdict rests on, out of the settings, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from rehearse.config.effective import secrets_of
from rehearse.config.redaction import redact_argv
from rehearse.config.settings import Settings
from rehearse.databases import is_database
from rehearse.exit_plan import ExitPlan
from rehearse.model import (
    CapacityProbe,
    ContractRules,
    DataRules,
    NoiseAssumptions,
    Policy,
    RigLimits,
    ServerSeries,
    Waiver,
)
from rehearse.redaction import names_a_secret, redact

MIN_USERS, MAX_USERS = 20, 200


def policy_of(settings: Settings) -> Policy:
    """All that turns evidence into a verdict."""
    judge, objectives = settings.judge, settings.objectives
    return Policy(
        objectives=objectives.rules,
        overrides={name: endpoint.rules for name, endpoint in objectives.endpoints.items()},
        critical=judge.critical,
        floor_s=judge.floor_s,
        abort_alpha=judge.abort_alpha,
        go_alpha=judge.go_alpha,
        certify_share_ratio=judge.certify_share,
        min_pairs=judge.min_pairs,
        min_rounds=judge.min_rounds,
        max_baseline_error_ratio=judge.max_baseline_error_ratio,
        guard_alpha=judge.guard_alpha,
        guard_stop_error_ratio=judge.guard_stop_error_ratio,
        shares_host=bool(judge.shared),
        rig=RigLimits(**dict(settings.load.rig)),
        noise=NoiseAssumptions(**dict(judge.noise)),
        capacity=_probe_of(settings),
        contract=_contract_of(settings),
        series=_series_of(settings),
        data=_data_of(settings),
        waivers=tuple(Waiver(one.finding, one.person, one.reason, one.until) for one in settings.waivers),
    )


def users_for(rate_per_s: float) -> int:
    """As many users as a rate needs when each is busy for a second, within bounds."""
    return min(MAX_USERS, max(MIN_USERS, math.ceil(rate_per_s)))


def _probe_of(settings: Settings) -> CapacityProbe | None:
    asked = settings.load.capacity
    if asked.max_rate is None:
        return None
    return CapacityProbe(
        start_rate_per_s=asked.start_rate or settings.load.rate,
        max_rate_per_s=asked.max_rate,
        step_ratio=asked.step,
        step_s=asked.step_duration_s,
        pairs=asked.pairs,
        users=asked.users or users_for(asked.max_rate),
        distress_ratio=asked.distress,
    )


def _contract_of(settings: Settings) -> ContractRules | None:
    asked = settings.contract
    if not asked.enabled or any(is_database(target.url) for target in settings.targets):
        return None
    headers = tuple(f"header {name.lower()}" for name in asked.ignore_headers)
    return ContractRules(
        ignored_endpoints=asked.ignore_endpoints,
        ignored_places=(*asked.ignore_places, *headers),
        values=asked.values,
    )


def _series_of(settings: Settings) -> tuple[ServerSeries, ...]:
    """With the queries as reports may show them."""
    secrets = secrets_of(settings)
    return tuple(
        ServerSeries(
            one.name,
            one.unit,
            (redact(one.queries[0], secrets), redact(one.queries[1], secrets)),
            one.rules,
            one.floor,
        )
        for one in settings.series
    )


def _data_of(settings: Settings) -> DataRules | None:
    if all(target.state is None for target in settings.targets):
        return None
    asked = settings.state
    return DataRules(
        asked.most_difference,
        asked.least_of_production,
        asked.production_rows,
        tuple(key for key in settings.baseline.declared_differences if key.startswith("state.")),
    )


def policy_hash(settings: Settings) -> str:
    """SHA-256 over all that is rehearsed and accepted: policy, scenarios, checks, edge cases, exit plan.

    Where they are aimed, and how hard, is no part of it: a gate asks for the same policy in every stage.
    """
    policy = policy_of(settings)
    content = {
        "policy": asdict(replace(policy, capacity=None)),
        "capacity": policy.capacity is not None,
        "scenarios": {scenario.name: _digest(scenario.file) for scenario in settings.scenarios},
        "checks": {
            "files": checks_digest(settings),
            "packs": settings.checks.packs,
            "options": _told(settings),
        },
        "edges": edges_digest(settings),
        "exit plan": _of_plan(settings.exit_plan.plan),
        "cutover": _of_cutover(settings),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _of_plan(plan: ExitPlan) -> Mapping[str, object]:
    """All of it, but the secrets in its commands: those are others in each stage."""
    content = asdict(plan)
    for step in (*content["steps"], *content["forward"]):
        deeds = {name: step.get(name) for name in ("run", "undo")}
        step |= {name: redact_argv(deed) for name, deed in deeds.items() if isinstance(deed, tuple)}
    return content


def _of_cutover(settings: Settings) -> Mapping[str, object]:
    """What is asked of a cutover, and what is done for steps in words; not where, and how hard it is loaded. What
    probes carry is secret, and another in each stage."""
    cutover, elsewhere = settings.cutover, ("target", "rate", "database", "by_hand", "probes", "every_s")
    terms = cutover.model_dump(
        mode="json",
        context={"root": settings.root},
        exclude=dict.fromkeys(elsewhere, True) | {"same": {"__all__": {"run"}}},
    )
    return {
        **terms,
        "probes": [(one.name, one.method, one.path, one.write) for one in cutover.probes],
        "commands": {one.name: redact_argv(one.run or ()) for one in cutover.same},
        "by hand": {
            name: (redact_argv(one.run or ()), redact_argv(one.undo or ()))
            for name, one in cutover.by_hand.items()
        },
    }


def _told(settings: Settings) -> dict[str, Mapping[str, object]]:
    """The options of checks without their secrets: those are others in each stage."""
    told: dict[str, Mapping[str, object]] = {
        name: {key: value for key, value in options.items() if not names_a_secret(key)}
        for name, options in settings.checks.options.items()
    }
    return {name: options for name, options in told.items() if options}


def checks_digest(settings: Settings) -> str:
    """SHA-256 over the project's own checks; of none at all too."""
    folder = settings.checks.dir
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".toml"))
    content = "".join(f"{path.relative_to(folder)} {_digest(path)}\n" for path in files if path.is_file())
    return hashlib.sha256(content.encode()).hexdigest()


def edges_digest(settings: Settings) -> str:
    """SHA-256 over what is injected, and what is accepted of it; not over where effects are counted."""
    cases = [
        case.model_dump_json(context={"root": settings.root}, exclude={"count": {"baseline", "candidate"}})
        for case in settings.edges.cases
    ]
    return hashlib.sha256("\n".join(cases).encode()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
