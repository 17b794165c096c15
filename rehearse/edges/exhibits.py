"""Edge cases as the store keeps them: what is due, what each side did, and the record of each case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rehearse.codec import JsonData, from_bytes, from_jsonable, to_bytes, to_jsonable
from rehearse.model import EdgeRecord, Exhibit, Side

T = TypeVar("T")
PLANNED, RECORD = "edge.planned", "edge"


def planned_exhibit(record: EdgeRecord) -> Exhibit:
    """A case that is due; written before anything is loaded, so that one that never came is missed."""
    return Exhibit(PLANNED, record.case_id, to_bytes(record))


def record_exhibit(record: EdgeRecord) -> Exhibit:
    """How one case went."""
    return Exhibit(RECORD, record.case_id, to_bytes(record))


def seen_exhibit(case_id: str, side: Side, seen: object) -> Exhibit:
    """What one side did, for whoever compares with it later."""
    return Exhibit(f"edge.{side}", case_id, to_bytes(seen))


def planned_edges(exhibits: Iterable[Exhibit]) -> tuple[EdgeRecord, ...]:
    """All that were due."""
    return _records(exhibits, PLANNED)


def edge_records(exhibits: Iterable[Exhibit]) -> tuple[EdgeRecord, ...]:
    """All that have a record. Raises CodecError when a run holds something else."""
    return _records(exhibits, RECORD)


def seen_of(exhibits: Iterable[Exhibit], case_id: str, side: Side, kind: type[T]) -> T | None:
    """What a side did in one case, if that is known. Raises CodecError."""
    found = (one for one in exhibits if (one.kind, one.name) == (f"edge.{side}", case_id))
    return next((from_bytes(kind, one.body) for one in found), None)


def without_secrets(value: T, clean: Callable[[str], str]) -> T:
    """The same, with every text in it cleaned: targets and proxies may have said anything."""
    return from_jsonable(type(value), _cleaned(to_jsonable(value), clean))


def _cleaned(data: JsonData, clean: Callable[[str], str]) -> JsonData:
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, list):
        return [_cleaned(item, clean) for item in data]
    return {key: _cleaned(item, clean) for key, item in data.items()} if isinstance(data, dict) else data


def _records(exhibits: Iterable[Exhibit], kind: str) -> tuple[EdgeRecord, ...]:
    return tuple(from_bytes(EdgeRecord, one.body) for one in exhibits if one.kind == kind)
