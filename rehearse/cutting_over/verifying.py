"""Asks checks of the exit plan by their ids: after a step, and as abort criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from rehearse.checking import listing, order_of
from rehearse.checks.orders import Finished, Trouble
from rehearse.checks.runner import CheckRunner
from rehearse.config import Settings
from rehearse.cutovers import StepOutcome
from rehearse.errors import ConfigError, nearest
from rehearse.model import CheckOutcome, CheckResult, Side
from rehearse.redaction import Clean
from rehearse.sides import work_dir

_FINE = (CheckOutcome.PASSED, CheckOutcome.ACCEPTED)
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Verified:
    """What checks say of a step: `done`, `broken` or `not verified`, and why."""

    outcome: StepOutcome = StepOutcome.DONE
    sentence: str = ""


class Verifier(Protocol):
    """Whom to ask whether a step has worked."""

    def verify(self, ids: Sequence[str]) -> Verified:
        """Each of these checks, asked now."""
        ...


@dataclass(frozen=True, slots=True)
class ScriptedVerifier:
    """Prepared answers by id, otherwise `done`; the fake of Verifier."""

    answers: Mapping[str, Verified] = field(default_factory=dict)

    def verify(self, ids: Sequence[str]) -> Verified:
        """See Verifier."""
        return next((self.answers[one] for one in ids if one in self.answers), Verified())


@dataclass(frozen=True, slots=True)
class CheckVerifier:
    """Runs the project's own checks against the environment."""

    settings: Settings  # of the one environment
    runner: CheckRunner
    clean: Clean
    today: str
    sources: Mapping[str, str]  # by id
    log: str

    def verify(self, ids: Sequence[str]) -> Verified:
        """See Verifier."""
        if not ids:
            return Verified()
        order = order_of(self.settings, Side.CANDIDATE, {Side.CANDIDATE: {}}, self.today)
        only = tuple(self.sources[one] for one in ids)
        results: dict[str, CheckResult] = {}
        troubles: list[str] = []
        with closing(self.runner.run(replace(order, only=only, log=self.log), self.clean)) as messages:
            for message in messages:
                if isinstance(message, Finished):
                    results[message.result.source] = message.result
                elif isinstance(message, Trouble):
                    troubles.append(message.sentence)
        return self._ruled(ids, results, troubles)

    def _ruled(
        self, ids: Sequence[str], results: Mapping[str, CheckResult], troubles: Sequence[str]
    ) -> Verified:
        """Whoever names a check in the exit plan wants it to pass, whatever its severity is elsewhere."""
        found = {one: results.get(self.sources[one]) for one in ids}
        for check_id, result in found.items():
            if result is not None and result.outcome is CheckOutcome.FAILED:
                return Verified(StepOutcome.BROKEN, self._told(check_id, result.sentence))
        for check_id, result in found.items():
            if result is None or result.outcome not in _FINE:
                why = "; ".join(troubles) or "it has no result" if result is None else result.sentence
                return Verified(StepOutcome.NOT_VERIFIED, self._told(check_id, why))
        return Verified()

    def _told(self, check_id: str, why: str) -> str:
        return f"check {check_id}: {' '.join(self.clean(why).split())[:_LONGEST]}"


def verifier_of(
    settings: Settings, ids: Mapping[str, str], runner: CheckRunner, clean: Clean, today: str, run_id: str
) -> Verifier:
    """Who can ask the checks that `ids` names, each with where it stands. Raises ConfigError for an unknown one."""
    if not ids:
        return ScriptedVerifier()
    planned, troubles = listing(settings, runner, clean, today) if settings.checks.are_due else ((), ())
    sources = {check.check_id: check.source for check in planned}
    for check_id, where in ids.items():
        if check_id not in sources:
            more = f" ({troubles[0]})" if troubles else ""
            raise ConfigError(
                f"{settings.source.name}: {where}: {check_id!r} is no check. {nearest(check_id, sources)}{more}"
            )
    log = str(work_dir(settings) / "logs" / run_id / "checks.log")
    return CheckVerifier(settings, runner, clean, today, sources, log)
