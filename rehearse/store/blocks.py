"""Blocks as bytes: histograms make up nearly all of one, so they are kept as numbers and not as text.

A version byte, then compressed: the length of the head, the head (the block as JSON, without its series' durations),
and the packed histograms one after the other. An hour of load is read in about a second.
"""

from __future__ import annotations

import gc
import sys
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from rehearse.codec import CodecError, JsonData, canonical_json, from_jsonable, parse_json, to_jsonable
from rehearse.errors import StoreError
from rehearse.histogram import HIGHEST_BUCKET, PACKED, Histogram
from rehearse.model import Block, ErrorBin, RequestOutcome, Scope, Series
from rehearse.store.packing import deflate, inflated, unpack, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL_JSON, VERSION = 1, 2  # the first is read, and not written any more
_LENGTH_BYTES = 4
_SCOPES: Mapping[object, Scope] = {scope.value: scope for scope in Scope}
_OUTCOMES: Mapping[object, RequestOutcome] = {outcome.value: outcome for outcome in RequestOutcome}


def pack_block(block: Block, where: str) -> bytes:
    """`block` as bytes. Raises StoreError naming `where` on what could not be read back."""
    try:
        rig = replace(block.rig, rig_lag=Histogram(), backlog_lag=Histogram())
        lags: list[JsonData] = [len(one.packed) // 2 for one in _lags(block)]
        rows: list[JsonData] = [_row(series) for series in block.series]
        head: JsonData = [to_jsonable(replace(block, series=(), rig=rig)), lags, rows]
        text = canonical_json(head)
        numbers = _numbers(block)
    except (CodecError, OverflowError) as error:
        raise StoreError(f"{where} cannot be stored: {error}") from error
    return deflate(len(text).to_bytes(_LENGTH_BYTES, "big") + text + numbers, where, VERSION)


def unpack_block(body: bytes, where: str) -> Block:
    """The inverse of `pack_block`. Raises StoreError naming `where` on anything that it cannot have made."""
    if body[:1] == bytes([ALL_JSON]):
        return unpack(Block, body, where)
    try:
        if body[:1] != bytes([VERSION]):
            found = body[:1].hex() or "nothing"
            raise CodecError(f"starts with {found}; this rehearse knows the formats {ALL_JSON} and {VERSION}")
        return _block(inflated(body[1:]))
    except CodecError as error:
        raise unreadable(where, error) from error


@contextmanager
def many_objects() -> Iterator[None]:
    """Reading many blocks makes a million objects and no rubbish: looking for it would take most of the time.

    Afterwards they count as old: as new ones they would all be looked through at the next chance.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


# writing


def _row(series: Series) -> JsonData:
    sizes: list[JsonData] = []
    for outcome, histogram in sorted(series.durations.items()):
        sizes += [outcome.value, len(histogram.packed) // 2]
    return [series.scope.value, series.name, sizes, to_jsonable(series.errors)]


def _lags(block: Block) -> tuple[Histogram, Histogram]:
    return block.rig.rig_lag, block.rig.backlog_lag


def _numbers(block: Block) -> bytes:
    durations = (one for series in block.series for _, one in sorted(series.durations.items()))
    return b"".join(_little_endian(one.packed).tobytes() for one in (*_lags(block), *durations))


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return numbers
    swapped = array(PACKED, numbers)
    swapped.byteswap()
    return swapped


# reading


def _block(text: bytes) -> Block:
    end = _LENGTH_BYTES + int.from_bytes(text[:_LENGTH_BYTES], "big")
    match parse_json(text[_LENGTH_BYTES:end]):
        case [block, [lag, backlog], list(rows)]:
            numbers = _Numbers(text[end:], _sizes([lag, backlog], rows))
            bare = from_jsonable(Block, block)
            rig = replace(bare.rig, rig_lag=numbers.take(), backlog_lag=numbers.take())
            return replace(bare, rig=rig, series=_all_series(rows, numbers))
        case _:
            raise CodecError("is not a block, its lags and its series")


def _sizes(lags: list[Any], rows: Sequence[Any]) -> list[int]:
    """How many pairs of numbers each histogram has."""
    try:
        sizes = lags + [size for row in rows for size in row[2][1::2]]
    except (TypeError, IndexError, KeyError) as error:
        raise CodecError(f"expected series, found {str(rows)[:60]}") from error
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise CodecError("expected a whole number of durations")
    return sizes


class _Numbers:
    """The histograms of one block, taken one after the other; all are checked at once."""

    def __init__(self, data: bytes, sizes: Sequence[int]) -> None:
        if len(data) != 16 * sum(sizes):
            raise CodecError("has other durations than its series name")
        self._numbers = array(PACKED)
        self._numbers.frombytes(data)
        self._numbers = _little_endian(self._numbers)
        ends = list(accumulate(sizes))
        self._rest = zip(ends, checked_totals(self._numbers, ends), strict=True)
        self._start = 0

    def take(self) -> Histogram:
        """The next one."""
        end, total = next(self._rest)
        start, self._start = self._start, end
        return Histogram.of_checked(self._numbers[2 * start : 2 * end], total)


def checked_totals(numbers: array[int], ends: Sequence[int]) -> list[int]:
    """The count of each of the histograms that end at `ends` (in pairs). Raises CodecError unless all are sound."""
    import numpy as np  # here: listing runs reads no blocks, and need not wait for it

    pairs = np.frombuffer(numbers, dtype=np.int64)
    buckets, counts = pairs[::2], pairs[1::2]
    seen = np.concatenate(([0], np.cumsum(counts)))
    starts = np.concatenate(([0], ends)).astype(np.int64)
    rises = np.diff(buckets) > 0
    inner = starts[(starts > 0) & (starts < len(buckets))] - 1  # between two histograms nothing need rise
    rises[inner] = True
    is_sound = not len(buckets) or (
        counts.min() >= 1 and buckets.min() >= -1 and buckets.max() <= HIGHEST_BUCKET
    )
    if not is_sound or not rises.all():
        raise CodecError("a histogram does not name each bucket once, in ascending order")
    return cast("list[int]", np.diff(seen[starts]).tolist())


def _all_series(rows: Sequence[Any], numbers: _Numbers) -> tuple[Series, ...]:
    try:
        return tuple(_series(row, numbers) for row in rows)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CodecError(f"expected a scope, a name, outcomes with sizes, and errors: {error!r}") from error


def _series(row: Any, numbers: _Numbers) -> Series:  # noqa: ANN401  # as it was read
    scope, name, sizes, errors = row
    if len(sizes) == 2:  # as nearly all are: an hour of 50 endpoints has 200,000 of them
        durations = {_OUTCOMES[sizes[0]]: numbers.take()}
    else:
        durations = {_OUTCOMES[outcome]: numbers.take() for outcome in sizes[::2]}
    if 2 * len(durations) != len(sizes):
        raise CodecError(f"{name!r} names an outcome twice")
    kinds = () if errors == [] else from_jsonable(tuple[ErrorBin, ...], errors)
    return Series(_SCOPES[scope], sys.intern(name), durations, kinds)
