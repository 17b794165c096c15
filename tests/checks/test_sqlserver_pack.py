"""The SQL Server pack cannot be run here: it is read, collected, and only selects."""

from __future__ import annotations

import re
from pathlib import Path

from rehearse.checks.declaration import read_declaration
from rehearse.checks.orders import known_packs, pack_file
from rehearse.checks.probes.sql import SqlProbe
from tests.checks.breaks import Checks

PACK = pack_file("sqlserver")
CHANGES = re.compile(
    r"(?i)\b(insert|update|delete|merge|into|exec|alter|create|drop|truncate|dbcc|set|kill)\b|;"
)


def test_every_check_selects_and_says_where_it_is_from() -> None:
    checks = read_declaration(PACK, PACK.parent, {})
    assert len(checks) == 8
    for check in checks:
        assert isinstance(check.probe, SqlProbe)
        assert check.probe.query.strip().startswith("select ")
        statement = re.sub(r"'[^']*'", "''", check.probe.query)
        assert not CHANGES.search(statement), check.id
        assert check.ref.startswith("https://learn.microsoft.com/")
        assert len(check.story) > 60


def test_variables_narrow_it_to_the_stage_that_is_rehearsed() -> None:
    env = {"SQLSERVER_COMPATIBILITY_LEVEL": "150", "SQLSERVER_BUILD": "16[.]0[.]4165[.]4"}
    patterns = {}
    for check in read_declaration(PACK, PACK.parent, env):
        if check.sql is not None and check.sql.expect.scalar is not None:
            patterns[check.id] = check.sql.expect.scalar.regex
    assert patterns["sqlserver/compatibility-level"] == "^(150)$"
    assert patterns["sqlserver/build"] == "^(16[.]0[.]4165[.]4)$"


def test_it_is_a_pack_like_any_other_and_not_run_without_a_database(tmp_path: Path) -> None:
    assert "sqlserver" in known_packs()
    found = Checks(tmp_path).run(packs=("sqlserver",), folder=None)
    assert found.troubles == []
    assert len(found.results) == 8
    assert {result.source for result in found.results.values()} >= {"packs/sqlserver.toml::sqlserver/build"}
    assert {str(result.outcome) for result in found.results.values()} == {"not run"}
