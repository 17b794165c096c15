"""Mistakes in `[cutover]` that no single key shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from rehearse.config.cutover import CutoverSettings, Question
from rehearse.config.mistakes import Mistake, Where
from rehearse.config.settings import Settings
from rehearse.errors import nearest

MOST_PROBES = 8  # each is sent twice: over fresh and over kept connections
_READS = ("GET", "HEAD")
_REPLACES = "replaces a command of the exit plan, which has to be rehearsed as it is; leave it out, or change {} there"
_NEEDS_EFFECTS = "writes, and safety.side_effects = true is needed for that"


def cutover_mistakes(settings: Settings) -> Iterator[Mistake]:
    """All of them."""
    cutover, may_write = settings.cutover, settings.safety.side_effects
    if cutover.version_header and cutover.version_key:
        yield Mistake(("cutover", "version_key"), "is there beside version_header; leave one of them out")
    yield from _of_probes(cutover, may_write=may_write)
    yield from _of_survival(cutover, may_write=may_write)
    yield from _of_questions(cutover)
    yield from _of_by_hand(settings)


def _of_probes(cutover: CutoverSettings, *, may_write: bool) -> Iterator[Mistake]:
    if len(cutover.probes) > MOST_PROBES:
        yield Mistake(("cutover", "probes"), f"are {len(cutover.probes)}; {MOST_PROBES} at most are sent")
    for name, count in Counter(probe.name for probe in cutover.probes).items():
        if count > 1:
            yield Mistake(
                ("cutover", "probes"), f"{count} are named {name!r}; findings could not tell them apart"
            )
    for number, probe in enumerate(cutover.probes):
        where: Where = ("cutover", "probes", number)
        if not may_write and (probe.write or probe.method not in _READS):
            yield Mistake((*where, "method"), f"{probe.method} {_NEEDS_EFFECTS}")
        if probe.write and probe.method in _READS:
            yield Mistake((*where, "write"), f"is true, and {probe.method} writes nothing; name its method")


def _of_survival(cutover: CutoverSettings, *, may_write: bool) -> Iterator[Mistake]:
    if cutover.survival is None:
        return
    write, read, where = cutover.survival.write, cutover.survival.read, ("cutover", "survival")
    if not may_write:
        yield Mistake((*where, "write"), _NEEDS_EFFECTS)
    for name, one in (("write", write), ("read", read)):
        if (one.path is None) == (not one.sql):
            yield Mistake((*where, name), "needs path or sql, one of both")
        elif one.sql and cutover.database is None:
            yield Mistake(
                ("cutover", "database"), f"is missing, and cutover.survival.{name}.sql is asked of it"
            )
        if one.sql and ":row" not in one.sql:
            yield Mistake((*where, name, "sql"), "has no :row in it: rows could not be told apart")
    in_write = f"{write.path}{write.body}"
    if write.path is not None and "{row}" not in in_write and write.key_header is None and not read.value:
        sentence = "has no {row} in its path or body, and no key_header: rows could not be told apart"
        yield Mistake((*where, "write"), sentence)
    if read.path is not None and not read.value and "{row}" not in read.path:
        yield Mistake(
            (*where, "read", "path"), "has no {row} in it; put it in, or say with `value` where a number is"
        )


def _of_questions(cutover: CutoverSettings) -> Iterator[Mistake]:
    for name, count in Counter(one.name for one in cutover.same).items():
        if count > 1:
            yield Mistake(
                ("cutover", "same"), f"{count} are named {name!r}; findings could not tell them apart"
            )
    for number, one in enumerate(cutover.same):
        where: Where = ("cutover", "same", number)
        if sum((one.run is not None, one.path is not None, bool(one.sql))) != 1:
            yield Mistake(where, "needs run, path or sql, one of them")
        if one.sql and cutover.database is None:
            yield Mistake(
                ("cutover", "database"), f"is missing, and cutover.same[{number}].sql is asked of it"
            )
        yield from _of_ignored(one, where)


def _of_ignored(one: Question, where: Where) -> Iterator[Mistake]:
    try:
        re.compile(one.ignore)
    except re.error as error:
        yield Mistake((*where, "ignore"), f"{one.ignore!r} is no regular expression: {error}")


def _of_by_hand(settings: Settings) -> Iterator[Mistake]:
    """What the plan has as a command is rehearsed as it is, and what it has not is not made up."""
    plan = settings.exit_plan.plan
    planned = {step.name: (step.run, step.undo) for step in plan.steps}
    planned |= {step.name: (step.run, ()) for step in plan.forward}
    for name, own in settings.cutover.by_hand.items():
        where: Where = ("cutover", "by_hand", name)
        if name not in planned:
            yield Mistake(where, f"is no step of the exit plan. {nearest(name, planned)}")
            continue
        run, undo = planned[name]
        for key, given, deed in (("run", own.run, run), ("undo", own.undo, undo)):
            if given is not None and deed and not isinstance(deed, str):
                yield Mistake((*where, key), _REPLACES.format(key))
        if own.undo is not None and not undo:
            yield Mistake(
                (*where, "undo"), "is there, and the exit plan has none; say there, in words, what it is"
            )
