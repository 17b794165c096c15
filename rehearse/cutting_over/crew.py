"""Who helps on the way, out of the settings: what keeps rows, asks questions, watches criteria, records the load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList
from rehearse.config import Settings
from rehearse.config.cutover import Question as QuestionSettings
from rehearse.config.cutover import Survival
from rehearse.cutover.exhibits import clock_exhibit
from rehearse.cutover.questions import (
    AskedTwice,
    CommandQuestion,
    PathQuestion,
    Question,
    SchemaQuestion,
    SqlQuestion,
)
from rehearse.cutover.rows import (
    HttpCounter,
    HttpReader,
    HttpWriter,
    RowKeeper,
    RowReader,
    RowWriter,
    SqlReader,
    SqlWriter,
)
from rehearse.cutting_over.criteria import (
    AskedWatch,
    Blocks,
    Criteria,
    ObjectiveWatch,
    Watch,
    check_question,
    series_question,
)
from rehearse.cutting_over.orders import FACTS, SCHEMA, CutoverOrder, asks_schema, is_measured, unwatchable
from rehearse.cutting_over.verifying import Verifier
from rehearse.databases import SQLITE, engine_to, read_database_url, way_to
from rehearse.edges.asking import Place
from rehearse.errors import ConfigError
from rehearse.exit_plan import Criterion
from rehearse.journal import Journal
from rehearse.load.engine import BlockClosed, LoadEvent
from rehearse.model import Block, Objective, Side, TargetFacts
from rehearse.redaction import Clean
from rehearse.sides import headers_of, prometheus_of, tls_of
from rehearse.targets import ManagedTarget

if TYPE_CHECKING:
    from sqlalchemy import Engine


_COUNTS = "rows."  # of facts, as those of `state` in targets.py


class Recording:
    """The load's events on their way to the store, and its blocks for whoever watches."""

    def __init__(self, journal: Journal, order: CutoverOrder) -> None:
        self.journal = journal
        self._cutover = order.settings.cutover
        self._claims_no_outage = order.terms.tolerance.longest_outage_s == 0
        self._steps: list[tuple[float, float]] = []  # when steps ran, as blocks count
        self._blocks: list[Block] = []
        self._known_good_to_s: float | None = None  # as blocks count
        self._watched_from_s = 0.0
        self._load_began_s = 0.0

    def begins(self, load_began_s: float) -> None:
        """The common start of the load is known."""
        self._load_began_s = load_began_s
        self.journal.add_exhibit(clock_exhibit(load_began_s))

    def keep(self, event: LoadEvent) -> None:
        """What must survive goes to the store at once."""
        self.journal.keep(event)
        if isinstance(event, BlockClosed):
            self._blocks.append(event.block)

    def begin_watch(self, now_s: float) -> None:
        """What is due from now on is watched, and what was due before the first time is known-good."""
        self._watched_from_s = now_s - self._load_began_s
        if self._known_good_to_s is None:
            self._known_good_to_s = self._watched_from_s

    def blocks(self) -> Blocks:
        """See Criteria."""
        known_good_s = self._known_good_to_s
        if known_good_s is None:
            return Blocks()
        settled_s, from_s = self._cutover.settle_s, self._watched_from_s
        before = [one for one in self._blocks if settled_s <= one.start_s and _end_s(one) <= known_good_s]
        watched = [one for one in self._blocks if one.start_s >= from_s and not self._is_excused(one)]
        newest_s = max(map(_end_s, watched), default=0.0)
        return Blocks(before, [one for one in watched if one.start_s >= newest_s - self._cutover.watch_s])

    def ran(self, from_s: float, to_s: float) -> None:
        """A step ran from then to then; said at its begin too, when it runs for ever as far as anybody knows."""
        began_s = from_s - self._load_began_s
        self._steps = [one for one in self._steps if one[0] != began_s]
        self._steps.append((began_s, to_s - self._load_began_s))

    def _is_excused(self, block: Block) -> bool:
        """Where an outage is accepted, what users get while a step runs makes nobody turn back."""
        touches = any(block.start_s < to_s and from_s < _end_s(block) for from_s, to_s in self._steps)
        return touches and not self._claims_no_outage


def _end_s(block: Block) -> float:
    return block.start_s + block.length_s


# --- rows and questions -------------------------------------------------------------------------------------------


def place_of(settings: Settings) -> Place:
    """How the environment is asked."""
    target = settings.target(Side.CANDIDATE)
    allow = AllowList(settings.safety.allow, settings.safety.production)
    verify = tls_of(settings, target).context() if urlsplit(target.url).scheme == "https" else True
    return Place(target.url, allow, headers_of(settings, target), verify, settings.load.timeout_s)


def row_keeper(settings: Settings) -> RowKeeper | None:
    """Who writes rows and looks for them. Raises ConfigError, NotReady and TargetRefused."""
    asked = settings.cutover.survival
    if asked is None:
        return None
    return RowKeeper(_writer(settings, asked), _reader(settings, asked), asked.every_s)


