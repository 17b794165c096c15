"""Which stage on the way to production has seen what, of one candidate under one policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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

MOST_RUNS = 1000  # that are looked through, the newest


def standings_of(store: Store, record: RunRecord) -> tuple[StageStanding, ...]:
    """One for each stage, in their order; nothing when there are none. The newest comparison of a stage counts."""
    stages = record.provenance.get(STAGES_KEY, "").split()
    if not stages:
        return ()
    wanted = _what(record)
    newest: dict[str, RunRecord] = {}
    for other in (record, *store.runs(MOST_RUNS)):
        stage = other.provenance.get(STAGE_KEY, "")
        is_newer = stage not in newest or other.started_at > newest[stage].started_at
        if is_newer and _counts(other) and _what(other) == wanted:
            newest[stage] = other
    return tuple(_standing(store, stage, newest.get(stage)) for stage in stages)


def _counts(record: RunRecord) -> bool:
    is_over = record.state is not RunState.RUNNING
    return record.kind is RunKind.COMPARISON and is_over and not record.is_advisory


def _what(record: RunRecord) -> tuple[str, Mapping[str, str]]:
    """The policy and the candidate: by the facts that name it, else by all that are no bare numbers, which may move."""
    facts = next((one.facts for one in record.targets if one.side is Side.CANDIDATE), {})
    named = record.provenance.get(IDENTITY_KEY, "").split()
    words = {
        key: value
        for key, value in facts.items()
        if (key in named if named else not value.lstrip("-").isdigit())
    }
    return record.provenance.get("policy", ""), words


def _standing(store: Store, stage: str, record: RunRecord | None) -> StageStanding:
    if record is None:
        return StageStanding(stage)
    signed = store.sign_offs(record.run_id)
    return StageStanding(
        stage,
        record.run_id,
        record.started_at,
        record.verdict.decision if record.verdict is not None else Decision.INCONCLUSIVE,
        signed[-1].decision if signed else None,
    )
