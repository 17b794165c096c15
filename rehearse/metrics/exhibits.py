"""Server-side series as the store keeps them: one exhibit for each series, side and round."""

from __future__ import annotations

from collections.abc import Iterable

from rehearse.codec import from_bytes, to_bytes
from rehearse.model import Exhibit, SeriesWindow

KIND = "series"


def series_exhibit(window: SeriesWindow) -> Exhibit:
    """What was found of one series, on one side, in one round."""
    return Exhibit(KIND, f"{window.round} {window.side} {window.name}", to_bytes(window))


def series_of(exhibits: Iterable[Exhibit]) -> tuple[SeriesWindow, ...]:
    """All that a run holds. Raises CodecError."""
    return tuple(from_bytes(SeriesWindow, exhibit.body) for exhibit in exhibits if exhibit.kind == KIND)
