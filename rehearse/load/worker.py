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
import ssl
import sys
import zlib
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import gevent
import gevent.monkey
import locust  # patches the whole process: before anything else, and only here
import locust.log
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.user.users import HttpUser, User
from locust.util.load_locustfile import load_locustfile

from rehearse.allowlist import AllowList, install_socket_guard
from rehearse.codec import from_jsonable, to_jsonable
from rehearse.errors import TargetRefused
from rehearse.load.locust_hooks import Decks, RequestListener, follow_schedule, watch_requests
from rehearse.load.orders import WorkerOrder
from rehearse.load.pacer import Pacer
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


def load_user_classes(order: WorkerOrder) -> dict[type[User], int]:
    """The user classes of each scenario file, weighted by the scenario's share, with the scenario's number."""
    scenario_of: dict[type[User], int] = {}
    for number, scenario in enumerate(order.scenarios):
        user_classes, _shapes = load_locustfile(str(Path(scenario.file)))
        if not user_classes:
            raise ValueError(f"scenario {scenario.name!r}: {scenario.file} has no runnable User class")
        total = sum(user_class.weight for user_class in user_classes.values())
        for user_class in user_classes.values():
            user_class.weight = user_class.weight / total * order.schedule.shares[number]
            scenario_of[user_class] = number
    names = [user_class.__name__ for user_class in scenario_of]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two scenarios have a User class named {twice[0]!r}: rename one")
    return scenario_of


def aim(user_class: type[User], order: WorkerOrder) -> None:
    """Point a user class at its target: TLS verified (FastHttpUser verifies nothing by default), headers, timeouts."""
    tls, timeout_s = order.target.tls, order.timeout_s

    def tls_context() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=tls.ca)
        if not tls.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
        return context

    if issubclass(user_class, FastHttpUser):
        user_class.insecure = not tls.verify
        user_class.ssl_context_factory = staticmethod(tls_context)
        user_class.network_timeout = min(user_class.network_timeout, timeout_s)
        user_class.connection_timeout = min(user_class.connection_timeout, timeout_s)
        user_class.default_headers = {**order.target.headers, **(user_class.default_headers or {})}
    elif issubclass(user_class, HttpUser):
        _aim_requests(user_class, order)


def _aim_requests(user_class: type[HttpUser], order: WorkerOrder) -> None:
    tls, original = order.target.tls, user_class.__init__

    def initialise(self: Any, environment: Environment) -> None:
        original(self, environment)  # type: ignore[no-untyped-call]
        self.client.headers.update(order.target.headers)
        self.client.verify = (tls.ca or True) if tls.verify else False
        self.client.cert = (tls.cert, tls.key) if tls.cert and tls.key else tls.cert

    user_class.__init__ = initialise  # type: ignore[method-assign]


class Worker:
    """Runs one order from set-up to the final report."""

    def __init__(self, order: WorkerOrder, reports: Reports, commands: Commands) -> None:
        self._order = order
        self._reports = reports
        self._commands = commands
        schedule = order.schedule
        planned = schedule.planned(order.worker, order.workers)
        self._recorder = Recorder(order.target.side, order.round, schedule, planned, reports.send_block)
        slots = schedule.slots(order.target.side, order.round, order.worker, order.workers)
        self._pacer = Pacer(slots, tuple(scenario.name for scenario in order.scenarios), self._recorder)
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
        scenario_of = load_user_classes(order)
        for user_class in scenario_of:
            aim(user_class, order)
        seed = f"{order.schedule.seed}:{order.round}:{order.worker}"
        random.seed(seed)
        follow_schedule(self._pacer, dict(scenario_of), Decks(seed))
        watch_requests(self._check_method, order.timeout_s)
        environment = Environment(user_classes=list(scenario_of), host=order.target.url, events=locust.events)
        environment.events.request.add_listener(self._listener)  # type: ignore[no-untyped-call]
        runner = environment.create_local_runner()
        runner.start(order.users, spawn_rate=order.users)
        self._wait_for_users(order.users)
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
    allow_list = AllowList(order.allow, order.production)
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
