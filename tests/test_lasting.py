"""Evidence lasts: two rehearsals at once, kill -9 at any moment, a full disk, the two jobs of a pipeline. Real load."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from rehearse.store import Store
from tests.presence import absent
from tests.project import Done, make_project
from tests.store.examples import sqlite_url
from tests.test_fail_closed import Rig, one_message, rig_in, wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
KILLS = int(os.environ.get("REHEARSE_TEST_KILLS", "8"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The export of one good baseline."""
    with rig_in(tmp_path_factory.mktemp("baseline")) as rig:
        done = rig.project.run("baseline", "--json")
        assert done.code == 0, done
        run_id = json.loads(done.out)["run_id"]
        file = rig.project.root / "baseline.rehearse"
        assert rig.project.run("runs", "export", run_id, str(file)).code == 0
        return file.read_bytes()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Two servers and a project, with nothing stored."""
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture
def ready(tmp_path: Path, recorded: bytes) -> Iterator[Rig]:
    """A rig that has imported the baseline, as the second job of a pipeline does."""
    with rig_in(tmp_path) as rig:
        (tmp_path / "baseline.rehearse").write_bytes(recorded)
        done = rig.project.run("runs", "import", "baseline.rehearse")
        assert "baseline 'default' is run" in done.out, done
        yield rig


def test_the_second_job_of_a_pipeline_compares_with_what_the_first_one_recorded(ready: Rig) -> None:
    summary = ready.project.root / "step-summary"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    ready.right.status = 500
    done = ready.project.run("compare", "--json", env=github)
    assert done.code == 10, done
    result = json.loads(done.out)
    assert result["verdict"]["decision"] == "ABORT"
    assert done.out == json.dumps(result, sort_keys=True, separators=(",", ":")) + "\n"
    commands = [line for line in done.err.splitlines() if line.startswith("::")]
    assert 1 <= len(commands) <= 5
    assert all(line.startswith("::error ") for line in commands)
    assert summary.read_text().startswith("## ABORT")
    folder = ready.project.root / "reports" / result["run_id"]
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "result.json",
        "summary.md",
        "junit.xml",
        "metrics.txt",
    }
    assert ready.project.run("runs", "export", "latest", "run.rehearse", "--with-baseline").code == 0
    assert result["run_id"] in ready.project.run("runs", "verify", "--file", "run.rehearse").out


def test_a_second_rehearsal_of_the_same_targets_is_told_who_holds_them(ready: Rig) -> None:
    first = ready.project.start("compare")
    wait_for(ready.under_load())
    second = ready.project.run("compare")
    assert second.code == 13
    told = one_message(second)
    assert f"process {first.pid}, since" in told
    assert "Wait for it to end" in told
    assert len(ready.project.run("runs", "list").out.splitlines()) == 2, "the refused one left nothing behind"
    out, err = first.communicate(timeout=90)
    assert first.returncode in {0, 11}, (out, err)


def test_two_pipelines_on_one_postgresql_both_finish_and_a_third_on_the_same_targets_is_told(
    recorded: bytes, postgres_url: str, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
        (folder / "baseline.rehearse").write_bytes(recorded)
    with rig_in(folders[0]) as one, rig_in(folders[1]) as two:
        same = make_project(folders[2], one.left.url, one.right.url)
        for project in (one.project, two.project, same):
            project.edit("[safety]", f'[store]\nurl = "{postgres_url}"\n\n[safety]')
        imported = [rig.project.start("runs", "import", "baseline.rehearse") for rig in (one, two)]
        told = [process.communicate(timeout=60) for process in imported]
        assert [process.returncode for process in imported] == [0, 0], told
        assert sorted("was here already" in out for out, _ in told) == [False, True]
        waiting = [rig.under_load() for rig in (one, two)]
        running = [rig.project.start("compare") for rig in (one, two)]
        for loaded in waiting:
            wait_for(loaded)
        assert f"process {running[0].pid}, since" in one_message(same.run("compare"))
        for process in running:
            out, err = process.communicate(timeout=90)
            assert process.returncode in {0, 11}, (out, err)
        listed = json.loads(one.project.run("runs", "list", "--json").out)
        assert sorted(run["kind"] for run in listed) == ["baseline", "comparison", "comparison"]
        assert {run["state"] for run in listed} == {"finished"}
        assert two.project.run("runs", "verify").code == 0


def test_prometheus_can_read_how_far_it_is(ready: Rig) -> None:
    with ready.project.start("compare", "--metrics-port", "0") as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "/metrics" in line)
        url = line.rpartition(" ")[2].strip()
        assert url.startswith("http://127.0.0.1:")
        wait_for(lambda: 'rehearse_live_blocks_total{side="candidate"} 2.0' in httpx.get(url).text)
        assert 'rehearse_live_requests_total{side="baseline"} 0.0' not in httpx.get(url).text
        process.terminate()
        process.communicate()
    assert process.returncode == 143


def test_a_token_is_renewed_under_load_and_stands_in_no_artefact_command_line_or_environment(
    rig: Rig,
) -> None:
    root = rig.project.root
    (root / "tell.py").write_text(
        'import json, time\nprint(json.dumps({"token": f"canary-{time.time_ns()}", "expires_in": 8}))\n'
    )
    for role in ("baseline", "candidate"):
        argv = json.dumps([sys.executable, "tell.py"])
        table = f'[targets.{role}.auth]\ncommand = {argv}\nrefresh_before = "5s"\n\n[safety]'
        rig.project.edit("[safety]", table)
    process = rig.project.start("compare", "--without-baseline")
    wait_for(rig.under_load(200))
    for child in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        assert "canary" not in " ".join([*child.cmdline(), *child.environ().values()])
    out, err = process.communicate(timeout=90)
    assert process.returncode in {0, 11}, (out, err)
    told = set(rig.left.authorizations) | set(rig.right.authorizations)
    assert len(told) >= 3
    assert all(one.startswith("Bearer canary-") for one in told), "no request went without"
    assert rig.project.run("runs", "export", "latest", "run.rehearse").code == 0
    exported = zlib.decompress((root / "run.rehearse").read_bytes().partition(b"\n")[2][65:])
    artefacts = [path for path in root.rglob("*") if path.is_file() and path.name != "tell.py"]
    assert {"report.html", "rehearse.db", "run.rehearse"} <= {path.name for path in artefacts}
    for content in [out.encode(), err.encode(), exported, *(path.read_bytes() for path in artefacts)]:
        assert b"canary" not in content
        assert base64.b64encode(b"canary")[:7] not in content


@pytest.mark.timeout(300 + 30 * KILLS)
def test_kill_minus_nine_at_any_moment_is_never_go_and_the_next_run_works(ready: Rig) -> None:
    """What was closed is kept, nothing is damaged, and nobody waits for who is dead."""
    drawn = random.Random(os.environ.get("REHEARSE_TEST_SEED", "6"))
    for number in range(KILLS):
        command = ("baseline", "--name", "killed") if number % 2 else ("compare",)
        process = ready.project.start(*command)
        time.sleep(drawn.uniform(0.2, 14))
        is_over = process.poll() is not None
        process.kill()
        process.communicate()
        listed = ready.project.run("runs", "list", "--json")
        assert listed.code == 0, listed
        newest = json.loads(listed.out)[0]
        if newest["state"] == "running":
            assert not is_over
            assert newest["decision"] in {None, "INCONCLUSIVE"}
            if newest["kind"] == "comparison":
                assert ready.project.run("judge", newest["run_id"]).code == 11
            contiguous(ready, newest["run_id"])
    done = ready.project.run("runs", "verify")
    assert done.code == 0, done
    assert ready.project.run("compare").code in {0, 11}


def contiguous(rig: Rig, run_id: str) -> None:
    """On each side the blocks are the first ones: only the last, open one can be missing."""
    with Store.open(sqlite_url(rig.store)) as store:
        blocks = [(block.side, block.round, block.index) for block in store.blocks(run_id)]
    for side, round_, _ in blocks:
        own = [index for one, number, index in blocks if (one, number) == (side, round_)]
        assert own == list(range(len(own)))


# a full disk


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of that size on `folder`; skipped where nobody may mount one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    arguments = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        absent("there is no mount here")
    if done.returncode != 0:
        absent(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 14, 1 << 10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


@pytest.fixture
def cramped(tmp_path: Path, recorded: bytes) -> Iterator[Rig]:
    """A rig whose store and logs are on a small disk that holds a good baseline."""
    with small_disk(tmp_path / ".rehearse", 8), rig_in(tmp_path) as rig:
        (tmp_path / "baseline.rehearse").write_bytes(recorded)
        assert rig.project.run("runs", "import", "baseline.rehearse").code == 0
        yield rig


def intact(rig: Rig, filler: Path) -> None:
    """Once there is room again, the old run is what it was, and the next one works."""
    filler.unlink()
    done = rig.project.run("runs", "verify")
    assert done.code == 0, done
    assert "baseline" in done.out
    assert rig.project.run("compare").code in {0, 11}


@pytest.mark.parametrize("command", ["compare", "baseline"])
def test_a_disk_that_is_full_before_load_is_one_message(cramped: Rig, command: str) -> None:
    filler = fill(cramped.store.parent)
    requests = len(cramped.right.requests)
    done = cramped.project.run(command)
    assert (done.code, "full" in one_message(done)) == (1, True), done
    assert len(cramped.right.requests) <= requests + 10, "no load was sent"
    intact(cramped, filler)


FILLS_THE_DISK = "for size in 1M 1k 1; do dd if=/dev/zero bs=$size >> .rehearse/filler 2> /dev/null; done"
CHECK = f"""
import subprocess

