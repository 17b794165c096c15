"""`/metrics` while a rehearsal runs: what Prometheus reads there."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rehearse.errors import ConfigError
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    LoadStarted,
    ScriptedEngine,
    Tick,
    Trouble,
)
from rehearse.load.tapped import TappedEngine
from rehearse.metrics.exporter import LiveMetrics, serving
from rehearse.model import Incident, Side
from tests.store.examples import block


def values(port: int) -> dict[tuple[str, str], float]:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return {
        (one.name, one.labels.get("side", "")): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def test_what_happened_is_counted_by_side() -> None:
    metrics = LiveMetrics()
    with serving(metrics, "127.0.0.1", 0) as port:
        assert values(port)["rehearse_live_requests_total", "candidate"] == 0
        metrics.see(LoadStarted({}))
        metrics.see(LiveCounts(Side.CANDIDATE, 0, 40, 3, 37))
        metrics.see(LiveCounts(Side.CANDIDATE, 1, 2, 0, 2))
        metrics.see(BlockClosed(block()))
        metrics.see(Tick(7.5))
        metrics.see(Trouble(Incident("x", "y")))
        now = values(port)
    assert now["rehearse_live_requests_total", "candidate"] == 42
    assert now["rehearse_live_failed_requests_total", "candidate"] == 3
    assert now["rehearse_live_requests_total", "baseline"] == 0
    assert now["rehearse_live_blocks_total", "baseline"] == 1
    assert now["rehearse_live_round_seconds", ""] == 7.5
    assert now["rehearse_live_troubles_total", ""] == 1


def test_the_port_is_free_again_afterwards() -> None:
    with serving(LiveMetrics(), "127.0.0.1", 0) as port:
        pass
    with serving(LiveMetrics(), "127.0.0.1", port) as again:
        assert again == port


def test_a_port_that_is_taken_is_said_before_any_load() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"--metrics-port {port}"),
            serving(LiveMetrics(), "127.0.0.1", port),
        ):
            pass


def test_a_tapped_engine_shows_each_event_before_it_happens_to_anybody_else() -> None:
    seen: list[object] = []
    events: list[LoadEvent] = [Tick(0.0), LiveCounts(Side.BASELINE, 0, 1, 0, 1), Tick(1.0)]
    engine = TappedEngine(ScriptedEngine([events]), seen.append)
    order = SimpleNamespace(round=0)
    with engine.start(order) as session:  # type: ignore[arg-type]  # all that a script reads of it
        for number, event in enumerate(session.events(), start=1):
            assert seen == events[:number]
            assert event is seen[-1]