def _writer(settings: Settings, asked: Survival) -> RowWriter:
    write = asked.write
    if write.sql:
        return SqlWriter(_engine(settings, side_effects=True), write.sql)
    if write.path is None:
        raise ConfigError(f"{settings.source.name}: cutover.survival.write: path or sql is needed.")
    return HttpWriter(place_of(settings).new_client, write.path, write.method, write.body, write.key_header)


def _reader(settings: Settings, asked: Survival) -> RowReader:
    read = asked.read
    if read.sql:
        return SqlReader(_engine(settings), read.sql)
    if read.path is None:
        raise ConfigError(f"{settings.source.name}: cutover.survival.read: path or sql is needed.")
    new_client = place_of(settings).new_client
    return HttpCounter(new_client, read.path, read.value) if read.value else HttpReader(new_client, read.path)


def _engine(settings: Settings, *, side_effects: bool = False) -> Engine:
    """To the database that stands behind the environment. Raises ConfigError, NotReady and TargetRefused."""
    given = settings.cutover.database
    if given is None:
        raise ConfigError(f"{settings.source.name}: cutover.database is missing, and `sql` is asked of it.")
    try:
        url = read_database_url(given.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"{settings.source.name}: cutover.database: the URL {error}.") from None
    if url.dialect == SQLITE:
        url = read_database_url(f"sqlite:///{settings.root / url.database}")
    way = way_to(url, AllowList(settings.safety.allow, settings.safety.production))
    return engine_to(way, settings.load.timeout_s, side_effects=side_effects)


def asked_twice(settings: Settings, target: ManagedTarget, clean: Clean) -> tuple[AskedTwice, ...]:
    """What must be as it was. Raises ConfigError, NotReady and TargetRefused."""
    own = [
        AskedTwice(clean(one.name), _question(settings, one, target), one.ignore, clean)
        for one in settings.cutover.same
    ]
    given: list[tuple[str, Question]] = []
    if settings.targets[0].facts is not None:
        given.append((FACTS, FactsQuestion(target)))
    if asks_schema(settings.cutover):
        engine = _engine(settings, side_effects=settings.safety.side_effects)
        given.append((SCHEMA, SchemaQuestion(engine)))
    return (*(AskedTwice(name, question, "", clean) for name, question in given), *own)


def _question(settings: Settings, one: QuestionSettings, target: ManagedTarget) -> Question:
    if one.run is not None:
        return CommandQuestion(one.run, settings.root)
    if one.path is not None:
        return PathQuestion(target.answer, one.path)
    return SqlQuestion(_engine(settings), one.sql)


class TellsFacts(Protocol):
    """The part of a target that says what it is."""

    def facts(self) -> TargetFacts:
        """Raises NotReady when it does not say so."""
        ...


class FactsQuestion:
    """Its own words about itself. Counts of rows, named as `state` of the target names them, may move."""

    def __init__(self, target: TellsFacts) -> None:
        self._target = target

    def ask(self) -> str:
        """See Question."""
        facts = self._target.facts().facts
        return "\n".join(f"{key} {facts[key]}" for key in sorted(facts) if not key.startswith(_COUNTS))


# --- checks and criteria ------------------------------------------------------------------------------------------


def verified_ids(order: CutoverOrder) -> Mapping[str, str]:
    """Every check that the plan names, and where."""
    found = {one: f"the step {step.name!r}" for step in (*order.steps, *order.forward) for one in step.verify}
    plan = order.settings.exit_plan.plan
    if plan.backup.check:
        found[plan.backup.check] = "the backup"
    return found | {one.check: f"the criterion {one.when!r}" for one in plan.abort if one.check}


def criteria_of(settings: Settings, verifier: Verifier, clean: Clean) -> Criteria:
    """Who watches the abort criteria. Raises TargetRefused for the host of Prometheus."""
    watches: dict[str, Watch] = {}
    unwatched: dict[str, str] = {}
    for one in filter(is_measured, settings.exit_plan.plan.abort):
        found = unwatchable(one) or _watch(settings, one, verifier)
        if isinstance(found, str):
            unwatched[clean(one.when)] = found
        else:
            watches[clean(one.when)] = found
    return Criteria(watches, clean, unwatched)


def _watch(settings: Settings, one: Criterion, verifier: Verifier) -> Watch | str:
    """Who watches it, or why nobody can."""
    if one.check:
        return AskedWatch(check_question(verifier, one.check))
    if one.series:
        return _series_watch(settings, one.series)
    rules = {str(rule.metric).replace(" ", "_"): rule for rule in settings.objectives.rules}
    if one.objective not in rules:
        return f"there is no objective {one.objective!r}"
    return ObjectiveWatch(rules[one.objective], settings.judge.guard_alpha, settings.judge.floor_s)


def _series_watch(settings: Settings, name: str) -> Watch | str:
    source, series = prometheus_of(settings), next((one for one in settings.series if one.name == name), None)
    level: Objective | None = series.level if series is not None else None
    if source is None or series is None or level is None or level.limit is None:
        return "a series is watched by the limit of its level; it has none, or there is no Prometheus"
    source.check_allowed()
    query = series.query_of(Side.CANDIDATE, settings.prometheus.sides)
    return AskedWatch(
        series_question(source, query, level.limit, settings.cutover.watch_s, settings.prometheus.step_s)
    )
