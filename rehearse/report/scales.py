"""From values to pixels: linear and logarithmic scales with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps low..high onto start..end, in pixels; what lies outside is put on the edge."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, inside = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, inside = math.log10(low), math.log10(high), math.log10(inside)
        return round(self.start + (inside - low) / (high - low) * (self.end - self.start), 1)


def linear_ticks(low: float, high: float, wanted: int) -> tuple[float, ...]:
    """About `wanted` round values (1, 2 or 5 times a power of ten apart) inside low..high."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(multiple * power for multiple in (1, 2, 5, 10) if multiple * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(position * step for position in range(first, last + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times each power of ten inside low..high; powers of ten only when there would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [multiple * 10.0**power for power in powers for multiple in (1, 2, 5)]
    coarse = [10.0**power for power in powers]
    inside = [tick for tick in fine if low * 0.999 <= tick <= high * 1.001]
    return tuple(inside if len(inside) <= 9 else [tick for tick in coarse if low <= tick <= high])
