"""The store: what was recorded, committed as it happens, never changed once it is a baseline."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from rehearse.errors import ConfigError, NotReady, StoreError, nearest
from rehearse.model import Incident, ReasonCode, RunKind, RunRecord, RunState
from rehearse.store.archive import Imported, export_runs, import_runs
from rehearse.store.blocks import many_objects
from rehearse.store.catalogue import (
    BaselineSummary,
    Pruning,
    RunSummary,
    baseline_summaries,
    prunable,
    remove,
    run_summaries,
)
from rehearse.store.database import Database, file_is_there
from rehearse.store.evidence import block_rows, digest, exhibit_rows, final_rows, verify
from rehearse.store.leases import Holder, release, renew, take
from rehearse.store.rows import (
    block_name,
    block_of,
    block_row,
    evidence_of,
    exhibit_name,
    exhibit_of,
    exhibit_row,
    fill,
    final_name,
    final_of,
    final_row,
    record_of,
)
from rehearse.store.sign_offs import add_sign_off, sign_off_of, sign_off_rows
from rehearse.store.tables import BaselineRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from sqlalchemy.orm import Session

    from rehearse.model import Block, Exhibit, SignOff, WorkerFinal

T = TypeVar("T")

_SUGGESTED = 50  # run ids that an error message may choose from


class Store:
    """One database of runs. Each method is one transaction: committed when it returns, or undone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store at `url`, created and migrated if need be. Raises ConfigError or StoreError."""
        return cls(Database.open(url))

    @staticmethod
    def is_there(url: str) -> bool:
        """Whether a store can be opened at `url` without making a new file. Raises ConfigError for the url."""
        return file_is_there(url)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # while a run goes on

    def begin_run(self, record: RunRecord) -> None:
        """Keep a new run. Raises StoreError when its id is taken or it is not `running`."""
        if record.state is not RunState.RUNNING:
            raise StoreError(f"run {record.run_id} cannot begin as {record.state}: a run begins as running")
        with self._adding(f"run {record.run_id}") as session:
            session.add(fill(RunRow(), record))

    def update_run(self, record: RunRecord) -> None:
        """Replace what is kept of a run; finishing it seals its evidence with a digest.

        Raises StoreError for a finished baseline, for new evidence in a finished run, and for a run that
        ended early and now claims to go on or to be finished.
        """
        with self._database.writing() as session:
            row = self._row(session, record.run_id, is_changing=True)
            was, evidence = record_of(row).state, evidence_of(row)
            _refuse_change(row, was, record)
            fill(row, record)
            if was is not RunState.FINISHED or record.state is not RunState.FINISHED:
                row.digest = digest(session, row) if record.state is RunState.FINISHED else None
            elif evidence_of(row) != evidence:
                raise StoreError(f"run {record.run_id} is finished: only its verdict can still change")

    def add_block(self, run_id: str, block: Block) -> None:
        """Keep one closed block. Raises StoreError when it is there already or the run is finished."""
        name = block_name(block.side, block.round, block.index)
        with self._adding(f"run {run_id}, {name}") as session:
            session.add(block_row(self._open_row(session, run_id), block))

    def add_final(self, run_id: str, final: WorkerFinal) -> None:
        """Keep a worker's closing account. Raises StoreError like `add_block`."""
        name = final_name(final.side, final.round, final.worker)
        with self._adding(f"run {run_id}, {name}") as session:
            session.add(final_row(self._open_row(session, run_id), final))

    def add_exhibit(self, run_id: str, exhibit: Exhibit) -> None:
        """Keep one further piece of evidence. Raises StoreError like `add_block`."""
        name = exhibit_name(exhibit.kind, exhibit.name)
        with self._adding(f"run {run_id}, {name}") as session:
            session.add(exhibit_row(self._open_row(session, run_id), exhibit))

    def add_sign_off(self, run_id: str, sign_off: SignOff) -> None:
        """Append what a person decided on a finished comparison. Raises StoreError for any other run, and for one that
        is not what was recorded."""
        with self._adding(f"run {run_id}, its next sign-off") as session:
            row = self._row(session, run_id, is_changing=True)
            if row.state == RunState.FINISHED:
                verify(session, row)
            add_sign_off(session, row, sign_off)

    # reading

    def sign_offs(self, run_id: str) -> tuple[SignOff, ...]:
        """What people decided on a run, in that order. Raises StoreError for one that cannot be read."""
        with self._database.reading() as session:
            run = self._row(session, run_id)
            return tuple(sign_off_of(run_id, row) for row in sign_off_rows(session, run))

    def run(self, run_id: str) -> RunRecord:
        """The run of that id. Raises ConfigError with the nearest one when there is none."""
        with self._database.reading() as session:
            return record_of(self._row(session, run_id))

    def has_run(self, run_id: str) -> bool:
        """Whether a run of that id was begun."""
        with self._database.reading() as session:
            return session.scalar(select(RunRow.number).where(RunRow.run_id == run_id)) is not None

    def latest_run(self, kind: RunKind) -> RunRecord | None:
        """The run of that kind that began last, however it ended."""
        with self._database.reading() as session:
            row = session.scalar(_newest_first().where(RunRow.kind == kind.value).limit(1))
            return None if row is None else record_of(row)

    def runs(self, limit: int = 50) -> tuple[RunRecord, ...]:
        """The runs that began last, newest first; reads no blocks."""
        with self._database.reading() as session:
            return tuple(record_of(row) for row in session.scalars(_newest_first().limit(limit)))

    def run_ids(self, kind: RunKind) -> tuple[str, ...]:
        """Every run of that kind, the one that began last first."""
        with self._database.reading() as session:
            ids = _newest_first().with_only_columns(RunRow.run_id).where(RunRow.kind == kind.value)
            return tuple(session.scalars(ids))

    def summaries(self, limit: int) -> tuple[RunSummary, ...]:
        """One line for each of the runs that began last, newest first; reads neither records nor blocks."""
        with self._database.reading() as session:
            return run_summaries(session, limit)

    def blocks(self, run_id: str) -> tuple[Block, ...]:
        """All blocks of a run by (side, round, index). Raises StoreError for one that cannot be read."""
        with self._database.reading() as session:
            run = self._row(session, run_id)
            with many_objects():
                return tuple(block_of(run_id, row) for row in block_rows(session, run))

    def finals(self, run_id: str) -> tuple[WorkerFinal, ...]:
        """All closing accounts of a run by (side, round, worker). Raises StoreError like `blocks`."""
        with self._database.reading() as session:
            run = self._row(session, run_id)
            return tuple(final_of(run_id, row) for row in final_rows(session, run))

    def exhibits(self, run_id: str, kinds: Collection[str] = ()) -> tuple[Exhibit, ...]:
        """All exhibits of a run by (kind, name), or those of some kinds. Raises StoreError like `blocks`."""
        with self._database.reading() as session:
            run = self._row(session, run_id)
            return tuple(exhibit_of(run_id, row) for row in exhibit_rows(session, run, kinds))

    # baselines

    def name_baseline(self, name: str, run_id: str) -> None:
        """Make a finished baseline run the current version of `name`; earlier versions stay.

        Raises StoreError for any other run: the candidate of a comparison never becomes a baseline.
        """
        with self._database.writing() as session:
            row = self._row(session, run_id, is_changing=True)
            if (row.kind, row.state) != (RunKind.BASELINE, RunState.FINISHED):
                raise StoreError(
                    f"run {run_id} cannot be the baseline {name!r}: it is a {row.state} {row.kind}, and only "
                    "a finished baseline can be one. Record one with `rehearse baseline`."
                )
            verify(session, row)
            session.add(BaselineRow(name=name, run_number=row.number))

    def baseline(self, name: str) -> RunRecord:
        """The current version of a baseline, verified. Raises NotReady when there is none of that name."""
        with self._database.reading() as session:
            row = session.scalar(
                select(RunRow)
                .join(BaselineRow, BaselineRow.run_number == RunRow.number)
                .where(BaselineRow.name == name)
                .order_by(BaselineRow.number.desc())
                .limit(1)
            )
            if row is None:
                hint = nearest(name, session.scalars(select(BaselineRow.name).distinct()))
                raise NotReady(f"no baseline is named {name!r}. {hint} Record one with `rehearse baseline`.")
            verify(session, row)
            return record_of(row)

    def baselines(self) -> tuple[BaselineSummary, ...]:
        """Every name of a baseline with the recording that it means now."""
        with self._database.reading() as session:
            return baseline_summaries(session)

    # moving and removing

    def export(self, run_id: str, *, with_baseline: bool = False) -> bytes:
        """One run as one file, sealed; with the baseline that it was compared with, if that is asked for.

        Raises StoreError when it is not what was recorded, or too large for an import.
        """
        with self._database.reading() as session:
            rows = [self._row(session, run_id)]
            baseline_run_id = record_of(rows[0]).baseline_run_id
            if with_baseline and baseline_run_id is not None:
                rows.insert(0, self._row(session, baseline_run_id))
            return export_runs(session, rows)

    def import_file(self, content: bytes, now: datetime | None = None) -> tuple[Imported, ...]:
        """Keep the runs of an exported file, all or none. Raises StoreError for a damaged one, for a run that is here
        already with other content, and for one that lies in the future of `now` (left out: this moment)."""

        def keep() -> tuple[Imported, ...]:
            with self._database.writing() as session:
                return import_runs(session, content, now)

        return _once_more(keep)

    def prune(self, pruning: Pruning, *, is_dry: bool = False) -> tuple[RunSummary, ...]:
        """Delete what `pruning` lets go, or only look with `is_dry`; what it is or would be."""
        with self._database.reading() if is_dry else self._database.writing() as session:
            found = prunable(session, pruning)
            if not is_dry:
                remove(session, tuple(one.run_id for one in found))
            return found

    # who may load what

    def take_leases(
        self, places: Sequence[str], holder: Holder, is_gone: Callable[[Holder], bool | None]
    ) -> None:
        """Take every place, or none. Raises NotReady, naming who holds one of them. The run of somebody who held one
        and has gone was cut short: it does not stay as one that goes on."""

        def grasp() -> None:
            with self._database.writing() as session:
                for run_id in take(session, places, holder, is_gone):
                    _cut_short(session, run_id, holder)

        _once_more(grasp)

    def renew_leases(self, token: str) -> int:
        """Say that a holder lives; how many places it still holds."""
        with self._database.writing() as session:
            return renew(session, token)

    def release_leases(self, token: str) -> None:
        """Give back every place of one taking."""
        with self._database.writing() as session:
            release(session, token)

    # integrity

    def digest(self, run_id: str) -> str:
        """SHA-256 over all that a verdict on this run rests on, as it is stored now."""
        with self._database.reading() as session:
            return digest(session, self._row(session, run_id))

    def verify(self, run_id: str) -> str:
        """The digest of a finished run. Raises StoreError unless it still is what it was then."""
        with self._database.reading() as session:
            return verify(session, self._row(session, run_id))

    # inside

    @contextmanager
    def _adding(self, what: str) -> Iterator[Session]:
        with self._database.writing() as session:
            yield session
            try:
                session.flush()
            except IntegrityError as error:
                raise StoreError(f"{what} is already stored; nothing was changed") from error

    def _row(self, session: Session, run_id: str, *, is_changing: bool = False) -> RunRow:
        query = select(RunRow).where(RunRow.run_id == run_id)
        row = session.scalar(query.with_for_update() if is_changing else query)
        if row is None:
            known = session.scalars(_newest_first().with_only_columns(RunRow.run_id).limit(_SUGGESTED))
            raise ConfigError(f"no run {run_id!r} in {self._database.shown_url}. {nearest(run_id, known)}")
        return row

    def _open_row(self, session: Session, run_id: str) -> RunRow:
        row = self._row(session, run_id, is_changing=True)
        if row.state == RunState.FINISHED:
            raise StoreError(f"run {run_id} is finished: nothing can be added to it")
        return row


