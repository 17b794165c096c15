"""Does a system come back after a fault, and when? Pure: windows of measurements in, one ruling out.

The worst answer is a metastable failure: the fault is gone, and the system keeps itself in it, because retries of
what nobody waits for any more leave no room for what somebody does. It looks like an overload that never ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

_CLEARLY = 0.8  # of what it was


@dataclass(frozen=True, slots=True)
class Window:
    """What one moment was like: requests that were due in it, however long they took."""

    start_s: float
    length_s: float
    requests: int
    answered: int  # well
    p95_s: float | None  # of the answered; None when there are none
    attempts: int | None = None  # that reached the dependency; None where nobody counts them

    @property
    def end_s(self) -> float:
        """When the next one begins."""
        return self.start_s + self.length_s

    @property
    def failed_ratio(self) -> float:
        """Of its requests; 1 when nothing was asked: nothing seen is nothing good."""
        return 1 - self.answered / self.requests if self.requests else 1.0

    @property
    def attempts_ratio(self) -> float | None:
        """Attempts at the dependency for each request."""
        return self.attempts / self.requests if self.attempts is not None and self.requests else None


@dataclass(frozen=True, slots=True)
class RecoveryRule:
    """What counts as back, and how long it may take; fixed before the run."""

    deadline_s: float = 30.0
    hold_s: float = 2.0  # in the band for so long, or it is not back
    latency_ratio: float = 0.5  # above the baseline's median
    latency_floor_s: float = 0.005
    failed_ratio: float = 0.02  # more of the requests than the baseline's worst window
    attempts_ratio: float = (
        0.25  # more than in the baseline's worst window, and so many more a request at least
    )
    relapse_ratio: float = 0.2  # of the windows after it is back; more is not back
    min_baseline_windows: int = 4


@dataclass(frozen=True, slots=True)
class Band:
    """What is normal, as far as the moments before the fault tell."""

    max_p95_s: float
    max_failed_ratio: float
    max_attempts_ratio: float | None

    def holds(self, window: Window) -> bool:
        """Whether a moment was normal. What is missing is not."""
        return self.is_calm(window) and self.is_sparing(window)

    def is_calm(self, window: Window) -> bool:
        """Whether its requests were answered as usual."""
        is_soon = window.p95_s is not None and window.p95_s <= self.max_p95_s
        return is_soon and window.failed_ratio <= self.max_failed_ratio

    def is_sparing(self, window: Window) -> bool:
        """Whether the dependency was asked as usual, where that is counted."""
        if self.max_attempts_ratio is None:
            return True
        return window.attempts_ratio is not None and window.attempts_ratio <= self.max_attempts_ratio


class RecoveryState(StrEnum):
    """How it ended."""

    RECOVERED = "recovered"
    LATE = "recovered late"  # after the deadline
    METASTABLE = "never recovered"
    TOO_EARLY = "too early to tell"  # the watch was too short, or it was still getting better
    NO_BASELINE = "no baseline"  # too little was seen before the fault to say what normal is


@dataclass(frozen=True, slots=True)
class Recovery:
    """The ruling, with the sentence and the numbers behind it."""

    state: RecoveryState
    sentence: str
    after_s: float | None = None  # from the end of the fault until it was back for good
    watched_s: float = 0.0  # after the fault
    band: Band | None = None
    is_disturbed: bool = False  # the fault could be felt at all


def judge_recovery(
    windows: Sequence[Window], fault_from_s: float, fault_to_s: float, rule: RecoveryRule
) -> Recovery:
    """What the windows say about a fault that lasted from one moment to the other."""
    ordered = sorted(windows, key=lambda window: window.start_s)
    # What was due in the last window before the fault may have been answered in it.
    before = [window for window in ordered if window.end_s + window.length_s <= fault_from_s + 1e-9]
    after = _without_holes([window for window in ordered if window.start_s >= fault_to_s], fault_to_s)
    band = band_of(before, rule)
    watched_s = after[-1].end_s - fault_to_s if after else 0.0
    if band is None:
        return Recovery(
            RecoveryState.NO_BASELINE,
            f"only {len(before)} windows before the fault, or none that was answered: what is normal is not known",
            watched_s=watched_s,
        )
    in_fault = (window for window in ordered if window.end_s > fault_from_s and window.start_s < fault_to_s)
    is_disturbed = not all(map(band.holds, [*in_fault, *after]))
    back_s = _back_for_good_s(after, band, rule)
    state, sentence = _ruling(after, band, rule, watched_s, None if back_s is None else back_s - fault_to_s)
    after_s = None if back_s is None else max(0.0, back_s - fault_to_s)
    return Recovery(state, sentence, after_s, watched_s, band, is_disturbed)


def band_of(before: Sequence[Window], rule: RecoveryRule) -> Band | None:
    """Normal: what the moments before the fault were like, and the rule's tolerance on top; None when unknown."""
    latencies = [window.p95_s for window in before if window.p95_s is not None]
    if len(before) < rule.min_baseline_windows or len(latencies) < len(before):
        return None
    attempts = [window.attempts_ratio for window in before]
    known = [ratio for ratio in attempts if ratio is not None]
    usual_s, most = median(latencies), max(known, default=0.0)
    return Band(
        # The floor: what takes a millisecond may take five more before anybody calls it slow.
        max_p95_s=max(usual_s * (1 + rule.latency_ratio), usual_s + rule.latency_floor_s, max(latencies)),
        max_failed_ratio=max(window.failed_ratio for window in before) + rule.failed_ratio,
        max_attempts_ratio=(
            most + rule.attempts_ratio * max(1.0, most) if len(known) == len(attempts) else None
        ),
    )


