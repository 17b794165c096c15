"""The edge cases of the repository's own rehearse.toml find what 2.0 breaks, and pass on 2.1."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httpx
import pytest

from rehearse.demo import shop_settings
from rehearse.edge_cases.load import Load, Loaded
from rehearse.edge_cases.running import kinds_of
from rehearse.edge_cases.scene import Scene
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeRecord, Side

ROOT = Path(__file__).resolve().parent.parent.parent


class NoLoad:
    """The engine and its load are tested elsewhere: here time passes, and nothing else."""

    def __init__(self, settings: object) -> None:
        self.settings = settings

    def block_s(self, shortest_s: float) -> float:
        return shortest_s

    def run(
        self, number: int, longest_s: float, block_s: float, at: Callable[[float, Loaded], bool]
    ) -> Loaded:
        loaded = Loaded(50.0)
        ends_at = time.monotonic() + longest_s
        while not at(longest_s, loaded):
            assert time.monotonic() < ends_at
            time.sleep(0.01)
        return loaded


def record_of(shops: dict[str, httpx.Client], family: EdgeFamily, candidate: str) -> EdgeRecord:
    """One case between 1.0 and a version that runs beside it."""
    ports = [shops[version].base_url.port for version in ("1.0", candidate)]
    settings = shop_settings(ROOT, candidate, tuple(port for port in ports if port is not None))
    (kind,) = [kind for kind in kinds_of(settings) if kind.planned.family is family]
    scene = Scene(cast("Load", NoLoad(settings)), 0, tuple(Side), {})
    seen, _ = kind.see(scene)
    return kind.rule(scene, seen[Side.CANDIDATE], seen[Side.BASELINE])  # type: ignore[arg-type]  # its own kind


def test_leap_days_are_found_with_the_instant_and_a_command(shops: dict[str, httpx.Client]) -> None:
    record = record_of(shops, EdgeFamily.DATE, "2.0")
    assert record.outcome is EdgeOutcome.FAIL
    assert "2028-02-29 (29 February is a day" in record.sentence
    assert "answered 500, on the baseline 200" in record.sentence
    assert record.reproduce.startswith("curl -i 'http://127.0.0.1:")


def test_an_order_that_is_taken_twice_is_found(shops: dict[str, httpx.Client]) -> None:
    record = record_of(shops, EdgeFamily.RETRY, "2.0")
    assert record.outcome is EdgeOutcome.FAIL
    assert "one order took effect 2 times" in record.sentence


@pytest.mark.parametrize("family", [EdgeFamily.DATE, EdgeFamily.RETRY])
def test_what_is_repaired_passes(shops: dict[str, httpx.Client], family: EdgeFamily) -> None:
    record = record_of(shops, family, "2.1")
    assert record.outcome is EdgeOutcome.PASS, record.sentence


def test_every_family_has_a_case_in_the_demo() -> None:
    families = {kind.planned.family for kind in kinds_of(shop_settings(ROOT, "2.1", (1, 2)))}
    assert families >= {EdgeFamily.DATE, EdgeFamily.RETRY, EdgeFamily.TIMEOUT, EdgeFamily.RECOVERY}
