"""What would settle a cell that is open: so much more load, other rounds, or a margin that this rig can decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearse.judge.horizon import distance, first_times
from rehearse.judge.measurement import CountOutlook, Measurement, NoiseOutlook
from rehearse.judge.stats import requests_to_certify
from rehearse.judge.wording import margin, minutes


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would settle one open cell; `more_s` is None when no further load of this kind would."""

    words: str
    more_s: float | None = None


def remedy(measured: Measurement, alpha: float, go_alpha: float) -> Remedy:
    """What would decide `measured`: as worse at `alpha` when it is beyond its margin, else as inside at `go_alpha`."""
    if measured.outlook is None or measured.margin is None or measured.worsening is None:
        return Remedy("not decided")
    reach = measured.outlook.reach(go_alpha)
    if reach and reach >= measured.margin:
        wanted, possible = (
            margin(measured.cell.metric, size, digits=2).lstrip("+-") for size in (measured.margin, reach)
        )
        words = f"this rig cannot decide a {wanted} margin; it can decide {possible}"
        return Remedy(words)
    if measured.rig_slowdown:
        return Remedy("recordings of an equally fast machine would decide")
    more_s = _more_s(measured, alpha, go_alpha)
    if more_s is not None:
        return Remedy(f"{minutes(more_s)} would decide", more_s)
    if reach:
        return Remedy("too near to the margin to say how much load would decide; more rounds would help most")
    return Remedy("no load would decide")


def _more_s(measured: Measurement, alpha: float, go_alpha: float) -> float | None:
    outlook, allowed, seen = measured.outlook, measured.margin or 0.0, measured.worsening or 0.0
    if not isinstance(outlook, NoiseOutlook):
        return None if outlook is None else _more_requests_s(measured, outlook, alpha, go_alpha)

    def is_settled(times: float) -> bool:
        then = seen * _lasting_part(outlook, allowed, seen, times)
        proof, safety = (distance(outlook, measured.pairs - 1, times, [one]) for one in (alpha, go_alpha))
        return (then >= allowed and then > proof) or then + safety < allowed

    times = first_times(is_settled, least=1.0)
    return None if times is None else outlook.measured_s * (times - 1)


def _more_requests_s(
    measured: Measurement, outlook: CountOutlook, alpha: float, go_alpha: float
) -> float | None:
    """Without any failure the number of requests is known; with some, bounds shrink with the root of the time."""
    allowed, seen = measured.margin or 0.0, measured.worsening or 0.0
    needed = requests_to_certify(allowed, go_alpha)
    if needed is not None and measured.candidate_count and not (measured.baseline or measured.candidate):
        return outlook.measured_s * max(0.0, needed / measured.candidate_count - 1)
    room, at = (seen, alpha) if seen >= allowed else (allowed - seen, go_alpha)
    return outlook.more_s(room, at)


def _lasting_part(outlook: NoiseOutlook, allowed: float, seen: float, times: float) -> float:
    """How much of today's estimate is expected to be left after `times` the load: the part of chance averages out.

    How large that part is depends on how large true changes are: small, where the estimate is inside the margin, and
    about the margin where it is beyond.
    """
    change = allowed if seen >= allowed else allowed / 3
    lasting = outlook.fixed + change**2
    total = lasting + outlook.shrinking
    return (lasting + outlook.shrinking / times) / total if total > 0 else 1.0


def longest(remedies: Sequence[Remedy]) -> float | None:
    """How much more load settles all of them; None when that settles not even one for good."""
    known = [one.more_s for one in remedies]
    return None if None in known or not known else max(one for one in known if one is not None)
