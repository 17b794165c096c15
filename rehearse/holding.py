"""One target is loaded by one rehearsal at a time: taken before anything is touched, given back at the end.

What is taken is a lease in the store. A thread renews it while the rehearsal lives. Who is killed renews no more: on
the same machine the next one sees at once that the process has gone, from another machine when the lease has run out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import getpid, kill
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from threading import Event, Thread
from time import monotonic

from rehearse.allowlist import host_and_port, is_loopback
from rehearse.databases import is_database, read_database_url
from rehearse.errors import NotReady, StoreError
from rehearse.load.engine import LoadEvent
from rehearse.store.leases import LEASE_S, Holder
from rehearse.store.records import Store

RENEW_S = 10.0
SURE_S = LEASE_S - 2 * RENEW_S  # renewed no longer ago than this, nobody can have taken it over


@dataclass(slots=True)
class Hold:
    """The right to load some targets."""

    store: Store
    token: str
    places: tuple[str, ...]
    renew_s: float = RENEW_S
    _renewed_at_s: float = field(default_factory=monotonic)
    _is_taken: bool = False
    _is_over: Event = field(default_factory=Event)

    def check(self, _: LoadEvent | None = None) -> None:
        """Raise NotReady when somebody else may be loading the targets by now."""
        silent_s = monotonic() - self._renewed_at_s
        if self._is_taken or silent_s > SURE_S:
            why = (
                "another rehearsal took it over"
                if self._is_taken
                else f"the store did not answer for {silent_s:.0f} s"
            )
            raise NotReady(
                f"the right to load {' and '.join(self.places)} was lost: {why}. The load was stopped; rehearse again."
            )

    def keep(self) -> None:
        """Renew until it is over; meant for a thread of its own."""
        while not self._is_over.wait(self.renew_s):
            asked_at_s = monotonic()
            with suppress(StoreError):  # tried again; `check` knows how long ago it last went well
                if self.store.renew_leases(self.token) < len(self.places):
                    self._is_taken = True
                    return
                self._renewed_at_s = asked_at_s

    def end(self) -> None:
        """Renew no more."""
        self._is_over.set()


@contextmanager
def holding(store: Store, urls: Iterable[str], run_id: str, renew_s: float = RENEW_S) -> Iterator[Hold]:
    """Hold the targets at `urls` while inside. Raises NotReady, naming who holds one of them."""
    places = tuple(sorted({place_of(url) for url in urls}))
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(token_hex(8), run_id, gethostname(), getpid(), this_process(), since)
    store.take_leases(places, holder, is_gone)
    hold = Hold(store, holder.token, places, renew_s)
    thread = Thread(target=hold.keep, name="lease", daemon=True)
    thread.start()
    try:
        yield hold
    finally:
        hold.end()
        thread.join(RENEW_S)
        with suppress(StoreError):  # it runs out by itself; the first error is the one to show
            store.release_leases(holder.token)


def place_of(url: str) -> str:
    """What makes two urls one target: host, port, database. Loopback is another place on each machine."""
    if not is_database(url):
        host, port = host_and_port(url)
        return f"{_machine(host)}:{port}"
    database = read_database_url(url)
    where = f"{_machine(database.host)}:{database.port}/" if database.host else f"{gethostname()}:"
    return where + database.database


def _machine(host: str) -> str:
    return f"{host} of {gethostname()}" if is_loopback(host) else host


def is_gone(holder: Holder) -> bool | None:
    """Whether a holder has ended; None when that cannot be seen from here."""
    machine, _, began = holder.process.rpartition(" ")
    if not machine or machine != _this_machine():
        return None
    now = _began(holder.pid)
    if now is not None:
        return now != began
    try:
        kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's, and hidden from us
    return None


def this_process() -> str:
    """This process of this machine; see `process_of`."""
    return process_of(getpid())


def process_of(pid: int) -> str:
    """Which process of this machine a number means now, so that one used again is not taken for it; empty where it
    cannot be told."""
    machine, began = _this_machine(), _began(pid)
    return f"{machine} {began}" if machine and began else ""


def _this_machine() -> str:
    """One boot of one machine, and one namespace of process numbers on it."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _began(pid: int) -> str | None:
    """When a process began, in clock ticks since the boot; "ended" for a zombie, None when nothing is told."""
    with suppress(OSError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "ended" if state in "ZX" else rest[18]
    return None
