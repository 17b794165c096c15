"""One worker process: an ordinary Locust file, run on schedule against one target.

Talks to `rehearse` by lines of JSON: orders on stdin, reports on the stdout it was started with (what the scenario
prints goes to stderr). When stdin ends, `rehearse` is gone, and the load stops at once: Locust's own heartbeat would
keep loading for a minute.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import sys
import zlib
from time import perf_counter
from typing import IO, Any

import gevent
import gevent.monkey
import locust  # patches the whole process: before anything else, and only here
import locust.log
from locust.env import Environment

from rehearse.allowlist import AllowList, install_socket_guard
from rehearse.codec import from_jsonable, to_jsonable
from rehearse.errors import TargetRefused
from rehearse.load import savings
from rehearse.load.crew import Deal, aim, muster
from rehearse.load.lean import LeanHttpSession
from rehearse.load.locust_hooks import Decks, RequestListener, follow_schedule, watch_requests
from rehearse.load.orders import WorkerOrder
from rehearse.load.pacer import Lane, Pacer
from rehearse.load.recorder import Recorder
from rehearse.load.rig import RigWatch, fingerprint
from rehearse.model import Block, WorkerFinal

READY_TIMEOUT_S = 20.0
LIVE_EVERY_TICKS = 5
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ORPHANED = 4  # exit code when `rehearse` went away


class Reports:
    """Numbered lines of JSON to `rehearse`, with a checksum over the blocks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sequence = 0
        # A refused DNS lookup is reported from one of gevent's own (real) threads.
        self._lock = gevent.monkey.get_original("threading", "Lock")()
        self.blocks_crc32 = 0

    def send(self, kind: str, **content: Any) -> None:
        """One line, flushed."""
        with self._lock:
            line = json.dumps({"type": kind, "seq": self._sequence, **content}, allow_nan=False)
            self._sequence += 1
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()

    def send_block(self, block: Block) -> None:
        """One closed block; its bytes enter the checksum."""
        data = json.dumps(to_jsonable(block), allow_nan=False, sort_keys=True)
        self.blocks_crc32 = zlib.crc32(data.encode(), self.blocks_crc32)
        self.send("block", data=data)


class Commands:
    """What `rehearse` says after the order: "start T0", "stop DRAIN_S". Read by a real thread, outside gevent."""

    def __init__(self) -> None:
        self.start_at: float | None = None
        self.drain_s: float | None = None
        start_new_thread = gevent.monkey.get_original("_thread", "start_new_thread")
        start_new_thread(self._read, ())

    def _read(self) -> None:
        pending = b""
        while chunk := os.read(0, 4096):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._obey(line.decode())
        os._exit(ORPHANED)

    def _obey(self, line: str) -> None:
        word, _, value = line.partition(" ")
        if word == "start":
            self.start_at = float(value)
        elif word == "stop":
            self.drain_s = float(value)


def read_order() -> WorkerOrder:
    """The first line of stdin, read without buffering so that commands stay in the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        char = os.read(0, 1)
        if not char:
            os._exit(ORPHANED)
        line += char
    return from_jsonable(WorkerOrder, json.loads(line))


def take_stdout() -> IO[bytes]:
    """The stdout we were started with, for reports only; prints of the scenario go to stderr from now on."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream


