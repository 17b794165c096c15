"""A real service with a metastable failure, its cured twin and a slow one, and how often each is judged rightly.

    .venv/bin/python -m bench.edges.metastable --runs 10

A front answers HTTP and asks a dependency with one worker and a queue; each attempt is a connection of its own. The
dependency works on what nobody waits for any more, as most do. Between the two stands the fault proxy, which lets the
dependency hang for a moment. Then:

* `stubborn`: eight attempts for each request. Attempts of which all have been given up fill the queue for ever.
* `budgeted`: the same, with at most one retry for ten requests. It comes back when the queue is empty.
* `slow`: no retry, patient clients and little room to spare. It comes back, and takes its time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rehearse.edges.orders import ProxyOrder
from rehearse.edges.proxy import FaultProxy
from rehearse.edges.recovery import Recovery, RecoveryRule, RecoveryState, Window, judge_recovery
from rehearse.edges.toxics import Stream, Toxic, ToxicType

ROOT = Path(__file__).resolve().parents[2]
SERVICE_S = 0.01  # so the dependency completes 100 a second
MAX_LATE_S = 0.05
MAX_QUEUE = 20_000
MAX_BUDGET = 10.0
WINDOW_S = 0.5
BASELINE_WINDOWS = 6
HANG = Toxic(ToxicType.TIMEOUT, {"timeout": 0}, Stream.UPSTREAM, name="hang")
RULE = RecoveryRule(deadline_s=8.0, hold_s=1.0, latency_floor_s=0.15, failed_ratio=0.05)


@dataclass(frozen=True)
class Twin:
    """One of the three."""

    name: str
    rate_per_s: float
    timeout_s: float
    attempts: int
    budget_ratio: float | None
    hang_s: float
    expected: RecoveryState


TWINS = {
    twin.name: twin
    for twin in (
        Twin("stubborn", 50, 0.3, 8, None, 1.0, RecoveryState.METASTABLE),
        Twin("budgeted", 50, 0.3, 8, 0.1, 1.0, RecoveryState.RECOVERED),
        Twin("slow", 75, 20.0, 1, None, 0.8, RecoveryState.RECOVERED),
    )
}


# --- the service, in a process of its own


@dataclass
class Dependency:
    """One worker and a queue, first come, first served, whoever still waits."""

    queue: asyncio.Queue[asyncio.StreamWriter] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUE))

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A request joins the queue; beyond its bound it is turned away."""
        if await reader.readline() == b"work\n" and not self.queue.full():
            self.queue.put_nowait(writer)
        else:
            writer.close()

    async def work(self) -> None:
        """For ever: one after the other."""
        free_at = 0.0
        while True:
            writer = await self.queue.get()
            free_at = max(free_at, time.monotonic() - MAX_LATE_S) + SERVICE_S  # a late timer is made up for
            await asyncio.sleep(free_at - time.monotonic())
            writer.write(b"done\n")
            writer.close()


@dataclass
class Front:
    """Answers HTTP by asking the dependency, again and again if it must."""

    twin: Twin
    dependency: tuple[str, int]
    budget: float = MAX_BUDGET

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if await self._is_done() else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def _is_done(self) -> bool:
        self.budget = min(MAX_BUDGET, self.budget + (self.twin.budget_ratio or 0.0))
        for attempt in range(self.twin.attempts):
            if attempt and self.twin.budget_ratio is not None:
                if self.budget < 1:
                    return False
                self.budget -= 1
            try:
                async with asyncio.timeout(self.twin.timeout_s):
                    if await self._ask():
                        return True
            except OSError:  # TimeoutError is one
                continue
        return False

    async def _ask(self) -> bool:
        reader, writer = await asyncio.open_connection(*self.dependency)
        try:
            writer.write(b"work\n")
            return await reader.readline() == b"done\n"
        finally:
            writer.close()


