"""Which stage on the way to production has seen what, of one candidate under one policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rehearse.checks.exhibits import check_evidence
from rehearse.cutover_results import only_takes_back
from rehearse.errors import RehearseError
from rehearse.judge.checks import judge_checks
from rehearse.model import (
    IDENTITY_KEY,
    STAGE_KEY,
    STAGES_KEY,
    Decision,
    RunKind,
    RunRecord,
    RunState,
    Side,
    StageStanding,
)

if TYPE_CHECKING:
    from rehearse.store.records import Store

KINDS = (RunKind.COMPARISON, RunKind.CUTOVER, RunKind.CHECKS)  # which a gate can ask for
MOST_RUNS = 1000  # that are looked through, the newest


def standings_of(store: Store, record: RunRecord) -> tuple[StageStanding, ...]:
    """For each stage, in their order, the newest run of each kind; nothing when there are no stages."""
    stages = record.provenance.get(STAGES_KEY, "").split()
    if not stages:
        return ()
    newest: dict[tuple[str, RunKind], RunRecord] = {}
    for other in (record, *store.runs(MOST_RUNS)):
        key = other.provenance.get(STAGE_KEY, ""), other.kind
        is_newer = key not in newest or other.started_at > newest[key].started_at
        if is_newer and _counts(other) and _may_be_same(store, other, record):
            newest[key] = other
    return tuple(standing for stage in stages for standing in _standings(store, stage, newest))


def _counts(record: RunRecord) -> bool:
    return record.kind in KINDS and record.state is not RunState.RUNNING and not record.is_advisory


def _may_be_same(store: Store, other: RunRecord, record: RunRecord) -> bool:
    """Under the same policy, and of the same candidate; one that is not GO and never said of which may have been."""
    if other.provenance.get("policy") != record.provenance.get("policy"):
        return False
    wanted, named = _named(record), _named(other)
    if not named and only_takes_back(store, other):
        return False
    is_of_another = any(wanted.get(key) != value for key, value in named.items())
    return named == wanted or (not is_of_another and _decision(store, other) is not Decision.GO)


def _named(record: RunRecord) -> Mapping[str, str]:
    """What names the candidate: the facts that are said to, else all of them, as for a gate."""
    facts = next((one.facts for one in record.targets if one.side is Side.CANDIDATE), {})
    keys = record.provenance.get(IDENTITY_KEY, "").split()
    return {key: value for key, value in facts.items() if not keys or key in keys}


def _decision(store: Store, record: RunRecord) -> Decision:
    """Of checks alone no verdict is stored."""
    if record.kind is RunKind.CHECKS and record.state is RunState.FINISHED:
        try:
            return judge_checks(check_evidence(store.exhibits(record.run_id))).decision
        except RehearseError:  # what cannot be read says nothing
            return Decision.INCONCLUSIVE
    return record.verdict.decision if record.verdict is not None else Decision.INCONCLUSIVE


def _standings(
    store: Store, stage: str, newest: Mapping[tuple[str, RunKind], RunRecord]
) -> Iterator[StageStanding]:
    found = [newest[stage, kind] for kind in KINDS if (stage, kind) in newest]
    for record in found:
        signed = store.sign_offs(record.run_id)
        yield StageStanding(
            stage,
            record.run_id,
            record.started_at,
            _decision(store, record),
            signed[-1].decision if signed else None,
            record.kind.value,
        )
    if not found:
        yield StageStanding(stage)
