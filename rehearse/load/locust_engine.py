"""Real load: one Locust process (or W) per side, told what to do and heard by lines of JSON over pipes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Self

from rehearse.codec import from_jsonable, to_jsonable
from rehearse.errors import ConfigError, NotReady, RehearseError, TargetRefused
from rehearse.load.engine import (
    BlockClosed,
    LiveCounts,
    LoadEvent,
    LoadStarted,
    Sampled,
    SamplesCounted,
    Tick,
    Trouble,
    WorkerDone,
)
from rehearse.load.ledger import BlockLedger
from rehearse.load.orders import LoadOrder, worker_file, worker_order
from rehearse.load.outbox import spooled
from rehearse.load.recorder import BINS_PER_S
from rehearse.load.sampling import sample_of
from rehearse.load.worker_process import WorkerProcess, clean_environment, how_it_ended, widen
from rehearse.logs import ChildLog
from rehearse.model import Block, Incident, ReasonCode, Sampling, Side, WorkerFinal
from rehearse.redaction import credentials_in, redact

READY_TIMEOUT_S = 60.0
FINAL_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 2.0
HEAD_START_S = 0.5
TICK_S = 0.25
# A worker tells something every 0.25 s. One that is silent for longer than this was stopped or is blocked; what it did
# meanwhile is not known, even if it goes on later.
SILENT_S = 4.0
AWAY_S = 1.0  # `rehearse` itself did not listen for so long: that is no silence of the workers

_MORE_OF_IT = "raise its limit (ulimit -n), keep connections open, or use less load or more machines"


@dataclass(frozen=True, slots=True)
class LocustEngine:
    """Real Locust in child processes."""

    def start(self, order: LoadOrder) -> LocustSession:
        """Start the workers; they wait for each other before the first arrival."""
        return LocustSession(order)


class LocustSession:
    """One round of load by Locust workers; see LoadSession."""

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._secrets = order.secrets
        self._queue: queue.Queue[tuple[WorkerProcess, dict[str, object] | None]] = queue.Queue()
        self._ledger = BlockLedger(order.workers)
        self._readers: list[threading.Thread] = []
        self._workers: list[WorkerProcess] = []
        self._start_at: float | None = None
        self._looked_at = perf_counter()
        self._must_end_at = float("inf")
        try:
            for side in order.sides:
                for number in range(order.workers):
                    self._launch(side.side, number)
        except BaseException:  # nobody enters a context that was never made: those already running end here
            self._end_workers()
            raise

    def events(self) -> Iterator[LoadEvent]:
        """See LoadSession."""
        ready_by = perf_counter() + READY_TIMEOUT_S
        while not all(worker.final is not None or worker.is_gone for worker in self._workers):
            try:
                worker, message = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                pass
            else:
                yield from self._handle(worker, message)
            now = perf_counter()
            if self._start_at is not None:
                yield from self._silent(now)
                yield Tick(now - self._start_at)
            elif now > ready_by:
                raise NotReady(
                    f"the load generator was not ready within {READY_TIMEOUT_S:.0f} s. {self._logs()}"
                )
            if now > self._must_end_at:
                yield from self._overdue()
                return

    def stop(self, drain_s: float) -> None:
        """See LoadSession."""
        self._must_end_at = min(self._must_end_at, perf_counter() + drain_s + FINAL_TIMEOUT_S)
        for worker in self._workers:
            worker.tell(f"stop {drain_s}")

    def tell_headers(self, side: Side, headers: Mapping[str, str]) -> None:
        """See LoadSession. By pipe: neither command line nor environment holds them."""
        self._secrets += credentials_in(headers)
        for worker in self._workers:
            if worker.side is side and not worker.is_gone:
                worker.tell(f"headers {json.dumps(dict(headers))}")

    def _clean(self, text: str) -> str:
        return redact(text, self._secrets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See LoadSession."""
        self._end_workers()

    def _end_workers(self) -> None:
        """Stdin closed is their sign to stop at once; what remains is killed."""
        for worker in self._workers:
            if worker.process.stdin is not None:
                with suppress(BrokenPipeError):
                    worker.process.stdin.close()
        deadline = perf_counter() + STOP_TIMEOUT_S
        for worker in self._workers:
            try:
                worker.process.wait(timeout=max(0.01, deadline - perf_counter()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        for thread in self._readers:
            thread.join(STOP_TIMEOUT_S)
        with ExitStack() as logs:  # each is closed, also when there is no room for what another one holds
            for worker in self._workers:
                if worker.process.stdout is not None:
                    worker.process.stdout.close()
                logs.callback(worker.log.close)

    def _launch(self, side: Side, number: int) -> None:
        log = ChildLog(worker_file(self._order, side, number, "log"), self._clean)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rehearse.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.file,
            env=clean_environment(),
            cwd=self._order.working_dir,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
        widen(process)
        worker = WorkerProcess(side, number, process, log, worker_file(self._order, side, number, "spool"))
        self._workers.append(worker)  # before anything else can fail: what is listed is ended
        target = next(target for target in self._order.sides if target.side is side)
        worker.tell(json.dumps(to_jsonable(worker_order(self._order, target, number))))
        reader = threading.Thread(target=self._read, args=(worker,), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, worker: WorkerProcess) -> None:
        """In a thread per worker: every line into the queue, and None at the end."""
        stdout = worker.process.stdout
        if stdout is not None:
            for line in stdout:
                try:
                    message = json.loads(line)
                except ValueError:
                    break  # a torn line: the worker died while writing it
                # That one comes from a thread of its own, when the worker itself is silent.
                if message["type"] != "blocked":
                    worker.heard_at = perf_counter()
                self._queue.put((worker, message))
        self._queue.put((worker, None))

    def _handle(self, worker: WorkerProcess, message: dict[str, object] | None) -> Iterator[LoadEvent]:
        if message is None:
            yield from self._ended(worker)
            return
        worker.boot_id = worker.boot_id or str(message["boot"])
        if message["boot"] != worker.boot_id:
            yield from self._doubt(worker, "a restarted process speaks in its place; nothing of it is taken")
            return
        kind = message["type"]
        if "seq" in message:
            yield from self._take(worker, message)
            worker.tell(f"ack {self._ledger.last_taken(worker.side, worker.number)}")
        elif kind == "ready":
            yield from self._ready(worker, message)
        elif kind == "live":
            yield from _live_counts(worker.side, message)
        elif kind == "sample":
            worker.samples += 1
            yield Sampled(sample_of(worker.side, message))
        elif kind == "sampled":
            yield SamplesCounted(_sampling(worker, message))
        elif kind == "blocked":
            worker.blocked_in = str(message["held_by"])
        elif kind == "exhausted":
            yield self._trouble(worker, ReasonCode.RIG_UNHEALTHY, f"{message['what']}; {_MORE_OF_IT}")
        elif kind == "refused":
            raise TargetRefused(str(message["message"]))
        elif kind == "failed":
            if not worker.is_ready:
                raise ConfigError(
                    f"the scenario cannot be run: {message['message']} (all of it: {worker.log.path})"
                )
            yield self._trouble(worker, ReasonCode.WORKER_LOST, str(message["message"]))

    def _take(self, worker: WorkerProcess, message: dict[str, object]) -> Iterator[LoadEvent]:
        """Evidence, once and in order. It is acknowledged after whoever listens has dealt with it (stored it)."""
        if not self._ledger.take(worker.side, worker.number, int(str(message["seq"]))):
            return
        data = str(message["data"])
        if message["type"] == "final":
            yield from self._final(worker, data)
            return
        block = self._ledger.add(worker.number, from_jsonable(Block, json.loads(data)), data)
        if block is not None:
            yield BlockClosed(block)

    def _ready(self, worker: WorkerProcess, message: dict[str, object]) -> Iterator[LoadEvent]:
        worker.is_ready = True
        loaded: dict[str, str] = message["loaded"]  # type: ignore[assignment]  # our own worker's shape
        worker.loaded = loaded
        if not all(other.is_ready for other in self._workers):
            return
        yield from self._other_versions()
        self._start_at = perf_counter() + HEAD_START_S
        drain_s = self._order.timeout_s + 1.0
        self._must_end_at = self._start_at + self._order.schedule.length_s + drain_s + FINAL_TIMEOUT_S
        for other in self._workers:
            other.tell(f"start {self._start_at!r}")
            other.heard_at = self._start_at
        yield LoadStarted({key: value for key, value in worker.loaded.items() if key.startswith("rig.")})

    def _other_versions(self) -> Iterator[LoadEvent]:
        """What a worker loaded that differs from the run's record or, where that says nothing, from the first one."""
        expected = {**self._workers[0].loaded, **self._order.expected}
        for worker in self._workers:
            for key, value in sorted(worker.loaded.items()):
                if value != expected.get(key):
                    what = f"it loaded another {key} ({value[:40]}, expected {str(expected.get(key))[:40]})"
                    yield self._trouble(worker, ReasonCode.NOT_COMPARABLE, what)

    def _final(self, worker: WorkerProcess, data: str) -> Iterator[LoadEvent]:
        worker.final = from_jsonable(WorkerFinal, json.loads(data))
        complaint = self._ledger.complaint(worker.final)
        if complaint is not None:
            yield self._trouble(worker, ReasonCode.LEDGER, complaint)
        else:
            worker.spool.unlink(missing_ok=True)  # all of it has arrived
        yield WorkerDone(worker.final)

    def _ended(self, worker: WorkerProcess) -> Iterator[LoadEvent]:
        """Its stdout is closed. Without a final report it is lost, and the other side's load makes no sense."""
        worker.is_gone = True
        try:
            code = worker.process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = None
        if worker.final is not None and code == 0:
            return
        if not worker.is_ready:
            raise RehearseError(f"{worker.label} did not start: {worker.log_tail() or how_it_ended(code)}")
        yield from self._from_spool(worker)
        what = f"{how_it_ended(code)}; {self._missing(worker)}. {worker.log_tail()}"
        yield self._trouble(worker, ReasonCode.WORKER_LOST, what.strip())
        self.stop(drain_s=1.0)

    def _from_spool(self, worker: WorkerProcess) -> Iterator[LoadEvent]:
        """What it had written before it was lost, and had not come through the pipe whole."""
        for message in spooled(worker.spool):
            if message.get("boot") == worker.boot_id:
                yield from self._take(worker, message)

    def _missing(self, worker: WorkerProcess) -> str:
        """Exactly what is not known of it."""
        planned = self._order.schedule.planned(worker.number, self._order.workers)
        blocks, arrivals = self._ledger.account(worker.side, worker.number)
        return (
            f"{len(planned) - blocks:,} of its {len(planned):,} blocks and {sum(planned) - arrivals:,} of its "
            f"{sum(planned):,} planned arrivals are missing"
        )

    def _silent(self, now: float) -> Iterator[LoadEvent]:
        """A worker that tells nothing for SILENT_S is lost, even if it finds its voice again."""
        if now - self._looked_at > AWAY_S:
            for worker in self._workers:
                worker.heard_at = max(worker.heard_at, now)
        self._looked_at = now
        for worker in self._workers:
            is_expected = worker.final is None and not worker.is_gone
            if is_expected and now - worker.heard_at > SILENT_S:
                why = f"blocked in {worker.blocked_in}" if worker.blocked_in else "stopped, or blocked"
                yield from self._doubt(worker, f"it told nothing for {SILENT_S:.0f} s: {why}")

    def _doubt(self, worker: WorkerProcess, what: str) -> Iterator[LoadEvent]:
        """Say once that it is lost, and stop the load everywhere."""
        if not worker.is_in_doubt:
            worker.is_in_doubt = True
            yield self._trouble(worker, ReasonCode.WORKER_LOST, what)
            self.stop(drain_s=1.0)

    def _overdue(self) -> Iterator[LoadEvent]:
        for worker in self._workers:
            if worker.final is None and not worker.is_gone:
                yield from self._from_spool(worker)
                what = f"no final report in time; {self._missing(worker)}"
                yield self._trouble(worker, ReasonCode.WORKER_LOST, what)

    def _trouble(self, worker: WorkerProcess, code: ReasonCode, what: str) -> Trouble:
        return Trouble(Incident(code, f"{worker.label}: {what}", worker.side))

    def _logs(self) -> str:
        tails = [
            f"{worker.label}: {worker.log_tail() or 'nothing in its log'}"
            for worker in self._workers
            if not worker.is_ready
        ]
        return " ".join(tails)


def _live_counts(side: Side, message: dict[str, object]) -> Iterator[LiveCounts]:
    """What ended; with nothing ended a zero, which tells a silent target from a silent load generator."""
    bins: list[list[int]] = message["bins"]  # type: ignore[assignment]  # our own worker's shape
    at_s = float(str(message["at_s"]))
    for bin_ in bins or [[max(0, int(at_s * BINS_PER_S)), 0, 0, 0]]:
        yield LiveCounts(side, *bin_)


def _sampling(worker: WorkerProcess, message: Mapping[str, object]) -> Sampling:
    sent, left_out, failed = (int(str(message[key])) for key in ("sent", "left_out", "failed"))
    return Sampling(worker.side, worker.samples, max(0, sent - worker.samples), left_out, failed)
