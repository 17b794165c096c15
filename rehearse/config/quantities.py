"""Durations and shares as people write them: "250ms", "5%". A number without its unit is a mistake.

Every reader raises ValueError with the end of a sentence that begins with what was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
PERCENT = {"%": Decimal("0.01")}
POINTS = {"pp": Decimal("0.01")}  # percentage points: a difference between two shares
PERCENT_A_MINUTE = {"%/min": Decimal("0.01")}
BYTES = {
    "B": Decimal(1),
    "kB": Decimal(1000),
    "MB": Decimal(1000) ** 2,
    "GB": Decimal(1000) ** 3,
    "KiB": Decimal(1024),
    "MiB": Decimal(1024) ** 2,
    "GiB": Decimal(1024) ** 3,
}
RATES = {"/s": Decimal(1)}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z%/]+)")


def read_duration(given: object) -> float:
    """Seconds: "250ms" is 0.25."""
    return _read(given, SECONDS, "a duration", "5s")


def read_percent(given: object) -> float:
    """A share 0..1: "5%" is 0.05. What can more than double may be above 100 %."""
    return _read(given, PERCENT, "a percentage", "5%")


def read_points(given: object) -> float:
    """A difference between two shares: "0.1pp" is 0.001."""
    return _read(given, POINTS, "in percentage points", "0.1pp")


def read_rate(given: object) -> float:
    """How many a second: "200/s" is 200."""
    return _read(given, RATES, "a rate", "200/s")


def read_percent_a_minute(given: object) -> float:
    """A share a minute: "5%/min" is 0.05."""
    return _read(given, PERCENT_A_MINUTE, "a percentage a minute", "5%/min")


def read_amount(given: object) -> float:
    """A number without a unit, "80", or of bytes: "512MB" is 512,000,000."""
    if isinstance(given, str) and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", given):
        return float(Decimal(given))
    return _read(given, BYTES, "a number, or one of bytes", "512MB")


def _read(given: object, units: Mapping[str, Decimal], name: str, example: str) -> float:
    """Decimal arithmetic, so that "1.5%" is 0.015 and not the float beside it."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        raise ValueError(f"has no unit; write '{given}{example.lstrip('0123456789.')}'")
    found = _QUANTITY.fullmatch(given) if isinstance(given, str) else None
    if not found or found[2] not in units:
        raise ValueError(f"is not {name}; write it like '{example}' (units: {', '.join(units)})")
    return float(Decimal(found[1]) * units[found[2]])


def write_duration(seconds: float) -> str:
    """In the largest unit of which it is a whole number; reads back as the same number."""
    exact = Decimal(repr(seconds))
    whole = [unit for unit, size in SECONDS.items() if exact >= size and exact % size == 0]
    unit = whole[-1] if whole else "ms"
    return f"{_plain(exact / SECONDS[unit])}{unit}"


def write_percent(share: float) -> str:
    """0.05 is "5%"."""
    return f"{_plain(Decimal(repr(share)) * 100)}%"


def write_points(share: float) -> str:
    """0.001 is "0.1pp"."""
    return f"{_plain(Decimal(repr(share)) * 100)}pp"


def write_percent_a_minute(share: float) -> str:
    """0.05 is "5%/min"."""
    return f"{_plain(Decimal(repr(share)) * 100)}%/min"


def write_amount(value: float) -> str:
    """512000000 is "512000000": the number alone."""
    return _plain(Decimal(repr(value)))


def write_rate(per_s: float) -> str:
    """200 is "200/s"."""
    return f"{_plain(Decimal(repr(per_s)))}/s"


def _plain(number: Decimal) -> str:
    """Without an exponent, and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
