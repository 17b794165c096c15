"""From what pytest collected to named checks; a check without a name of its own is a mistake."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

import pytest

from rehearse.checks.breakage import EXAMPLE, MARKER, Breakage, read_breakage
from rehearse.checks.orders import PACKS_DIR
from rehearse.checks.outcomes import planned_result
from rehearse.model import CheckResult


def planned_checks(items: Sequence[pytest.Item], today: date) -> tuple[dict[str, CheckResult], list[str]]:
    """Every check by its node id, and one sentence for each mistake; what is mistaken is no check."""
    planned: dict[str, CheckResult] = {}
    mistakes: list[str] = []
    for item in items:
        try:
            planned[item.nodeid] = _planned(item, today)
        except ValueError as error:
            mistakes.append(f"{source_of(item)}: {error}")
    twins = list(_twins(planned.values()))
    for check_id, sources in twins:
        mistakes.append(
            f"{' and '.join(sources)}: {len(sources)} checks have the id {check_id!r}; one must change"
        )
    ids = {check_id for check_id, _ in twins}
    return {node: check for node, check in planned.items() if check.check_id not in ids}, mistakes


def source_of(item: pytest.Item) -> str:
    """ "checks/test_orders.py::test_totals[2028-02-29]"; a pack's own place is nobody's business."""
    if item.path.parent == PACKS_DIR:
        return f"packs/{item.path.name}::{item.nodeid.partition('::')[2]}"
    return item.nodeid


def _planned(item: pytest.Item, today: date) -> CheckResult:
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        raise ValueError(f"it says not which break it is about; give it a name: {EXAMPLE}")
    try:
        breakage = read_breakage(marker.args, marker.kwargs, today)
    except ValueError as error:
        raise ValueError(f"its breakage {error}") from None
    return planned_result(_numbered(item, marker, breakage), source_of(item), _story(item))


def _numbered(item: pytest.Item, marker: pytest.Mark, breakage: Breakage) -> Breakage:
    """One function with parameters is as many checks, unless the parameters bring ids of their own."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or any(mark is marker for mark in callspec.marks):
        return breakage
    return replace(breakage, check_id=f"{breakage.check_id}[{callspec.id}]")


def _story(item: pytest.Item) -> str:
    """The first paragraph of the docstring, or at least the name."""
    function = getattr(item, "obj", None)
    told = "" if function is None else (inspect.getdoc(function) or "")
    name = getattr(item, "originalname", None) or item.name
    return " ".join(told.partition("\n\n")[0].split()) or name.removeprefix("test_").replace("_", " ")


def _twins(checks: Iterable[CheckResult]) -> Iterable[tuple[str, list[str]]]:
    by_id: dict[str, list[str]] = {}
    for check in checks:
        by_id.setdefault(check.check_id, []).append(check.source)
    return ((check_id, sources) for check_id, sources in by_id.items() if len(sources) > 1)
