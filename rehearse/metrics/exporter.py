"""`/metrics` while load runs: how far it is, what was sent, what failed. Counts only: judging is done at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from rehearse.errors import ConfigError
from rehearse.load.engine import BlockClosed, LiveCounts, LoadEvent, LoadStarted, Tick, Trouble, WorkerDone
from rehearse.model import Side


class LiveMetrics:
    """Counts the events of a rehearsal."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._by_side("rehearse_live_requests", "Requests that have ended.")
        self._failed = self._by_side("rehearse_live_failed_requests", "Requests that have failed.")
        self._blocks = self._by_side("rehearse_live_blocks", "Blocks that are whole and stored.")
        self._rounds = Counter("rehearse_live_rounds", "Rounds that have begun.", registry=self.registry)
        self._troubles = Counter(
            "rehearse_live_troubles", "What made evidence incomplete.", registry=self.registry
        )
        self._at_s = Gauge(
            "rehearse_live_round_seconds", "How long the round has lasted.", registry=self.registry
        )

    def see(self, event: LoadEvent) -> None:
        """Take one event in."""
        match event:
            case LiveCounts(side, _, requests, errors):
                self._requests.labels(side).inc(requests)
                self._failed.labels(side).inc(errors)
            case BlockClosed(block):
                self._blocks.labels(block.side).inc()
            case LoadStarted():
                self._rounds.inc()
            case Tick(at_s):
                self._at_s.set(max(at_s, 0.0))
            case Trouble():
                self._troubles.inc()
            case WorkerDone():
                pass

    def _by_side(self, name: str, text: str) -> Counter:
        counter = Counter(name, text, ["side"], registry=self.registry)
        for side in Side:
            counter.labels(side)  # zero, and not missing, before anything happens
        return counter


@contextmanager
def serving(metrics: LiveMetrics, host: str, port: int) -> Iterator[int]:
    """Serve `/metrics` while inside; yields the port. Raises ConfigError when that address cannot be used."""
    try:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--metrics-port {port}: {host}:{port} cannot be used ({error}).") from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
