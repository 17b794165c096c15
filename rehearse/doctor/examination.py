"""The whole examination, in the order in which a rehearsal would stumble: what is written down, rig, store, sides,
scenario, proposals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from rehearse.allowlist import host_and_port, is_loopback
from rehearse.checks.runner import CheckRunner, PytestRunner
from rehearse.config import Settings
from rehearse.config.policy import users_for
from rehearse.config.quantities import write_duration
from rehearse.databases import is_database
from rehearse.doctor.answering import side_findings
from rehearse.doctor.besides import EDGES, check_and_plan_findings, dependency_findings, login_findings
from rehearse.doctor.findings import Examination, Examined, Grade, Proposal
from rehearse.doctor.proposals import Measured, proposals
from rehearse.doctor.rig import Rig, rig_findings
from rehearse.doctor.trial import SCENARIO, Trial, trial_findings, try_out
from rehearse.edge_cases.running import standing_proxies
from rehearse.edges.clock import shifted_start
from rehearse.errors import ConfigError, Interrupted, NotReady, RehearseError, StoreError, TargetRefused
from rehearse.histogram import Histogram
from rehearse.holding import holding
from rehearse.load.engine import LoadEngine
from rehearse.load.tapped import TappedEngine
from rehearse.model import Block, Mode, Side
from rehearse.progress import Listener
from rehearse.renewing import RenewingEngine
from rehearse.sides import allowed_targets, cleaner, sides_of_comparison, token_sources
from rehearse.store.records import Store
from rehearse.targets import ManagedTarget
from rehearse.wiring.records import comparison_record
from rehearse.wiring.references import stored_baseline

MIN_ARRIVALS = 5  # of a block, for a rate that is worth proposing


@dataclass(frozen=True, slots=True)
class Tools:
    """What looks on and sends; tests hand in fakes."""

    engine: LoadEngine
    listener: Listener
    now: Callable[[], datetime]
    rig: Callable[[], Rig] = Rig.now
    checks: CheckRunner = field(default_factory=PytestRunner)


def examine(settings: Settings, tools: Tools) -> Examination:
    """Look at everything, and try it with a few journeys. What is wrong is a finding, and not raised.

    Nothing is sent to what the allow-list does not name, nor while somebody else loads a target.
    """
    visit = _Visit(settings, tools)
    found = tuple(_without_secrets(one, settings) for one in visit.findings())
    is_ready = all(one.grade is not Grade.FIX for one in found)
    return Examination(cleaner(settings)(settings.title), found, visit.proposed, is_ready)


def _without_secrets(one: Examined, settings: Settings) -> Examined:
    clean = cleaner(settings)
    return replace(one, sentence=" ".join(clean(one.sentence).split()), remedy=clean(one.remedy))


class _Visit:
    """One examination under way."""

    def __init__(self, settings: Settings, tools: Tools) -> None:
        self.settings, self.tools = settings, tools
        self.sides = sides_of_comparison(settings)
        self.proposed: tuple[Proposal, ...] = ()

    def findings(self) -> Iterator[Examined]:
        """In order; what comes first is what is needed for the rest."""
        yield from _config_findings(self.settings)
        today, clean = self.tools.now().date(), cleaner(self.settings)
        yield from check_and_plan_findings(self.settings, self.tools.checks, clean, today)
        yield from _clock_findings(self.settings, self.sides)
        yield from rig_findings(self.tools.rig(), self._processes_here, self._users)
        try:
            targets = allowed_targets(self.settings, self.sides)
        except TargetRefused as error:
            yield Examined(
                "safety", Grade.FIX, _one(error), "list it in safety.allow, in the file, if it may be loaded"
            )
            return
        yield from self._with_store(targets)

    def _with_store(self, targets: list[ManagedTarget]) -> Iterator[Examined]:
        """The lease is what is written to the store for a test: and nobody else loads the targets meanwhile."""
        record = comparison_record(self.settings, self.tools.now(), "rehearse doctor")
        record = replace(record, run_id=record.run_id.replace("comparison", "doctor"))
        try:
            with ExitStack() as stack:
                store = stack.enter_context(Store.open(self.settings.store_url))
                hold = stack.enter_context(
                    holding(store, [target.spec.url for target in targets], record.run_id)
                )
                yield Examined("store", Grade.OK, "opened, migrated, and written to")
                yield from _baseline_findings(self.settings, store)
                up = []
                for one in self._brought_up(stack, targets):
                    up.append(one)
                    yield one
                if any(one.grade is Grade.FIX for one in up):
                    why = "not tried: something above is to be mended first"
                    yield Examined(SCENARIO, Grade.NOTE, why, "mend that, and run `rehearse doctor` again")
                    return
                engine = RenewingEngine(
                    TappedEngine(self.tools.engine, hold.check), token_sources(self.settings)
                )
                yield from self._tried(lambda: try_out(self.settings, record, engine, self.tools.listener))
        except StoreError as error:
            yield Examined("store", Grade.FIX, _one(error), "correct store.url, or see to what it says")
        except NotReady as error:  # somebody else holds a target
            yield Examined("targets", Grade.FIX, _one(error), "wait until that one has ended")

    def _brought_up(self, stack: ExitStack, targets: list[ManagedTarget]) -> Iterator[Examined]:
        """All that journeys need. A side is asked for a token only when it is known to be the one that is meant."""
        dependencies = list(dependency_findings(self.settings, self.sides))
        yield from dependencies
        if any(one.grade is Grade.FIX for one in dependencies):
            return
        try:
            stack.enter_context(standing_proxies(self.settings, self.sides))
        except NotReady as error:
            remedy = "end what listens there, or name another address in edges.dependencies"
            yield Examined(EDGES, Grade.FIX, _one(error), remedy)
            return
        for target in targets:
            stack.enter_context(target)
        sides = [one for target in targets for one in self._look_at(target)]
        yield from sides
        if all(one.grade is not Grade.FIX for one in sides):
            yield from login_findings(self.settings, self.sides)

    def _look_at(self, target: ManagedTarget) -> Iterator[Examined]:
        self.tools.listener.phase(f"looking at {target.spec.name} at {target.spec.shown_url}")
        return side_findings(self.settings, target, self.tools.now())

    def _tried(self, send: Callable[[], Trial]) -> Iterator[Examined]:
        try:
            trial = send()
        except Interrupted:
            raise
        except TargetRefused as error:
            yield Examined(SCENARIO, Grade.FIX, _one(error), _remedy_of_refusal(str(error)))
        except ConfigError as error:
            yield Examined(SCENARIO, Grade.FIX, _one(error), "correct the scenario")
        except RehearseError as error:
            yield Examined(SCENARIO, Grade.FIX, _one(error), "see the logs in .rehearse/logs")
        else:
            yield from trial_findings(self.settings, trial, self.sides)
            measured = self._measured(trial)
            self.proposed = () if measured is None else proposals(measured)

    def _measured(self, trial: Trial) -> Measured | None:
        """None when a side was not asked anything: nothing can be proposed from that."""
        settings = self.settings
        journeys_s = [_mean_s(trial.journeys(side)) for side in self.sides]
        if not trial.blocks or not all(journeys_s):
            return None
        return Measured(
            journey_s=max(filter(None, journeys_s)),
            rig_cpu_s=_cpu_of_a_journey_s(trial.blocks),
            rig_lag_s=Histogram.merged(block.rig.rig_lag for block in trial.blocks).quantile_s(0.5) or 0.0,
            rate_per_s=settings.load.rate,
            users=self._users,
            floor_s=settings.judge.floor_s,
            block_s=settings.load.block_s,
            budget_s=settings.load.budget_s,
            error_margin=settings.objectives.error_ratio.margin,
            certify_share_ratio=settings.judge.certify_share,
            least_rate_per_s=MIN_ARRIVALS / settings.load.block_s,
            sides=len(self.sides),
            cores_here=self.tools.rig().cores if _is_here(settings) else None,
        )

    @property
    def _users(self) -> int:
        return self.settings.load.users or users_for(self.settings.load.rate)

    @property
    def _processes_here(self) -> int:
        """Load generators, and the services where they are on this machine."""
        workers = len(self.sides) * self.settings.load.workers
        return workers + len(self.sides) * _is_here(self.settings)


def _config_findings(settings: Settings) -> Iterator[Examined]:
    load, writes = settings.load, settings.safety.side_effects
    what = "requests may write" if writes else "only reads are sent"
    yield Examined(
        "config",
        Grade.OK,
        f"{settings.source.name}: {settings.resolved_mode}, {load.rate:g}/s a side for"
        f" {write_duration(load.budget_s)}; {what}",
    )
    hosts = {host_and_port(target.url)[0] for target in settings.targets if not is_database(target.url)}
    if len(settings.targets) > 1 and len(hosts) == 1 and not settings.judge.shared:
        yield Examined(
            "config",
            Grade.NOTE,
            "both sides are on one host and may slow each other down",
            'say so with judge.shared = ["host"], or give each its own',
        )


def _clock_findings(settings: Settings, sides: tuple[Side, ...]) -> Iterator[Examined]:
    """What would leave the cases that set a clock `not run`."""
    if not settings.edges.clocks:
        return
    for side in sides:
        if settings.target(side).start is None:
            said = f"edges.clocks sets the clock of what `rehearse` starts, and the {side} has no `start`"
            yield Examined("config", Grade.NOTE, said, "give it one, or say required = false")
    try:
        shifted_start(0)
    except NotReady as error:
        yield Examined("rig", Grade.NOTE, f"edges.clocks will not be run: {_one(error)}")


def _baseline_findings(settings: Settings, store: Store) -> Iterator[Examined]:
    """Two sides side by side can do without a recording; one side alone cannot."""
    try:
        stored_baseline(store, settings.baseline.name, settings)
    except StoreError:
        raise
    except NotReady as error:
        is_needed = settings.resolved_mode is Mode.RECORDED
        yield Examined("store", Grade.FIX if is_needed else Grade.NOTE, _one(error))


def _is_here(settings: Settings) -> bool:
    """Whether the services run on the machine that makes the load."""
    urls = [target.url for target in settings.targets if not is_database(target.url)]
    return bool(urls) and all(is_loopback(host_and_port(url)[0]) for url in urls)


def _mean_s(histogram: Histogram) -> float | None:
    if not histogram.count:
        return None
    return sum(value_s * count for value_s, count in histogram.buckets()) / histogram.count


def _cpu_of_a_journey_s(blocks: tuple[Block, ...]) -> float:
    spent_s = sum(block.rig.cpu_ratio * block.length_s for block in blocks)
    return max(1e-4, spent_s / max(1, sum(block.arrivals.dispatched for block in blocks)))


def _remedy_of_refusal(message: str) -> str:
    if "side_effects" in message:
        return "set safety.side_effects = true if both sides may be written to, or leave such tasks out (exclude_tags)"
    return "list the host in safety.allow if it may be loaded, or take it out of the scenario"


def _one(error: RehearseError) -> str:
    return str(error).rstrip(".")
