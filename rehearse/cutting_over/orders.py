"""What a cutover is told, out of the settings: its environment, its steps, its terms, its load, its probes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

from rehearse.config import Settings, effective_toml, policy_hash, policy_of
from rehearse.config.cutover import ByHand, CutoverSettings, ProbeSettings
from rehearse.config.targets import Target
from rehearse.cutovers import CutoverTerms, Direction, PlannedStep
from rehearse.databases import is_database, shown_url
from rehearse.disruptions import Probe, Tolerance
from rehearse.errors import ConfigError
from rehearse.exit_plan import Criterion, Deed, Measured, Step, faults, seconds_after_start
from rehearse.holding import place_of
from rehearse.judge.criteria import WATCHED
from rehearse.load.orders import LoadOrder
from rehearse.model import RunRecord, Side
from rehearse.prober.orders import ProbeRequest, ProberOrder, VersionPlace
from rehearse.redaction import Clean
from rehearse.report.runbook import deed
from rehearse.sides import headers_of
from rehearse.wiring.orders import load_order

MOST_RATE_PER_S = 20.0  # light: it is there to be disrupted, and not to find limits
SHORTEST_BLOCK_S = 1.0
FEWEST_ARRIVALS = 5  # in a block
LOST_BLOCKS = 2  # at the two ends of a phase
FEWEST_BLOCKS = 3
LONGEST_S = 6 * 3600.0
FACTS, SCHEMA = "what it says of itself", "the schema"


@dataclass(frozen=True, slots=True)
class StepOrder:
    """One step, as `rehearse` can run it; an empty command is one that it cannot."""

    name: str
    run: tuple[str, ...]
    undo: tuple[str, ...]
    verify: tuple[str, ...]
    timeout_s: float
    window: str = ""
    obstacle: str = ""  # why it is not run there and back

    def command(self, direction: Direction) -> tuple[str, ...]:
        """What leads in that direction."""
        return self.undo if direction is Direction.UNDO else self.run


@dataclass(frozen=True, slots=True)
class CutoverOrder:
    """All of it. `settings` are those of the one environment alone."""

    settings: Settings
    terms: CutoverTerms
    steps: tuple[StepOrder, ...]
    forward: tuple[StepOrder, ...]

    @property
    def there_and_back(self) -> tuple[StepOrder, ...]:
        """See CutoverTerms."""
        names = self.terms.there_and_back
        return tuple(step for step in self.steps if step.name in names)


# --- the environment ----------------------------------------------------------------------------------------------


def in_one_place(settings: Settings) -> Settings:
    """The same settings with a single environment, the one that is upgraded. Raises ConfigError."""
    target = settings.cutover.target or _in_place(settings)
    if target is None:
        raise ConfigError(
            f"{settings.source.name}: cutover.target is missing: the plan is rehearsed in one environment;"
            " add [cutover.target] with its url (its host must be in safety.allow)."
        )
    if is_database(target.url):
        raise ConfigError(
            f"{settings.source.name}: cutover.target.url is a database; name the HTTP service that users ask, and the"
            " database as cutover.database."
        )
    return settings.model_copy(update={"targets": (target,), "mode": None})


def _in_place(settings: Settings) -> Target | None:
    return next((target for target in settings.targets if target.role == "in-place"), None)


# --- steps and terms ----------------------------------------------------------------------------------------------


def order_of(settings: Settings, clean: Clean, *, with_forward: bool) -> CutoverOrder:
    """What is to be done. Raises ConfigError when nothing of the plan can be run."""
    place, plan = in_one_place(settings), settings.exit_plan.plan
    if not plan.steps:
        raise ConfigError(
            f"{settings.source.name}: exit_plan.steps are not there: there is nothing to rehearse (docs/exit-plan.md)."
        )
    _refuse_dead_ends(settings)
    if with_forward and not plan.forward:
        raise ConfigError(
            f"{settings.source.name}: exit_plan.forward is not there, and --forward is asked for; write"
            " [[exit_plan.forward]], or leave the option out."
        )
    steps = tuple(_steps(settings))
    forward = tuple(_forward(settings)) if with_forward else ()
    _refuse_by_hand(settings, steps, forward)
    terms = _terms(place, steps, forward, clean)
    return CutoverOrder(place, terms, steps, forward)


def _refuse_dead_ends(settings: Settings) -> None:
    """A plan that can end without a way out is mended before it is rehearsed. That checks exist is looked at later."""
    plan = settings.exit_plan.plan
    verified = [*(step.verify for step in plan.steps), *(step.verify for step in plan.forward)]
    measured = Measured(
        checks={*chain.from_iterable(verified), plan.backup.check, *(one.check for one in plan.abort)},
        objectives={str(rule.metric).replace(" ", "_") for rule in settings.objectives.rules},
        series={one.name for one in settings.series},
    )
    errors = [fault for fault in faults(plan, measured, date.max) if fault.level == "error"]
    if errors:
        raise ConfigError(
            "\n".join(f"{settings.source.name}: {fault.where}: {fault.sentence}" for fault in errors)
        )


def _steps(settings: Settings) -> Iterator[StepOrder]:
    by_hand = settings.cutover.by_hand
    is_after_return = False
    for step in settings.exit_plan.plan.steps:
        own = by_hand.get(step.name, ByHand())
        run, undo = _command(step.run) or own.run or (), _command(step.undo) or own.undo or ()
        undo = () if step.is_point_of_no_return else undo
        is_after_return = is_after_return or step.is_point_of_no_return
        obstacle = _obstacle(step.name, run, undo, step.undo, is_after_return=is_after_return)
        yield StepOrder(step.name, run, undo, step.verify, step.timeout_s, step.window, obstacle)


def _command(deed: Deed) -> tuple[str, ...]:
    return deed if isinstance(deed, tuple) else ()


def _obstacle(
    name: str, run: tuple[str, ...], undo: tuple[str, ...], planned_undo: Deed, *, is_after_return: bool
) -> str:
    override = f"give [cutover.by_hand.{shlex.quote(name) if ' ' not in name else repr(name)}] a command"
    if not run:
        return f"it is done by hand; {override}"
    if is_after_return:
        return "there is no way back from it; --forward rehearses it, with the way forward"
    if not undo:
        return f"its undo is done by hand; {override}" if planned_undo else "it has no undo"
    return ""


def _forward(settings: Settings) -> Iterator[StepOrder]:
    for step in settings.exit_plan.plan.forward:
        own = settings.cutover.by_hand.get(step.name, ByHand())
        run = _command(step.run) or own.run or ()
        yield StepOrder(step.name, run, (), step.verify, step.timeout_s)


def _refuse_by_hand(settings: Settings, steps: Sequence[StepOrder], forward: Sequence[StepOrder]) -> None:
    """What cannot even begin is said before anything is touched."""
    stuck = [step for step in forward if not step.run] or ([steps[0]] if steps[0].obstacle else [])
    if stuck:
        why = stuck[0].obstacle or "it is done by hand; give [cutover.by_hand.NAME] a command"
        raise ConfigError(
            f"{settings.source.name}: exit_plan: step {stuck[0].name!r} cannot be rehearsed: {why}."
        )


def _terms(
    place: Settings, steps: Sequence[StepOrder], forward: Sequence[StepOrder], clean: Clean
) -> CutoverTerms:
    cutover, plan = place.cutover, place.exit_plan.plan
    total_s = cutover.longest_outage_s if cutover.total_outage_s is None else cutover.total_outage_s
    target = place.targets[0]
    facts = (FACTS,) if target.facts is not None else ()
    schema = (SCHEMA,) if asks_schema(cutover) else ()
    questions = (*facts, *schema, *(clean(one.name) for one in cutover.same))
    return CutoverTerms(
        place=place_of(target.url),
        steps=tuple(step.name for step in steps),
        obstacles={step.name: step.obstacle for step in steps if step.obstacle},
        forward=tuple(step.name for step in forward),
        planned=tuple(_planned(step, clean) for step in plan.steps),
        planned_forward=tuple(PlannedStep(one.name, clean(deed(one.run))) for one in plan.forward),
        tolerance=Tolerance(cutover.longest_outage_s, total_s),
        decide_s=seconds_after_start(plan.decide_by),
        undo_within_s=cutover.undo_within_s,
        forward_within_s=cutover.forward_within_s,
        criteria=tuple(dict.fromkeys(clean(one.when) for one in plan.abort if is_measured(one))),
        questions=questions,
        has_schema=SCHEMA in questions,
        has_survival=cutover.survival is not None,
        backup_check=plan.backup.check,
        least_blocks=max(FEWEST_BLOCKS, int(cutover.budget_s / block_s(place)) - LOST_BLOCKS),
        strategy=plan.strategy,
        decide_by=clean(plan.decide_by),
        decide_before=clean(plan.decide_before),
        decider=clean(plan.decider),
    )


def _planned(step: Step, clean: Clean) -> PlannedStep:
    undo = clean(deed(step.undo)) if step.can_be_undone else ""
    return PlannedStep(step.name, clean(deed(step.run)), undo)


def asks_schema(cutover: CutoverSettings) -> bool:
    """Where there is a database, its schema must be as it was; a question of that name asks in its own way."""
    return cutover.database is not None and SCHEMA not in (one.name for one in cutover.same)


def is_measured(one: Criterion) -> bool:
    """Whether something measures it; what nothing measures is for people to look at."""
    return bool(one.objective or one.series or one.check)


def unwatchable(one: Criterion) -> str:
    """Why an objective cannot be watched while load runs; empty when it can."""
    if one.objective and one.objective not in {str(metric).replace(" ", "_") for metric in WATCHED}:
        return f"{one.objective} shows only over a whole recording"
    return ""


# --- load and probes ----------------------------------------------------------------------------------------------


def rate_per_s(place: Settings) -> float:
    """Arrivals per second, all the time."""
    return place.cutover.rate or min(place.load.rate, MOST_RATE_PER_S)


def block_s(place: Settings) -> float:
    """The length of a block with enough arrivals in it."""
    return max(SHORTEST_BLOCK_S, FEWEST_ARRIVALS / rate_per_s(place))


def check_budget(place: Settings) -> None:
    """Raise ConfigError when a measured phase holds too few blocks."""
    needed_s = (FEWEST_BLOCKS + LOST_BLOCKS) * block_s(place)
    if place.cutover.budget_s < needed_s:
        raise ConfigError(
            f"{place.source.name}: cutover.budget: {place.cutover.budget_s:g} s are too short for a rate of"
            f" {rate_per_s(place):g}/s; {needed_s:g} s are needed, or a higher cutover.rate."
        )


def record_of(settings: Settings, record: RunRecord, place: Settings) -> RunRecord:
    """The record of a cutover: what it rests on is the whole configuration, and the policy is the comparison's own."""
    policy = replace(policy_of(place), contract=None, capacity=None, series=(), data=None)
    return replace(
        record,
        policy=policy,
        provenance={**record.provenance, "policy": policy_hash(settings)},
        effective_config=effective_toml(settings),
        planned_blocks=1,
        has_checks=False,
    )


