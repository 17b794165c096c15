"""Evidence is kept until it is acknowledged, spooled before it is sent, and sent again when it may be lost."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest

from rehearse.histogram import Histogram
from rehearse.load.outbox import RESEND_AFTER_S, Outbox, spooled
from rehearse.model import Arrivals, Block, RigHealth, Side


class Clock:
    """Moves only when it is told to, or by whoever sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def block(index: int) -> Block:
    rig = RigHealth(Histogram(), Histogram(), 0.0, 0.1)
    return Block(Side.BASELINE, 0, index, False, 0.0, 1.0, Arrivals(), (), rig)


def outbox_of(stream: io.BytesIO, clock: Clock) -> Outbox:
    return Outbox(stream, threading.Lock(), clock)


def sent(stream: io.BytesIO) -> list[int]:
    """The numbers of all evidence on the wire, in order."""
    return [json.loads(line)["seq"] for line in stream.getvalue().splitlines()]


def test_what_is_not_acknowledged_in_time_is_sent_again_and_only_the_oldest() -> None:
    stream, clock = io.BytesIO(), Clock()
    outbox = outbox_of(stream, clock)
    outbox.send_block(block(0))
    outbox.send_block(block(1))
    outbox.resend_overdue()
    assert sent(stream) == [0, 1]
    clock.sleep(RESEND_AFTER_S)
    outbox.resend_overdue()
    assert (sent(stream), outbox.resent) == ([0, 1, 0], 1)


def test_what_is_acknowledged_is_forgotten_with_all_before_it() -> None:
    stream, clock = io.BytesIO(), Clock()
    outbox = outbox_of(stream, clock)
    for index in range(3):
        outbox.send_block(block(index))
    outbox.acknowledge(1)
    assert outbox.unacknowledged == 1
    clock.sleep(RESEND_AFTER_S)
    outbox.resend_overdue()
    assert sent(stream) == [0, 1, 2, 2]


def test_the_wait_for_the_last_acknowledgement_is_bounded() -> None:
    stream, clock = io.BytesIO(), Clock()
    outbox = outbox_of(stream, clock)
    outbox.send_block(block(0))
    assert not outbox.wait(clock.sleep, 5.0)
    assert clock.now_s == pytest.approx(105.0, abs=0.1)
    assert len(sent(stream)) == 5  # at once, and each second


def test_news_are_not_kept() -> None:
    stream = io.BytesIO()
    outbox = outbox_of(stream, Clock())
    outbox.tell("live", bins=[])
    assert outbox.unacknowledged == 0
    assert json.loads(stream.getvalue()) == {"type": "live", "boot": outbox.boot_id, "bins": []}


def test_no_two_processes_have_the_same_boot_id() -> None:
    assert outbox_of(io.BytesIO(), Clock()).boot_id != outbox_of(io.BytesIO(), Clock()).boot_id


def test_a_report_is_in_the_spool_before_it_is_on_its_way(tmp_path: Path) -> None:
    spool = tmp_path / "worker.spool"
    stream = io.BytesIO()
    outbox = outbox_of(stream, Clock())
    outbox.keep_in(spool)
    stream.close()  # `rehearse` is gone
    with pytest.raises(ValueError, match="closed file"):
        outbox.send_block(block(0))
    outbox.close()
    (message,) = spooled(spool)
    assert (message["type"], message["seq"], message["boot"]) == ("block", 0, outbox.boot_id)
    assert spool.stat().st_mode & 0o077 == 0


def test_a_torn_last_line_of_a_spool_is_left_out(tmp_path: Path) -> None:
    spool = tmp_path / "worker.spool"
    outbox = outbox_of(io.BytesIO(), Clock())
    outbox.keep_in(spool)
    outbox.send_block(block(0))
    outbox.send_block(block(1))
    outbox.close()
    spool.write_bytes(spool.read_bytes()[:-10])
    assert [message["seq"] for message in spooled(spool)] == [0]


def test_a_spool_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(spooled(tmp_path / "worker.spool")) == []
