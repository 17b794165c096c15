"""`rehearse scenario from-...`: files on disk, one message for a mistake, and a file that Locust runs as it is."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rehearse.errors import ConfigError
from rehearse.replay.making import SourceKind, Wish, make_scenario
from tests.replay.files import requests_of, run_plain_locust
from tests.replay.test_access_log import line
from tests.servers import serving

ROOT = Path(__file__).resolve().parents[2]


def rehearse(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rehearse", "scenario", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_log_becomes_a_scenario_and_a_schedule_that_plain_locust_runs(tmp_path: Path) -> None:
    log = "".join(
        [line("/products/1", 0), line("/products/2", 1), line("/products/2", 1), line("/x", 4), "broken\n"]
    )
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(log.encode()))
    done = rehearse("from-access-log", "access.log.1.gz", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:3] == [
        "wrote scenarios/access.py: 2 tasks, 3 different requests",
        "wrote scenarios/access.arrivals: 4 arrival times over 4 s",
        "left out: 1 × broken lines",
    ]
    assert 'rate = 0.75, arrivals = "recorded", recorded = "scenarios/access.arrivals"' in done.stdout
    with serving() as site:
        ran = run_plain_locust(tmp_path / "scenarios" / "access.py", site.url)
    assert set(ran) <= {"GET /products/[id]", "GET /x"}
    assert sum(ran.values()) >= 3
    again = rehearse("from-access-log", "access.log.1.gz", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == (
        "rehearse: scenarios/access.py is there already; --force replaces it, --output names another file.\n"
    )


def test_a_har_and_an_api_description_become_files(tmp_path: Path) -> None:
    entry = {"request": {"method": "GET", "url": "http://127.0.0.1/a"}, "response": {"status": 200}}
    (tmp_path / "My shop.har").write_text(json.dumps({"log": {"entries": [entry]}}))
    document = {"openapi": "3.0.0", "paths": {"/b": {"get": {}}}}
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    output = tmp_path / "out" / "x.py"
    told = make_scenario(Wish(SourceKind.HAR, tmp_path / "My shop.har", output), "rehearse ...")
    assert requests_of(output.read_text()) == [("/a", {})]
    assert not output.with_suffix(".arrivals").exists()
    assert told[0] == f"wrote {output}: 1 tasks, 1 different requests"
    make_scenario(Wish(SourceKind.OPENAPI, tmp_path / "openapi.json", output, overwrite=True), "rehearse ...")
    assert requests_of(output.read_text()) == [("/b", {})]


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("none.har", "x.py", "cannot be read: No such file"),
        (".", "x.py", "cannot be read: Is a directory"),
        ("torn.gz", "x.py", "cannot be read"),
        ("spoilt.gz", "x.py", "cannot be read"),
        ("good.log", "x.txt", "name it .*x.py"),
        ("good.log", "good.log/x.py", "cannot be written|is there already"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, source: str, output: str, message: str) -> None:
    (tmp_path / "good.log").write_text(line())
    (tmp_path / "torn.gz").write_bytes(gzip.compress(line().encode() * 1000)[:-20])
    whole = gzip.compress(line().encode() * 1000)
    (tmp_path / "spoilt.gz").write_bytes(whole[:20] + b"\xff" * 20 + whole[40:])
    kind = SourceKind.HAR if source == "none.har" else SourceKind.ACCESS_LOG
    with pytest.raises(ConfigError, match=message):
        make_scenario(Wish(kind, tmp_path / source, tmp_path / output), "rehearse ...")
