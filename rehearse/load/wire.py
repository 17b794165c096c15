"""One kept-alive HTTP/1.1 connection: sends a request, reads its answer, at as little cost as Python allows.

Runs in the worker only. Left out is what gevent's sockets do for each read: a first attempt that finds nothing, a
timer, a watcher started and stopped. llhttp (by httptools) says where an answer ends; header lines are split only
when somebody asks for them.
"""

from __future__ import annotations

import _socket
import select
import ssl
from collections.abc import Callable
from time import perf_counter
from typing import Any

import gevent
import gevent.socket
from gevent import getcurrent
from gevent.socket import wait_write
from httptools import HttpParserError, HttpResponseParser

Origin = tuple[str, str, int]  # scheme, host, port
Answer = tuple[int, bytes, bytes]  # status, head without the blank line, body as it came

_READABLE = 1  # libev's EV_READ
_CHUNK = 65536
_END_OF_HEAD = b"\r\n\r\n"


class ConnectionClosed(ConnectionError):
    """The server closed the connection without a byte of an answer."""


class TruncatedAnswer(ConnectionError):
    """The server closed the connection in the middle of its answer; `answer` is what came, if its head did."""

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__("connection closed in the middle of an answer")
        self.answer = answer


class _Framing:
    """Tells where answers end; llhttp calls the `on_` methods. One object serves all answers of a connection."""

    __slots__ = (
        "begun",
        "body",
        "interim",
        "is_complete",
        "keeps_alive",
        "on_body",
        "parser",
        "parts",
        "status",
    )

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.on_body = self.parts.append
        self.parser = HttpResponseParser(self)
        self.next()

    def next(self) -> None:
        """Make ready for one answer."""
        self.begun = self.interim = self.status = 0
        self.is_complete = self.keeps_alive = False
        self.body = b""
        self.parts.clear()

    def feed(self, data: bytes) -> None:
        """Take what the server sent; what it sends beyond a whole answer spoils the connection, not the answer."""
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            if not self.is_complete:
                raise
            self.keeps_alive = False

    def on_message_begin(self) -> None:
        """Called by llhttp: what begins beyond the last answer was not asked for."""
        self.begun += 1

    def on_message_complete(self) -> None:
        """Called by llhttp, which forgets whether the connection stays open as soon as this returns."""
        if self.is_complete:
            return
        parser = self.parser
        self.status = parser.get_status_code()
        if self.status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come
            self.interim += 1
        else:
            self.is_complete = True
            self.keeps_alive = parser.should_keep_alive()
            self.body = b"".join(self.parts)

    @property
    def leaves_it_clean(self) -> bool:
        """The connection is open, and nothing is left on it that a later request would take for its answer."""
        return self.keeps_alive and self.begun == self.interim + 1


