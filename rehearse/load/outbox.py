"""What a worker tells `rehearse`: lines of JSON, and evidence that is kept until it is acknowledged.

Two kinds of lines. News (`ready`, `live`, ...) is told once: the next one makes up for a lost one. Evidence (closed
blocks, the closing account) is numbered, written to a spool file before it is sent, and sent again until `rehearse`
says that it has taken it; `rehearse` takes each number once and in order, so that sending twice does no harm. Each line
carries the boot id of the process: a worker that was restarted is another worker, and nothing of it is taken.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
import termios
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO

from rehearse.codec import to_jsonable
from rehearse.model import Block, WorkerFinal

RESEND_AFTER_S = 1.0
_USUAL_PIPE_BYTES = 65_536  # where the system does not tell the size of a pipe


@dataclass(slots=True)
class _Kept:
    """Evidence that was sent and not acknowledged yet."""

    number: int
    line: bytes
    sent_at: float


class Outbox:
    """Sends to `rehearse`, from any thread; only the event loop sends evidence."""

    def __init__(
        self,
        stream: IO[bytes],
        lock: AbstractContextManager[object],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.boot_id = secrets.token_hex(8)
        self.blocks_crc32 = 0
        self.blocks_sent = 0
        self.resent = 0
        self._stream = stream
        self._lock = lock
        self._clock = clock
        self._spool: IO[bytes] | None = None
        self._kept: deque[_Kept] = deque()
        self._next_number = 0
        self._acknowledged = -1  # all up to this number; set by the thread that reads commands

    def keep_in(self, spool: Path) -> None:
        """Write all further evidence to this file as well, before it is sent. What was in it is gone."""
        # Unbuffered: what was written is there even if the process is killed. Not synced to the disk: that would stall
        # the schedule, and a machine that loses power loses `rehearse` too.
        descriptor = os.open(spool, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._spool = os.fdopen(descriptor, "wb", buffering=0)

    def close(self) -> None:
        """The spool is complete."""
        if self._spool is not None:
            self._spool.close()

    def tell(self, kind: str, **content: object) -> None:
        """News: one line, sent once."""
        self._send(self._line(kind, content))

    def offer(self, kind: str, content: Mapping[str, object]) -> bool:
        """News that is left out, and False, rather than wait for room in the pipe: nobody's load waits for it."""
        line = self._line(kind, content)
        if len(line) > self._room_bytes() // 2:
            return False
        self._send(line)
        return True

    def _room_bytes(self) -> int:
        """How much can be written before the writer must wait; 0 for what is no pipe."""
        try:
            descriptor = self._stream.fileno()
            (waiting,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
            ask = getattr(fcntl, "F_GETPIPE_SZ", None)
            size = _USUAL_PIPE_BYTES if ask is None else fcntl.fcntl(descriptor, ask)
        except OSError:
            return 0
        return int(size) - int(waiting)

    def send_block(self, block: Block) -> None:
        """One closed block; its bytes enter the checksum."""
        data = json.dumps(to_jsonable(block), allow_nan=False, sort_keys=True)
        self.blocks_crc32 = zlib.crc32(data.encode(), self.blocks_crc32)
        self.blocks_sent += 1
        self._send_evidence("block", data)

    def send_final(self, final: WorkerFinal) -> None:
        """The closing account."""
        self._send_evidence("final", json.dumps(to_jsonable(final), allow_nan=False, sort_keys=True))

    def acknowledge(self, number: int) -> None:
        """`rehearse` has taken everything up to `number`."""
        self._acknowledged = max(self._acknowledged, number)

    @property
    def unacknowledged(self) -> int:
        """How many reports of evidence are kept."""
        self._forget()
        return len(self._kept)

    def resend_overdue(self) -> None:
        """Send the oldest report again when it was not acknowledged in time.

        Only the oldest: nothing after it is taken before it is, and a `rehearse` that is merely busy is not flooded.
        """
        self._forget()
        if self._kept and self._clock() - self._kept[0].sent_at >= RESEND_AFTER_S:
            self._kept[0].sent_at = self._clock()
            self.resent += 1
            self._send(self._kept[0].line)

    def wait(self, sleep: Callable[[float], None], at_most_s: float) -> bool:
        """Until all is acknowledged, sending again what is overdue; False when it took too long."""
        until = self._clock() + at_most_s
        while self.unacknowledged and self._clock() < until:
            sleep(0.02)
            self.resend_overdue()
        return not self.unacknowledged

    def _forget(self) -> None:
        while self._kept and self._kept[0].number <= self._acknowledged:
            self._kept.popleft()

    def _send_evidence(self, kind: str, data: str) -> None:
        number, self._next_number = self._next_number, self._next_number + 1
        line = self._line(kind, {"seq": number, "data": data})
        self._kept.append(_Kept(number, line, self._clock()))
        if self._spool is not None:
            self._spool.write(line)
        self._send(line)

    def _line(self, kind: str, content: Mapping[str, object]) -> bytes:
        return json.dumps({"type": kind, "boot": self.boot_id, **content}, allow_nan=False).encode() + b"\n"

    def _send(self, line: bytes) -> None:
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def spooled(spool: Path) -> Iterator[dict[str, object]]:
    """The evidence that a worker wrote before it was lost, in order; a torn last line is left out."""
    try:
        lines = spool.read_bytes().splitlines(keepends=True)
    except OSError:
        return
    for line in lines:
        if not line.endswith(b"\n"):
            return
        try:
            message = json.loads(line)
        except ValueError:
            return
        yield message
