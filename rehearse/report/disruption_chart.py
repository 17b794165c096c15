"""What users met while an upgrade happened, as a picture: a lane for each probe and for each version that answered.

A restart of one after the other, a switch and a stop look different: versions that overlap, versions that meet, and
lanes that are red together. The tables beside it say the same in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rehearse.disruptions import Disruption, MixedWindow, Outage
from rehearse.judge.disruption import mixed_windows
from rehearse.report.charts import NARROW, WIDE, Frame, Tick
from rehearse.report.scales import Scale, linear_ticks
from rehearse.report.units import length, share
from rehearse.report.visible import shortened

_LEAST_WIDTH = 3.0  # pixels: a short outage must not vanish beside a long upgrade
_LETTER = 7.0  # pixels, about
_HEAD = 26  # pixels above the first lane, for the phases
_SILENT = ("no answer", "no connection")


@dataclass(frozen=True, slots=True)
class Span:
    """A named stretch of the upgrade, such as one step of it."""

    name: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a lane; `kind` is "served", "down", "silent", "error", "unseen", or "version-1" and so on."""

    kind: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the picture."""

    y: float
    label: str
    figure: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A phase behind the lanes."""

    low: float
    high: float
    label: str
    is_odd: bool


@dataclass(frozen=True, slots=True)
class DisruptionChart:
    """The geometry of one drawing."""

    frame: Frame
    ticks: tuple[Tick, ...]
    bands: tuple[Band, ...]
    probes: tuple[Lane, ...]
    versions: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe in numbers."""

    name: str
    outages: int
    longest: str
    total: str
    share: str
    kinds: str
    unseen: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """When one version answered, in seconds since the probes began."""

    version: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase, with the number that a narrow band shows."""

    number: int
    name: str
    begins: str
    lasts: str


@dataclass(frozen=True, slots=True)
class DisruptionPicture:
    """Both drawings, and the tables beside them."""

    charts: tuple[DisruptionChart, ...]
    probes: tuple[ProbeRow, ...]
    versions: tuple[VersionRow, ...]
    mixed: tuple[str, ...]
    phases: tuple[PhaseRow, ...]


def disruption_picture(found: Sequence[Disruption], phases: Sequence[Span] = ()) -> DisruptionPicture | None:
    """What a page needs; None when no probe was sent."""
    if not found:
        return None
    began_s = min(one.began_s for one in found)
    return DisruptionPicture(
        charts=tuple(disruption_chart(found, phases, frame) for frame in (WIDE, NARROW)),
        probes=tuple(map(_probe_row, found)),
        versions=tuple(_version_row(one, began_s) for one in _spans_of_versions(found)),
        mixed=tuple(_mixed(one, began_s) for one in mixed_windows(found)),
        phases=tuple(
            PhaseRow(number, one.name, after(one.from_s - began_s), seconds(one.to_s - one.from_s))
            for number, one in enumerate(phases, start=1)
        ),
    )


def disruption_chart(found: Sequence[Disruption], phases: Sequence[Span], frame: Frame) -> DisruptionChart:
    """Lanes over the time of the upgrade."""
    versions = _spans_of_versions(found)
    names = tuple(dict.fromkeys(one.name for one in versions))
    sized, pitch = _sized(frame, len(found) + len(names))
    began_s = min(one.began_s for one in found)
    x = sized.x(0, max(max(one.ended_s for one in found) - began_s, 1e-3))
    middles = [sized.top + _HEAD + pitch * (place + 0.5) for place in range(len(found) + len(names))]
    return DisruptionChart(
        sized,
        ticks=tuple(Tick(x(at), length(at)) for at in linear_ticks(x.low, x.high, 8 if frame is WIDE else 3)),
        bands=tuple(_band(number, one, x, began_s) for number, one in enumerate(phases, start=1)),
        probes=tuple(_probe_lane(one, x, began_s, y) for one, y in zip(found, middles, strict=False)),
        versions=tuple(
            _version_lane(number, name, versions, x, began_s, middles[len(found) + number - 1])
            for number, name in enumerate(names, start=1)
        ),
    )


