"""One direction of a connection through the fault proxy, with what the toxics do to it.

Without a toxic a chunk is passed on in the call that received it. With one, chunks wait in order, and one timer per
direction says when the next may go. What is held is bounded: beyond that the proxy stops reading, and TCP itself slows
the sender down.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol, cast

from rehearse.edges.toxics import NO_EFFECT, Effect, Named, Stream, Toxic, ToxicType, effect_of

if TYPE_CHECKING:
    from rehearse.edges.connection import Connection

HELD_BYTES = 256 * 1024  # of each direction; one received chunk (256 KiB) may come on top of it
FLUSH_S = 10.0  # a peer that does not read its last bytes is not waited for any longer
_BEHIND_S = 0.05  # a late timer may be made up for by so much, and no more: a burst is not a narrow line


class CanSetOptions(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        """See socket.socket."""
        ...


def reset_on_close(end: CanSetOptions) -> None:
    """When it is closed its peer gets a RST instead of a FIN."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(slots=True)
class _Chunk:
    """Received bytes that wait."""

    arrived_at: float
    chance: float  # -1..1: its place within the jitter
    data: memoryview


@dataclass(frozen=True, slots=True)
class _Since:
    """When a toxic began to hit a direction, and how much had passed by then."""

    at: float
    passed: int


