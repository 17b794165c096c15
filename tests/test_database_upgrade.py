"""The whole product on a database's own upgrade: a candidate that lost an index, on a real PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import make_url

from bench.sql import NEEDS_INDEX, SAME, WITHOUT, upgrade

pytestmark = pytest.mark.live

CANARY = "canary-4711-secret"  # a server that trusts loopback does not look at it


@pytest.mark.timeout(400)  # a baseline and two comparisons, under real load
def test_a_lost_index_is_abort_for_the_statement_that_needs_it_and_the_same_database_is_not(
    postgres_url: str, tmp_path: Path
) -> None:
    with upgrade(make_url(postgres_url).set(password=CANARY), tmp_path) as project:
        project.record()
        slow = project.compare(WITHOUT)
        assert (slow.exit_code, slow.decision) == (10, "ABORT"), slow
        assert any(subject.startswith(NEEDS_INDEX) for subject in slow.failed), slow
        same = project.compare(SAME)
        assert same.decision != "ABORT", same
        newest = max(tmp_path.glob("reports/*/result.json"), key=lambda path: path.stat().st_mtime)
        assert '"server_version"' in json.dumps(json.loads(newest.read_text(encoding="utf-8")))
    told = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert told == [tmp_path / "rehearse.toml"]