def long_round(place: Settings, record: RunRecord) -> LoadOrder:
    """One long round, ended when the cutover is over."""
    order = load_order(place, record, 0)
    length_s = block_s(place)
    schedule = replace(
        order.schedule.as_poisson(),
        rate_per_s=rate_per_s(place),
        block_s=length_s,
        warm_up_blocks=1,
        measured_blocks=math.ceil(longest_s(place) / length_s),
    )
    return replace(order, schedule=schedule, sampling=None)


def longest_s(place: Settings) -> float:
    """How long it can take at most: every step at its timeout, there, back and forward."""
    cutover, plan = place.cutover, place.exit_plan.plan
    verified = sum(bool(step.verify) for step in plan.steps) + sum(bool(step.verify) for step in plan.forward)
    checks_s = place.checks.budget_s * (verified + bool(plan.backup.check))
    steps_s = sum(3 * (step.timeout_s + cutover.window_s) for step in plan.steps)
    forward_s = sum(step.timeout_s for step in plan.forward)
    measured_s = 4 * (cutover.settle_s + cutover.budget_s)
    return float(min(LONGEST_S, steps_s + forward_s + 2 * checks_s + measured_s + 300.0))


def prober_order(place: Settings, load: LoadOrder) -> ProberOrder:
    """Every probe twice: over fresh and over kept connections."""
    cutover = place.cutover
    given = cutover.probes or (ProbeSettings(name="ready", path=place.targets[0].ready),)
    requests = [_request(one, is_fresh=is_fresh) for one in given for is_fresh in (False, True)]
    target = replace(load.sides[0], headers=dict(headers_of(place, place.target(Side.CANDIDATE))))
    return ProberOrder(
        target=target,
        probes=tuple(requests),
        allow=place.safety.allow,
        production=place.safety.production,
        interval_s=cutover.every_s,
        timeout_s=cutover.timeout_s,
        version=VersionPlace(cutover.version_header, cutover.version_key),
    )


