"""Two pictures as SVG, readable on light and dark pages: the operating curve, and the time to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from bench.verdict.tally import Tally
from rehearse.model import Decision

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 560, 40, 330
_GAP = 16  # pixels between two labels of lines
_LABEL = 42  # and between two of the axis
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .axis { stroke: #59636e }
.grid { stroke: #d1d9e0 } path { fill: none; stroke-width: 1.5 } .own { stroke-width: 3.5 }
.c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #59636e } .c3 { stroke: #8250df } .c4 { stroke: #1a7f37 }
.c5 { stroke: #bf3989 } .c6 { stroke: #9a6700 } .c7 { stroke: #cf222e }
.dash { stroke-dasharray: 7 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .axis { stroke: #9198a1 } .grid { stroke: #3d444d }
.c0 { stroke: #58a6ff } .c1 { stroke: #ffa657 } .c2 { stroke: #9198a1 } .c3 { stroke: #d2a8ff }
.c4 { stroke: #56d364 } .c5 { stroke: #ff9bce } .c6 { stroke: #e3b341 } .c7 { stroke: #ff7b72 } }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """Points as (x, share 0..1)."""

    label: str
    points: Sequence[tuple[float, float]]
    is_own: bool = False
    is_dashed: bool = False


def operating_curve(tallies: Mapping[float, Mapping[str, Tally]], ours: str) -> str:
    """P(GO) and P(ABORT) of ours, and P(ABORT) of each peer, over the true change."""
    rules = list(next(iter(tallies.values())))
    lines = [
        Line("rehearse: GO", _shares(tallies, ours, Decision.GO), is_own=True, is_dashed=True),
        Line("rehearse: ABORT", _shares(tallies, ours, Decision.ABORT), is_own=True),
    ]
    lines += [
        Line(f"{rule}: ABORT", _shares(tallies, rule, Decision.ABORT)) for rule in rules if rule != ours
    ]
    ticks = [(change, f"{change * 100:+g} %" if change else "same") for change in sorted(tallies)]
    return picture("What is decided, over the true change of all durations", "true change", ticks, lines)


def _shares(
    tallies: Mapping[float, Mapping[str, Tally]], rule: str, decision: Decision
) -> list[tuple[float, float]]:
    return [(change, tallies[change][rule].share(decision)) for change in sorted(tallies)]


def time_to_abort(tallies: Mapping[str, Tally], longest_s: float) -> str:
    """Which share of the rehearsals has been ABORT after so much load."""
    lines = []
    for label, tally in tallies.items():
        points = [(0.0, 0.0)]
        for count, at_s in enumerate(tally.times_s(Decision.ABORT), start=1):
            points += [(at_s, points[-1][1]), (at_s, count / tally.runs)]
        lines.append(Line(label, [*points, (longest_s, points[-1][1])], is_own=True))
    ticks = [(at_s, f"{at_s:.0f} s") for at_s in range(0, int(longest_s) + 1, 60)]
    return picture("Time to ABORT", "seconds of load", ticks, lines)


def picture(title: str, what: str, ticks: Sequence[tuple[float, str]], lines: Sequence[Line]) -> str:
    """Lines over one axis; shares from 0 to 100 %. Labels stand at the ends of their lines."""
    low, high = ticks[0][0], max(ticks[-1][0], *(x for line in lines for x, _ in line.points))

    def at(x: float, share: float) -> tuple[float, float]:
        return _LEFT + (x - low) / (high - low) * (_RIGHT - _LEFT), _BOTTOM - share * (_BOTTOM - _TOP)

    frame = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [
        f'<svg {frame} role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>',
        f'<text class="title" x="{_LEFT}" y="22">{escape(title)}</text>',
        *(_grid(at(low, share / 4)[1], f"{share * 25} %") for share in range(5)),
        *(f'<text x="{at(x, 0)[0]:.0f}" y="{_BOTTOM + 20}" text-anchor="middle">{escape(label)}</text>'
          for x, label in _legible(ticks, _LABEL * (high - low) / (_RIGHT - _LEFT))),
        f'<text x="{(_LEFT + _RIGHT) / 2:.0f}" y="{_BOTTOM + 42}" text-anchor="middle">{escape(what)}</text>',
    ]  # fmt: skip
    ends = _apart([at(*line.points[-1])[1] for line in lines])
    for number, line in enumerate(lines):
        kind = f"c{number}{' own' if line.is_own else ''}{' dash' if line.is_dashed else ''}"
        points = " ".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in line.points))
        parts.append(f'<path class="{kind}" d="M{points}"/>')
        parts.append(f'<path class="{kind}" d="M{_RIGHT + 6} {ends[number]:.1f}h22"/>')
        parts.append(f'<text x="{_RIGHT + 34}" y="{ends[number] + 4:.1f}">{escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _legible(ticks: Sequence[tuple[float, str]], distance: float) -> list[tuple[float, str]]:
    """Without labels that would run into the one before."""
    kept: list[tuple[float, str]] = []
    for x, label in ticks:
        if not kept or x - kept[-1][0] >= distance:
            kept.append((x, label))
    return kept


def _grid(y: float, label: str) -> str:
    return (
        f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _apart(wanted: Sequence[float]) -> list[float]:
    """Heights near `wanted`, none closer to another than a line of text."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = list(wanted)
    for before, index in pairwise(order):
        placed[index] = max(placed[index], placed[before] + _GAP)
    excess = max(0.0, placed[order[-1]] - _BOTTOM)
    return [y - excess for y in placed]
