"""The edge cases as the page shows them: what failed or was not proven first, what passed folded."""

from __future__ import annotations

from dataclasses import dataclass

from rehearse.model import EdgeOutcome, EdgeResult, Outcome, Result
from rehearse.report.headline import edge_anchor, edge_counts

_MARKS = {
    EdgeOutcome.PASS: Outcome.PASS,
    EdgeOutcome.FAIL: Outcome.FAIL,
    EdgeOutcome.NOT_RUN: Outcome.ERROR,
    EdgeOutcome.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    EdgeOutcome.ALREADY_BROKEN: Outcome.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One edge case with its place on the page, and the shape of its outcome."""

    anchor: str
    edge: EdgeResult
    mark: Outcome


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """All edge cases."""

    counts: str
    rows: tuple[EdgeRow, ...]


def edge_table(result: Result) -> EdgeTable | None:
    """None when the project has no edge cases."""
    if not result.edges:
        return None
    numbered = enumerate(result.edges, start=1)
    rows = tuple(EdgeRow(edge_anchor(number), edge, _MARKS[edge.outcome]) for number, edge in numbered)
    return EdgeTable(edge_counts(result.edges), rows)
