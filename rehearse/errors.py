"""Every error that `rehearse` raises on purpose, and the exit code it ends in.

RehearseError                  1   internal: something that should not happen
├── ConfigError                2   the configuration or the command line is wrong
├── TargetRefused             12   a host that the allow-list does not name
├── NotReady                  13   an environment that is not ready, or nothing to compare with
│   ├── NotComparable         13   recorded under other conditions than the ones of now
│   └── StoreError            13   the store cannot be read or written
│       └── DiskFull           1   there is no room for what is recorded: before, under or after load
└── Interrupted           130/143  SIGINT or SIGTERM; the evidence so far is kept

They are caught once, in `cli.py`; nothing else turns them into an exit code.
"""

from __future__ import annotations

import signal
from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """What a pipeline can rely on. ABORT never shares a code with a crash."""

    GO = 0
    INTERNAL_ERROR = 1
    USAGE_ERROR = 2
    ABORT = 10
    INCONCLUSIVE = 11
    TARGET_REFUSED = 12
    NOT_READY = 13
    SIGINT = 130
    SIGTERM = 143


class RehearseError(Exception):
    """One clear message: where, what was given, what to do."""

    exit_code = ExitCode.INTERNAL_ERROR


class ConfigError(RehearseError):
    """The configuration or the command line is wrong."""

    exit_code = ExitCode.USAGE_ERROR


class TargetRefused(RehearseError):
    """A host that is not on the allow-list, or that is named as production."""

    exit_code = ExitCode.TARGET_REFUSED


class NotReady(RehearseError):
    """The environment cannot be rehearsed now; no load was sent."""

    exit_code = ExitCode.NOT_READY


class NotComparable(NotReady):
    """The stored baseline was recorded under other conditions; no load was sent."""


class StoreError(NotReady):
    """The store cannot be read or written."""


class DiskFull(StoreError):
    """There is no room for what is recorded. No state of the environment, and it can happen at any moment."""

    exit_code = ExitCode.INTERNAL_ERROR


class Interrupted(RehearseError):
    """SIGINT or SIGTERM arrived; raised in the main thread so that `finally` blocks run."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = ExitCode(128 + signal_number)


def nearest(given: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest valid word, or all of them."""
    choices = sorted(known)
    close = get_close_matches(given, choices, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(choices)}." if choices else "There are none."