class Worker:
    """Runs one order from set-up to the final report."""

    def __init__(self, order: WorkerOrder, reports: Reports, commands: Commands) -> None:
        self._order = order
        self._reports = reports
        self._commands = commands
        schedule = order.schedule
        planned = schedule.planned(order.worker, order.workers)
        self._recorder = Recorder(order.target.side, order.round, schedule, planned, reports.send_block)
        self._crew = muster(order)
        slots = schedule.slots(order.target.side, order.round, order.worker, order.workers)
        lanes = [Lane(order.scenarios[member.scenario].name) for member in self._crew]
        self._pacer = Pacer(slots, lanes, Deal(self._crew), self._recorder)
        self._listener = RequestListener(self._recorder, self._pacer)

    def run(self) -> None:
        """Set up users, wait for the common start, hand out the arrivals, close the account."""
        runner = self._set_up()
        self._reports.send("ready", users=self._pacer.idle_users, rig=fingerprint())
        start_at = self._wait_for_start()
        gc.collect()
        gc.freeze()
        pacing = gevent.spawn(self._pacer.run, start_at)
        self._watch(start_at)
        pacing.kill()
        self._close(runner)

    def _set_up(self) -> Any:
        order = self._order
        lane_of: dict[type, int] = {member.user_class: lane for lane, member in enumerate(self._crew)}
        user_classes = [member.user_class for member in self._crew]
        for user_class in user_classes:
            aim(user_class, order)
        seed = f"{order.schedule.seed}:{order.round}:{order.worker}"
        random.seed(seed)
        follow_schedule(self._pacer, lane_of, Decks(seed))
        watch_requests(self._check_method, order.timeout_s, self._listener)
        LeanHttpSession.report_to(self._check_method, self._listener)
        savings.save()
        environment = Environment(user_classes=user_classes, host=order.target.url, events=locust.events)
        environment.events.request.add_listener(self._listener)  # type: ignore[no-untyped-call]
        runner = savings.runner_of(environment)
        users = sum(member.users for member in self._crew)
        runner.start(users, spawn_rate=users)
        self._wait_for_users(users)
        return runner

    def _check_method(self, method: str) -> None:
        """Nothing that changes data leaves the process until the config says that it may."""
        if self._order.side_effects or method.upper() in SAFE_METHODS:
            return
        allowed = ", ".join(SAFE_METHODS)
        message = f"a scenario sends {method}, but without safety.side_effects = true only {allowed} are sent"
        self._reports.send("refused", message=message)
        raise TargetRefused(message)

    def _wait_for_users(self, users: int) -> None:
        """Until every user has run its on_start and waits for an arrival; a failing login shows in the load."""
        deadline = perf_counter() + READY_TIMEOUT_S
        while self._pacer.idle_users < users and perf_counter() < deadline and self._commands.drain_s is None:
            gevent.sleep(0.05)

    def _wait_for_start(self) -> float:
        while self._commands.start_at is None:
            gevent.sleep(0.02)
        return self._commands.start_at

    def _watch(self, start_at: float) -> None:
        """Tick until every block is closed, or the time for what is in flight is over."""
        schedule = self._order.schedule
        watch = RigWatch(start_at, schedule.block_s, schedule.blocks)
        cut_off_at = start_at + schedule.length_s + self._order.timeout_s + 1.0
        ticks = 0
        while self._recorder.open_blocks:
            gevent.sleep(RigWatch.TICK_S)
            ticks += 1
            for block, window in watch.tick():
                self._recorder.rig_window(block, window)
            self._recorder.close_ready()
            if ticks % LIVE_EVERY_TICKS == 0:
                self._send_live(start_at)
            cut_off_at = self._after_stop(cut_off_at)
            if perf_counter() >= cut_off_at or (self._pacer.is_stopped and self._pacer.in_flight == 0):
                break
        self._pacer.cut_off()
        self._recorder.close_ready()
        self._send_live(start_at)

    def _after_stop(self, cut_off_at: float) -> float:
        if self._commands.drain_s is None or self._pacer.is_stopped:
            return cut_off_at
        self._pacer.is_stopped = True
        return min(cut_off_at, perf_counter() + self._commands.drain_s)

    def _send_live(self, start_at: float) -> None:
        bins = self._recorder.take_live()
        self._reports.send("live", at_s=perf_counter() - start_at, bins=bins, in_flight=self._pacer.in_flight)

    def _close(self, runner: Any) -> None:
        recorder, order = self._recorder, self._order
        failures = self._listener.failures + bool(locust.log.unhandled_greenlet_exception)
        final = WorkerFinal(
            side=order.target.side,
            round=order.round,
            worker=order.worker,
            arrivals=recorder.closed,
            blocks_closed=recorder.blocks_closed,
            blocks_sent_crc32=self._reports.blocks_crc32,
            unscheduled_requests=recorder.unscheduled_requests,
            unscheduled_errors=recorder.unscheduled_errors,
            listener_errors=failures,
            abandoned=recorder.abandoned(),
        )
        self._reports.send("final", data=to_jsonable(final))
        with gevent.Timeout(2.0, False):
            runner.quit()


def main() -> None:
    """Entry point of the child process."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    log = logging.getLogger(__name__)
    reports = Reports(take_stdout())
    order = read_order()
    allow_list = AllowList(order.allow, order.production, order.target.other_sides)
    install_socket_guard(allow_list, lambda message: reports.send("refused", message=message))
    commands = Commands()
    try:
        Worker(order, reports, commands).run()
    except Exception as error:
        log.exception("the worker failed")
        reports.send("failed", message=f"{type(error).__name__}: {error}")
        sys.stderr.flush()
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