def _sized(frame: Frame, lanes: int) -> tuple[Frame, int]:
    """As high as its lanes need; on phones names stand above lanes."""
    pitch, left, right = (34, 210, 850) if frame is WIDE else (48, 14, 338)
    bottom = frame.top + _HEAD + pitch * lanes
    return Frame(frame.name, frame.width, bottom + 48, left, right, frame.top, bottom), pitch


def _band(number: int, one: Span, x: Scale, began_s: float) -> Band:
    low, high = x(one.from_s - began_s), x(one.to_s - began_s)
    is_room = len(one.name) * _LETTER < high - low
    return Band(low, high, one.name if is_room else str(number), number % 2 == 1)


def _probe_lane(one: Disruption, x: Scale, began_s: float, y: float) -> Lane:
    pieces = [
        *(_piece("served", from_s, to_s, x, began_s) for from_s, to_s in _served(one)),
        *(_piece("unseen", gap.from_s, gap.to_s, x, began_s) for gap in one.gaps),
        *(_piece(_look(outage), outage.from_s, outage.to_s, x, began_s) for outage in one.outages),
    ]
    figure = f"{seconds(one.total_s)} out" if one.outages else "not all seen" if one.gaps else "no outage"
    return Lane(y, shortened(one.probe.name, 30), figure, tuple(pieces))


def _served(one: Disruption) -> Iterator[tuple[float, float]]:
    """The times between outages and gaps."""
    from_s = one.began_s
    for begins_s, ends_s in sorted([*one.stretches, *((gap.from_s, gap.to_s) for gap in one.gaps)]):
        if begins_s > from_s:
            yield from_s, begins_s
        from_s = max(from_s, ends_s)
    if one.ended_s > from_s:
        yield from_s, one.ended_s


def _look(outage: Outage) -> str:
    if outage.kind in _SILENT:
        return "silent"
    return "error" if outage.kind.startswith("status ") else "down"


def _version_lane(number: int, name: str, spans: Iterable[Span], x: Scale, began_s: float, y: float) -> Lane:
    kind = f"version-{min(number, 3)}"
    own = [one for one in spans if one.name == name]
    pieces = tuple(_piece(kind, one.from_s, one.to_s, x, began_s) for one in own)
    return Lane(y, f"version {shortened(name, 20)}", f"from {after(own[0].from_s - began_s)}", pieces)


def _piece(kind: str, from_s: float, to_s: float, x: Scale, began_s: float) -> Piece:
    low, high = x(from_s - began_s), x(to_s - began_s)
    return Piece(kind, low, max(high, low + _LEAST_WIDTH))


def _spans_of_versions(found: Iterable[Disruption]) -> tuple[Span, ...]:
    """The stretches in which each version answered any probe, in the order in which they began."""
    seen = sorted((one.first_s, one.last_s, one.version) for each in found for one in each.versions)
    spans: list[Span] = []
    for first_s, last_s, version in seen:
        same = next((one for one in spans if one.name == version and one.to_s >= first_s), None)
        if same is None:
            spans.append(Span(version, first_s, last_s))
        else:
            spans[spans.index(same)] = Span(version, same.from_s, max(same.to_s, last_s))
    return tuple(spans)


# --- in numbers


def seconds(value: float) -> str:
    """A length of time to a tenth of a second, which is as often as probes are sent: 0 s, 2.1 s, 64.0 s."""
    if not math.isfinite(value):
        return "?"
    return "0 s" if value == 0 else f"{max(value, 0.1):.1f} s"


def after(value: float) -> str:
    """A moment: T+12.3 s."""
    return f"T+{value:.1f} s"


def _probe_row(one: Disruption) -> ProbeRow:
    return ProbeRow(
        name=one.probe.name,
        outages=len(one.stretches),
        longest=seconds(one.longest_s),
        total=seconds(one.total_s),
        share=share(one.out_ratio),
        kinds=", ".join(dict.fromkeys(outage.kind for outage in one.outages)),
        unseen=seconds(sum(gap.length_s for gap in one.gaps)),
    )


def _version_row(span: Span, began_s: float) -> VersionRow:
    return VersionRow(span.name, after(span.from_s - began_s), after(span.to_s - began_s))


def _mixed(window: MixedWindow, began_s: float) -> str:
    names = " and ".join(window.versions)
    ends = f"{after(window.from_s - began_s)} to {after(window.to_s - began_s)}"
    return f"{names} answered at the same time for {seconds(window.length_s)}, {ends}"