def _without_holes(windows: Sequence[Window], from_s: float) -> list[Window]:
    """Where no window is, an empty one is put: a moment that nobody saw was not a good one."""
    filled: list[Window] = []
    next_s = from_s
    for window in windows:
        if window.start_s > next_s + window.length_s / 2:
            filled.append(Window(next_s, window.start_s - next_s, 0, 0, None))
        filled.append(window)
        next_s = window.end_s
    return filled


def _back_for_good_s(after: Sequence[Window], band: Band, rule: RecoveryRule) -> float | None:
    """The start of the first normal stretch that is long enough, and that is not followed by a relapse."""
    is_normal = [band.holds(window) for window in after]
    for first, window in enumerate(after):
        if not is_normal[first] or (first and is_normal[first - 1]):
            continue
        end = next((n for n in range(first, len(after)) if not is_normal[n]), len(after))
        outside = is_normal[first:].count(False) / len(is_normal[first:])
        if after[end - 1].end_s - window.start_s >= rule.hold_s - 1e-9 and outside <= rule.relapse_ratio:
            return window.start_s
    return None


def _ruling(
    after: Sequence[Window], band: Band, rule: RecoveryRule, watched_s: float, after_s: float | None
) -> tuple[RecoveryState, str]:
    if after_s is not None and after_s <= rule.deadline_s:
        return RecoveryState.RECOVERED, f"back to normal {max(0.0, after_s):.1f} s after the fault"
    if after_s is not None:
        return (
            RecoveryState.LATE,
            f"back to normal {after_s:.1f} s after the fault, which is later than {rule.deadline_s:g} s",
        )
    needed_s = rule.deadline_s + rule.hold_s
    if watched_s < needed_s - 1e-9:
        return (
            RecoveryState.TOO_EARLY,
            f"not back to normal within {watched_s:.1f} s, and {needed_s:g} s would have to be watched",
        )
    if band.holds(after[-1]):
        return RecoveryState.TOO_EARLY, f"normal again only at the very end of {watched_s:.1f} s"
    if _is_getting_better(after):
        return (
            RecoveryState.TOO_EARLY,
            f"not back to normal within {watched_s:.1f} s, but still getting better: watch for longer",
        )
    return (
        RecoveryState.METASTABLE,
        f"never back to normal in the {watched_s:.1f} s after the fault, and not getting better"
        + _asking(after, band),
    )


def _asking(after: Sequence[Window], band: Band) -> str:
    """What is wrong when the answers alone were as usual at the end: the retries go on, and the next fault is near."""
    last = after[-max(1, len(after) // 3) :]
    ratios = [window.attempts_ratio for window in last if window.attempts_ratio is not None]
    if band.max_attempts_ratio is None or not ratios or not all(map(band.is_calm, last)):
        return ""
    return (
        f": it answers as before, and asks the dependency {median(ratios):.1f} times for each arrival"
        f" (normal is {band.max_attempts_ratio:.1f} at most)"
    )


def _is_getting_better(after: Sequence[Window]) -> bool:
    """Whether the last third of the watch was clearly better than the first: slow is not the same as stuck."""
    third = len(after) // 3
    if third < 2:
        return False
    first, last = after[:third], after[-third:]
    if _usual_s(last) < _CLEARLY * _usual_s(first):
        return True
    measures: list[list[float]] = [
        [median(window.failed_ratio for window in part) for part in (first, last)],
        [median(window.attempts_ratio or 0.0 for window in part) for part in (first, last)],
    ]
    return any(now < _CLEARLY * then for then, now in measures)


def _usual_s(windows: Sequence[Window]) -> float:
    return median(math.inf if window.p95_s is None else window.p95_s for window in windows)
