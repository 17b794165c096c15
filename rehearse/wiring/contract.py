"""How the response contract is learnt: from samples under load, and from equal questions afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rehearse.checks.values import Ask, Reply
from rehearse.config import Settings
from rehearse.load.orders import SamplingOrder
from rehearse.model import RunRecord, Side
from rehearse.targets import ManagedTarget


def sampling_of(settings: Settings, record: RunRecord) -> SamplingOrder | None:
    """A run's samples of one endpoint are those of its workers and rounds together."""
    if record.policy.contract is None:
        return None
    contract = settings.contract
    parts = record.rounds * record.expected_workers
    return SamplingOrder(math.ceil(contract.samples / parts), contract.max_body_kb * 1024)


def asker(settings: Settings, targets: Iterable[ManagedTarget]) -> Ask:
    """Who asks a side one more question, with its headers and through the allow-list."""
    by_side = {target.spec.side: target for target in targets}

    def ask(side: Side, path: str) -> Reply | None:
        answer = by_side[side].answer(path)
        is_kept = answer is not None and len(answer[1]) <= settings.contract.max_body_kb * 1024
        return Reply(*answer) if answer is not None and is_kept else None

    return ask