def _once_more(write: Callable[[], T]) -> T:
    """Somebody else wrote the same in the same moment: now it can be seen what."""
    try:
        return write()
    except StoreError as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        return write()


def _cut_short(session: Session, run_id: str, found_by: Holder) -> None:
    row = session.scalar(select(RunRow).where(RunRow.run_id == run_id).with_for_update())
    if row is None or row.state != RunState.RUNNING:
        return
    sentence = (
        f"it was killed before the rehearsal was over; run {found_by.run_id} found that {found_by.since}"
    )
    with suppress(StoreError):  # one that cannot be read is nobody's obstacle
        record = record_of(row)
        incidents = (*record.incidents, Incident(ReasonCode.INTERRUPTED, sentence))
        fill(row, replace(record, state=RunState.INTERRUPTED, incidents=incidents))


def _newest_first() -> Select[RunRow]:
    return select(RunRow).order_by(RunRow.started_at.desc(), RunRow.number.desc())


def _refuse_change(row: RunRow, was: RunState, record: RunRecord) -> None:
    if was is RunState.FINISHED and row.kind == RunKind.BASELINE:
        raise StoreError(f"run {row.run_id} is a finished baseline and cannot be changed. Record a new one.")
    if record.kind != row.kind:
        raise StoreError(f"run {row.run_id} is a {row.kind} and cannot become a {record.kind}")
    if was is not RunState.RUNNING and record.state is RunState.RUNNING:
        raise StoreError(f"run {row.run_id} is {was} and cannot go on. Begin a new run.")
    if was in (RunState.INTERRUPTED, RunState.FAILED) and record.state is RunState.FINISHED:
        raise StoreError(f"run {row.run_id} is {was} and cannot be finished any more. Begin a new run.")
