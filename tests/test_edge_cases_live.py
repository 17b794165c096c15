"""A real metastable service behind the real fault proxy, under real load, in a whole comparison."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.demo import free_ports
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import EdgeOutcome
from rehearse.progress import Silence
from tests.project import CONFIG, SCENARIO

ROOT = Path(__file__).resolve().parent.parent
EDGES = """
[edges.dependencies.queue]
baseline = {{ listen = "127.0.0.1:{2}", upstream = "127.0.0.1:{1}" }}
candidate = {{ listen = "127.0.0.1:{5}", upstream = "127.0.0.1:{4}" }}

[[edges.faults]]
id = "queue-hangs"
family = "recovery"
why = "It never came back from its own retries."
on = "queue"
toxic = "timeout"
stream = "upstream"
lasts = "1s"
recover_within = "8s"
"""


def start(twin: str, ports: tuple[int, ...]) -> list[str]:
    """The service's front, its dependency, and where the proxy between them will be."""
    module = [sys.executable, "-m", "bench.edges.metastable"]
    return [*module, "--serve", twin, "--ports", *map(str, ports)]


@pytest.mark.live
@pytest.mark.parametrize(
    ("twin", "expected"), [("stubborn", EdgeOutcome.FAIL), ("budgeted", EdgeOutcome.PASS)]
)
def test_a_service_that_never_comes_back_from_its_own_retries_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin: str, expected: EdgeOutcome
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ports = free_ports(6)
    config = CONFIG.format(baseline=f"http://127.0.0.1:{ports[0]}", candidate=f"http://127.0.0.1:{ports[3]}")
    (tmp_path / "visit.py").write_text(SCENARIO)
    (tmp_path / "rehearse.toml").write_text(config + EDGES.format(*ports))
    starts = {
        "targets.baseline.start": start("budgeted", ports[:3]),
        "targets.candidate.start": start(twin, ports[3:]),
    }
    settings = load_settings(tmp_path / "rehearse.toml", {}, {**starts, "load.users": 200})
    parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
    options = rehearsal.CompareOptions(without_baseline=True, is_advisory=True)
    (edge,) = rehearsal.compare(settings, parts, options).result.edges
    assert edge.outcome is expected, edge
    assert all(proof.holds for proof in edge.record.proofs)
