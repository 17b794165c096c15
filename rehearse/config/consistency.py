"""Mistakes that no single key shows: what does not fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from rehearse.config.checks import DEFAULT_DIR
from rehearse.config.cutover_rules import cutover_mistakes
from rehearse.config.edge_rules import edge_mistakes
from rehearse.config.load import Load
from rehearse.config.mistakes import Mistake
from rehearse.config.quantities import write_duration
from rehearse.config.series import PLACE_OF_SIDE, SeriesSettings
from rehearse.config.settings import Settings
from rehearse.config.targets import Auth, Target, Tls, complaint_about_targets
from rehearse.databases import CAN_BE_KEPT_TO_READS, is_database, only_with_side_effects, read_database_url
from rehearse.errors import nearest
from rehearse.model import Metric

MIN_BLOCKS = 8  # fewer pairs show nothing of their own spread
MIN_POINTS = 4  # of a server-side series in a round
MIN_ARRIVALS = 5  # in a block, or it is mostly chance


def inconsistencies(settings: Settings) -> Iterator[Mistake]:
    """All of them."""
    yield from _of_targets(settings)
    yield from _of_scenarios(settings)
    yield from _of_objectives(settings)
    yield from _of_load(settings.load)
    yield from _of_budgets(settings)
    yield from _of_checks(settings)
    yield from _of_series(settings)
    yield from _of_state(settings)
    yield from edge_mistakes(settings)
    yield from _of_promotion(settings)
    yield from cutover_mistakes(settings)


def _of_targets(settings: Settings) -> Iterator[Mistake]:
    if complaint := complaint_about_targets(settings.targets, settings.mode):
        where, _, sentence = complaint.partition(": ")
        yield Mistake((where,), sentence)
    for target in settings.targets:
        if target.tls.key and not target.tls.cert:
            yield Mistake(("targets", target.name, "tls", "key"), "is of no use without tls.cert; add it")
        for sentence in _of_auth(target):
            yield Mistake(("targets", target.name, "auth"), sentence)
    urls = Counter(target.url for target in settings.targets)
    for url, count in urls.items():
        if count > 1:
            yield Mistake(
                ("targets",), f"{url} is both sides: nothing could be compared; one needs another url"
            )
    yield from _of_databases(settings)
    yield from _of_proxies(settings)


def _of_proxies(settings: Settings) -> Iterator[Mistake]:
    direct = [target for target in settings.targets if target.proxy is None]
    if len(direct) == len(settings.targets):
        return
    if direct:
        sentence = "is missing, and the other target has one: its time would be measured on one side alone"
        yield Mistake(("targets", direct[0].name, "proxy"), sentence)
    if "http" in settings.checks.packs:
        sentence = "holds 'http', which speaks to the target itself, and a target has a proxy; take it out"
        yield Mistake(("checks", "packs"), sentence)


def _of_auth(target: Target) -> Iterator[str]:
    auth = target.auth
    if auth.command is None and auth != Auth():
        yield "is of no use without auth.command, which tells the token; add it"
    if auth.command is not None and is_database(target.url):
        yield "is for HTTP, and this is a database; put its password into the url"
    if auth.command is not None and auth.header.lower() in map(str.lower, target.headers):
        yield f"sets {auth.header}, and so does headers; leave one of them out"


def _of_databases(settings: Settings) -> Iterator[Mistake]:
    databases = [target for target in settings.targets if is_database(target.url)]
    if 0 < len(databases) < len(settings.targets):
        named = databases[0].name
        yield Mistake(("targets",), f"{named} is a database and the other is not: nothing could be compared")
    for target in databases:
        for key, sentence in _not_for_a_database(target):
            yield Mistake(("targets", target.name, key), sentence)
        dialect = read_database_url(target.url).dialect
        if not settings.safety.side_effects and dialect not in CAN_BE_KEPT_TO_READS:
            yield Mistake(("targets", target.name, "url"), only_with_side_effects(dialect))


def _not_for_a_database(target: Target) -> Iterator[tuple[str, str]]:
    if target.headers:
        yield "headers", "are for HTTP, and this is a database; take them out"
    if target.tls != Tls():
        yield (
            "tls",
            "is for HTTP, and this is a database; write ?sslmode=verify-full&sslrootcert=... in its url",
        )
    if target.proxy is not None:
        yield "proxy", "is for HTTP, and this is a database; take it out"
    if target.ready != "/":
        yield "ready", "is for HTTP, and this is a database: it is ready when `select 1` answers; take it out"
    if isinstance(target.facts, str):
        yield (
            "facts",
            "is a path, and a database has none; it says its server_version by itself, or name a command",
        )


def _of_scenarios(settings: Settings) -> Iterator[Mistake]:
    if not settings.scenarios:
        yield Mistake(("scenarios",), "there is none; add [[scenarios]] with name and file")
    names = Counter(scenario.name for scenario in settings.scenarios)
    for name, count in names.items():
        if count > 1:
            yield Mistake(("scenarios",), f"{count} are named {name!r}; reports could not tell them apart")


def _of_objectives(settings: Settings) -> Iterator[Mistake]:
    is_probed = settings.load.capacity.max_rate is not None
    rules = [rule for rule in settings.objectives.rules if is_probed or rule.metric is not Metric.CAPACITY]
    if all(rule.is_advisory for rule in rules):
        yield Mistake(("objectives",), "all are advisory: nothing could decide; take it off at least one")


def _of_load(load: Load) -> Iterator[Mistake]:
    arrivals = load.rate * load.block_s
    if arrivals < MIN_ARRIVALS:
        sentence = f"{load.rate:g}/s makes {arrivals:g} arrivals in a block of {write_duration(load.block_s)}"
        yield Mistake(("load", "rate"), f"{sentence}, {MIN_ARRIVALS} are needed; raise it, or load.block")
    if (load.arrivals == "recorded") is (load.recorded is None):
        both = 'recorded = "FILE" and arrivals = "recorded" need each other'
        yield Mistake(
            ("load", "recorded"), f"is of no use alone: {both}; see `rehearse scenario from-access-log`"
        )
    capacity = load.capacity
    start_rate = capacity.start_rate or load.rate
    if capacity.max_rate is not None and capacity.max_rate < start_rate * (1 + capacity.step):
        sentence = f"leaves no step above the staircase's start at {start_rate:g}/s"
        yield Mistake(("load", "capacity", "max_rate"), f"{capacity.max_rate:g} {sentence}; raise it")


def _of_budgets(settings: Settings) -> Iterator[Mistake]:
    load, baseline, rounds = settings.load, settings.baseline, settings.resolved_rounds
    yield from _too_few(("load", "budget"), load.budget_s / rounds, load, rounds)
    yield from _too_few(("baseline", "budget"), baseline.budget_s, load, baseline.rounds)


def _too_few(where: tuple[str, str], round_s: float, load: Load, rounds: int) -> Iterator[Mistake]:
    """Blocks are whole, in each round: what is left of a round is not measured. One alone shows no noise."""
    blocks, needed = int(round_s / load.block_s + 1e-9) * rounds, max(MIN_BLOCKS, 2 * rounds)
    if blocks < needed:
        plural = f" in {rounds} rounds" if rounds > 1 else ""
        sentence = f"holds {blocks} whole blocks of {write_duration(load.block_s)}{plural}"
        yield Mistake(where, f"{sentence}, {needed} are needed; raise it, or shorten load.block")


def _of_state(settings: Settings) -> Iterator[Mistake]:
    silent = [target for target in settings.targets if target.state is None]
    if silent and len(silent) < len(settings.targets):
        sentence = "is missing, and the other target has it: data of one side alone cannot be compared"
        yield Mistake(("targets", silent[0].name, "state"), sentence)
    if settings.state.production_rows and len(silent) == len(settings.targets):
        yield Mistake(
            ("state", "production_rows"), "is of no use: no target has `state`, which counts its rows"
        )
    for target in settings.targets:
        if is_database(target.url) and isinstance(target.state, str):
            yield Mistake(
                ("targets", target.name, "state"), "is a path, and a database has none; name a command"
            )


def _of_series(settings: Settings) -> Iterator[Mistake]:
    if settings.series and settings.prometheus.url is None:
        yield Mistake(("prometheus", "url"), "is missing: there are [[series]], and nobody to ask for them")
    if settings.prometheus.url is not None and is_database(settings.prometheus.url):
        yield Mistake(("prometheus", "url"), "is a database; write it like 'http://prometheus:9090'")
    if settings.series:
        yield from _too_few_points(settings)
    counts = Counter(one.name for one in settings.series)
    for number, one in enumerate(settings.series):
        for key, sentence in _not_a_series(one, settings):
            yield Mistake(("series", number, key), sentence)
        if counts[one.name] > 1:
            yield Mistake(
                ("series", number, "name"), f"{one.name!r} is there twice; reports could not tell them apart"
            )


def _too_few_points(settings: Settings) -> Iterator[Mistake]:
    """A round with three points of a series shows neither its level nor its growth."""
    step_s, baseline, rounds = settings.prometheus.step_s, settings.baseline, settings.resolved_rounds
    rounds_s = {
        "load": (settings.load.budget_s / rounds, rounds),
        "baseline": (baseline.budget_s, baseline.rounds),
    }
    for table, (round_s, count) in rounds_s.items():
        points = int(round_s / step_s + 1e-9)
        if points < MIN_POINTS or points * count < MIN_BLOCKS:
            sentence = (
                f"leaves {points} points of each series in a round of {write_duration(round_s)} ({count} rounds); "
                f"{MIN_POINTS} a round are needed, and {MIN_BLOCKS} in all; lower it, or raise {table}.budget"
            )
            yield Mistake(("prometheus", "step"), sentence)


def _not_a_series(one: SeriesSettings, settings: Settings) -> Iterator[tuple[str, str]]:
    if not all(one.queries) or (one.query and (one.baseline or one.candidate)):
        yield "query", f"is needed, with {PLACE_OF_SIDE} in it; or baseline and candidate, one query each"
    elif one.query and PLACE_OF_SIDE not in one.query and len(settings.targets) > 1:
        yield (
            "query",
            f"asks both sides the same; put {PLACE_OF_SIDE} into its braces, or write one query for each",
        )
    if not one.rules:
        yield "level", "or growth is needed: nothing is asked of it"
    if one.floor and (one.level is None or one.level.margin is None):
        yield "floor", "is of no use without a margin for level"


def _of_checks(settings: Settings) -> Iterator[Mistake]:
    """The usual folder may be missing; one that somebody named may not."""
    folder = settings.checks.dir
    if folder != settings.root / DEFAULT_DIR and not folder.is_dir():
        yield Mistake(("checks", "dir"), "is not there: no such folder in the folder of the configuration")


def _of_promotion(settings: Settings) -> Iterator[Mistake]:
    """What a plan lacks is said by `rehearse exit-plan`; here is only what could not be read."""
    for number, window in enumerate(settings.exit_plan.freeze):
        if datetime.fromisoformat(window.ends) <= datetime.fromisoformat(window.begins):
            yield Mistake(("exit_plan", "freeze", number, "ends"), "is not after begins; swap the two")
    if not settings.gate.requires:
        yield Mistake(("gate", "requires"), "is empty: the gate would open for everything; name 'comparison'")
    promotion = settings.promotion
    for name, count in Counter(promotion.stages).items():
        if count > 1:
            yield Mistake(("promotion", "stages"), f"has {name!r} {count} times; take it out")
    if promotion.stage and promotion.stage not in promotion.stages:
        sentence = f"{promotion.stage!r} is not one of promotion.stages. {nearest(promotion.stage, promotion.stages)}"
        yield Mistake(("promotion", "stage"), sentence)
