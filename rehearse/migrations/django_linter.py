"""Calls django-migration-linter in a Django project, and reads what it prints: it has no other output."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rehearse.errors import ConfigError
from rehearse.migrations.linting import Linted, Ran, Run, Sources, UnsafeMigration, unsafe
from rehearse.migrations.rules import DJANGO, DJANGO_MESSAGES, Rule, rule_named

TOOL = "django-migration-linter"
_RESULT = re.compile(
    r"\((?P<app>[^,()]+), (?P<name>[^()]+)\)\.\.\. (?P<word>[A-Z]+)(?: \((?:ignored|cached)\))?"
)
_COUNT = re.compile(r"(?P<what>Valid|Erroneous|Ignored) migrations: (?P<count>\d+)/(?P<total>\d+)")
_WARNED = re.compile(r"Migrations with warnings: (?P<count>\d+)/(?P<total>\d+)")
_WORDS = ("OK", "ERR", "WARNING", "IGNORE")
_ADVICE = (
    "add 'django_migration_linter' to INSTALLED_APPS of the settings that staging uses, and install"
    " upgrade-rehearsal[migrations] beside Django"
)


def lint_django(sources: Sources, root: Path, run: Run) -> tuple[Linted, ...]:
    """One outcome for each manage.py. Raises ConfigError when there is no such file."""
    return tuple(_lint(sources, root / manage, run) for manage in sources.django)


def _lint(sources: Sources, manage: Path, run: Run) -> Linted:
    if not manage.is_file():
        raise ConfigError(f"{manage}: there is no such file; name the manage.py of a Django project")
    folder = manage.parent.resolve()
    # Its own root would be the settings' folder, and git would then see no migration of an app beside it.
    argv = [sources.python or sys.executable, manage.name, "lintmigrations", "--no-cache"]
    argv += ["--project-root-path", str(folder)]
    argv += ["--git-commit-id", sources.since] if sources.since else []
    return read_output(run(argv, folder), is_selected=bool(sources.since))


def read_output(ran: Ran, *, is_selected: bool) -> Linted:
    """What a run of the linter says. What does not add up is trouble: settings of the project can hide results."""
    if ran.code not in (0, 1):
        return Linted(TOOL, trouble=f"{TOOL} failed ({ran.last_words}): {_ADVICE}")
    counts = _counts(ran.out)
    if counts is None:
        return Linted(TOOL, trouble=f"{TOOL} came to no summary ({ran.last_words}): {_ADVICE}")
    results = [found for line in ran.out.splitlines() if (found := _RESULT.fullmatch(line.rstrip()))]
    by_word = {word: sum(found["word"] == word for found in results) for word in _WORDS}
    unsafe_ones, unknown = _findings(ran.out)
    trouble = _what_does_not_add_up(ran, counts, by_word, unknown)
    if not trouble and not counts["total"] and not is_selected:
        trouble = f"{TOOL} found no migration at all"
    return Linted(
        TOOL,
        migrations=counts["total"] - counts["IGNORE"],
        unsafe=tuple(unsafe_ones),
        skipped=tuple(f"{found['app']}.{found['name']}" for found in results if found["word"] == "IGNORE"),
        trouble=trouble,
    )


def _what_does_not_add_up(
    ran: Ran, counts: dict[str, int], by_word: dict[str, int], unknown: list[str]
) -> str:
    if unknown:
        return f"{TOOL} says something that rehearse does not know: {unknown[0]!r}"
    if {word: counts[word] for word in _WORDS} != by_word:
        advice = "take `quiet` out of its settings"
        return f"{TOOL} counts {counts['total']} migrations and shows {sum(by_word.values())}: {advice}"
    if sum(by_word.values()) != counts["total"] or (ran.code == 1) != (counts["ERR"] > 0):
        return f"{TOOL} contradicts itself ({ran.last_words})"
    return ""


def _counts(out: str) -> dict[str, int] | None:
    """By the word of the results; None without a whole summary."""
    counts: dict[str, int] = {}
    for line in out.splitlines():
        if found := _COUNT.fullmatch(line.strip()):
            word = {"Valid": "OK", "Erroneous": "ERR", "Ignored": "IGNORE"}[found["what"]]
            counts |= {word: int(found["count"]), "total": int(found["total"])}
        elif found := _WARNED.fullmatch(line.strip()):
            counts |= {"WARNING": int(found["count"]), "total": int(found["total"])}
    return counts if set(counts) == {*_WORDS, "total"} else None


def _findings(out: str) -> tuple[list[UnsafeMigration], list[str]]:
    """Every finding, and every remark that fits no rule that we know."""
    found: dict[UnsafeMigration, None] = {}  # SQL that is run by hand is told of twice
    unknown: list[str] = []
    place, is_ignored = "", False
    for line in out.splitlines():
        if result := _RESULT.fullmatch(line.rstrip()):
            place, is_ignored = f"{result['app']}.{result['name']}", result["word"] in ("OK", "IGNORE")
        elif line.startswith("\t") and not is_ignored:
            said = line.strip()
            rule = _rule_of(said)
            if rule is None:
                unknown.append(said)
            elif rule.dangers:
                found[unsafe(TOOL, place, rule, said)] = None
    return list(found), unknown


def _rule_of(said: str) -> Rule | None:
    name = next((name for text, name in DJANGO_MESSAGES.items() if text in said), "")
    return rule_named(name, DJANGO)
