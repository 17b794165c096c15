"""A mergeable latency histogram: exact merging, a known error, nothing dropped.

Log-linear buckets over integer microseconds, as in HdrHistogram: below 2,048 us one bucket per microsecond,
above it 1,024 buckets per power of two, so that a bucket's middle is within 0.05 % of any value in it (0.1 %
is promised). hdrhistogram's `record_value` returns False out of range; here overflow is counted and kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rehearse.errors import RehearseError

HIGHEST_US = 3_600_000_000  # one hour
_LINEAR = 2048
_PER_OCTAVE = 1024
_LINEAR_BITS = 11
_OVERFLOW = -1


class HistogramError(RehearseError):
    """A stored histogram that cannot be one."""


def bucket_of(value_us: int) -> int:
    """The bucket that holds `value_us` (0 <= value_us <= one hour)."""
    if value_us < _LINEAR:
        return value_us
    shift = value_us.bit_length() - _LINEAR_BITS
    return _LINEAR + (shift - 1) * _PER_OCTAVE + (value_us >> shift) - _PER_OCTAVE


def middle_of(bucket: int) -> float:
    """The value in microseconds that stands for `bucket`."""
    if bucket < _LINEAR:
        return float(bucket)
    octave, offset = divmod(bucket - _LINEAR, _PER_OCTAVE)
    width = 1 << (octave + 1)
    return float((offset + _PER_OCTAVE) * width) + width / 2


class Histogram:
    """Counts of durations; `merge` is exact, quantiles are within 0.1 % or 0.5 us."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def record(self, value_s: float) -> None:
        """Count one duration in seconds; below zero counts as zero, above one hour as overflow."""
        bucket = 0 if value_s <= 0 else int(value_s * 1e6 + 0.5)
        if bucket > HIGHEST_US:
            bucket = _OVERFLOW
        elif bucket >= _LINEAR:  # as in bucket_of: a call would cost as much as all of this
            shift = bucket.bit_length() - _LINEAR_BITS
            bucket = _LINEAR + (shift - 1) * _PER_OCTAVE + (bucket >> shift) - _PER_OCTAVE
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`."""
        if not self._counts:
            self._counts.update(other._counts)
            return
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """One histogram that holds all that `parts` hold."""
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    @property
    def count(self) -> int:
        """How many durations were recorded, overflow included."""
        return sum(self._counts.values())

    @property
    def overflow(self) -> int:
        """How many were above one hour."""
        return self._counts.get(_OVERFLOW, 0)

    def quantile_s(self, q: float) -> float | None:
        """The duration in seconds that a share `q` (0..1) stays at or below; None when nothing was recorded.

        Nearest rank. A rank among the overflow gives one hour, which is a lower bound.
        """
        total = self.count
        if total == 0:
            return None
        counts = self._counts
        rank = max(1, math.ceil(q * total - 1e-9))
        seen = 0
        for bucket in sorted(counts):
            if bucket != _OVERFLOW:
                seen += counts[bucket]
                if seen >= rank:
                    return middle_of(bucket) / 1e6
        return HIGHEST_US / 1e6

    def buckets(self) -> Iterator[tuple[float, int]]:
        """(seconds, count) in ascending order, overflow left out."""
        for bucket in sorted(self._counts):
            if bucket != _OVERFLOW:
                yield middle_of(bucket) / 1e6, self._counts[bucket]

    def to_pairs(self) -> list[int]:
        """Flat [bucket, count, bucket, count, ...], ascending: the stored form."""
        return [number for bucket in sorted(self._counts) for number in (bucket, self._counts[bucket])]

    @classmethod
    def from_pairs(cls, pairs: Sequence[int]) -> Histogram:
        """The inverse of `to_pairs`. Raises HistogramError on anything that is not one."""
        top = bucket_of(HIGHEST_US)
        histogram = cls()
        if len(pairs) % 2:
            raise HistogramError("a stored histogram has an odd length")
        for bucket, count in zip(pairs[::2], pairs[1::2], strict=True):
            if (
                type(bucket) is not int
                or type(count) is not int
                or not (_OVERFLOW <= bucket <= top)
                or count < 1
            ):
                raise HistogramError(f"a stored histogram has the pair {bucket!r}: {count!r}")
            histogram._counts[bucket] = histogram._counts.get(bucket, 0) + count
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, p50_s={self.quantile_s(0.5)})"
