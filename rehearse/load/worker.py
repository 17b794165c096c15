"""One worker process: an ordinary Locust file, run on schedule against one target.

Talks to `rehearse` by lines of JSON: orders on stdin, reports on the stdout it was started with (what the scenario
prints goes to stderr; see outbox.py for what happens to a report that is lost). When stdin ends, `rehearse` is gone,
and the load stops at once: Locust's own heartbeat would keep loading for a minute.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import random
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import gevent
import gevent.monkey
import locust  # patches the whole process: before anything else, and only here
import locust.log
from locust.env import Environment

from rehearse import __version__
from rehearse.allowlist import AllowList, install_socket_guard
from rehearse.codec import from_jsonable
from rehearse.databases import is_database
from rehearse.errors import TargetRefused
from rehearse.load import savings
from rehearse.load.crew import (
    Deal,
    aim,
    aim_at_database,
    aim_through_proxy,
    muster,
    own_options,
    refuse_strangers,
    renew_headers,
    seed_of,
)
from rehearse.load.detour import lead_through
from rehearse.load.lean import LeanHttpSession
from rehearse.load.ledger import without_secrets
from rehearse.load.locust_tasks import Conductor, Decks, follow_schedule
from rehearse.load.orders import WorkerOrder
from rehearse.load.outbox import Outbox
from rehearse.load.pacer import Lane, Pacer
from rehearse.load.recorder import Recorder
from rehearse.load.request_hooks import RIG_KIND, InFlight, RequestListener, watch_requests
from rehearse.load.rig import RigWatch, fingerprint
from rehearse.load.sampling import Sampler
from rehearse.load.stalls import StallWatch
from rehearse.load.statements import REQUEST_TYPE
from rehearse.model import Block, WorkerFinal
from rehearse.redaction import credentials_in, redact

READY_TIMEOUT_S = 20.0
ACKNOWLEDGED_WITHIN_S = 5.0  # twice: for the blocks, and for the closing account
LIVE_EVERY_TICKS = 5
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ORPHANED = 4  # exit code when `rehearse` went away


class Commands:
    """What `rehearse` says after the order: "start T0", "stop DRAIN_S", "ack N", "headers {...}". Read by a real
    thread, outside gevent."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.start_at: float | None = None
        self.drain_s: float | None = None
        self.headers: dict[str, str] | None = None  # to be sent from now on
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
        elif word == "headers":
            self.headers = json.loads(value)
        elif word == "ack":
            self._outbox.acknowledge(int(value))


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

    def __init__(self, order: WorkerOrder, outbox: Outbox, commands: Commands) -> None:
        self._order = order
        self._outbox = outbox
        self._commands = commands
        self._secrets = order.secrets
        schedule = order.schedule
        planned = schedule.planned(order.worker, order.workers)
        self._recorder = Recorder(order.target.side, order.round, schedule, planned, self._send_block)
        self._is_shortage_told = False
        self._runner: Any = None
        self._headers = dict(order.target.headers)
        self._crew = muster(order)
        slots = schedule.slots(order.target.side, order.round, order.worker, order.workers)
        lanes = [Lane(order.scenarios[member.scenario].name) for member in self._crew]
        self._pacer = Pacer(slots, lanes, Deal(self._crew), self._recorder)
        self._sampler = self._sampler_of(order)
        self._listener = RequestListener(self._recorder, self._pacer, self._sampler, self._clean)

    def _sampler_of(self, order: WorkerOrder) -> Sampler | None:
        if order.sampling is None or is_database(order.target.url):
            return None
        offer = partial(self._outbox.offer, "sample")
        return Sampler(order.sampling, order.target.url, order.schedule.length_s, offer, clean=self._clean)

    def _clean(self, text: str) -> str:
        return redact(text, self._secrets)

    def _send_block(self, block: Block) -> None:
        """It goes to the spool too."""
        self._outbox.send_block(without_secrets(block, self._clean))

    def run(self) -> None:
        """Set up users, wait for the common start, hand out the arrivals, close the account."""
        runner = self._set_up()
        self._outbox.tell("ready", users=self._pacer.idle_users, loaded=self._loaded())
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
            self._aim(user_class)
        if order.target.through is not None:
            lead_through(order.target.url, order.target.through)
        seed = seed_of(order)
        random.seed(seed)
        follow_schedule(Conductor(self._pacer, lane_of, Decks(seed)))
        watch_requests(self._check_method, order.timeout_s, self._listener)
        LeanHttpSession.report_to(self._check_method, self._listener)
        savings.save()
        environment = Environment(
            user_classes=user_classes,
            host=order.target.url,
            events=locust.events,
            parsed_options=own_options(),
        )
        environment.events.request.add_listener(self._listener)  # type: ignore[no-untyped-call]
        runner = savings.runner_of(environment)
        environment.events.init.fire(  # type: ignore[no-untyped-call]
            environment=environment, runner=runner, web_ui=None
        )
        users = sum(member.users for member in self._crew)
        runner.start(users, spawn_rate=users)
        self._runner = runner
        self._wait_for_users(users)
        return runner

    def _aim(self, user_class: type[locust.User]) -> None:
        refuse_strangers(user_class, self._order)
        aim(user_class, self._order)
        aim_through_proxy(user_class, self._order, self._refuse)
        if is_database(self._order.target.url):
            try:
                aim_at_database(user_class, self._order, self._refuse, self._statement_in_flight)
            except TargetRefused as refusal:  # libpq's connections are not seen by the socket guard
                self._refuse(str(refusal))
                raise

    def _refuse(self, message: str) -> None:
        self._outbox.tell("refused", message=message)

    def _statement_in_flight(self, name: str) -> InFlight:
        return InFlight(self._listener, REQUEST_TYPE, name)

    def _check_method(self, method: str) -> None:
        """Nothing that changes data leaves the process until the config says that it may."""
        if self._order.side_effects or method.upper() in SAFE_METHODS:
            return
        allowed = ", ".join(SAFE_METHODS)
        message = f"a scenario sends {method}, but without safety.side_effects = true only {allowed} are sent"
        self._refuse(message)
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
        stalls = self._watch_for_stalls()
        watch = RigWatch(start_at, schedule.block_s, schedule.blocks, stalls.beat)
        cut_off_at = start_at + schedule.length_s + self._order.timeout_s + 1.0
        ticks = 0
        while self._recorder.open_blocks:
            gevent.sleep(RigWatch.TICK_S)
            ticks += 1
            for block, window in watch.tick():
                self._recorder.rig_window(block, window)
            self._recorder.close_ready()
            self._outbox.resend_overdue()
            if ticks % LIVE_EVERY_TICKS == 0:
                self._send_live(start_at)
            self._renew_headers()
            cut_off_at = self._after_stop(cut_off_at)
            if perf_counter() >= cut_off_at or (self._pacer.is_stopped and self._pacer.in_flight == 0):
                break
        stalls.end()
        watch.end()
        self._pacer.cut_off()
        self._recorder.close_ready()
        self._send_live(start_at)

    def _watch_for_stalls(self) -> StallWatch:
        """A real thread that looks on; it can still speak when the event loop cannot."""
        original = gevent.monkey.get_original
        stalls = StallWatch(
            original("_thread", "get_ident")(),
            original("time", "sleep"),
            lambda held_by: self._outbox.tell("blocked", held_by=held_by),
        )
        original("_thread", "start_new_thread")(stalls.watch, ())
        return stalls

    def _loaded(self) -> dict[str, str]:
        """What this worker runs: a file that changed since the run was recorded would be another scenario."""
        digests = {one.name: hashlib.sha256(Path(one.file).read_bytes()) for one in self._order.scenarios}
        scenarios = {f"scenario.{name}": digest.hexdigest() for name, digest in digests.items()}
        return {"rehearse": __version__, **scenarios, **fingerprint()}

    def _renew_headers(self) -> None:
        """Between two turns of the event loop: no request has half of the new ones."""
        headers, self._commands.headers = self._commands.headers, None
        if headers is not None and self._runner is not None:
            for greenlet in self._runner.user_greenlets:
                renew_headers(greenlet.args[0], self._headers, headers)
            self._headers = {**self._headers, **headers}
            self._secrets += credentials_in(headers)

    def _after_stop(self, cut_off_at: float) -> float:
        if self._commands.drain_s is None or self._pacer.is_stopped:
            return cut_off_at
        self._pacer.is_stopped = True
        return min(cut_off_at, perf_counter() + self._commands.drain_s)

    def _send_live(self, start_at: float) -> None:
        if self._recorder.shortage and not self._is_shortage_told:
            self._is_shortage_told = True
            self._outbox.tell("exhausted", what=self._recorder.shortage.removeprefix(RIG_KIND))
        bins = self._recorder.take_live()
        self._outbox.tell("live", at_s=perf_counter() - start_at, bins=bins, in_flight=self._pacer.in_flight)

    def _close(self, runner: Any) -> None:
        """The closing account follows the last acknowledgement, so that it can say what arrived."""
        self._outbox.wait(gevent.sleep, ACKNOWLEDGED_WITHIN_S)
        if self._sampler is not None:
            sampler = self._sampler
            self._outbox.tell("sampled", sent=sampler.sent, left_out=sampler.left_out, failed=sampler.failed)
        recorder, order = self._recorder, self._order
        failures = self._listener.failures + bool(locust.log.unhandled_greenlet_exception)
        final = WorkerFinal(
            side=order.target.side,
            round=order.round,
            worker=order.worker,
            arrivals=recorder.closed,
            blocks_closed=recorder.blocks_closed,
            blocks_sent_crc32=self._outbox.blocks_crc32,
            unscheduled_requests=recorder.unscheduled_requests,
            unscheduled_errors=recorder.unscheduled_errors,
            listener_errors=failures,
            abandoned=recorder.abandoned(),
            blocks_acknowledged=self._outbox.blocks_sent - self._outbox.unacknowledged,
            reports_resent=self._outbox.resent,
        )
        self._outbox.send_final(final)
        with gevent.Timeout(2.0, False):
            runner.quit()
        self._outbox.wait(gevent.sleep, ACKNOWLEDGED_WITHIN_S)
        self._outbox.close()


def main() -> None:
    """Entry point of the child process."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    log = logging.getLogger(__name__)
    # A refused DNS lookup is reported from one of gevent's own (real) threads: a real lock.
    outbox = Outbox(take_stdout(), gevent.monkey.get_original("threading", "Lock")())
    order = read_order()
    outbox.keep_in(Path(order.spool))
    allow_list = AllowList(order.allow, order.production, order.target.other_sides)
    install_socket_guard(allow_list, lambda message: outbox.tell("refused", message=message))
    commands = Commands(outbox)
    try:
        Worker(order, outbox, commands).run()
    except Exception as error:
        log.exception("the worker failed")
        outbox.tell("failed", message=f"{type(error).__name__}: {error}")
        sys.stderr.flush()
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
