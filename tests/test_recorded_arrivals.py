"""`arrivals = "recorded"`: from the file of an access log to the schedule of both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError
from rehearse.model import RunKind, Side
from rehearse.wiring.schedules import schedule_of

TEXT = """
[targets.baseline]
url = "http://127.0.0.1:8101"
[targets.candidate]
url = "http://127.0.0.1:8102"
[[scenarios]]
name = "shop"
file = "shop.py"
[load]
rate = 50
block = "2s"
"""


def load(folder: Path, *lines: str) -> Settings:
    (folder / "shop.py").write_text("# a Locust file\n")
    (folder / "shop.arrivals").write_text("".join(f"{number * number / 1000}\n" for number in range(500)))
    config = folder / "rehearse.toml"
    config.write_text(TEXT + "".join(f"{line}\n" for line in lines))
    return load_settings(config, {}, {})


def test_the_recorded_times_become_the_schedule_of_both_sides(tmp_path: Path) -> None:
    settings = load(tmp_path, 'arrivals = "recorded"', 'recorded = "shop.arrivals"')
    schedule = schedule_of(settings, RunKind.COMPARISON)
    assert len(schedule.recorded_s) == 500
    blocks = schedule.planned()
    # Squares: dense at first and thin at the end of each lap of ten seconds, and 50 a second on average.
    assert blocks[0] > 2 * blocks[4]
    assert sum(blocks[:50]) == pytest.approx(50 * 100, abs=60)
    assert sum(1 for _ in schedule.slots(Side.CANDIDATE, 0)) == sum(blocks)


@pytest.mark.parametrize(
    "lines",
    [['arrivals = "recorded"'], ['recorded = "shop.arrivals"']],
    ids=["no file", "a file for nothing"],
)
def test_the_word_and_the_file_need_each_other(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(ConfigError, match="need each other"):
        load(tmp_path, *lines)


def test_a_file_that_is_no_schedule_is_named_with_its_line(tmp_path: Path) -> None:
    settings = load(tmp_path, 'arrivals = "recorded"', 'recorded = "shop.py"')
    with pytest.raises(ConfigError, match="fewer than two"):
        schedule_of(settings, RunKind.COMPARISON)
