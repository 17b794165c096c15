"""The fault proxy as the rest of `rehearse` holds it: start it, say what to inject, ask what really happened."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, cast

from rehearse.codec import from_jsonable, to_jsonable
from rehearse.edges.orders import Counters, ProxyOrder
from rehearse.edges.toxics import Toxic, unique
from rehearse.errors import ConfigError, NotReady, RehearseError, TargetRefused

READY_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0


class FaultInjector(AbstractContextManager["FaultInjector"], Protocol):
    """A place between a client and a server where faults are injected, and counted."""

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to instead of the server."""
        ...

    def set(self, *toxics: Toxic) -> Counters:
        """From now on these, and no others, are in force; the counters of that moment. Raises NotReady."""
        ...

    def clear(self) -> Counters:
        """No toxic at all: what was held back goes on. Raises NotReady."""
        ...

    def counters(self) -> Counters:
        """What was seen and what acted, since the start. Raises NotReady."""
        ...


@dataclass(slots=True)
class ScriptedFaultInjector:
    """The fake: remembers what was set, and hands out prepared counters, the last one for ever."""

    script: list[Counters] = field(default_factory=lambda: [Counters()])
    address: tuple[str, int] = ("127.0.0.1", 1)
    applied: list[tuple[Toxic, ...]] = field(default_factory=list)

    def set(self, *toxics: Toxic) -> Counters:
        """See FaultInjector."""
        self.applied.append(unique(toxics))
        return self.counters()

    def clear(self) -> Counters:
        """See FaultInjector."""
        return self.set()

    def counters(self) -> Counters:
        """See FaultInjector."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release."""


class FaultProxy:
    """A proxy in a process of its own; see FaultInjector. Leaving the context ends it. Raises NotReady, ConfigError
    and TargetRefused."""

    def __init__(self, order: ProxyOrder) -> None:
        self._lock = threading.Lock()
        self._last_id = 0
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._final: Counters | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rehearse.edges.faults"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._tell(cast("Mapping[str, object]", to_jsonable(order)))
            ready = self._next(READY_TIMEOUT_S)["ready"]
        except BaseException:  # nobody enters a context that was never made
            self.close()
            raise
        self._address = (str(ready[0]), int(ready[1]))

    @property
    def address(self) -> tuple[str, int]:
        """See FaultInjector."""
        return self._address

    @property
    def process_id(self) -> int:
        """Of the proxy's own process."""
        return self._process.pid

    def set(self, *toxics: Toxic) -> Counters:
        """See FaultInjector."""
        return self._ask({"set": [toxic.as_json() for toxic in unique(toxics)]})

    def clear(self) -> Counters:
        """See FaultInjector."""
        return self.set()

    def counters(self) -> Counters:
        """See FaultInjector. After `close`: its last word."""
        return self._final if self._final is not None else self._ask({})

    def close(self) -> None:
        """Stdin closed is its sign to end; a process that does not is killed."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, command: Mapping[str, object]) -> Counters:
        with self._lock:
            self._last_id += 1
            self._tell({"id": self._last_id, **command})
            while (answer := self._next(ANSWER_TIMEOUT_S)).get("id") != self._last_id:
                pass
        return from_jsonable(Counters, answer["counters"])

    def _tell(self, message: Mapping[str, object]) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise NotReady("the fault proxy was stopped")
        with suppress(BrokenPipeError):  # that it is gone shows in its answers
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()

    def _next(self, timeout_s: float) -> dict[str, Any]:
        try:
            message = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise NotReady(f"the fault proxy did not answer within {timeout_s:.0f} s") from None
        if message is None:
            self._answers.put(None)  # for whoever asks again
            raise NotReady("the fault proxy ended by itself; what it injected is not known")
        if "failed" in message:
            raise _raised(str(message.get("kind", "")), str(message["failed"]))
        if "refused" in message:
            raise TargetRefused(str(message["refused"]))
        return message

    def _read(self) -> None:
        """In a thread: every line into the queue, and None at the end."""
        stdout = self._process.stdout
        if stdout is not None:
            for line in stdout:
                message = json.loads(line)
                if "final" in message:
                    self._final = from_jsonable(Counters, message["final"])
                else:
                    self._answers.put(message)
        self._answers.put(None)


def _raised(kind: str, sentence: str) -> RehearseError:
    kinds: dict[str, type[RehearseError]] = {"ConfigError": ConfigError, "TargetRefused": TargetRefused}
    return kinds.get(kind, NotReady)(f"the fault proxy: {sentence}")
