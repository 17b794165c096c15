"""The prober as the rest of `rehearse` holds it: start it, look at what it has seen so far, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, Self

from rehearse.disruptions import ProbeLog
from rehearse.prober.orders import ProberOrder


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
