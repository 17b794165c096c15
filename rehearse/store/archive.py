"""Runs as one file, to take along: a line that says what it is, a SHA-256 over the rest, then compressed lines of JSON.

    rehearse runs 1
    <64 hexadecimal digits>
    <zlib: one JSON list a line>

What is in it are the rows as they are stored, so a run has the same digest on both ends. A file is data from outside:
it is bounded, its checksum is looked at first, every value is read strictly, and nothing of it names a place.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import select

from rehearse.codec import CodecError, JsonData, canonical_json, from_jsonable, parse_json
from rehearse.errors import StoreError
from rehearse.model import RunKind, RunState
from rehearse.store.catalogue import current_names
from rehearse.store.evidence import block_rows, digest, exhibit_rows, final_rows, verify
from rehearse.store.rows import block_of, digest_of, exhibit_of, final_of, list_as, record_of
from rehearse.store.sign_offs import SIGNED, head_at, sign_off_of, sign_off_rows
from rehearse.store.tables import BaselineRow, BlockRow, ExhibitRow, FinalRow, RunRow, SignOffRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAGIC = b"rehearse runs 1\n"
MOST_BYTES = 64 * 1024 * 1024  # of a file
MOST_TEXT_BYTES = 256 * 1024 * 1024  # decompressed
_HEADER = len(MAGIC) + 64 + 1
_CLOCKS_DIFFER = timedelta(minutes=5)  # between two machines
# A run's id becomes the name of a folder of reports.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Imported:
    """One run of a file: what became of it here."""

    run_id: str
    kind: str
    digest: str | None  # None: it never came to its end
    is_new: bool  # False: the same was here already
    named: tuple[str, ...] = ()  # baselines that mean this run from now on
    not_named: tuple[str, ...] = ()  # whose recording here is younger


@dataclass(frozen=True, slots=True)
class _Head:
    """A run's own line."""

    run_id: str
    kind: str
    state: str
    started_at: str
    ended_at: str | None
    document: str
    verdict: str | None
    digest: str | None
    names: tuple[str, ...]  # of baselines that meant this run where it was exported


@dataclass(frozen=True, slots=True)
class _Packed:
    """One run of a file: rows that are in no database yet."""

    run: RunRow
    names: tuple[str, ...]
    blocks: list[BlockRow] = field(default_factory=list)
    finals: list[FinalRow] = field(default_factory=list)
    exhibits: list[ExhibitRow] = field(default_factory=list)
    sign_offs: list[SignOffRow] = field(default_factory=list)

    @property
    def rows(self) -> Iterator[BlockRow | FinalRow | ExhibitRow | SignOffRow]:
        """All that lies below the run."""
        yield from self.blocks
        yield from self.finals
        yield from self.exhibits
        yield from self.sign_offs

    def digest(self) -> str:
        """The same as the one of a stored run."""
        return digest_of(
            self.run,
            sorted(self.blocks, key=lambda row: (row.side, row.round, row.index_in_round)),
            sorted(self.finals, key=lambda row: (row.side, row.round, row.worker)),
            sorted(self.exhibits, key=lambda row: (row.kind, row.name)),
        )


# out


def export_runs(session: Session, runs: Sequence[RunRow]) -> bytes:
    """The file of `runs`, in this order. Raises StoreError when one is not what was recorded, or all are too much."""
    lines = [line for run in runs for line in _lines_of(session, run)]
    text = b"\n".join(lines)
    packed = zlib.compress(text)
    if len(text) > MOST_TEXT_BYTES or _HEADER + len(packed) > MOST_BYTES:
        raise StoreError(
            f"run {runs[-1].run_id} is too large to export: {len(text)} bytes, of which {len(packed)} stay when they "
            f"are compressed; {MOST_TEXT_BYTES} and {MOST_BYTES} are allowed."
        )
    return MAGIC + sha256(packed).hexdigest().encode("ascii") + b"\n" + packed


