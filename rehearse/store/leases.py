"""Who may load a target at this moment: one rehearsal, for as long as it says every few seconds that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from rehearse.errors import NotReady
from rehearse.store.tables import LeaseRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LEASE_S = 45.0  # who has not renewed for so long is gone


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes a target: told to everybody else who wants it."""

    token: str
    run_id: str
    host: str
    pid: int
    process: str  # which process of which machine `pid` means; empty: it cannot be told
    since: str


def take(
    session: Session, places: Sequence[str], holder: Holder, is_gone: Callable[[Holder], bool | None]
) -> frozenset[str]:
    """Take every place, or none; the runs of those who held one and have gone. `is_gone` knows of a holder on this
    machine whether it has ended; None: cannot tell.

    Raises NotReady, naming who holds one of them.
    """
    now_s, gone = _now_s(session), set[str]()
    # Everybody in the same order: two who want the same two never wait for each other.
    for place in sorted(places):
        row = session.scalar(select(LeaseRow).where(LeaseRow.place == place).with_for_update())
        if row is not None:
            _refuse_if_held(row, now_s, is_gone)
            gone.add(row.run_id)
            session.delete(row)
            session.flush()
        names = ("token", "run_id", "host", "pid", "process", "since")
        told = {name: getattr(holder, name) for name in names}
        session.add(LeaseRow(place=place, renewed_at_s=now_s, **told))
        session.flush()
    return frozenset(gone)


def renew(session: Session, token: str) -> int:
    """Say that the holder lives; how many places it still holds."""
    now_s = _now_s(session)
    rows = session.scalars(
        update(LeaseRow).where(LeaseRow.token == token).values(renewed_at_s=now_s).returning(LeaseRow.place)
    )
    return len(rows.all())


def release(session: Session, token: str) -> None:
    """Give back every place of one taking."""
    session.execute(delete(LeaseRow).where(LeaseRow.token == token))


def _refuse_if_held(row: LeaseRow, now_s: float, is_gone: Callable[[Holder], bool | None]) -> None:
    silent_s = now_s - row.renewed_at_s
    gone = is_gone(Holder(row.token, row.run_id, row.host, row.pid, row.process, row.since))
    if gone or (gone is None and silent_s > LEASE_S):
        return
    patience = (
        f" It was last heard of {silent_s:.0f} s ago; if it has ended, the target is free in "
        f"{max(LEASE_S - silent_s, 0) + 1:.0f} s."
        if gone is None
        else " Wait for it to end, or end it."
    )
    raise NotReady(
        f"another rehearsal is loading {row.place}: run {row.run_id} on {row.host}, process {row.pid}, "
        f"since {row.since}. Two at once would measure each other.{patience}"
    )


def _now_s(session: Session) -> float:
    """By the database's clock: machines that share a server do not agree on the time. A file is on one machine."""
    if session.get_bind().dialect.name == "sqlite":
        return time.time()
    return float(session.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)
