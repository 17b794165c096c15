"""What is in the store: short lists of it, and what can go. Reads neither blocks nor records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from rehearse.model import RunKind, RunState
from rehearse.store.tables import BaselineRow, LeaseRow, RunRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_AT_ONCE = 500  # a statement takes only so many parameters


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of a list of runs. For looking at: what counts is the record."""

    run_id: str
    kind: str
    state: str
    decision: str | None
    baseline_name: str | None
    title: str
    started_at: str
    ended_at: str | None
    stage: str | None = None
    candidate: str | None = None  # what it said of itself
    signed: str | None = None  # what was decided last, by a person


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """A baseline's name, the recording that it means now, and how many it has meant."""

    name: str
    run_id: str
    recorded_at: str
    title: str
    versions: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """What may go: older than a moment, and not among the newest of its kind."""

    keep: int  # of each kind of run
    before: str | None = None  # ISO 8601 in UTC; None: however young
    needed: frozenset[str] = frozenset()  # runs from which is known where an environment stands


def run_summaries(session: Session, limit: int) -> tuple[RunSummary, ...]:
    """The runs that began last, newest first."""
    names = [getattr(RunRow, name) for name in RunSummary.__slots__]
    newest_first = (RunRow.started_at.desc(), RunRow.number.desc())
    rows = session.execute(select(*names).order_by(*newest_first).limit(limit))
    return tuple(RunSummary(*row) for row in rows)


def baseline_summaries(session: Session) -> tuple[BaselineSummary, ...]:
    """Every name of a baseline, in order."""
    versions = (
        select(BaselineRow.name, func.max(BaselineRow.number).label("newest"), func.count().label("versions"))
        .group_by(BaselineRow.name)
        .subquery()
    )
    rows = session.execute(
        select(BaselineRow.name, RunRow.run_id, RunRow.started_at, RunRow.title, versions.c.versions)
        .join(versions, BaselineRow.number == versions.c.newest)
        .join(RunRow, RunRow.number == BaselineRow.run_number)
    )
    return tuple(sorted((BaselineSummary(*row) for row in rows), key=lambda one: one.name))


def current_names(session: Session, run: RunRow) -> tuple[str, ...]:
    """The names of baselines that mean this run now."""
    return tuple(one.name for one in baseline_summaries(session) if one.run_id == run.run_id)


def prunable(session: Session, pruning: Pruning) -> tuple[RunSummary, ...]:
    """What `pruning` lets go, newest first. Never a baseline that a name means, or that a comparison which stays
    refers to; never the last finished run of its kind; never one that is under way, that somebody
    signed, or a cutover that was cut short or is needed."""
    rows = session.execute(
        select(
            RunRow.run_id, RunRow.kind, RunRow.state, RunRow.started_at, RunRow.baseline_run_id, RunRow.signed
        ).order_by(RunRow.started_at.desc(), RunRow.number.desc())
    ).all()
    kept = {one.run_id for one in baseline_summaries(session)} | set(session.scalars(select(LeaseRow.run_id)))
    kept |= pruning.needed
    kept.update(row.run_id for row in rows if row.signed)
    # What a cutover that was cut short left behind is known from it alone.
    kept.update(row.run_id for row in rows if row.kind == RunKind.CUTOVER and row.state != RunState.FINISHED)
    for kind in RunKind:
        own = [row for row in rows if row.kind == kind]
        kept.update(row.run_id for row in own[: pruning.keep])
        kept.update([row.run_id for row in own if row.state == RunState.FINISHED][:1])
    if pruning.before is not None:
        kept.update(row.run_id for row in rows if row.started_at >= pruning.before)
    kept.update(row.baseline_run_id for row in rows if row.run_id in kept and row.baseline_run_id)
    return tuple(one for one in run_summaries(session, len(rows)) if one.run_id not in kept)


def remove(session: Session, run_ids: tuple[str, ...]) -> None:
    """Delete runs with all that lies below them, and the earlier versions of names that meant them."""
    for first in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[first : first + _AT_ONCE]
        numbers = select(RunRow.number).where(RunRow.run_id.in_(some))
        session.execute(delete(BaselineRow).where(BaselineRow.run_number.in_(numbers)))
        session.execute(delete(RunRow).where(RunRow.run_id.in_(some)))