import pytest


@pytest.mark.breakage(id="disk", broke_on="2026-03-02")
def test_fills_the_disk():
    # It fills the disk.
    print("words for the log")
    subprocess.run(["sh", "-c", {FILLS_THE_DISK!r}])
"""


@pytest.mark.parametrize("command", ["compare", "baseline"])
def test_a_disk_that_a_targets_command_fills_is_one_message(cramped: Rig, command: str) -> None:
    url = f'url = "{cramped.right.url}"'
    prepare = ["sh", "-c", f"echo preparing; {FILLS_THE_DISK}; exit 0"]
    cramped.project.edit(url, f"{url}\nprepare = {json.dumps(prepare)}")
    done = cramped.project.run(command)
    assert (done.code, "candidate-prepare.log" in one_message(done)) == (1, True), done
    cramped.project.edit(f"prepare = {json.dumps(prepare)}", "")
    intact(cramped, cramped.store.parent / "filler")


def test_a_disk_that_a_check_fills_is_one_message_and_never_go(cramped: Rig) -> None:
    checks = cramped.project.root / "checks"
    checks.mkdir()
    (checks / "test_disk.py").write_text(CHECK)
    done = cramped.project.run("compare", "--without-baseline")
    assert (done.code, "full" in one_message(done)) == (1, True), done
    assert json.loads(cramped.project.run("runs", "list", "--json").out)[0]["decision"] != "GO"
    shutil.rmtree(checks)
    intact(cramped, cramped.store.parent / "filler")


def test_a_disk_without_room_for_an_import_is_one_message_and_nothing_is_half_there(cramped: Rig) -> None:
    assert cramped.project.run("compare").code in {0, 11}
    assert cramped.project.run("runs", "export", "latest", "run.rehearse").code == 0
    with Store.open(sqlite_url(cramped.store)) as store:
        run_id = store.runs(1)[0].run_id
    for file in cramped.store.parent.glob("rehearse.db*"):
        file.unlink()
    assert cramped.project.run("runs", "import", "baseline.rehearse").code == 0
    filler = fill(cramped.store.parent)
    done = cramped.project.run("runs", "import", "run.rehearse")
    assert (done.code, "full" in one_message(done)) == (1, True), done
    filler.unlink()
    assert run_id not in cramped.project.run("runs", "list").out
    assert cramped.project.run("runs", "import", "run.rehearse").code == 0


@pytest.mark.parametrize("command", ["compare", "baseline"])
def test_a_disk_that_fills_up_under_load_is_one_message_and_never_go(cramped: Rig, command: str) -> None:
    process = cramped.project.start(command)
    wait_for(cramped.under_load())
    filler = fill(cramped.store.parent)
    out, err = process.communicate(timeout=90)
    done = Done(process.returncode, out, err)
    assert (done.code, "full" in one_message(done)) == (1, True), done
    newest = json.loads(cramped.project.run("runs", "list", "--json").out)[0]
    assert newest["decision"] != "GO"
    intact(cramped, filler)


def test_a_disk_without_room_for_the_report_is_one_message_and_the_run_is_stored(ready: Rig) -> None:
    with small_disk(ready.project.root / "reports", 1):
        filler = fill(ready.project.root / "reports")
        done = ready.project.run("compare")
        assert (done.code, "rehearse report" in one_message(done)) == (1, True), done
        filler.unlink()
        run_id = json.loads(ready.project.run("runs", "list", "--json").out)[0]["run_id"]
        assert ready.project.run("report", run_id).code == 0


def test_a_disk_without_room_for_an_export_leaves_no_half_file(ready: Rig) -> None:
    with small_disk(ready.project.root / "out", 1):
        filler = fill(ready.project.root / "out")
        done = ready.project.run("runs", "export", "latest", "out/run.rehearse")
        assert done.code == 1, done
        assert "No space left" in one_message(done)
        assert [path.name for path in filler.parent.iterdir()] == ["filler"]
