"""Calls one check as the plugin would: its fixtures bound to real servers, and what came of it."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from rehearse.instants import boundary_instants


@dataclass(frozen=True)
class Both:
    """The fixture `both`."""

    baseline: httpx.Client
    candidate: httpx.Client


@dataclass(frozen=True)
class Response:
    """One of the fixture `recorded`."""

    endpoint: str
    status: int
    text: str


@dataclass(frozen=True)
class Outcome:
    """passed, failed or not run; why."""

    word: str
    sentence: str = ""


def outcome_of(
    check: Callable[..., None],
    baseline_url: str,
    candidate_url: str,
    options: Mapping[str, object] | None = None,
    recorded: Sequence[Response] = (),
    verify: ssl.SSLContext | bool = False,
    side_effects: bool = True,
) -> Outcome:
    """Runs the check once."""
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(httpx.Client(base_url=url, timeout=5, trust_env=False, verify=verify))
            for url in (baseline_url, candidate_url)
        )
        fixtures = {
            "baseline": old,
            "candidate": new,
            "both": Both(old, new),
            "options": options or {},
            "recorded": recorded,
            "side_effects": side_effects,
            "boundary_instants": boundary_instants(),
        }
        wanted = {name: fixtures[name] for name in inspect.signature(check).parameters}
        try:
            check(**wanted)
        except (AssertionError, pytest.fail.Exception) as failure:
            return Outcome("failed", str(failure).partition("\nassert ")[0])
        except pytest.skip.Exception as skip:
            return Outcome("not run", str(skip))
    return Outcome("passed")
