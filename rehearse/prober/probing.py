"""The prober as the rest of `rehearse` holds it: start it, look at what it has seen so far, stop it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import Signals
from time import monotonic
from typing import Any, Protocol, Self

from rehearse.codec import CodecError, from_jsonable, to_jsonable
from rehearse.disruptions import ProbeLog, Sample
from rehearse.errors import ConfigError, NotReady, RehearseError, TargetRefused
from rehearse.prober.orders import ProberOrder
from rehearse.prober.pace import MOST_PATIENCE
from rehearse.process_groups import begin_group, kill_group
from rehearse.redaction import Clean

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0  # beyond the patience with what is under way
_STDERR_FD = 2


class ProbeSession(AbstractContextManager["ProbeSession"], Protocol):
    """Probes under way. Leaving the context ends them."""

    def log(self) -> ProbeLog:
        """What was seen so far; `ended_s` is then now. Never raises: a prober that is gone says so in the log."""
        ...

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """From now on the target's headers are these: a new token."""
        ...

    def stop(self) -> ProbeLog:
        """Send no more, wait for what is under way, and tell everything. The same log again when asked again."""
        ...


class Prober(Protocol):
    """Where samples come from."""

    def start(self, order: ProberOrder) -> ProbeSession:
        """Begin; returns when the first probes are due. Raises ConfigError, NotReady and TargetRefused."""
        ...


@dataclass(frozen=True, slots=True)
class ChildProber:
    """A Prober that sends real requests, from a process of its own. `clean` takes secrets out of what answers name."""

    clean: Clean = str

    def start(self, order: ProberOrder) -> ChildSession:
        """See Prober."""
        return ChildSession(order, self.clean)


class ChildSession:
    """See ProbeSession."""

    def __init__(self, order: ProberOrder, clean: Clean) -> None:
        self._order = order
        self._clean = clean
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._end: dict[str, Any] | None = None  # its last word
        self._begun: queue.Queue[float | RehearseError] = queue.Queue()
        self._failure: RehearseError | None = None
        self._final: ProbeLog | None = None
        self._process = begin_group(
            [sys.executable, "-P", "-m", "rehearse.prober.child"],
            Path.cwd(),
            subprocess.PIPE,
            subprocess.PIPE,
            _STDERR_FD,
        )
        self._reader = threading.Thread(target=self._read, name="prober", daemon=True)
        self._reader.start()
        try:
            self._tell(to_jsonable(order))
            self._began_s = self._wait_for_begin()
        except BaseException:  # nobody enters a context that was never made
            self.close()
            raise

    def log(self) -> ProbeLog:
        """See ProbeSession."""
        if self._final is not None:
            return self._final
        with self._lock:
            samples = tuple(self._samples)
        return self._log(
            samples, monotonic(), self._how_it_ended() if self._process.poll() is not None else ""
        )

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """See ProbeSession."""
        self._tell({"headers": dict(headers)})

    def stop(self) -> ProbeLog:
        """See ProbeSession."""
        if self._final is None:
            is_running = self._process.poll() is None
            asked_s = monotonic()
            self._tell({"stop": True})
            self._reader.join(MOST_PATIENCE * self._order.timeout_s + STOP_TIMEOUT_S)
            self.close()
            self._final = self._whole_log(asked_s, is_running)
        return self._final

    def close(self) -> None:
        """End the process, and read what it had still said."""
        try:
            kill_group(self._process)
        finally:
            self._reader.join(STOP_TIMEOUT_S)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _whole_log(self, asked_s: float, is_asked: bool) -> ProbeLog:
        with self._lock:
            samples, end = tuple(self._samples), self._end
        if end is None or not is_asked:
            return self._log(samples, asked_s, self._how_it_ended())
        if end["count"] != len(samples):
            return self._log(samples, asked_s, f"{end['count'] - len(samples)} samples were lost on the way")
        return replace(self._log(samples, float(end["ended_s"]), ""), is_whole=True)

    def _log(self, samples: tuple[Sample, ...], ended_s: float, trouble: str) -> ProbeLog:
        probes = tuple(request.probe for request in self._order.probes)
        return ProbeLog(probes, self._order.interval_s, self._began_s, ended_s, samples, trouble=trouble)

    def _how_it_ended(self) -> str:
        if self._failure is not None:
            return self._clean(str(self._failure))
        if self._end is not None:
            return "the prober came to its end before it was told to stop"
        code = self._process.poll()
        how = "" if code is None else f" ({Signals(-code).name})" if code < 0 else f" (exit code {code})"
        return f"the prober ended by itself{how}"

    def _wait_for_begin(self) -> float:
        try:
            begun = self._begun.get(timeout=READY_TIMEOUT_S)
        except queue.Empty:
            raise NotReady(f"the prober did not begin within {READY_TIMEOUT_S:.0f} s") from None
        if isinstance(begun, RehearseError):
            raise begun
        return begun

    def _tell(self, message: object) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):  # that it is gone shows in the log
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()

    def _read(self) -> None:
        """In a thread: every line, until the end."""
        stdout = self._process.stdout
        if stdout is not None:
            with suppress(ValueError, KeyError, OSError, CodecError):  # a torn line: it died while writing it
                for line in stdout:
                    self._take(json.loads(line))
        self._begun.put(NotReady(self._how_it_ended()))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "samples" in message:
            found = [from_jsonable(Sample, one) for one in message["samples"]]
            with self._lock:
                self._samples += [replace(one, version=self._clean(one.version)) for one in found]
        elif "began_s" in message:
            self._begun.put(float(message["began_s"]))
        elif "failed" in message:
            self._failure = _raised(str(message["kind"]), str(message["failed"]))
            self._begun.put(self._failure)
        else:
            self._end = {"ended_s": float(message["ended_s"]), "count": int(message["count"])}


def _raised(kind: str, sentence: str) -> RehearseError:
    kinds: dict[str, type[RehearseError]] = {"ConfigError": ConfigError, "TargetRefused": TargetRefused}
    return kinds.get(kind, NotReady)(f"the prober: {sentence}")


@dataclass(slots=True)
class ScriptedSession:
    """Hands out one prepared log after the other, the last one for ever; the fake of ProbeSession."""

    script: list[ProbeLog]
    told: list[Mapping[str, str]] = field(default_factory=list)

    def log(self) -> ProbeLog:
        """See ProbeSession."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def tell_headers(self, headers: Mapping[str, str]) -> None:
        """See ProbeSession."""
        self.told.append(headers)

    def stop(self) -> ProbeLog:
        """See ProbeSession: the last log of the script."""
        del self.script[:-1]
        return self.script[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release."""


@dataclass(slots=True)
class ScriptedProber:
    """The fake of Prober: one script for each start."""

    scripts: list[list[ProbeLog]]
    orders: list[ProberOrder] = field(default_factory=list)

    def start(self, order: ProberOrder) -> ScriptedSession:
        """See Prober."""
        self.orders.append(order)
        return ScriptedSession(list(self.scripts[len(self.orders) - 1]))
