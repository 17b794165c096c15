"""What the fault proxy itself costs, without a toxic: the same work directly and through it, in turns, in one run.

    .venv/bin/python -m bench.edges.proxy --turns 20

Round trips on a kept connection, round trips on a fresh one, and one long stream. What an edge case measures through
the proxy is higher by the added time, on both sides alike.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearse.edges.orders import ProxyOrder
from rehearse.edges.proxy import FaultProxy

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = b"q" * 200
STREAM_BYTES = 32_000_000
KEPT_TRIPS, FRESH_TRIPS = 500, 100

Address = tuple[str, int]


@dataclass(frozen=True)
class Row:
    """One way of working, directly and through the proxy."""

    work: str
    unit: str
    direct_p50: float
    proxied_p50: float
    direct_p99: float
    proxied_p99: float

    @property
    def added_p50(self) -> float:
        """What the proxy adds at the median."""
        return self.proxied_p50 - self.direct_p50


def main() -> None:
    """Measure, print the table, write the JSON."""
    options = _options()
    port = multiprocessing.get_context("spawn").SimpleQueue()
    server = multiprocessing.get_context("spawn").Process(target=_echo, args=(port,), daemon=True)
    server.start()
    direct: Address = ("127.0.0.1", port.get())
    with FaultProxy(ProxyOrder(*direct, allow=("127.0.0.1",))) as proxy:
        rows = [
            _row("round trip, kept connection", "us", options.turns, direct, proxy.address, _kept_trips),
            _row("round trip, fresh connection", "us", options.turns, direct, proxy.address, _fresh_trips),
            _row("stream", "MB/s", max(3, options.turns // 4), direct, proxy.address, _stream),
        ]
        assert proxy.counters().upstream_failed == 0
    server.terminate()
    print(_table(rows))
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=20, help="of each way; they alternate")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-edges-proxy.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def _row(
    work: str,
    unit: str,
    turns: int,
    direct: Address,
    proxied: Address,
    measure: Callable[[Address], Sequence[float]],
) -> Row:
    samples: dict[Address, list[float]] = {direct: [], proxied: []}
    for turn in range(turns):
        for address in (direct, proxied) if turn % 2 == 0 else (proxied, direct):
            samples[address] += measure(address)
    cuts = {address: statistics.quantiles(found, n=100) for address, found in samples.items()}
    return Row(work, unit, cuts[direct][49], cuts[proxied][49], cuts[direct][98], cuts[proxied][98])


def _kept_trips(address: Address) -> list[float]:
    with _connected(address) as client:
        return [_trip_us(client) for _ in range(KEPT_TRIPS)]


def _fresh_trips(address: Address) -> list[float]:
    found = []
    for _ in range(FRESH_TRIPS):
        began = time.perf_counter()
        with _connected(address) as client:
            _trip_us(client)
        found.append((time.perf_counter() - began) * 1e6)
    return found


def _stream(address: Address) -> list[float]:
    with _connected(address) as client:
        began = time.perf_counter()
        sender = threading.Thread(target=client.sendall, args=(b"s" * STREAM_BYTES,))
        sender.start()
        received = 0
        while received < STREAM_BYTES:
            received += len(client.recv(1 << 18))
        sender.join()
        return [STREAM_BYTES / 1e6 / (time.perf_counter() - began)]


def _connected(address: Address) -> socket.socket:
    client = socket.create_connection(address, timeout=30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _trip_us(client: socket.socket) -> float:
    began = time.perf_counter()
    client.sendall(MESSAGE)
    left = len(MESSAGE)
    while left:
        left -= len(client.recv(left))
    return (time.perf_counter() - began) * 1e6


def _echo(port: multiprocessing.SimpleQueue[int]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port.put(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo_one, args=(connection,), daemon=True).start()


def _echo_one(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 18):
            connection.sendall(data)


def _table(rows: Sequence[Row]) -> str:
    lines = [
        f"{'':<30}{'':>6}{'direct p50':>12}{'proxy p50':>12}{'added':>10}{'direct p99':>12}{'proxy p99':>12}"
    ]
    lines += [
        f"{row.work:<30}{row.unit:>6}{row.direct_p50:>12.0f}{row.proxied_p50:>12.0f}{row.added_p50:>10.0f}"
        f"{row.direct_p99:>12.0f}{row.proxied_p99:>12.0f}"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
