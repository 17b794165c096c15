"""The sample shop reaches its real PostgreSQL through the fault proxy, and the database hangs for a moment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.demo import free_ports
from rehearse.load.locust_engine import LocustEngine
from rehearse.model import Decision, EdgeOutcome, Side
from rehearse.progress import Silence
from rehearse.shop.seeding import seed
from rehearse.shop.tables import connect
from tests.project import CONFIG, SCENARIO

ROOT = Path(__file__).resolve().parent.parent
FEW_ORDERS = 1_000
ALLOWED = 'allow = ["127.0.0.1"'
HANGS = """
[[edges.faults]]
id = "database-hangs"
why = "In March the database hung, and the shop for an hour."
on = "database"
toxic = "timeout"
lasts = "1500ms"
recover_within = "10s"
"""


@contextmanager
def shop_database(postgres_url: str, side: Side) -> Iterator[URL]:
    """A schema of its own with a small shop in it."""
    name = f"shop_{side}"
    owner = connect(postgres_url)
    with owner.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    owner.dispose()
    url = make_url(postgres_url).update_query_dict({"options": f"-csearch_path={name}"})
    engine = connect(url.render_as_string(hide_password=False))
    seed(engine, FEW_ORDERS)
    engine.dispose()
    yield url


def start(port: int, url: URL, proxy_port: int) -> list[str]:
    """The known-good shop, which finds its database where the proxy is."""
    through = url.set(host="127.0.0.1", port=proxy_port).render_as_string(hide_password=False)
    shop = [sys.executable, "-m", "rehearse.shop", "serve", "--version", "1.0", "--exit-with-parent"]
    return [*shop, "--port", str(port), "--database", through]


@pytest.mark.live
def test_the_shop_behind_a_proxy_towards_its_postgresql_comes_back_when_that_hung(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ports = free_ports(4)
    proxy_ports = ports[2:]
    upstream = make_url(postgres_url)
    config = CONFIG.format(baseline=f"http://127.0.0.1:{ports[0]}", candidate=f"http://127.0.0.1:{ports[1]}")
    (tmp_path / "rehearse.toml").write_text(config.replace(ALLOWED, f'{ALLOWED}, "{upstream.host}"') + HANGS)
    (tmp_path / "visit.py").write_text(SCENARIO.replace("/look", "/products/7"))
    with (
        shop_database(postgres_url, Side.BASELINE) as left,
        shop_database(postgres_url, Side.CANDIDATE) as right,
    ):
        settings = load_settings(
            tmp_path / "rehearse.toml",
            {},
            {
                "load.rate": 20,
                "load.users": 200,
                "targets.baseline.start": start(ports[0], left, proxy_ports[0]),
                "targets.candidate.start": start(ports[1], right, proxy_ports[1]),
                "edges.dependencies.database": {
                    side: {
                        "listen": f"127.0.0.1:{port}",
                        "upstream": f"{upstream.host}:{upstream.port or 5432}",
                    }
                    for side, port in zip(("baseline", "candidate"), proxy_ports, strict=True)
                },
            },
        )
        parts = rehearsal.Parts(LocustEngine(), Silence(), lambda: datetime.now(UTC))
        options = rehearsal.CompareOptions(without_baseline=True, is_advisory=True)
        result = rehearsal.compare(settings, parts, options).result
    (edge,) = result.edges
    assert all(proof.holds for proof in edge.record.proofs), edge
    assert "the database hangs for 1.5 s: the baseline" in edge.record.told
    assert edge.outcome is EdgeOutcome.PASS, edge
    assert result.verdict.decision is not Decision.ABORT
