"""`kill -9` at random moments of `baseline` and `compare`: what is lost, what is said, and whether the next run works.

    python -m bench.kills --kills 50 [--seconds 80] [--lanes 2]

Goes on where it stopped: a line for each kill, so that it can be run in slices of `--seconds`. Each slice ends with
a look at every run in the store (`runs verify`) and a whole comparison; the table comes last. For each lane two small
servers on loopback, 50 requests per second and side, nine blocks of one second.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from rehearse.config import load_settings
from rehearse.model import RunKind, RunRecord, RunState, Side
from rehearse.store import Store
from tests.project import Project, make_project
from tests.servers import Site, serving

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".rehearse" / "bench-kills"
WHOLE_S = 12.5  # about what one command takes from its start to its end
BLOCKS, BLOCK_S = 9, 1.0  # of a side, warm-up included
CLOSING_S = 0.5  # requests of 50 ms end, and the worker reports a closed block
LOOKING_S = 5.0  # at what one kill left
LAST_STEPS_S = 18.0  # of a slice: `verify`, and a whole comparison
ENDING_S = 10.0  # one that was just starting sees that nobody is there when it has imported Locust
WORK_S = 0.05
SEED = 20261121
COMMANDS = {"compare": ("compare",), "baseline": ("baseline", "--name", "killed")}


@dataclass(frozen=True, slots=True)
class Kill:
    """One command that was killed, and what was found afterwards."""

    command: str
    after_s: float
    is_over: bool  # it had come to its end before: no kill
    during: str  # the last thing it said
    loaded_s: float | None  # since its first request; None: there was none yet
    begun: int  # blocks of a side that had begun
    stored: int  # of the side that has fewer
    missing_closed: int  # that had ended CLOSING_S before, and are not in the store
    has_gap: bool
    is_finished: bool  # all of it was stored and sealed before the kill: what it says then was earned
    decision: str  # as it is stored: a comparison that was not judged yet has none
    judged_as: int | None  # exit code of `rehearse judge`, for a comparison that began
    left_behind: int  # load generators that still ran ENDING_S later

    @property
    def is_kept(self) -> bool:
        """What is promised: only the open block is lost, nothing is damaged, and what is not whole is not GO."""
        is_whole = self.is_finished and self.stored == BLOCKS
        is_honest = self.decision != "GO" and self.judged_as in (None, 11)
        return (
            self.missing_closed == 0
            and not self.has_gap
            and (is_whole or is_honest)
            and self.left_behind == 0
        )


def main() -> int:
    """Go on where it stopped; the table at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--lanes", type=int, default=2, help="projects side by side, each with its own store")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop before so many have gone")
    options = parser.parse_args()
    ends_s = time.monotonic() + options.seconds - LAST_STEPS_S
    of_each = -(-options.kills // options.lanes)
    with ThreadPoolExecutor(options.lanes) as pool:
        list(pool.map(lambda lane: _lane(lane, of_each, ends_s), range(options.lanes)))
    kills = [kill for lane in range(options.lanes) for kill in kills_in(_file(lane))]
    print(table(kills))
    return 0 if all(kill.is_kept for kill in kills) else 1


def _lane(lane: int, kills: int, ends_s: float) -> None:
    """One project's kills, one after the other, and a whole comparison at the end."""
    file = _file(lane)
    with _rig(file.parent) as (project, site):
        while len(kills_in(file)) < kills:
            number = len(_lines(file))
            after_s = random.Random(f"{SEED} {lane} {number}").uniform(0.2, WHOLE_S)
            if time.monotonic() + after_s + LOOKING_S > ends_s:
                break
            kill = _one_more(project, site, tuple(COMMANDS)[number % len(COMMANDS)], after_s)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(kill)) + "\n")
        _still_works(project)


def _file(lane: int) -> Path:
    return FOLDER / f"lane-{lane}" / "kills.jsonl"