def _request(one: ProbeSettings, *, is_fresh: bool) -> ProbeRequest:
    name = f"{one.name}, fresh" if is_fresh else one.name
    probe = Probe(name, one.method, one.path, one.write, is_fresh)
    headers = {name: value.get_secret_value() for name, value in one.headers.items()}
    return ProbeRequest(probe, one.body.get_secret_value() if one.body is not None else "", headers)


# --- the dry run --------------------------------------------------------------------------------------------------


def tree(order: CutoverOrder, clean: Clean) -> list[str]:
    """What would be done, in its order; commands without their secrets."""
    return [clean(line) for line in _tree(order)]


def _tree(order: CutoverOrder) -> Iterator[str]:
    place, terms, cutover = order.settings, order.terms, order.settings.cutover
    probes = [one.name for one in cutover.probes] or ["ready"]
    measured = f"{cutover.settle_s:g} s to settle, {cutover.budget_s:g} s measured"
    yield f"environment: {shown_url(place.targets[0].url)}"
    yield f"load: {rate_per_s(place):g}/s all the time; probes every {cutover.every_s:g} s: {', '.join(probes)}"
    yield f"1 before: {measured}"
    if terms.backup_check:
        yield f"  └─ the backup, or nothing is begun: check {terms.backup_check}"
    yield "2 apply"
    yield from _branch(order.there_and_back, Direction.APPLY)
    yield f"3 candidate: {measured}"
    yield "4 undo"
    yield from _branch(tuple(reversed(order.there_and_back)), Direction.UNDO)
    yield f"5 after the undo: {measured}"
    if order.forward:
        yield "6 apply again, then forward"
        yield from _branch([step for step in order.steps if step.run], Direction.APPLY)
        yield from _branch(order.forward, Direction.FORWARD)
        yield f"7 repaired: {measured}"
    for name in terms.steps[len(terms.there_and_back) :]:
        yield f"not run there and back: {name}: {terms.obstacles.get(name, 'it comes after such a step')}"
    for question in terms.questions:
        yield f"must be as before, after the undo: {question}"
    for when in terms.criteria:
        yield f"turns back when: {when}"


def _branch(steps: Sequence[StepOrder], direction: Direction) -> Iterator[str]:
    for position, step in enumerate(steps, start=1):
        corner = "└─" if position == len(steps) else "├─"
        command = shlex.join(step.command(direction))
        yield f"  {corner} {step.name}: {command} (at most {step.timeout_s:g} s)"
        if direction is not Direction.UNDO and step.verify:
            yield f"  {' ' if position == len(steps) else '│'}    checks: {', '.join(step.verify)}"
        if direction is Direction.APPLY and step.window and position < len(steps):
            yield f"  │    then held: {step.window}"
