"""`make demo-full`: every family of edge cases on the sample shop, under real load, its clock set by libfaketime."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rehearse import rehearsal
from rehearse.demo import free_ports, full_cases, shop_settings
from rehearse.edge_cases.running import kinds_of
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import EdgeFamily, EdgeOutcome, EdgeResult
from rehearse.progress import Silence

ROOT = Path(__file__).resolve().parent.parent
SHORT = {"load.budget": "8s", "load.warm_up": "2s", "load.block": "1s", "load.rounds": 1, "edges.rate": 25}
FAMILIES = {"edges.dates", "edges.retries", "edges.clients", "edges.faults", "edges.clocks"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository's own project in a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("rehearse.toml", "demo-full.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    return tmp_path


def compared(root: Path, version: str, cases: Mapping[str, object]) -> dict[str, EdgeResult]:
    """How each edge case came out; the load before them is as short as can be."""
    settings = shop_settings(root, version, free_ports(2), {**cases, **SHORT, "checks.packs": ()})
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    options = rehearsal.CompareOptions(without_baseline=True, is_advisory=True)
    result = rehearsal.compare(settings, parts, options).result
    return {edge.record.case_id: edge for edge in result.edges}


def test_the_full_demo_has_a_case_of_each_family_and_all_of_the_short_one() -> None:
    full = shop_settings(ROOT, "2.1", (1, 2), full_cases(ROOT))
    assert {
        f"edges.{name}" for name in type(full.edges).model_fields if getattr(full.edges, name)
    } >= FAMILIES
    short = [kind.planned.case_id for kind in kinds_of(shop_settings(ROOT, "2.1", (1, 2)))]
    assert set(short) < {kind.planned.case_id for kind in kinds_of(full)}
    manners = {case.manner for case in full.edges.clients}
    assert manners == {"slow-header", "slow-body", "slow-reading", "give-up"}


@pytest.mark.live
@pytest.mark.faketime
@pytest.mark.timeout(180)
def test_the_repaired_shop_passes_every_family(shop: Path) -> None:
    cases = full_cases(shop)
    few = [case for case in cases["edges.clients"] if case["manner"] in ("slow-reading", "give-up")]
    found = compared(shop, "2.1", {**cases, "edges.clients": few})
    assert {name: edge.sentence for name, edge in found.items() if edge.outcome is not EdgeOutcome.PASS} == {}
    assert all(proof.holds for edge in found.values() for proof in edge.record.proofs)
    assert {str(edge.record.family) for edge in found.values()} == {str(family) for family in EdgeFamily}


@pytest.mark.live
@pytest.mark.faketime
def test_the_broken_shop_fails_when_its_clock_passes_midnight_into_a_leap_day(shop: Path) -> None:
    none: dict[str, object] = dict.fromkeys(("edges.dates", "edges.retries", "edges.faults"), ())
    clocks = {"edges.clocks": full_cases(shop)["edges.clocks"]}
    (edge,) = compared(shop, "2.0", {**none, **clocks}).values()
    assert edge.outcome is EdgeOutcome.FAIL
    assert "after: /reports/sales answered 500, on the baseline 200" in edge.record.told
