"""Asks the sides what broke once: settings become an order, results go to the store one by one.

A check asks the candidate. What fails there is asked of the baseline too, if one runs: what fails on both was broken
before the upgrade.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rehearse.checks.breakage import read_breakage
from rehearse.checks.context import CheckContext, CheckedSide, RecordedResponse
from rehearse.checks.exhibits import end_exhibit, exhibit_of
from rehearse.checks.orders import CheckOrder, Collected, Finished, Trouble, refuse_unknown_packs
from rehearse.checks.runner import CheckRunner
from rehearse.checks.scaffold import Answers, source_of
from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError
from rehearse.model import CheckOutcome, CheckResult, ChecksEnd, Mode, RunKind, Sample, Side
from rehearse.redaction import Clean
from rehearse.sides import allowed_targets, headers_of, other_sides, tls_of, work_dir

if TYPE_CHECKING:
    from rehearse.journal import Journal
    from rehearse.progress import Listener
    from rehearse.targets import ManagedTarget

LONGEST_SENTENCE = 400
LONGEST_STORY = 300


# --- the order ----------------------------------------------------------------------------------------------------


def order_of(
    settings: Settings,
    under_test: Side,
    facts: Mapping[Side, Mapping[str, str]],
    today: str,
    recorded: tuple[RecordedResponse, ...] = (),
) -> CheckOrder:
    """What a run of checks is told. `facts` has the sides that run now. Raises ConfigError for an unknown pack."""
    checks = settings.checks
    refuse_unknown_packs(checks.packs, settings.source.name)
    sides = {side: _checked_side(settings, side, facts[side]) for side in facts}
    context = CheckContext(
        baseline=sides.get(Side.BASELINE),
        candidate=sides.get(Side.CANDIDATE),
        allow=settings.safety.allow,
        production=settings.safety.production,
        side_effects=settings.safety.side_effects,
        timeout_s=checks.timeout_s,
        request_timeout_s=min(settings.load.timeout_s, checks.timeout_s / 2),
        under_test=under_test,
    )
    return CheckOrder(
        context=context,
        root=str(settings.root),
        folder=str(checks.dir) if checks.dir.is_dir() else None,
        packs=checks.packs,
        today=today,
        budget_s=checks.budget_s,
        options=checks.options,
        recorded=recorded,
        log=str(work_dir(settings) / "logs" / "checks.log"),
    )


def _checked_side(settings: Settings, side: Side, facts: Mapping[str, str]) -> CheckedSide:
    target = settings.target(side)
    return CheckedSide(
        side=side,
        name=target.name,
        url=target.url,
        headers=headers_of(settings, target),  # with the token of the moment: a run of checks may outlive one
        facts=facts,
        tls=tls_of(settings, target),
        other_sides=other_sides(settings, target),
        proxy=target.proxy_url,
    )


def of_plain_pytest(file: Path | None, side: str) -> tuple[CheckOrder, Callable[[CheckedSide], CheckedSide]]:
    """What plain `pytest checks/` runs with: the order, and what proves a side before it is asked first.

    Raises ConfigError. What proves a side raises NotReady or TargetRefused.
    """
    settings, under_test = load_settings(file, os.environ, {}), Side(side)
    runs = (Side.BASELINE, Side.CANDIDATE) if settings.resolved_mode is Mode.PAIRED else (under_test,)
    order = order_of(settings, under_test, {side: {} for side in runs}, datetime.now(UTC).date().isoformat())

    def prove(side: CheckedSide) -> CheckedSide:
        (target,) = allowed_targets(settings, (side.side,))
        target.prove()
        return replace(side, facts=target.facts().facts)

    return order, prove


# --- running them -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ids:
    """How ids are shown: without secrets, and each another one, also when they differ only by a secret."""

    clean: Clean
    _shown: dict[str, str] = field(default_factory=dict)

    def of(self, check_id: str) -> str:
        """The same for the same check, in every pass."""
        if check_id not in self._shown:
            clean, number, shown = self.clean(check_id), 1, self.clean(check_id)
            while shown in self._shown.values():
                number += 1
                shown = f"{clean} ({number})"
            self._shown[check_id] = shown
        return self._shown[check_id]


@dataclass(slots=True)
class _Pass:
    """One run of checks with one side under test."""

    planned: int = 0
    failed: list[str] = field(default_factory=list)  # sources
    troubles: list[str] = field(default_factory=list)


def run_checks(
    settings: Settings,
    journal: Journal,
    targets: Sequence[ManagedTarget],
    runner: CheckRunner,
    listener: Listener,
    today: str,
) -> None:
    """Run them, when the project has any, and store each result as it comes; the closing account comes last."""
    if not journal.record.has_checks:
        return
    silent = [target.spec.label for target in targets if not target.answers()]
    if silent:
        trouble = f"{' and '.join(silent)} does not answer any more: no check was run"
        journal.add_exhibit(end_exhibit(ChecksEnd(0, (journal.clean(trouble),))))
        return
    under_test = Side.BASELINE if journal.record.kind is RunKind.BASELINE else Side.CANDIDATE
    facts = {facts.side: facts.facts for facts in journal.record.targets}
    log = work_dir(settings) / "logs" / journal.record.run_id / "checks.log"
    recorded = tuple(_recorded(sample) for sample in journal.contract.recorded())
    order = replace(order_of(settings, under_test, facts, today, recorded), log=str(log))
    ids = _Ids(journal.clean)
    found = _run_pass(order, journal, runner, listener, ids)
    if found.failed and under_test is Side.CANDIDATE and order.context.baseline is not None:
        context = replace(order.context, under_test=Side.BASELINE)
        again = replace(order, context=context, only=tuple(found.failed))
        found.troubles += _run_pass(again, journal, runner, listener, ids).troubles
    if not found.planned and not found.troubles:
        found.troubles.append("no check was collected; write one with `rehearse check new`")
    troubles = tuple(dict.fromkeys(found.troubles))
    journal.add_exhibit(end_exhibit(ChecksEnd(found.planned, troubles)))
    if found.failed or troubles:
        listener.phase(f"of {found.planned} checks {len(found.failed)} failed, with {len(troubles)} troubles")


def _recorded(sample: Sample) -> RecordedResponse:
    """An answer seen under load, as checks get it."""
    method, _, _ = sample.endpoint.partition(" ")
    text = sample.body.decode(errors="replace")
    return RecordedResponse(sample.side, sample.endpoint, method, sample.status, sample.headers, text)


def _run_pass(
    order: CheckOrder, journal: Journal, runner: CheckRunner, listener: Listener, ids: _Ids
) -> _Pass:
    under_test = order.context.under_test
    again = f": the {len(order.only)} that failed, again" if order.only is not None else ""
    listener.phase(f"checks on the {under_test}{again}")
    found = _Pass()
    with closing(runner.run(order, journal.clean)) as messages:
        for message in messages:
            match message:
                case Collected(checks):
                    found.planned = len(checks)
                case Finished(result):
                    journal.add_exhibit(exhibit_of(_told(result, ids), under_test))
                    found.failed += [result.source] if result.outcome is CheckOutcome.FAILED else []
                case Trouble(sentence):
                    found.troubles.append(_short(journal.clean(sentence), LONGEST_SENTENCE))
                case _:
                    pass
    return found


def _told(result: CheckResult, ids: _Ids) -> CheckResult:
    """What checks and targets say, without secrets, on one line, and not for ever."""
    clean = ids.clean
    return replace(
        result,
        check_id=ids.of(result.check_id),
        source=clean(result.source),
        story=_short(clean(result.story), LONGEST_STORY),
        sentence=_short(clean(result.sentence), LONGEST_SENTENCE),
        component=_short(clean(result.component), LONGEST_STORY),
        ref=_short(clean(result.ref), LONGEST_STORY),
    )


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


# --- the registry, and new ones -----------------------------------------------------------------------------------


def listing(
    settings: Settings, runner: CheckRunner, clean: Callable[[str], str], today: str
) -> tuple[tuple[CheckResult, ...], tuple[str, ...]]:
    """Every check that can be collected, without running any, and what could not be."""
    checks: tuple[CheckResult, ...] = ()
    troubles: list[str] = []
    order = replace(order_of(settings, Side.CANDIDATE, {}, today), is_listing=True)
    ids = _Ids(clean)
    with closing(runner.run(order, clean)) as messages:
        for message in messages:
            match message:
                case Collected(found):
                    checks = tuple(_told(check, ids) for check in found)
                case Trouble(sentence):
                    troubles.append(_short(clean(sentence), LONGEST_SENTENCE))
                case _:
                    pass
    return checks, tuple(troubles)


def write_check(settings: Settings, baseline: ManagedTarget, answers: Answers, today: str) -> Path:
    """Ask the baseline, and write what it answers as a check. Raises ConfigError, NotReady or TargetRefused."""
    file = settings.checks.dir / f"{answers.name}.py"
    if file.exists():
        raise ConfigError(f"{file} is there already: change that one, or say otherwise what broke.")
    try:
        read_breakage((), {"id": answers.id, "broke_on": answers.broke_on}, date.fromisoformat(today))
    except ValueError as error:
        raise ConfigError(f"the new check {error}.") from None
    with baseline:
        if baseline.answers():
            baseline.prove()
        else:
            baseline.bring_up()
        context = order_of(settings, Side.BASELINE, {Side.BASELINE: {}}, today).context
        source = source_of(answers, context, context.asked)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    return file