def kills_in(file: Path) -> list[Kill]:
    """What was done so far; without the commands that were faster than the kill."""
    return [kill for kill in (Kill(**json.loads(line)) for line in _lines(file)) if not kill.is_over]


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@contextmanager
def _rig(folder: Path) -> Iterator[tuple[Project, Site]]:
    """The project of all slices, with servers on ports of their own, and a baseline."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving(delay_s=WORK_S) as left, serving(delay_s=WORK_S) as right:
        project = make_project(folder, left.url, right.url)
        if "default" not in project.run("baselines", "list").out:
            done = project.run("baseline")
            assert done.code == 0, done
        yield project, right


def _one_more(project: Project, site: Site, command: str, after_s: float) -> Kill:
    """One command, killed."""
    before, already, first_s = _newest(project), len(site.requests), None
    process = project.start(*COMMANDS[command])
    began_s = time.monotonic()
    while time.monotonic() - began_s < after_s and process.poll() is None:
        if first_s is None and "GET /look" in site.requests[already:]:
            first_s = time.monotonic()
        time.sleep(0.005)
    is_over = process.poll() is not None
    if is_over:
        told = process.communicate()
        assert process.returncode in {0, 11}, told  # else the kill before it did harm
        return Kill(command, round(after_s, 2), is_over, "", None, 0, 0, 0, False, False, "", None, 0)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    killed_s = time.monotonic()
    said = [line for line in process.communicate()[1].splitlines() if line.strip()]
    alive = psutil.wait_procs(children, timeout=ENDING_S)[1]
    loaded_s = None if first_s is None else killed_s - first_s
    newest = _newest(project)
    run = None if newest is None or (before is not None and newest.run_id == before.run_id) else newest
    return _looked_at(project, command, after_s, said[-1] if said else "starting", run, loaded_s, len(alive))


def _looked_at(
    project: Project,
    command: str,
    after_s: float,
    during: str,
    run: RunRecord | None,
    loaded_s: float | None,
    left_behind: int,
) -> Kill:
    """What the store has of it, and what is said of that."""
    sides = [] if run is None else _indices(project, run.run_id)
    is_comparison = run is not None and run.kind is RunKind.COMPARISON
    judged = project.run("judge", run.run_id).code if run is not None and is_comparison else None
    begun = 0 if loaded_s is None else min(BLOCKS, int(loaded_s / BLOCK_S) + 1)
    closed = 0 if loaded_s is None else min(BLOCKS, max(0, int((loaded_s - CLOSING_S) / BLOCK_S)))
    stored = min((len(side) for side in sides), default=0)
    decision = "none" if run is None or run.verdict is None else str(run.verdict.decision)
    return Kill(
        command=command,
        after_s=round(after_s, 2),
        is_over=False,
        during=during[:60],
        loaded_s=None if loaded_s is None else round(loaded_s, 2),
        begun=begun,
        stored=stored,
        missing_closed=max(0, closed - stored),
        has_gap=any(side != list(range(len(side))) for side in sides),
        is_finished=run is not None and run.state is RunState.FINISHED,
        decision=decision,
        judged_as=judged,
        left_behind=left_behind,
    )


def _newest(project: Project) -> RunRecord | None:
    with _store(project) as store:
        return next(iter(store.runs(1)), None)


def _indices(project: Project, run_id: str) -> list[list[int]]:
    """Of each side, which blocks are stored."""
    with _store(project) as store:
        blocks = store.blocks(run_id)
    return [[block.index for block in blocks if block.side is side] for side in Side]


def _store(project: Project) -> Store:
    return Store.open(load_settings(project.root / "rehearse.toml", {}, {}).store_url)


def _still_works(project: Project) -> None:
    verified = project.run("runs", "verify")
    assert verified.code == 0, verified
    done = project.run("compare")
    assert done.code in {0, 11}, done


def table(kills: list[Kill]) -> str:
    """A line for each kill, and what they come to."""
    rows = [
        f"{kill.command:<9} {kill.after_s:>5.1f} s  {kill.begun} begun, {kill.stored} stored  "
        f"{kill.decision:<13} {'kept' if kill.is_kept else 'LOST'}  {kill.during}"
        for kill in kills
    ]
    under_load = [kill for kill in kills if kill.loaded_s is not None]
    open_ones = max((kill.begun - kill.stored for kill in under_load), default=0)
    lost = sum(kill.missing_closed for kill in kills)
    unearned = sum(kill.decision == "GO" and not kill.is_finished for kill in kills)
    totals = [
        f"{len(kills)} kills, {len(under_load)} of them after the first request",
        f"closed blocks lost: {lost}; at most {open_ones} begun ones not stored; GO of what is not whole: {unearned}",
        f"kept what is promised: {sum(kill.is_kept for kill in kills)} of {len(kills)}",
    ]
    return "\n".join([*rows, *totals])


if __name__ == "__main__":
    sys.exit(main())
