"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from itertools import product
from pathlib import Path

import pytest

from rehearse import report
from rehearse.report import units

_STYLE = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 ms"), (0.0000004, "0.000 ms"), (0.00042, "0.420 ms"), (0.0123, "12.3 ms"), (0.1234, "123 ms"),
        (0.99951, "1.00 s"), (9.996, "10.0 s"),
        (1.2345, "1.23 s"), (75.0, "75.0 s"), (3600.0, "3,600 s"), (None, "–"), (math.nan, "–"),
    ],
)  # fmt: skip
def test_a_latency_has_three_digits(seconds: float | None, expected: str) -> None:
    assert _plain(units.duration(seconds)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0 s"), (2.5, "2.5 s"), (45.2, "45 s"), (60.0, "1 min"), (250.0, "4 min 10 s"), (7500.0, "2 h 5 min"),
     (None, "–")],
)  # fmt: skip
def test_a_length_is_told_in_its_two_largest_units(seconds: float | None, expected: str) -> None:
    assert _plain(units.length(seconds)) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, "0 %"), (0.0000001, "< 0.001 %"), (0.00002, "0.002 %"), (0.0042, "0.42 %"), (0.05, "5 %"),
        (0.376, "37.6 %"), (0.98765, "98.77 %"), (0.99999, "> 99.99 %"), (1.0, "100 %"), (1.5, "150 %"), (None, "–"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_to_everything(ratio: float | None, expected: str) -> None:
    assert _plain(units.share(ratio)) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.061, "s", "+6.1 %"), (-0.0042, "s", "-0.42 %"), (0.2345, "s", "+23.4 %"), (1.5, "s", "+150 %"),
        (0.0, "s", "0 %"), (0.00001, "s", "0 %"), (0.0012, "ratio", "+0.12 pp"), (-0.00004, "ratio", "-0.004 pp"),
        (0.12, "ratio", "+12.0 pp"), (None, "s", "–"), (math.inf, "ratio", "–"),
    ],
)  # fmt: skip
def test_a_change_has_a_sign_and_a_unit(value: float | None, unit: str, expected: str) -> None:
    assert _plain(units.change(value, unit)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+10.0 %", "+10 %"), ("+0.10 pp", "+0.1 pp"), ("100 ms", "100 ms"), ("1,000 s", "1,000 s"),
        ("10.05 s", "10.05 s"),
    ],
)  # fmt: skip
def test_a_brief_number_loses_only_idle_zeros(text: str, expected: str) -> None:
    assert units.brief(text) == expected


def test_an_interval_tells_both_ends_or_that_there_is_none() -> None:
    assert _plain(units.interval(-0.012, 0.099, "s")) == "-1.2 % to +9.9 %"
    assert _plain(units.interval(None, 0.099, "s")) == "– to +9.9 %"
    assert units.interval(None, None, "s") == "–"


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.0, "p0"),
        (0.5, "p50"),
        (0.2057, "p20.6"),
        (0.95, "p95"),
        (0.999, "p99.9"),
        (0.99874, "p99.874"),
        (1.0, "p100"),
    ],
)
def test_a_percentile_has_more_digits_towards_the_tail(ratio: float, expected: str) -> None:
    assert units.percentile(ratio) == expected


@pytest.mark.parametrize(
    ("iso", "expected"),
    [
        ("2026-11-21T04:31:07+01:00", "2026-11-21 03:31 UTC"),
        ("2026-11-21T03:31:07Z", "2026-11-21 03:31 UTC"),
        ("2026-11-21T03:31:07", "2026-11-21 03:31"),
        ("0001-01-01T00:00:00+12:00", "0001-01-01T00:00:00+12:00"),
        ("yesterday", "yesterday"),
        ("", "–"),
    ],
)
def test_a_moment_is_told_in_utc_and_what_is_none_as_it_is(iso: str, expected: str) -> None:
    assert units.instant(iso) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (3, "3"),
        (12345, "12,345"),
        (0.0123456789, "0.0123457"),
        ("text", "text"),
        (math.nan, "–"),
    ],
)
def test_a_bare_number_is_told_as_it_is(value: float | str | None, expected: str) -> None:
    assert units.number(value) == expected


def test_a_tiny_probability_is_not_spelled_out() -> None:
    assert _plain(units.probability(1e-40)) == "< 0.0001"
    assert units.probability(0.0314) == "0.031"
    assert units.probability(None) == "–"


# colours


def _palettes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in _STYLE.split("@media screen", 2)[:2]
    )
    return {"light": light, "dark": light | dark}


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


_ON_PAPER = ("ink", "soft", "link", "go", "abort", "unknown", "baseline", "candidate")
_WASHES = ("go-wash", "abort-wash", "unknown-wash")


@pytest.mark.parametrize("palette", _palettes().values(), ids=_palettes())
def test_every_text_has_the_contrast_that_wcag_aa_asks_for(palette: dict[str, str]) -> None:
    pairs = [
        *product(_ON_PAPER, ("paper",)),
        *product(("ink", "soft", "link"), (*_WASHES, "wash")),
        ("go", "go-wash"), ("abort", "abort-wash"), ("unknown", "unknown-wash"),
    ]  # fmt: skip
    weak = {pair: _contrast(palette[pair[0]], palette[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in weak.items() if value < 4.5} == {}