class End(asyncio.Protocol):
    """The proxy's end of one TCP connection: `flow_out` takes what it receives, `flow_in` writes to it."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.transport: asyncio.Transport | None = None
        self.flow_out: Flow
        self.flow_in: Flow

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bytes may flow."""
        self.transport = cast("asyncio.Transport", transport)
        if self._connection.is_over:  # a fault was quicker
            self._connection.leave(self)
        else:
            self.flow_in.step()

    def data_received(self, data: bytes) -> None:
        """To the other side, sooner or later."""
        self.flow_out.receive(data)

    def eof_received(self) -> bool:
        """The peer sends no more; True keeps the way back open."""
        self.flow_out.receive_end()
        return True

    def pause_writing(self) -> None:
        """The peer reads slowly: then the other side is read slowly, too."""
        self.flow_in.set_congested(True)

    def resume_writing(self) -> None:
        """See pause_writing."""
        self.flow_in.set_congested(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone: by our own doing, or (with an error) reset by the peer."""
        self._connection.lost(self, exc)

    def reset(self) -> None:
        """A RST to the peer, whatever is still unsent."""
        if self.transport is not None and not self.transport.is_closing():
            reset_on_close(self.transport.get_extra_info("socket"))
            self.transport.abort()

    def close(self) -> None:
        """A FIN to the peer, after what was written."""
        if self.transport is not None:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(FLUSH_S, self.transport.abort)


class HttpRequests:
    """Counts the request lines of HTTP/1 in a stream of bytes, also one that comes in two pieces."""

    _ENDS = (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")
    _OVERLAP = len(_ENDS[0]) - 1

    def __init__(self) -> None:
        self.count = 0
        self._tail = b""
        self._begins_with_a_word: bool | None = None  # as requests do; TLS and databases begin otherwise

    def see(self, data: bytes) -> None:
        """The next bytes."""
        if self._begins_with_a_word is None:
            self._begins_with_a_word = data[:1].isupper()
        if not self._begins_with_a_word:
            return
        seam = self._tail + data[: self._OVERLAP]
        self.count += sum(part.count(end) for end in self._ENDS for part in (seam, data))
        self._tail = (self._tail + data[-self._OVERLAP :])[-self._OVERLAP :]


class Flow:
    """One direction of one connection."""

    def __init__(self, connection: Connection, stream: Stream, source: End, dest: End, rng: Random) -> None:
        self._connection = connection
        self._stream = stream
        self._source = source
        self._dest = dest
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._toxics: tuple[Toxic, ...] = ()
        self._effect: Effect = NO_EFFECT
        self._since: dict[str, _Since] = {}
        self._chunks: deque[_Chunk] = deque()
        self._held_bytes = 0
        self._first_held_at: float | None = None  # while a reset is waited for
        self._free_at = 0.0  # a narrow line is busy until then
        self._ended_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_congested = False
        self._is_stepping = False
        self.received = 0
        self.passed = 0
        self.http = HttpRequests()
        self.is_over = False  # its end was passed on
        source.flow_out = self
        dest.flow_in = self

    def receive(self, data: bytes) -> None:
        """Pass it on at once when nothing is in the way, else keep it in order."""
        self.received += len(data)
        if self._stream is Stream.UPSTREAM:
            self.http.see(data)
        if self._effect is NO_EFFECT and not self._chunks and self._dest.transport is not None:
            self._pass(data)
            return
        chance = 2 * self._rng.random() - 1 if self._effect.jitter_s else 0.0
        now = self._loop.time()
        if not self._chunks:
            self._free_at = max(self._free_at, now)  # what an idle line could have passed is not saved up
        self._chunks.append(_Chunk(now, chance, memoryview(data)))
        self._held_bytes += len(data)
        self.step()

    def receive_end(self) -> None:
        """The source sends no more."""
        if self._ended_at is None:
            self._ended_at = self._loop.time()
            self.step()

    def apply(self, toxics: Iterable[Toxic]) -> None:
        """From now on these hit this direction; what was held because of others goes on."""
        self._toxics = tuple(toxic for toxic in toxics if toxic.stream is self._stream)
        self._effect = effect_of(self._toxics)
        now = _Since(self._loop.time(), self.passed)
        self._since = {toxic.name: self._since.get(toxic.name, now) for toxic in self._toxics}
        self._free_at = min(self._free_at, now.at)  # a wide line is free at once
        if not self._effect.resets:
            self._first_held_at = None
        self.step()

    def set_congested(self, is_congested: bool) -> None:
        """Whether the destination takes no more for now."""
        self._is_congested = is_congested
        self.step()

    def stop(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def step(self) -> None:
        """Do all that can be done now, and come back when more can be."""
        if self._is_stepping or self._connection.is_over:  # writing may congest: that is looked at below
            return
        self._is_stepping = True
        try:
            self.stop()
            wait_s = self._advance()
        finally:
            self._is_stepping = False
        if wait_s is not None and not self._connection.is_over:
            self._timer = self._loop.call_later(wait_s, self.step)
        self._regulate()

    def _advance(self) -> float | None:
        """How long until more can be done; None: not before something happens."""
        if self._dest.transport is None:
            return None
        if self._effect.timeouts:
            return self._hold_back()
        while self._chunks and not self._is_congested:
            wait_s = self._pass_a_piece()
            if wait_s is None or wait_s > 0:
                return wait_s
        if not self._chunks and self._ended_at is not None and not self.is_over:
            return self._pass_the_end(self._ended_at)
        return None

    def _hold_back(self) -> float | None:
        """Nothing goes through; the shortest timeout closes the connection."""
        ends = [one for one in self._effect.timeouts if one.amount > 0]
        if self._chunks or self._ended_at is not None:
            self._act(ToxicType.TIMEOUT)
        if not ends:
            return None
        first = min(ends, key=self._runs_out_at)
        left_s = self._runs_out_at(first) - self._loop.time()
        if left_s > 0:
            return left_s
        self._connection.cut(first.name)
        return None

    def _runs_out_at(self, timeout: Named) -> float:
        return self._since[timeout.name].at + timeout.amount

    def _pass_a_piece(self) -> float | None:
        """0 when a piece went out; how long to wait before it may; None when the connection is over."""
        now = self._loop.time()
        if self._effect.resets:
            return self._reset_when_due(now)
        chunk = self._chunks[0]
        wait_s = chunk.arrived_at + self._effect.delay_s(chunk.chance) - now
        if wait_s > 0:
            self._act(ToxicType.LATENCY)
            return wait_s
        if self._free_at > now:
            return self._free_at - now
        chance = 2 * self._rng.random() - 1 if self._effect.slice_variation_bytes else 0.0
        size = self._effect.piece_bytes(len(chunk.data), chance)
        limit = self._nearest_limit()
        if limit is not None:
            size = min(size, int(limit.amount))
        self._take(chunk, size, now)
        if limit is not None and size == limit.amount:
            self._connection.cut(limit.name)
            return None
        return 0.0

    def _reset_when_due(self, now: float) -> float | None:
        if self._first_held_at is None:
            self._first_held_at = now
        first = min(self._effect.resets, key=lambda one: one.amount)
        left_s = self._first_held_at + first.amount - now
        if left_s > 0:
            return left_s
        self._connection.reset(first.name)
        return None

    def _nearest_limit(self) -> Named | None:
        """The limit that is reached first, with what is left of it."""
        left = (
            Named(one.name, max(0.0, one.amount - (self.passed - self._since[one.name].passed)))
            for one in self._effect.limits
        )
        return min(left, key=lambda one: one.amount, default=None)

    def _take(self, chunk: _Chunk, size: int, now: float) -> None:
        """The first `size` bytes of what waits go out; the line is then busy with them."""
        is_whole = size == len(chunk.data)
        self._pass(chunk.data[:size])
        self._held_bytes -= size
        if is_whole:
            self._chunks.popleft()
        else:
            chunk.data = chunk.data[size:]
        if self._effect.bytes_per_s is not None:
            self._act(ToxicType.BANDWIDTH)
            self._free_at = max(self._free_at, now - _BEHIND_S) + size / self._effect.bytes_per_s
        if self._effect.slice_bytes is not None and not is_whole:
            self._act(ToxicType.SLICER)
            self._free_at = max(self._free_at, now + self._effect.slice_delay_s)

    def _pass(self, data: bytes | memoryview) -> None:
        transport = self._dest.transport
        if data and transport is not None and not transport.is_closing():
            self.passed += len(data)
            transport.write(data)

    def _pass_the_end(self, ended_at: float) -> float | None:
        wait_s = ended_at + self._effect.slow_close_s - self._loop.time()
        if wait_s > 0:
            self._act(ToxicType.SLOW_CLOSE)
            return wait_s
        self.is_over = True
        if self._dest.transport is not None and not self._dest.transport.is_closing():
            self._dest.transport.write_eof()
        self._connection.direction_over()
        return None

    def _act(self, kind: ToxicType) -> None:
        for toxic in self._toxics:
            if toxic.type is kind:
                self._connection.act(toxic.name)

    def _regulate(self) -> None:
        """Read the source only as fast as its bytes can be passed on or kept."""
        transport = self._source.transport
        if transport is None or transport.is_closing() or self._ended_at is not None:
            return
        if self._is_congested or self._held_bytes >= HELD_BYTES:
            transport.pause_reading()
        else:
            transport.resume_reading()
