"""One target is loaded by one rehearsal at a time, also when one of them was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import pytest

from rehearse.errors import NotReady
from rehearse.holding import SURE_S, Hold, holding, is_gone, place_of, this_process
from rehearse.store import Store
from rehearse.store.leases import Holder
from tests.store.examples import sqlite_url

ROOT = Path(__file__).resolve().parents[1]
URL = "http://shop.example:8001"
HOLDER = """
import sys, time
from rehearse.holding import holding
from rehearse.store import Store
with Store.open(sys.argv[1]) as store, holding(store, [sys.argv[2]], "killed"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(sqlite_url(tmp_path / "rehearse.db")) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path, store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the target."""
    arguments = [sys.executable, "-c", HOLDER, sqlite_url(tmp_path / "rehearse.db"), URL]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_on_this_machine_is_named_and_not_waited_for_once_it_was_killed(
    store: Store, other: subprocess.Popen[str]
) -> None:
    told = rf"loading shop.example:8001: run killed on {gethostname()}, process {other.pid}, since 20"
    with pytest.raises(NotReady, match=told), holding(store, [URL], "second"):
        pass
    other.send_signal(signal.SIGSTOP)
    with pytest.raises(NotReady, match=told), holding(store, [URL], "second"):
        pass
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    with holding(store, [URL], "second") as hold:
        hold.check()


def test_a_target_is_free_after_the_rehearsal_however_it_ended(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), holding(store, [URL], "first"):
        raise ZeroDivisionError
    with holding(store, [URL], "second"):
        pass


def test_a_hold_is_renewed_while_it_lasts(store: Store) -> None:
    with holding(store, [URL], "first", renew_s=0.02) as hold:
        began_s = hold._renewed_at_s
        deadline = time.monotonic() + 20
        while hold._renewed_at_s == began_s:
            assert time.monotonic() < deadline, "it was never renewed"
            time.sleep(0.01)
        hold.check()


def test_the_load_ends_when_somebody_else_took_the_target_over(store: Store) -> None:
    with holding(store, [URL], "first", renew_s=0.02) as hold:
        thief = Holder("thief", "second", "elsewhere", 1, "", "now")
        store.take_leases(hold.places, thief, lambda _: True)
        deadline = time.monotonic() + 20
        while not hold._is_taken:
            assert time.monotonic() < deadline, "it was never noticed"
            time.sleep(0.01)
        with pytest.raises(NotReady, match="another rehearsal took it over"):
            hold.check()
    assert store.renew_leases("thief") == 1, "what is another's is not given back"


def test_the_load_ends_when_the_store_has_not_answered_for_too_long(store: Store) -> None:
    hold = Hold(store, "t", ("shop:80",))
    hold.check()
    hold._renewed_at_s -= SURE_S + 1
    with pytest.raises(NotReady, match="the store did not answer for"):
        hold.check()


def test_a_number_that_belongs_to_another_process_now_is_not_the_holder() -> None:
    me = Holder("t", "run", gethostname(), os.getpid(), this_process(), "")
    assert is_gone(me) is False
    assert is_gone(replace(me, process=f"{me.process}0")) is True
    assert is_gone(replace(me, pid=2**22 + 1)) is True


@pytest.mark.parametrize("process", ["", "another-boot pid:[4026531836] 77"])
def test_a_holder_elsewhere_cannot_be_seen_to_have_ended(process: str) -> None:
    assert is_gone(Holder("t", "run", gethostname(), os.getpid(), process, "")) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://shop.example/a", "http://SHOP.example:80"),
        ("https://shop.example", "https://shop.example:443/x"),
        ("postgresql+psycopg://u:one@db.example/shop", "postgresql+psycopg://v:two@db.example:5432/shop"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001/x"),
    ],
)
def test_two_urls_of_one_target_are_one_place(one: str, other: str) -> None:
    assert place_of(one) == place_of(other)
    assert "two" not in place_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://shop.example", "https://shop.example"),
        ("http://shop.example:8001", "http://shop.example:8002"),
        ("postgresql+psycopg://u@db.example/shop", "postgresql+psycopg://u@db.example/stock"),
    ],
)
def test_two_targets_are_two_places(one: str, other: str) -> None:
    assert place_of(one) != place_of(other)


def test_loopback_is_another_place_on_each_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = place_of("http://127.0.0.1:8001")
    assert gethostname() in here
    monkeypatch.setattr("rehearse.holding.gethostname", lambda: "another")
    assert place_of("http://127.0.0.1:8001") != here
