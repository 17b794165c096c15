"""A clock shift inside a rehearsal: real processes under libfaketime; only the load is played back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from rehearse import rehearsal
from rehearse.config import load_settings
from rehearse.demo import free_ports
from rehearse.edge_cases.clocks import ClockKind
from rehearse.edge_cases.scene import Scene
from rehearse.edges import clock
from rehearse.edges.exhibits import seen_of
from rehearse.model import Decision, EdgeOutcome, EdgeResult, Side
from rehearse.progress import Silence
from rehearse.store.records import Store
from rehearse.targets import ManagedTarget
from tests.project import make_project
from tests.servers import serving
from tests.test_edge_cases import GOOD, EdgeEngine

SERVICE = Path(__file__).parent / "edges" / "dated_service.py"
CASE = """
[[edges.clocks]]
id = "leap-day"
why = "it stopped at midnight"
across = 2028-02-29T00:00:00Z
lead = "7s"
lasts = "3s"
paths = ["/look"]
"""


@dataclass
class Pair:
    """Two services that a rehearsal starts."""

    root: Path
    ports: tuple[int, ...] = field(default_factory=lambda: free_ports(2))

    def start(self, side: int, *more: str, before: Sequence[str] = ()) -> list[str]:
        """The command of one side."""
        return [*before, sys.executable, str(SERVICE), str(self.ports[side]), *more]

    def compare(self, candidate: Sequence[str], baseline: Sequence[str], case: str = CASE) -> EdgeResult:
        """The only edge case of one comparison."""
        urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        make_project(self.root, *urls)
        file = self.root / "rehearse.toml"
        file.write_text(file.read_text() + case)
        starts = {
            "targets.baseline.start": tuple(baseline),
            "targets.candidate.start": tuple(candidate) or "",
        }
        rounds: dict[str, object] = {
            "load.block": "4s",
            "load.warm_up": "4s",
            "load.budget": "64s",
            "load.rounds": 1,
        }
        rounds["baseline.budget"] = "64s"
        settings = load_settings(file, {}, {**rounds, **starts})
        parts = rehearsal.Parts(EdgeEngine(GOOD), Silence(), lambda: datetime.now(UTC))
        options = rehearsal.CompareOptions(without_baseline=True, is_advisory=True)
        self.result = rehearsal.compare(settings, parts, options).result
        (edge,) = self.result.edges
        return edge


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.mark.faketime
def test_both_sides_live_through_midnight_and_only_a_break_of_the_candidate_fails(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def remove(
        process_ids: Iterable[int], really: Callable[[Iterable[int]], None] = clock.remove_traces
    ) -> None:
        ended.extend(process_ids)
        assert all((clock.SHARED_MEMORY / f"faketime_shm_{number}").exists() for number in ended)
        really(ended)

    monkeypatch.setattr(clock, "remove_traces", remove)
    edge = pair.compare(pair.start(1, "2028-02-29"), pair.start(0))
    assert edge.outcome is EdgeOutcome.FAIL
    assert "after 2028-02-29T00:00:00Z" in edge.sentence
    assert "/look answered 500, on the baseline 200" in edge.sentence
    assert edge.record.reproduce.startswith("faketime -m '2028-02-28 23:59:53 UTC' ")
    with Store.open(f"sqlite:///{pair.root}/.rehearse/rehearse.db") as store:
        exhibits = store.exhibits(pair.result.run_id)
    for side in Side:
        seen = seen_of(exhibits, "leap-day", side, clock.ClockSeen)
        assert seen is not None
        assert seen.unshifted == 0
        assert {one.status for one in seen.before} == {200}
    assert len(ended) == len(Side)
    assert not any((clock.SHARED_MEMORY / f"faketime_shm_{number}").exists() for number in ended)
    for port in pair.ports:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)  # nothing is left running


@pytest.mark.live
@pytest.mark.faketime
def test_the_same_on_both_sides_passes_though_both_tell_a_time_that_moves(pair: Pair) -> None:
    edge = pair.compare(pair.start(1), pair.start(0))
    assert edge.outcome is EdgeOutcome.PASS, edge
    assert all(proof.holds for proof in edge.record.proofs)


@pytest.mark.live
@pytest.mark.faketime
def test_a_clock_that_an_endpoint_tells_will_do(pair: Pair) -> None:
    case = f'{CASE}clock = {{ path = "/time" }}\n'
    assert pair.compare(pair.start(1), pair.start(0), case).outcome is EdgeOutcome.PASS


@pytest.mark.live
@pytest.mark.faketime
def test_a_process_that_the_shift_does_not_reach_is_not_run(pair: Pair) -> None:
    bypassed = pair.start(1, before=("env", "-u", "LD_PRELOAD"))
    edge = pair.compare(bypassed, pair.start(0))
    assert edge.outcome is EdgeOutcome.NOT_RUN
    assert "the candidate does not live at the time that was set" in edge.sentence
    assert pair.result.verdict.decision is not Decision.GO


@pytest.mark.live
@pytest.mark.faketime
def test_load_that_begins_after_the_boundary_says_what_to_raise(pair: Pair) -> None:
    edge = pair.compare(pair.start(1), pair.start(0), CASE.replace('"7s"', '"1s"'))
    assert edge.outcome is EdgeOutcome.NOT_RUN
    assert "raise `lead` (1 s)" in edge.sentence


class Restarted:
    """A target that was put back; nobody knows by which clock it runs."""

    process_id = None

    def stop(self) -> None:
        """It is stopped."""

    def fresh_process(self) -> None:
        """It runs again."""


@pytest.mark.parametrize(
    ("date", "now", "problem"),
    [
        ("", "2028-02-29T00:00:30Z", "the clock of the candidate still says 2028-02-29T00:00:30Z"),
        ("", "noon", "the candidate does not say by which clock it runs now"),
        ("", "{now}", None),
        ("Tue, 29 Feb 2028 00:00:30 GMT", None, "the clock of the candidate still says 2028-02-29T00:00:30Z"),
        ("", None, "the candidate does not say by which clock it runs now"),
    ],
)
def test_the_true_clock_is_back_only_when_the_witness_of_the_case_says_so(
    pair: Pair, date: str, now: str | None, problem: str | None
) -> None:
    """No `Date` is no witness: then the endpoint is asked that the case names."""
    body = {"now": (now or "").format(now=datetime.now(UTC).isoformat())}
    answers = httpx.MockTransport(
        lambda _: httpx.Response(200, json=body, headers={"Date": date} if date else {})
    )
    place = SimpleNamespace(new_client=lambda: httpx.Client(base_url="http://shop", transport=answers))
    make_project(pair.root, "http://127.0.0.1:1", "http://127.0.0.1:2")
    file = pair.root / "rehearse.toml"
    own = "" if now is None else 'clock = { path = "/time" }\n'
    file.write_text(file.read_text() + CASE + own)
    (case,) = load_settings(file, {}, {}).edges.clocks
    scene = cast("Scene", SimpleNamespace(place=lambda _: place))
    found = ClockKind(case).put_back(scene, {Side.CANDIDATE: cast("ManagedTarget", Restarted())})
    assert found.get(Side.CANDIDATE) == problem


def test_without_libfaketime_it_is_not_run(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "FAKETIME", "faketime-that-is-not-there")
    edge = pair.compare(pair.start(1), pair.start(0))
    assert edge.outcome is EdgeOutcome.NOT_RUN
    assert "install the package `faketime`" in edge.sentence


def test_a_target_that_somebody_else_starts_is_not_run(pair: Pair) -> None:
    with serving() as other:
        pair.ports = (pair.ports[0], other.port)
        edge = pair.compare((), pair.start(0))
    assert edge.outcome is EdgeOutcome.NOT_RUN
    assert "the clock of the candidate cannot be set: it is not started by `rehearse`" in edge.sentence
