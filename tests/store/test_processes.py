"""Real processes: killed in the middle, or two at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from rehearse.model import RunState
from rehearse.store import Store
from tests.store.examples import block, record

ROOT = Path(__file__).resolve().parents[2]


def start(url: str, run_id: str, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.store.recorder", url, run_id, str(count)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_kill_minus_nine_loses_at_most_the_open_block(store_url: str) -> None:
    with start(store_url, "killed", 100_000) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.stdout.read().splitlines()]
    with Store.open(store_url) as store:
        blocks = store.blocks("killed")
        assert blocks == tuple(block(index) for index in range(len(blocks)))
        assert len(blocks) in {len(seen), len(seen) + 1}, "one more: kept, but killed before it said so"
        assert store.run("killed").state is RunState.RUNNING
        store.add_block("killed", block(len(blocks)))


def test_processes_that_start_and_record_at_once_all_succeed(store_url: str) -> None:
    processes = {run_id: start(store_url, run_id, 60) for run_id in ("one", "two")}
    for process in processes.values():
        _, problems = process.communicate(timeout=60)
        assert problems == ""
        assert process.returncode == 0
    with Store.open(store_url) as store:
        for run_id in processes:
            assert store.run(run_id) == record(run_id)
            assert store.blocks(run_id) == tuple(block(index) for index in range(60))


def test_a_reader_in_the_middle_of_a_look_does_not_stop_a_writer(store: Store, store_url: str) -> None:
    store.begin_run(record())
    with Store.open(store_url) as other, other._database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM blocks").scalar_one() == 0
        store.add_block("run-1", block())
        assert store.blocks("run-1") == (block(),)