def _lines_of(session: Session, run: RunRow) -> Iterator[bytes]:
    if run.state == RunState.FINISHED:
        verify(session, run)
    names = current_names(session, run)
    columns = (
        run.run_id,
        run.kind,
        run.state,
        run.started_at,
        run.ended_at,
        run.document,
        run.verdict,
        run.digest,
    )
    yield canonical_json(["run", *columns, list(names)])
    for block in block_rows(session, run):
        yield canonical_json(["block", block.side, block.round, block.index_in_round, _text(block.body)])
    for final in final_rows(session, run):
        yield canonical_json(["final", final.side, final.round, final.worker, final.document])
    for exhibit in exhibit_rows(session, run):
        yield canonical_json(["exhibit", exhibit.kind, exhibit.name, _text(exhibit.body)])
    for sign_off in sign_off_rows(session, run):
        yield canonical_json(["sign-off", sign_off.document])


def _text(body: bytes) -> str:
    return b64encode(body).decode("ascii")


# in


def import_runs(session: Session, content: bytes, now: datetime | None = None) -> tuple[Imported, ...]:
    """Keep every run of a file. Raises StoreError for a damaged file, and for a run that is here with other content."""
    return tuple(_keep(session, packed) for packed in _read(content, now))


def check_file(content: bytes, now: datetime | None = None) -> tuple[tuple[str, str | None], ...]:
    """The id and the digest of each run in a file. Raises StoreError for anything that an import would refuse."""
    return tuple((packed.run.run_id, packed.run.digest) for packed in _read(content, now))


def _keep(session: Session, packed: _Packed) -> Imported:
    run = packed.run
    here = session.scalar(select(RunRow).where(RunRow.run_id == run.run_id).with_for_update())
    if here is None:
        session.add(run)
        session.flush()
        for row in packed.rows:
            row.run_number = run.number
        session.add_all(packed.rows)
        session.flush()
    elif (here.state, digest(session, here)) != (run.state, packed.digest()):
        raise StoreError(
            f"run {run.run_id} is already stored, with other content. Nothing was imported: one of the two was changed."
        )
    else:
        _keep_sign_offs(session, here, packed)
    named = [name for name in packed.names if _name(session, name, here or run)]
    not_named = [name for name in packed.names if name not in named and here is None]
    return Imported(run.run_id, run.kind, run.digest, here is None, tuple(named), tuple(not_named))


def _keep_sign_offs(session: Session, here: RunRow, packed: _Packed) -> None:
    """What was signed elsewhere after what was signed here. Nothing that was signed is ever left out."""
    own = sign_off_rows(session, here)
    there, known = [row.document for row in packed.sign_offs], [row.document for row in own]
    shorter = min(len(there), len(known))
    if there[:shorter] != known[:shorter]:
        raise StoreError(
            f"run {here.run_id} was signed otherwise here than in the file. Nothing was imported: look at both with "
            "`rehearse runs show`."
        )
    more = packed.sign_offs[len(known) :]
    for row in more:
        row.run_number = here.number
    session.add_all(more)
    head_at(here, (*own, *more))
    session.flush()


def _name(session: Session, name: str, run: RunRow) -> bool:
    """Like a recording made here, an imported one takes a name over from an older one, never from a younger."""
    current = session.scalar(
        select(RunRow)
        .join(BaselineRow, BaselineRow.run_number == RunRow.number)
        .where(BaselineRow.name == name)
        .order_by(BaselineRow.number.desc())
        .limit(1)
    )
    if current is not None and current.started_at >= run.started_at:
        return False
    session.add(BaselineRow(name=name, run_number=run.number))
    session.flush()
    return True


def _read(content: bytes, now: datetime | None) -> list[_Packed]:
    """The runs of a file, each of them whole and strictly read."""
    try:
        runs = _runs_of(_lines(content))
    except CodecError as error:
        raise _damaged(str(error)) from error
    if not runs:
        raise _damaged("there is no run in it")
    for packed in runs:
        _check(packed)
        _check_moments(packed.run, now or datetime.now(UTC))
    return runs


def _lines(content: bytes) -> list[bytes]:
    if not content.startswith(MAGIC):
        raise StoreError("this is not an export of this rehearse: it does not begin with 'rehearse runs 1'.")
    if len(content) > MOST_BYTES:
        raise StoreError(f"the file has {len(content)} bytes; {MOST_BYTES} are allowed.")
    packed = content[_HEADER:]
    if content[len(MAGIC) : _HEADER] != sha256(packed).hexdigest().encode("ascii") + b"\n":
        raise _damaged("its content does not have the SHA-256 that it names")
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, MOST_TEXT_BYTES + 1)
    except zlib.error as error:
        raise _damaged(str(error)) from error
    if len(text) > MOST_TEXT_BYTES:
        raise StoreError(f"the file holds more than {MOST_TEXT_BYTES} bytes when decompressed.")
    if not inflater.eof or inflater.unused_data:
        raise _damaged("it is cut short" if not inflater.eof else "it goes on after its end")
    return text.split(b"\n")


