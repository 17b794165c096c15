"""Real check files in a folder, and real pytest in child processes that runs them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.orders import CheckOrder, Collected, Finished, Trouble
from rehearse.checks.runner import PytestRunner
from rehearse.model import CheckOutcome, CheckResult, Side

TODAY = "2026-11-21"
IMPORTS = """
import os
import signal
import time

import pytest

"""


@dataclass
class Found:
    """What one run of checks told."""

    planned: list[str] = field(default_factory=list)
    results: dict[str, CheckResult] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    log: str = ""

    def outcome(self, check_id: str) -> CheckOutcome:
        return self.results[check_id].outcome

    def sentence(self, check_id: str) -> str:
        return self.results[check_id].sentence


@dataclass
class Checks:
    """A project with nothing in it but checks."""

    root: Path
    baseline: str = "http://127.0.0.1:1"
    candidate: str = "http://127.0.0.1:1"

    def __post_init__(self) -> None:
        (self.root / "checks").mkdir(exist_ok=True)

    def write(self, name: str, source: str, imports: str = IMPORTS) -> None:
        (self.root / "checks" / name).write_text(imports + textwrap.dedent(source), encoding="utf-8")

    def order(self, **changes: object) -> CheckOrder:
        context = CheckContext(
            baseline=CheckedSide(Side.BASELINE, "baseline", self.baseline),
            candidate=CheckedSide(Side.CANDIDATE, "candidate", self.candidate),
            allow=("127.0.0.1",),
            production=(),
            side_effects=False,
            timeout_s=20.0,
            request_timeout_s=5.0,
        )
        order = CheckOrder(
            context=context,
            root=str(self.root),
            folder=str(self.root / "checks"),
            packs=(),
            today=TODAY,
            budget_s=60.0,
            log=str(self.root / "logs" / "checks.log"),
        )
        inside = {name: value for name, value in changes.items() if hasattr(context, name)}
        outside = {name: value for name, value in changes.items() if name not in inside}
        return replace(order, context=replace(context, **inside), **outside)  # type: ignore[arg-type]

    def run(self, clean: Callable[[str], str] = str, **changes: object) -> Found:
        order, found = self.order(**changes), Found()
        with closing(PytestRunner().run(order, clean)) as messages:
            for message in messages:
                match message:
                    case Collected(checks):
                        found.planned += [check.check_id for check in checks]
                    case Finished(result):
                        assert result.check_id not in found.results, "told twice"
                        found.results[result.check_id] = result
                    case Trouble(sentence):
                        found.troubles.append(sentence)
                    case _:
                        pass
        log = Path(order.log)
        found.log = log.read_text(encoding="utf-8") if log.exists() else ""
        return found
