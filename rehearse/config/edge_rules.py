"""Mistakes in edge cases that no single key shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rehearse.config.edges import TARGET, EffectCount
from rehearse.config.mistakes import Mistake, Where
from rehearse.config.settings import Settings
from rehearse.databases import is_database
from rehearse.errors import nearest
from rehearse.model import Side

PLACEHOLDER = "{instant}"
_NEEDS_EFFECTS = "safety.side_effects = true is needed for it; without that only reads are sent"


def edge_mistakes(settings: Settings) -> Iterator[Mistake]:
    """All of them."""
    edges = settings.edges
    for name in edges.dependencies:  # their proxies stand in every run, with or without cases
        yield from _of_dependency(settings, name)
    if not edges.cases:
        return
    if any(is_database(target.url) for target in settings.targets):
        yield Mistake(("edges",), "is for HTTP, and a target is a database; take its cases out")
        return
    if any(target.proxy for target in settings.targets):
        yield Mistake(
            ("edges",), "breaks the connections to the target itself, and a target has a proxy; take it out"
        )
    for case_id, count in Counter(case.id for case in edges.cases).items():
        if count > 1:
            yield Mistake(
                ("edges",), f"{count} cases have the id {case_id!r}; findings could not tell them apart"
            )
    yield from _of_faults(settings)
    yield from _of_clients(settings)
    yield from _of_retries(settings)
    yield from _of_dates(settings)


def _of_faults(settings: Settings) -> Iterator[Mistake]:
    known = [TARGET, *settings.edges.dependencies]
    for number, case in enumerate(settings.edges.faults):
        where: Where = ("edges", "faults", number)
        if case.on not in known:
            hint = "add it as [edges.dependencies.NAME]"
            yield Mistake((*where, "on"), f"{case.on!r} is no dependency; {hint}. {nearest(case.on, known)}")


def _of_dependency(settings: Settings, name: str) -> Iterator[Mistake]:
    """Each target reaches it through a proxy of its own."""
    dependency = settings.edges.dependencies[name]
    sides = _sides(settings)
    for side in sides:
        if (getattr(dependency, side) if len(sides) > 1 else dependency.of(side)) is None:
            yield Mistake(
                ("edges", "dependencies", name, str(side)), "is missing: that side has no fault proxy"
            )


def _sides(settings: Settings) -> tuple[Side, ...]:
    """Of which each needs its own; in place one will do for both."""
    in_place = any(target.role == "in-place" for target in settings.targets)
    return (Side.CANDIDATE,) if in_place else tuple(Side)


def _of_clients(settings: Settings) -> Iterator[Mistake]:
    for number, case in enumerate(settings.edges.clients):
        if case.manner == "slow-body" and not settings.safety.side_effects:
            yield Mistake(("edges", "clients", number, "manner"), f"it is a POST: {_NEEDS_EFFECTS}")


def _of_retries(settings: Settings) -> Iterator[Mistake]:
    for number, case in enumerate(settings.edges.retries):
        where: Where = ("edges", "retries", number)
        if not settings.safety.side_effects:
            yield Mistake((*where, "method"), f"{case.method}: {_NEEDS_EFFECTS}")
        if case.send == "other-payload" and not case.other_body:
            yield Mistake(
                (*where, "other_body"), "is missing: `other-payload` sends another order under the same key"
            )
        if case.send == "no-key" and _counts_by_key(case.count):
            yield Mistake((*where, "count"), "counts by key, and `no-key` has none; count all orders instead")
        yield from _of_count(settings, case.count, (*where, "count"))


def _counts_by_key(count: EffectCount) -> bool:
    return "{key}" in (count.path or "") or ":key" in (count.sql or "")


def _of_count(settings: Settings, count: EffectCount, where: Where) -> Iterator[Mistake]:
    if (count.path is None) is (count.sql is None):
        yield Mistake(
            where, "needs either path (an endpoint that answers JSON) or sql (a query), and not both"
        )
    if count.sql is not None:
        for side in _sides(settings):
            if getattr(count, side) is None:
                yield Mistake(
                    (*where, str(side)), "is missing: the URL of the database that `sql` asks on that side"
                )


def _of_dates(settings: Settings) -> Iterator[Mistake]:
    for number, case in enumerate(settings.edges.dates):
        where: Where = ("edges", "dates", number)
        if PLACEHOLDER not in case.path and PLACEHOLDER not in case.body:
            yield Mistake(
                (*where, "path"),
                f"{case.path!r} has no {PLACEHOLDER}: every instant would be the same request",
            )
        if case.body and case.method in ("GET", "HEAD"):
            yield Mistake((*where, "body"), f"is not sent with {case.method}; use POST or PUT")
        if case.method not in ("GET", "HEAD") and not settings.safety.side_effects:
            yield Mistake((*where, "method"), f"{case.method}: {_NEEDS_EFFECTS}")
        if not case.formats:
            yield Mistake((*where, "formats"), "is empty: in which format shall instants be written?")
