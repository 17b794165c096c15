"""Numbers as people read them: ms, %, percentage points, and only the digits that mean something."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from rehearse.judge.wording import quantity

MISSING = "–"
_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_IDLE_ZEROS = re.compile(r"(?<=\d)\.0+(?!\d)|(?<=\.\d)0+(?!\d)|(?<=\.\d\d)0+(?!\d)")


def _is_missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    decimals = max(0, min(3, 2 - math.floor(math.log10(abs(rounded)))))
    return f"{rounded if decimals else value:,.{decimals}f}"


def count(value: float | None) -> str:
    """A whole number with thousands separated: 12,345."""
    return MISSING if value is None or _is_missing(value) else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """A latency: 0.42 ms, 12.3 ms, 1.24 s."""
    if seconds is None or _is_missing(seconds):
        return MISSING
    if abs(seconds) < 0.9995:
        return f"{_three_digits(seconds * 1000)}{_SPACE}ms"
    return f"{_three_digits(seconds)}{_SPACE}s"


def length(seconds: float | None) -> str:
    """How long something lasted: 45 s, 4 min 10 s, 2 h 5 min."""
    if seconds is None or _is_missing(seconds):
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{brief(_three_digits(seconds)) if seconds < 10 else whole}{_SPACE}s"
    big, small, names = (
        (*divmod(whole, 60), ("min", "s")) if whole < 3600 else (*divmod(whole // 60, 60), ("h", "min"))
    )
    rest = f" {small}{_SPACE}{names[1]}" if small else ""
    return f"{big}{_SPACE}{names[0]}{rest}"


def share(ratio: float | None) -> str:
    """A part of a whole: 0.42 %. Never rounds something down to nothing or up to everything."""
    if ratio is None or _is_missing(ratio):
        return MISSING
    if 0 < ratio < 0.00001:
        return f"<{_SPACE}0.001{_SPACE}%"
    if 0.99995 <= ratio < 1:
        return f">{_SPACE}99.99{_SPACE}%"
    decimals = 3 if 0 < ratio < 0.0001 else 2 if ratio < 0.1 or 0.9 < ratio < 1 else 1
    text = f"{ratio * 100:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{_SPACE}%"


def amount(value: float | None, unit: str) -> str:
    """The value of a cell: a latency when its unit is "s", a rate when it is "1/s", a share when it is "ratio", else
    that of a server-side series."""
    if unit == "1/s":
        return rate(value)
    if unit in ("s", "ratio"):
        return duration(value) if unit == "s" else share(value)
    if value is None or _is_missing(value):
        return MISSING
    of_series, slash, minute = unit.partition("/min")
    return f"{quantity(value, of_series).replace(' ', _SPACE).replace('-', _MINUS)}{slash}{minute}"


def rate(per_s: float | None) -> str:
    """How many a second: 8.25/s, 201/s."""
    return MISSING if per_s is None or _is_missing(per_s) else f"{_three_digits(per_s)}/s"


def change(value: float | None, unit: str) -> str:
    """A signed difference: +6.1 % of a latency or a rate, +0.12 pp of a share, +3.4 %/min of a growth."""
    if value is None or _is_missing(value):
        return MISSING
    points = value * 100
    if unit != "ratio":
        decimals = 0 if abs(points) >= 99.95 else 1 if abs(points) >= 0.995 else 2
    else:
        decimals = 1 if abs(points) >= 9.995 else 2 if abs(points) >= 0.0995 else 3
    of_time = "/min" if unit.endswith("/min") else ""
    return _signed(points, decimals) + _SPACE + ("pp" if unit == "ratio" else f"%{of_time}")


def _signed(value: float, decimals: int) -> str:
    text = f"{abs(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return "0"
    return ("+" if value > 0 else _MINUS) + text


def brief(text: str) -> str:
    """A number without the zeros that say nothing, for margins and axes: +10.0 % becomes +10 %."""
    return _IDLE_ZEROS.sub("", text)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Two bounds of a difference: "+1.2 % to +9.9 %"."""
    if (low is None or _is_missing(low)) and (high is None or _is_missing(high)):
        return MISSING
    return f"{change(low, unit)} to {change(high, unit)}"


def percentile(ratio: float) -> str:
    """The name of a share of requests: 0.5 is p50, 0.999 is p99.9; more digits towards the tail."""
    decimals = max(1, math.ceil(-math.log10(max(1 - ratio, 1e-7))))
    return f"p{ratio * 100:.{decimals}f}".rstrip("0").rstrip(".")


def instant(iso: str) -> str:
    """An ISO 8601 moment as "2026-11-21 03:31 UTC"; what cannot be read is shown as it is."""
    if not iso:
        return MISSING
    try:
        moment = datetime.fromisoformat(iso)
        if moment.tzinfo is None:
            return moment.strftime("%Y-%m-%d %H:%M")
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return iso


def probability(value: float | None) -> str:
    """A p-value: 0.031, and nothing finer than 0.0001."""
    if value is None or _is_missing(value):
        return MISSING
    return f"<{_SPACE}0.0001" if value < 0.0001 else f"{value:.2g}"


def number(value: float | int | str | None) -> str:
    """A bare number of a finding, of unknown unit: six significant digits."""
    if isinstance(value, str):
        return value
    if value is None or _is_missing(value):
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
