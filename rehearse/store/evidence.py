"""The rows below one run, in the order that its digest takes them, and whether they are what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from rehearse.errors import StoreError
from rehearse.model import RunState
from rehearse.store.rows import digest_of, is_listed_as, record_of
from rehearse.store.sign_offs import verify_sign_offs
from rehearse.store.tables import BlockRow, ExhibitRow, FinalRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy.orm import Session


def block_rows(session: Session, run: RunRow) -> Iterator[BlockRow]:
    """By (side, round, index)."""
    query = select(BlockRow).where(BlockRow.run_number == run.number)
    ordered = query.order_by(BlockRow.side, BlockRow.round, BlockRow.index_in_round)
    yield from session.scalars(ordered.execution_options(yield_per=16))


def final_rows(session: Session, run: RunRow) -> Iterator[FinalRow]:
    """By (side, round, worker)."""
    query = select(FinalRow).where(FinalRow.run_number == run.number)
    yield from session.scalars(query.order_by(FinalRow.side, FinalRow.round, FinalRow.worker))


def exhibit_rows(session: Session, run: RunRow, kinds: Collection[str] = ()) -> Iterator[ExhibitRow]:
    """By (kind, name); of these kinds alone, if some are named."""
    query = select(ExhibitRow).where(ExhibitRow.run_number == run.number)
    if kinds:
        query = query.where(ExhibitRow.kind.in_(kinds))
    # Sorted here: databases do not agree on the order of texts, and the digest depends on it.
    yield from sorted(session.scalars(query), key=lambda row: (row.kind, row.name))


def digest(session: Session, run: RunRow) -> str:
    """SHA-256 over all that a verdict on this run rests on, as it is stored now."""
    return digest_of(run, block_rows(session, run), final_rows(session, run), exhibit_rows(session, run))


def verify(session: Session, run: RunRow) -> str:
    """The digest of a finished run that still is what it was then. Raises StoreError for any other."""
    if run.state != RunState.FINISHED or run.digest is None:
        raise StoreError(
            f"run {run.run_id} is {run.state}: only a finished run has a digest to verify against"
        )
    found = digest(session, run)
    if found != run.digest:
        raise StoreError(
            f"run {run.run_id} is not what was recorded: its digest was {run.digest[:12]} and is now "
            f"{found[:12]}. The store was damaged or changed: restore a copy, or record again."
        )
    if not is_listed_as(run, record_of(run)):
        raise StoreError(
            f"run {run.run_id} is not what was recorded: lists show other words of it than its record. "
            "The store was damaged or changed: restore a copy, or record again."
        )
    verify_sign_offs(session, run)
    return found
