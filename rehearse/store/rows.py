"""Values of `model` <-> rows, and the digest over the rows that a verdict rests on."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, cast

from rehearse.codec import CodecError, JsonData, from_jsonable, to_jsonable
from rehearse.errors import StoreError
from rehearse.model import STAGE_KEY, Block, Exhibit, RunKind, RunRecord, Side, WorkerFinal
from rehearse.store.blocks import pack_block, unpack_block
from rehearse.store.packing import deflate, inflate, seal, unreadable, unseal
from rehearse.store.tables import BlockRow, ExhibitRow, FinalRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LONGEST_LISTED = 200
_COLUMNS = ("run_id", "kind", "state", "started_at", "ended_at")


# runs


def fill(row: RunRow, record: RunRecord) -> RunRow:
    """Write `record` into `row`. Raises StoreError on what could not be read back."""
    where = f"run {record.run_id}"
    try:
        data = cast("dict[str, JsonData]", to_jsonable(record))
    except CodecError as error:
        raise StoreError(f"{where} cannot be stored: {error}") from error
    for name in _COLUMNS:
        setattr(row, name, data.pop(name))
    verdict = data.pop("verdict")
    row.verdict = None if verdict is None else seal(verdict, where)
    row.document = seal(data, where)
    return list_as(row, record)


def list_as(row: RunRow, record: RunRecord) -> RunRow:
    """Write into `row` what a list of runs shows of `record`."""
    for name, value in _listed(record).items():
        setattr(row, name, value)
    return row


def is_listed_as(row: RunRow, record: RunRecord) -> bool:
    """Whether a list of runs shows `record` as it is."""
    return all(getattr(row, name) == value for name, value in _listed(record).items())


def _listed(record: RunRecord) -> dict[str, str | None]:
    return {
        "title": _storable(record.title),
        "baseline_name": record.baseline_name and _storable(record.baseline_name),
        "baseline_run_id": record.baseline_run_id,
        "decision": record.verdict.decision.value if record.verdict else None,
        "stage": record.provenance.get(STAGE_KEY),
        "candidate": _candidate(record),
    }


def _candidate(record: RunRecord) -> str | None:
    """What a candidate said of itself; while a baseline is recorded, that side runs the known-good version too."""
    if record.kind is RunKind.BASELINE:
        return None
    facts = next((one.facts for one in record.targets if one.side is Side.CANDIDATE), {})
    words = ", ".join(f"{key} {facts[key]}" for key in sorted(facts))
    return _storable(words)[:_LONGEST_LISTED] or None


def _storable(text: str) -> str:
    """Neither database takes every character as plain text, and this copy is only for looking at."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def record_of(row: RunRow) -> RunRecord:
    """The record that `row` holds. Raises StoreError when it holds something else."""
    try:
        document = unseal(row.document)
        if not isinstance(document, dict):
            raise CodecError("is not an object")
        columns = {name: getattr(row, name) for name in _COLUMNS}
        verdict = None if row.verdict is None else unseal(row.verdict)
        return from_jsonable(RunRecord, document | columns | {"verdict": verdict})
    except CodecError as error:
        raise unreadable(f"run {row.run_id}", error) from error


# blocks and finals


def block_row(run: RunRow, block: Block) -> BlockRow:
    """The row of one block. Raises StoreError on what could not be read back."""
    return BlockRow(
        run_number=run.number,
        side=block.side.value,
        round=block.round,
        index_in_round=block.index,
        body=pack_block(block, f"run {run.run_id}, {block_name(block.side, block.round, block.index)}"),
    )


def block_of(run_id: str, row: BlockRow) -> Block:
    """The block that `row` holds. Raises StoreError when it holds something else."""
    where = f"run {run_id}, {block_name(row.side, row.round, row.index_in_round)}"
    block = unpack_block(row.body, where)
    if (block.side, block.round, block.index) != (row.side, row.round, row.index_in_round):
        found = block_name(block.side, block.round, block.index)
        raise unreadable(where, CodecError(f"its content is {found}"))
    return block


def block_name(side: str, round_: int, index: int) -> str:
    """How messages name a block."""
    return f"{side} block {index} of round {round_}"


def final_row(run: RunRow, final: WorkerFinal) -> FinalRow:
    """The row of one worker's closing account. Raises StoreError on what could not be read back."""
    where = f"run {run.run_id}, {final_name(final.side, final.round, final.worker)}"
    try:
        document = seal(to_jsonable(final), where)
    except CodecError as error:
        raise StoreError(f"{where} cannot be stored: {error}") from error
    return FinalRow(
        run_number=run.number,
        side=final.side.value,
        round=final.round,
        worker=final.worker,
        document=document,
    )


def final_of(run_id: str, row: FinalRow) -> WorkerFinal:
    """The closing account that `row` holds. Raises StoreError when it holds something else."""
    where = f"run {run_id}, {final_name(row.side, row.round, row.worker)}"
    try:
        final = from_jsonable(WorkerFinal, unseal(row.document))
    except CodecError as error:
        raise unreadable(where, error) from error
    if (final.side, final.round, final.worker) != (row.side, row.round, row.worker):
        found = final_name(final.side, final.round, final.worker)
        raise unreadable(where, CodecError(f"its content is {found}"))
    return final


def final_name(side: str, round_: int, worker: int) -> str:
    """How messages name a worker's closing account."""
    return f"final of {side} worker {worker} in round {round_}"


def exhibit_row(run: RunRow, exhibit: Exhibit) -> ExhibitRow:
    """The row of one exhibit. Raises StoreError on one that is too large."""
    body = deflate(exhibit.body, f"run {run.run_id}, {exhibit_name(exhibit.kind, exhibit.name)}")
    return ExhibitRow(run_number=run.number, kind=exhibit.kind, name=exhibit.name, body=body)


def exhibit_of(run_id: str, row: ExhibitRow) -> Exhibit:
    """The exhibit that `row` holds. Raises StoreError when it holds something else."""
    where = f"run {run_id}, {exhibit_name(row.kind, row.name)}"
    return Exhibit(row.kind, row.name, inflate(row.body, where))


def exhibit_name(kind: str, name: str) -> str:
    """How messages name an exhibit."""
    return f"{kind} {name!r}"


# the digest


def evidence_of(run: RunRow) -> tuple[str, ...]:
    """The part of a run's own row that a verdict rests on: neither the verdict nor `state` and `ended_at`.

    A baseline never changes again, and its age is judged by its end: there those two belong to it.
    """
    rest = (run.ended_at or "", run.verdict or "") if run.kind == RunKind.BASELINE else ()
    return run.run_id, run.kind, run.started_at, run.document, *rest


def digest_of(
    run: RunRow, blocks: Iterable[BlockRow], finals: Iterable[FinalRow], exhibits: Iterable[ExhibitRow]
) -> str:
    """SHA-256 over the stored bytes of all that a verdict rests on.

    Each part goes in with its length, so that no two different runs can give the same bytes.
    """
    total = sha256(b"rehearse run 1")
    _add(total.update, "run", *evidence_of(run))
    for block in blocks:
        _add(total.update, "block", block.side, block.round, block.index_in_round, block.body)
    for final in finals:
        _add(total.update, "final", final.side, final.round, final.worker, final.document)
    for exhibit in exhibits:
        _add(total.update, "exhibit", exhibit.kind, exhibit.name, exhibit.body)
    return total.hexdigest()


def _add(update: Callable[[bytes], object], *parts: str | int | bytes) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        update(b"%d:" % len(data))
        update(data)
