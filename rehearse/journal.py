"""The record of a run while it is under way: everything goes to the store the moment it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rehearse.checks.contract import ContractLearner, contracts_of, samplings_of
from rehearse.checks.exhibits import check_evidence
from rehearse.checks.values import differences_of
from rehearse.codec import from_bytes, to_bytes
from rehearse.edges.exhibits import edge_records, planned_edges
from rehearse.errors import Interrupted, StoreError
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    LoadStarted,
    Sampled,
    SamplesCounted,
    Tick,
    Trouble,
    WorkerDone,
)
from rehearse.load.ledger import without_secrets
from rehearse.metrics.exhibits import series_of
from rehearse.model import (
    Block,
    DataState,
    Evidence,
    Exhibit,
    Incident,
    Phase,
    ReasonCode,
    Reference,
    RunRecord,
    RunState,
    Side,
    TargetFacts,
    WorkerFinal,
)

if TYPE_CHECKING:
    from rehearse.store.records import Store


DATA_STATE = "state"  # the kind of an exhibit


def iso(moment: datetime) -> str:
    """How instants are stored: ISO 8601 in UTC, to the second."""
    return moment.isoformat(timespec="seconds")


class Journal:
    """One run's record, blocks and closing accounts; each is committed before the next thing happens.

    What targets and scenarios say (names, errors, facts, log lines) goes through `clean` before it is written
    anywhere: it takes secrets out.
    """

    def __init__(self, store: Store, record: RunRecord, clean: Callable[[str], str] = str) -> None:
        self.store = store
        self.record = record
        self.clean = clean
        self.blocks: list[Block] = []
        self.finals: list[WorkerFinal] = []
        self.exhibits: list[Exhibit] = []
        self.contract = ContractLearner(clean)
        store.begin_run(record)

    def update(self, **changes: Any) -> None:  # noqa: ANN401  # the fields of RunRecord, checked by `replace`
        """Change the record and commit it."""
        changed = replace(self.record, **changes)
        self.store.update_run(changed)
        self.record = changed

    def keep(self, event: LoadEvent) -> None:
        """What must survive goes to the store at once."""
        match event:
            case BlockClosed(block):
                self.add_block(block)
            case WorkerDone(final):
                self.add_final(final)
            case Trouble(incident):
                self.add_incident(incident)
            case Sampled(sample):
                self.contract.take(sample)
            case SamplesCounted(sampling):
                self.contract.count(sampling)
            case LoadStarted() | LiveCounts() | Tick():
                pass

    def add_block(self, block: Block) -> None:
        """A block closed."""
        block = without_secrets(block, self.clean)
        self.store.add_block(self.record.run_id, block)
        self.blocks.append(block)

    def add_final(self, final: WorkerFinal) -> None:
        """A worker closed its account."""
        self.store.add_final(self.record.run_id, final)
        self.finals.append(final)

    def add_exhibit(self, exhibit: Exhibit) -> None:
        """A check was run, a contract was learnt. Its body has been through `clean` before."""
        self.store.add_exhibit(self.record.run_id, exhibit)
        self.exhibits.append(exhibit)

    def keep_contract(self) -> None:
        """The rounds are over: what was learnt of the answers is evidence from now on."""
        for exhibit in self.contract.exhibits():
            self.add_exhibit(exhibit)

    def add_incident(self, incident: Incident) -> None:
        """Something happened that the judge must know."""
        clean = replace(incident, sentence=self.clean(incident.sentence))
        self.update(incidents=(*self.record.incidents, clean))

    def add_targets(self, targets: Iterable[TargetFacts], restarted: frozenset[Side]) -> None:
        """What the targets say of themselves, and which of them are fresh processes."""
        clean = tuple(
            replace(target, facts={key: self.clean(value) for key, value in target.facts.items()})
            for target in targets
        )
        self.update(targets=clean, restarted=restarted)

    def add_state(self, state: DataState) -> None:
        """A side said what data it has."""
        self.add_exhibit(Exhibit(DATA_STATE, f"{state.moment} {state.side}", to_bytes(state)))

    def measured_pairs(self) -> int:
        """How many measured blocks are closed on every side, over all rounds; gaps end a round's count."""
        sides = {block.side for block in self.blocks}
        rounds = {block.round for block in self.blocks}
        return sum(min(self._run_of(side, number) for side in sides) for number in rounds)

    def evidence(self, reference: Reference | None, is_complete: bool | None = None) -> Evidence:
        """What is known so far, as the judge takes it."""
        done = self.record.is_complete if is_complete is None else is_complete
        record = replace(self.record, is_complete=done)
        return evidence_of(record, self.blocks, self.finals, reference, self.exhibits)

    def _run_of(self, side: Side, round_number: int) -> int:
        indices = {
            b.index for b in self.blocks if b.side is side and b.round == round_number and not b.is_warm_up
        }
        count = 0
        while indices and min(indices) + count in indices:
            count += 1
        return count


def states_of(exhibits: Iterable[Exhibit]) -> tuple[DataState, ...]:
    """What each side said of its data. Raises CodecError."""
    return tuple(from_bytes(DataState, exhibit.body) for exhibit in exhibits if exhibit.kind == DATA_STATE)


def evidence_of(
    record: RunRecord,
    blocks: list[Block] | tuple[Block, ...],
    finals: list[WorkerFinal] | tuple[WorkerFinal, ...],
    reference: Reference | None,
    exhibits: Iterable[Exhibit] = (),
) -> Evidence:
    """The judge's view of a stored run."""
    exhibits = tuple(exhibits)
    return Evidence(
        mode=record.mode,
        policy=record.policy,
        blocks=tuple(block for block in blocks if block.phase is Phase.ROUND),
        finals=tuple(final for final in finals if final.round < record.rounds),
        reference=reference,
        planned_blocks=record.planned_blocks,
        expected_workers=record.expected_workers,
        rounds=record.rounds,
        restarted=record.restarted,
        incidents=record.incidents,
        looks=record.looks,
        scenarios=record.scenarios,
        is_complete=record.is_complete,
        probe=tuple(block for block in blocks if block.phase is not Phase.ROUND),
        probe_finals=tuple(final for final in finals if final.round >= record.rounds),
        checks=check_evidence(exhibits) if record.has_checks else None,
        contracts=contracts_of(exhibits),
        samplings=samplings_of(exhibits),
        differences=differences_of(exhibits),
        started_at=record.started_at,
        series=series_of(exhibits),
        data=states_of(exhibits),
        planned_edges=planned_edges(exhibits),
        edges=edge_records(exhibits),
    )


@contextmanager
def kept(
    store: Store, record: RunRecord, now: Callable[[], datetime], clean: Callable[[str], str] = str
) -> Iterator[Journal]:
    """A journal whose run is marked interrupted or failed when it does not come to its end."""
    journal = Journal(store, record, clean)
    try:
        yield journal
    except Interrupted as error:
        if journal.record.state is RunState.RUNNING:
            with suppress(StoreError):  # then it stays "running" there, which is never GO either
                journal.add_incident(
                    Incident(ReasonCode.INTERRUPTED, f"{error} before the rehearsal was over")
                )
                journal.update(state=RunState.INTERRUPTED, ended_at=iso(now()))
        raise
    except BaseException:
        if journal.record.state is RunState.RUNNING:
            with suppress(
                StoreError
            ):  # the store itself may be what failed; the first error is the one to show
                journal.update(state=RunState.FAILED, ended_at=iso(now()))
        raise