def _runs_of(lines: Iterable[bytes]) -> list[_Packed]:
    runs: list[_Packed] = []
    for line in lines:
        match parse_json(line):
            case ["run", *columns]:
                runs.append(_run_of(columns))
            case ["block", str(side), int(round_), int(index), str(body)] if runs:
                block = BlockRow(side=side, round=round_, index_in_round=index, body=_bytes(body))
                runs[-1].blocks.append(block)
            case ["final", str(side), int(round_), int(worker), str(document)] if runs:
                runs[-1].finals.append(FinalRow(side=side, round=round_, worker=worker, document=document))
            case ["exhibit", str(kind), str(name), str(body)] if runs:
                runs[-1].exhibits.append(ExhibitRow(kind=kind, name=name, body=_bytes(body)))
            case ["sign-off", str(document)] if runs:
                position = len(runs[-1].sign_offs)
                runs[-1].sign_offs.append(SignOffRow(position=position, document=document))
            case _:
                raise CodecError(f"a line is none that this rehearse knows: {line[:60]!r}")
    return runs


def _run_of(columns: list[JsonData]) -> _Packed:
    names = _Head.__slots__
    if len(columns) != len(names):
        raise CodecError(f"a run has {len(columns)} columns, and not {len(names)}")
    head = from_jsonable(_Head, dict(zip(names, columns, strict=True)))
    if not _RUN_ID.fullmatch(head.run_id):
        raise CodecError(
            f"a run is named {head.run_id[:40]!r}: letters, digits, '.', '_' and '-' are allowed"
        )
    row = RunRow(**{name: getattr(head, name) for name in names if name != "names"})
    return _Packed(row, head.names)


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise CodecError(str(error)) from error


def _check(packed: _Packed) -> None:
    """Everything can be read as what it says it is, and is what was sealed when the run was finished."""
    run = packed.run
    record = record_of(run)
    list_as(run, record)
    for block in packed.blocks:
        block_of(run.run_id, block)
    for final in packed.finals:
        final_of(run.run_id, final)
    for exhibit in packed.exhibits:
        exhibit_of(run.run_id, exhibit)
    head_at(run, packed.sign_offs)
    for sign_off in packed.sign_offs:
        sign_off_of(run.run_id, sign_off)
    is_finished = record.state is RunState.FINISHED
    if packed.sign_offs and (record.kind not in SIGNED or not is_finished):
        raise _damaged(f"run {run.run_id} is a {record.state} {record.kind}, and somebody signed it")
    if (run.digest is not None) is not is_finished or (is_finished and run.digest != packed.digest()):
        raise _damaged(f"run {run.run_id} is not what was sealed when it was finished")
    if packed.names and (record.kind is not RunKind.BASELINE or not is_finished):
        raise _damaged(f"run {run.run_id} is a {record.state} {record.kind}, and is named as a baseline")


def _check_moments(run: RunRow, now: datetime) -> None:
    """When a run began says which of two recordings is the younger: moments as they are stored, and none to come."""
    for moment in (run.started_at, run.ended_at):
        if moment is None:
            continue
        try:
            at = datetime.fromisoformat(moment)
            is_as_stored = (
                at.tzinfo is not None and at.astimezone(UTC).isoformat(timespec="seconds") == moment
            )
        except (ValueError, OverflowError):
            is_as_stored = False
        if not is_as_stored:
            raise _damaged(
                f"run {run.run_id} has the moment {moment[:40]!r}, and not one in UTC to the second"
            )
        if at > now + _CLOCKS_DIFFER:
            raise StoreError(
                f"run {run.run_id} has the moment {moment}, and here it is {now.isoformat(timespec='seconds')}. Nothing"
                " was imported: set the clock of the machine that is wrong, and record again if it is the other one."
            )


def _damaged(why: str) -> StoreError:
    return StoreError(
        f"the file is damaged or was changed: {why}. Nothing was imported; export the run again."
    )