async def _serve(twin: Twin) -> None:
    """Tell where the dependency is, be told where the front shall look for it, tell where the front is."""
    dependency = Dependency()
    working = asyncio.create_task(dependency.work())
    behind = await asyncio.start_server(dependency.take, "127.0.0.1", 0, backlog=1024)
    print(behind.sockets[0].getsockname()[1], flush=True)
    host, port = (await asyncio.to_thread(sys.stdin.readline)).split()
    front = await asyncio.start_server(Front(twin, (host, int(port))).answer, "127.0.0.1", 0, backlog=1024)
    print(front.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us is gone
    working.cancel()


async def _serve_at(twin: Twin, front_port: int, dependency_port: int, through_port: int) -> None:
    """The same on ports of somebody's choice, with a proxy of theirs in between, until it is ended."""
    dependency = Dependency()
    front = Front(twin, ("127.0.0.1", through_port))
    async with (
        await asyncio.start_server(dependency.take, "127.0.0.1", dependency_port, backlog=1024),
        await asyncio.start_server(front.answer, "127.0.0.1", front_port, backlog=1024),
    ):
        await dependency.work()


@dataclass(frozen=True)
class Service:
    """The three parts, running."""

    port: int
    proxy: FaultProxy


@contextmanager
def running(twin: Twin) -> Iterator[Service]:
    """Front, proxy and dependency until the block ends."""
    command = [sys.executable, "-m", "bench.edges.metastable", "--serve", twin.name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            order = ProxyOrder("127.0.0.1", int(process.stdout.readline()), allow=("127.0.0.1",))
            with FaultProxy(order) as proxy:
                print(*proxy.address, file=process.stdin, flush=True)
                yield Service(int(process.stdout.readline()), proxy)
        finally:
            process.kill()


# --- the load, and what it sees


@dataclass
class _Tally:
    """What was due in one window."""

    requests: int = 0
    latencies_s: list[float] = field(default_factory=list)


@dataclass
class Watch:
    """Load at a steady rate, whatever comes back; what was seen, by the window in which a request was due."""

    service: Service
    twin: Twin
    tallies: list[_Tally] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)  # counted by the proxy, at each window's end
    began: float = 0.0

    async def run(self) -> Recovery:
        """A baseline, the hang, and then until it can be ruled on."""
        hang_from_s = BASELINE_WINDOWS * WINDOW_S
        hang_to_s = hang_from_s + self.twin.hang_s
        last_s = hang_to_s + RULE.deadline_s + RULE.hold_s + 2 * WINDOW_S
        self.began = time.monotonic()
        load = asyncio.create_task(self._load(last_s))
        try:
            injecting = asyncio.create_task(self._hang(hang_from_s, hang_to_s))
            for number in range(round(last_s / WINDOW_S)):
                await self._until((number + 1) * WINDOW_S)
                self.attempts.append((await asyncio.to_thread(self.service.proxy.counters)).accepted)
                recovery = judge_recovery(self.windows(), hang_from_s, hang_to_s, RULE)
                if recovery.state is RecoveryState.RECOVERED and injecting.done():
                    break
            await injecting
            return recovery
        finally:
            load.cancel()
            await asyncio.wait([load])

    def windows(self) -> list[Window]:
        """Those of which every attempt is counted. The newest one is left out: its answers may be under way."""
        counted = zip([0, *self.attempts], self.attempts, self.tallies, strict=False)
        windows = [
            Window(
                number * WINDOW_S,
                WINDOW_S,
                tally.requests,
                len(tally.latencies_s),
                _p95(tally),
                after - before,
            )
            for number, (before, after, tally) in enumerate(counted)
        ]
        return windows[:-1]

    async def _hang(self, from_s: float, to_s: float) -> None:
        await self._until(from_s)
        await asyncio.to_thread(self.service.proxy.set, HANG)
        await self._until(to_s)
        await asyncio.to_thread(self.service.proxy.clear)

    async def _load(self, last_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(int(last_s * self.twin.rate_per_s)):
                due_s = number / self.twin.rate_per_s
                await self._until(due_s)
                while len(self.tallies) <= due_s / WINDOW_S:
                    self.tallies.append(_Tally())
                tally = self.tallies[int(due_s / WINDOW_S)]
                tally.requests += 1
                group.create_task(self._request(due_s, tally))

    async def _request(self, due_s: float, tally: _Tally) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
        except OSError:
            return
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            status = await reader.readline()
        except OSError:
            return
        finally:
            writer.close()
        if b" 200 " in status:
            tally.latencies_s.append(time.monotonic() - self.began - due_s)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self.began + at_s - time.monotonic()))


def _p95(tally: _Tally) -> float | None:
    ordered = sorted(tally.latencies_s)
    return ordered[int(len(ordered) * 0.95)] if ordered else None


@dataclass(frozen=True)
class Row:
    """One run of one twin."""

    twin: str
    state: str
    is_right: bool
    after_s: float | None
    injected: int
    attempts_ratio: float
    sentence: str


def run_once(twin: Twin) -> Row:
    """Start it, let it hang, watch it. A hang that acted on no connection is no run at all."""
    with running(twin) as service:
        watch = Watch(service, twin)
        recovery = asyncio.run(watch.run())
        counters = service.proxy.counters()
    assert counters.acted(HANG.name) > 0, "the hang was not injected"
    requests = sum(tally.requests for tally in watch.tallies)
    return Row(
        twin.name,
        str(recovery.state),
        recovery.state is twin.expected,
        recovery.after_s,
        counters.acted(HANG.name),
        counters.accepted / requests,
        recovery.sentence,
    )


def main() -> int:
    """Serve one twin, or run all of them, print the table and write the JSON; 0 when every ruling was right."""
    options = _options()
    if options.serve and options.ports:
        asyncio.run(_serve_at(TWINS[options.serve], *options.ports))
        return 0
    if options.serve:
        asyncio.run(_serve(TWINS[options.serve]))
        return 0
    rows = []
    for _ in range(options.runs):
        for twin in TWINS.values():
            rows.append(run_once(twin))
            row = rows[-1]
            mark = "right" if row.is_right else "WRONG"
            print(
                f"{row.twin:<9} {mark}  {row.attempts_ratio:4.1f} attempts a request  {row.sentence}",
                flush=True,
            )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print(_table(rows))
    return 0 if all(row.is_right for row in rows) else 1


def _table(rows: Sequence[Row]) -> str:
    lines = [f"{'':<10}{'runs':>6}{'right':>7}{'back after (s)':>18}"]
    for name in TWINS:
        mine = [row for row in rows if row.twin == name]
        back_s = sorted(row.after_s for row in mine if row.after_s is not None)
        shown = f"{back_s[0]:.1f} to {back_s[-1]:.1f}" if back_s else "never"
        lines.append(f"{name:<10}{len(mine):>6}{sum(row.is_right for row in mine):>7}{shown:>18}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="of each twin")
    parser.add_argument("--serve", choices=sorted(TWINS), help="be the service itself")
    ports = ("FRONT", "DEPENDENCY", "PROXY")
    parser.add_argument("--ports", type=int, nargs=3, metavar=ports, help="with --serve: on these, by itself")
    parser.add_argument("--json", type=Path, default=ROOT / ".rehearse" / "bench-edges-metastable.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
