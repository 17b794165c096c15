"""Answers as an API would give them, and the contract that is learnt from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from rehearse.checks.contract import ContractLearner, contracts_of
from rehearse.judge.contract import contract_changes
from rehearse.model import (
    Contract,
    ContractChange,
    ContractRules,
    Evidence,
    Mode,
    Policy,
    Reference,
    Sample,
    Side,
    Weight,
)

ENDPOINT = "GET /orders/[id]"
JSON = {"content-type": "application/json"}


def sample(
    document: object, side: Side = Side.BASELINE, endpoint: str = ENDPOINT, status: int = 200, **parts: object
) -> Sample:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return replace(Sample(side, endpoint, "/orders/1", status, JSON, body, True), **parts)  # type: ignore[arg-type]


def contracts(samples: Iterable[Sample]) -> tuple[Contract, ...]:
    """What is learnt of them, through the store's form and back."""
    learner = ContractLearner()
    for one in samples:
        learner.take(one)
    return contracts_of(learner.exhibits())


def evidence_of(
    baseline: Iterable[Sample],
    candidate: Iterable[Sample],
    *,
    known: Iterable[Sample] = (),
    rules: ContractRules | None = None,
    mode: Mode = Mode.PAIRED,
) -> Evidence:
    """A rehearsal of which only the answers are known; `known` was stored with the baseline."""
    stored = contracts(known)
    return Evidence(
        mode=mode,
        policy=Policy((), contract=rules or ContractRules()),
        blocks=(),
        finals=(),
        reference=Reference("main", (), contracts=stored) if stored else None,
        planned_blocks=0,
        expected_workers=1,
        rounds=1,
        contracts=contracts([*baseline, *candidate]),
    )


def changes(before: Iterable[object], after: Iterable[object], **how: object) -> tuple[ContractChange, ...]:
    """What changed between two series of documents."""
    baseline = [sample(one) for one in before]
    candidate = [sample(one, Side.CANDIDATE) for one in after]
    return contract_changes(evidence_of(baseline, candidate, **how))  # type: ignore[arg-type]


def gating(found: Iterable[ContractChange]) -> list[str]:
    """The ids of those that gate."""
    return [one.subject for one in found if one.weight is Weight.GATE]


def weights(found: Iterable[ContractChange]) -> Mapping[str, Weight]:
    """How much each place and word weighs."""
    return {f"{one.place} {one.what}": one.weight for one in found}
