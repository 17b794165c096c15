"""The tables of docs/packs.md, from what checks say of themselves; `python -m tests.checks.packs_page` writes them."""

from __future__ import annotations

import inspect
from pathlib import Path

from tests.checks.http_pack import CHECKS, Check, mark_of

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "packs.md"
BEGIN, END = "<!-- from the checks: begin -->\n", "<!-- from the checks: end -->\n"
PARTS = {
    "pages": "Pages, methods and error pages",
    "headers": "Headers, caches and certificates",
    "connections": "Connections",
    "inputs": "Odd inputs",
}
NAMES = {"ascii": "ASCII", "get": "GET", "head": "HEAD", "host": "Host", "url": "URL"}
NEEDS = {"both": "the baseline", "recorded": "answers recorded under load", "candidate": ""}


def current(page: str) -> str:
    """The page with its tables as they should be."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n".join(_tables()) + "\n" + END + rest.partition(END)[2]


def _tables() -> list[str]:
    lines = []
    for part, title in PARTS.items():
        lines += [f"\n### {title}\n", "| check | asks whether | needs | the story |", "|---|---|---|---|"]
        found = [name for name, check in CHECKS.items() if check.__module__.endswith(f".{part}")]
        lines += [_row(name, CHECKS[name]) for name in sorted(found, key=_line)]
    return lines


def _line(name: str) -> int:
    return inspect.getsourcelines(CHECKS[name])[1]


def _row(name: str, check: Check) -> str:
    mark = mark_of(check)
    warns = " (warns)" if mark.get("severity") == "warn" else ""
    asks = " ".join(NAMES.get(word, word) for word in check.__name__.split("_")[1:])
    story = f"{check.__doc__} [{mark['broke_on']}]({mark['ref']})"
    return f"| `http/{name}`{warns} | {asks} | {_needs(check)} | {story} |"


def _needs(check: Check) -> str:
    parameters = inspect.signature(check).parameters
    needs = [what for fixture, what in NEEDS.items() if what and fixture in parameters]
    return ", ".join([*needs, *(["`safety.side_effects`"] if "side_effects" in parameters else [])])


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
