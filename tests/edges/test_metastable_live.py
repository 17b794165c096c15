"""A real service that cannot get out of its own retries is caught; its cured twin and a slow one are not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bench.edges.metastable import TWINS, run_once


def test_real_services_are_ruled_on_as_they_deserve() -> None:
    """At the same time: each waits for most of it. That the hang was injected is asserted in each."""
    with ThreadPoolExecutor(len(TWINS)) as pool:
        rows = list(pool.map(run_once, TWINS.values()))
    assert [(row.twin, row.state) for row in rows] == [
        ("stubborn", "never recovered"),
        ("budgeted", "recovered"),
        ("slow", "recovered"),
    ]
