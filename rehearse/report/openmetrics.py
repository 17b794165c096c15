"""metrics.txt: the numbers of a verdict as OpenMetrics text, for a pipeline's report or a time series database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256

from prometheus_client.core import (
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from rehearse.model import CheckOutcome, Decision, EdgeOutcome, Outcome, Result
from rehearse.report.contract import WORDS, ShownChange
from rehearse.report.headline import cell_counts
from rehearse.report.ranking import ranked
from rehearse.report.visible import printable, shortened

MOST_CELLS = 1000
_LONGEST = 200
_CELL = ("scope", "name", "metric")
_VALUES = {  # of a judgement
    "baseline": "Value of the baseline: seconds, a ratio, or a rate a second.",
    "candidate": "Value of the candidate, in the same unit.",
    "change": "Candidate less baseline: relative for latency and capacity, else a difference.",
    "margin": "The largest worsening that the team accepts.",
}


def metrics_txt(result: Result) -> bytes:
    """The metrics of `result`; the same result gives the same bytes. What could not be estimated is left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(result))
    return bytes(generate_latest(registry))


class _Once(Collector):
    """The metrics of one result."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def collect(self) -> Iterator[Metric]:
        yield from _of_the_run(self._result)
        yield from _of_the_sides(self._result)
        yield from _of_the_cells(self._result)


def _of_the_run(result: Result) -> Iterator[Metric]:
    told = {"run_id": result.run_id, "mode": result.mode, "baseline": result.baseline_name or ""}
    shown = {name: _label(value) for name, value in told.items()}
    yield InfoMetricFamily("rehearse_run", "What was compared.", value=shown)
    decisions = {str(decision): decision is result.verdict.decision for decision in Decision}
    yield StateSetMetricFamily("rehearse_verdict", "How it was decided.", value=decisions)
    yield GaugeMetricFamily(
        "rehearse_load_seconds", "Measured load, warm-up left out.", result.load_s, unit="seconds"
    )
    counts = cell_counts(result)
    cells = GaugeMetricFamily("rehearse_cells", "What was judged, by how it came out.", labels=["outcome"])
    for outcome in ("worse", "unknown", "ok", "watched"):
        cells.add_metric([outcome], getattr(counts, outcome))
    yield cells
    found = Counter(check.outcome for check in result.checks)
    checks = GaugeMetricFamily(
        "rehearse_checks", "Codified breaks, by how they came out.", labels=["outcome"]
    )
    for outcome in CheckOutcome:
        checks.add_metric([outcome], found[outcome])
    yield checks
    seen = Counter(edge.outcome for edge in result.edges)
    edges = GaugeMetricFamily("rehearse_edge_cases", "Edge cases, by how they came out.", labels=["outcome"])
    for kind in EdgeOutcome:
        edges.add_metric([kind], seen[kind])
    yield edges
    words = Counter(ShownChange(change).word for change in result.verdict.contract)
    changes = GaugeMetricFamily(
        "rehearse_contract_changes",
        "Changes of the response contract, by what they lead to.",
        labels=["word"],
    )
    for word in WORDS:
        changes.add_metric([word], words[word])
    yield changes


def _of_the_sides(result: Result) -> Iterator[Metric]:
    requests = GaugeMetricFamily("rehearse_requests", "Requests that were sent.", labels=["side"])
    failed = GaugeMetricFamily("rehearse_failed_requests", "Requests that failed.", labels=["side"])
    for side in result.sides:
        requests.add_metric([side.side], side.requests)
        failed.add_metric([side.side], side.failed)
    yield from (requests, failed)


def _of_the_cells(result: Result) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(f"rehearse_cell_{name}", text, labels=_CELL) for name, text in _VALUES.items()
    }
    passed = GaugeMetricFamily("rehearse_cell_passed", "1: proven inside its margin.", labels=_CELL)
    for row in ranked(result.verdict)[:MOST_CELLS]:
        cell = row.judgement.cell
        labels = (str(cell.scope), _label(cell.name), str(cell.metric))
        for name, family in families.items():
            value = getattr(row.judgement, name)
            if value is not None:
                family.add_metric(labels, value)
        passed.add_metric(labels, float(row.judgement.outcome is Outcome.PASS))
    yield from (*families.values(), passed)


def _label(text: str) -> str:
    """`text` on one short line. What was changed for that ends in a mark of its own, so that two names stay two."""
    shown = shortened(printable(text), _LONGEST)
    if shown == text:
        return text
    return f"{shown} #{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