class Patience:
    """Waits for a switch at most `timeout_s`, then raises TimeoutError. One timer serves many waits in turn."""

    __slots__ = ("_deadline", "_hub", "_timer", "timeout_s", "waiter")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.waiter: Any = None  # the greenlet that waits now
        self._deadline = 0.0
        self._hub = gevent.get_hub()
        self._timer: Any = None

    def wait(self) -> None:
        """Return when somebody switches to `waiter`."""
        self._deadline = perf_counter() + self.timeout_s
        if self._timer is None:
            self._arm(self.timeout_s)
        self.waiter = getcurrent()
        try:
            self._hub.switch()
        finally:
            self.waiter = None

    def close(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _arm(self, after_s: float) -> None:
        self._timer = self._hub.loop.timer(after_s)
        self._timer.start(self._look)

    def _look(self) -> None:
        """In the hub: is the wait of this moment too long? The timer was started for an earlier one."""
        self.close()
        if self.waiter is None:
            return
        left_s = self._deadline - perf_counter()
        if left_s > 0:
            self._arm(left_s)
        else:
            self.waiter.throw(TimeoutError("timed out"))


class Wire:
    """A connection without TLS. One greenlet at a time; after any exception from `exchange` it must be closed."""

    def __init__(self, sock: _socket.socket, timeout_s: float) -> None:
        self._sock = sock
        self._framing = _Framing()
        self._hub = gevent.get_hub()
        self._patience = Patience(timeout_s)
        self._is_spent = False  # closed, or the server said something that nobody asked for
        self.may_be_kept = False
        self._start()

    def is_usable(self, look: bool = False) -> bool:
        """Nothing speaks against sending one more request. To `look` costs a call, and finds what has just come."""
        if self._is_spent or not look:
            return not self._is_spent
        try:
            self._sock.recv(1, _socket.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        return False

    def exchange(self, message: bytes, is_head: bool = False) -> Answer:
        """Send a request and wait for its whole answer.

        Raises ConnectionClosed, TruncatedAnswer, another OSError (TimeoutError), or an error of httptools.
        """
        framing = self._framing
        framing.next()
        self.may_be_kept = False
        is_sent = self._send(message)
        if self._is_spent:  # it began to answer while the request was still being sent
            self._is_spent = False
            self._start()
        answer = self._read_head_only(framing) if is_head else self._read(framing)
        self.may_be_kept = is_sent and framing.leaves_it_clean
        return answer

    def close(self) -> None:
        """Give everything back."""
        self._is_spent = True
        self._watcher.close()
        self._patience.close()
        self._sock.close()

    def _start(self) -> None:
        # Always on: a connection that becomes readable while nobody waits has been closed, or is out of step.
        self._watcher = self._hub.loop.io(self._sock.fileno(), _READABLE)
        self._watcher.start(self._on_readable)

    def _on_readable(self) -> None:
        """In the hub: wake who waits."""
        waiter = self._patience.waiter
        if waiter is not None:
            waiter.switch()
        else:
            self._is_spent = True
            self._watcher.close()

    def _send(self, message: bytes) -> bool:
        """False when the server stopped reading: it may have said why before it closed."""
        try:
            sent = self._sock.send(
                message
            )  # on a connection that waits for a request there is room for some of it
            while sent < len(message):
                wait_write(self._sock.fileno(), self._patience.timeout_s, TimeoutError("timed out"))
                sent += self._sock.send(memoryview(message)[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _receive(self) -> bytes:
        """What comes next; empty when the server has closed."""
        while True:
            self._patience.wait()
            try:
                return self._sock.recv(_CHUNK)
            except BlockingIOError:  # the kernel may wake us for nothing
                continue

    def _read(self, framing: _Framing) -> Answer:
        data = received = self._receive_first()
        framing.feed(data)
        while not framing.is_complete:
            data = self._receive()
            if not data:
                return self._ended_by_closing(framing, received)
            if not framing.parts:  # still in the head
                received += data
            framing.feed(data)
        return framing.status, _last_head(received, framing.interim), framing.body

    def _receive_first(self) -> bytes:
        try:
            data = self._receive()
        except ConnectionResetError as error:
            raise ConnectionClosed("connection reset before an answer") from error
        if not data:
            raise ConnectionClosed("connection closed before an answer")
        return data

    def _ended_by_closing(self, framing: _Framing, received: bytes) -> Answer:
        """Without a length, the end of the connection is the end of the answer; with one, something is missing."""
        head = _last_head(received, framing.interim)
        fields = head.lower()
        answer = (framing.parser.get_status_code(), head, b"".join(framing.parts))
        if not head or b"\r\ncontent-length:" in fields or b"\r\ntransfer-encoding:" in fields:
            raise TruncatedAnswer(answer if head else None)
        return answer

    def _read_head_only(self, framing: _Framing) -> Answer:
        """The answer to HEAD may announce a body that never comes: it ends where its head does."""
        received = self._receive_first()
        while True:
            head, end, rest = received.partition(_END_OF_HEAD)
            if not end:
                data = self._receive()
                if not data:
                    raise TruncatedAnswer
                received += data
                continue
            status, keeps_alive = _checked(head)
            if status >= 200:
                framing.keeps_alive, framing.begun, framing.interim = keeps_alive, 1 + bool(rest), 0
                return status, head, b""
            received = rest or self._receive()


class TlsWire(Wire):
    """A connection with TLS: gevent's own socket does the reading and writing, at its price."""

    def __init__(self, sock: ssl.SSLSocket, timeout_s: float) -> None:
        self._tls = sock
        super().__init__(sock, timeout_s)

    def is_usable(self, look: bool = False) -> bool:  # noqa: ARG002  # it always looks
        """Not closed, and not readable while nobody asked for anything."""
        return not (self._is_spent or select.select([self._tls.fileno()], [], [], 0)[0])

    def close(self) -> None:
        """Give everything back."""
        self._is_spent = True
        self._tls.close()

    def _start(self) -> None:
        self._tls.settimeout(self._patience.timeout_s)

    def _send(self, message: bytes) -> bool:
        try:
            self._tls.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _receive(self) -> bytes:
        return self._tls.recv(_CHUNK)


def connect(
    origin: Origin, tls_context: Callable[[], ssl.SSLContext], connect_timeout_s: float, timeout_s: float
) -> Wire:
    """A new connection. It goes through Python's sockets, where the allow-list looks at every address."""
    scheme, host, port = origin
    sock = gevent.socket.create_connection((host, port), timeout=connect_timeout_s)
    try:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        if scheme == "https":
            return TlsWire(tls_context().wrap_socket(sock, server_hostname=host), timeout_s)
        plain = _socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        plain.setblocking(False)
        return Wire(plain, timeout_s)
    except BaseException:
        sock.close()
        raise


def _last_head(received: bytes, interim: int) -> bytes:
    """The head of the answer itself, after `interim` ones such as 100 Continue; empty while it is not whole."""
    start = 0
    for _ in range(interim):
        start = received.find(_END_OF_HEAD, start) + len(_END_OF_HEAD)
    end = received.find(_END_OF_HEAD, start)
    return received[start:end] if end >= 0 else b""


def _checked(head: bytes) -> tuple[int, bool]:
    """(status, whether the connection stays open) of a head that llhttp accepts."""
    seen = _HeadOnly()
    seen.parser.feed_data(head + _END_OF_HEAD)
    return seen.status, seen.keeps_alive


class _HeadOnly:
    """Looks at one head."""

    def __init__(self) -> None:
        self.status, self.keeps_alive = 0, False
        self.parser = HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        """Called by llhttp."""
        self.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()
