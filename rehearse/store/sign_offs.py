"""What people signed on a run: rows that are only added, each tied to all before it and to the run's evidence.

The head of the chain stands beside the run, so that a row that is changed, left out or cut off is found. Whoever may
write to the database can forge all of it: who signed is recorded, and not authenticated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import select

from rehearse.codec import CodecError, from_jsonable, to_jsonable
from rehearse.errors import StoreError
from rehearse.model import RunKind, RunState, SignOff
from rehearse.store.packing import seal, unreadable, unseal
from rehearse.store.tables import RunRow, SignOffRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SIGNED = (RunKind.COMPARISON, RunKind.CUTOVER)  # kinds of run that people decide on


def sign_off_rows(session: Session, run: RunRow) -> tuple[SignOffRow, ...]:
    """In the order in which they were signed."""
    query = select(SignOffRow).where(SignOffRow.run_number == run.number)
    return tuple(session.scalars(query.order_by(SignOffRow.position)))


def sign_off_of(run_id: str, row: SignOffRow) -> SignOff:
    """What `row` holds. Raises StoreError when it holds something else."""
    try:
        return from_jsonable(SignOff, unseal(row.document))
    except CodecError as error:
        raise unreadable(f"run {run_id}, sign-off {row.position}", error) from error


def add_sign_off(session: Session, run: RunRow, sign_off: SignOff) -> None:
    """Append one. Raises StoreError unless `run` is a finished comparison or cutover."""
    if run.kind not in SIGNED or run.state != RunState.FINISHED:
        raise StoreError(
            f"run {run.run_id} is a {run.state} {run.kind}: only a finished comparison or cutover can be "
            "signed. Rehearse again."
        )
    there = sign_off_rows(session, run)
    where = f"run {run.run_id}, sign-off {len(there)}"
    row = SignOffRow(run_number=run.number, position=len(there), document=seal(to_jsonable(sign_off), where))
    session.add(row)
    head_at(run, (*there, row))


def head_at(run: RunRow, rows: Sequence[SignOffRow]) -> None:
    """Write beside the run what its sign-offs end in."""
    run.sign_offs = head_of(run, rows)
    run.signed = _signed(run, rows)


def head_of(run: RunRow, rows: Iterable[SignOffRow]) -> str | None:
    """The end of the chain; None when nobody has signed."""
    head: str | None = None
    for row in rows:
        head = sha256(f"rehearse sign-off 1\n{head or run.digest}\n{row.document}".encode()).hexdigest()
    return head


def verify_sign_offs(session: Session, run: RunRow) -> None:
    """Raises StoreError unless everything that was signed is there, and nothing else."""
    rows = sign_off_rows(session, run)
    positions = [row.position for row in rows] == list(range(len(rows)))
    if not positions or (head_of(run, rows), _signed(run, rows)) != (run.sign_offs, run.signed):
        raise StoreError(
            f"run {run.run_id}: its sign-offs are not what was signed. The store was damaged or changed: "
            "restore a copy, or rehearse again."
        )


def _signed(run: RunRow, rows: Sequence[SignOffRow]) -> str | None:
    """How a list of runs shows the last one."""
    if not rows:
        return None
    last = sign_off_of(run.run_id, rows[-1])
    return f"{last.decision} (override)" if last.is_override else str(last.decision)
