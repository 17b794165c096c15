"""Server-side series in a whole rehearsal: asked for after each round, stored, judged, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from rehearse import foresight, monitoring, rehearsal
from rehearse.config import Settings, load_settings
from rehearse.errors import ConfigError, TargetRefused
from rehearse.load.engine import LoadEvent, ScriptedEngine, Tick
from rehearse.load.schedule import Schedule
from rehearse.metrics.promql import Prometheus
from rehearse.model import Decision, Outcome, ReasonCode, Side, Verdict
from rehearse.monitoring import RoundClock
from rehearse.progress import Silence
from rehearse.sides import other_sides, prometheus_of
from tests.judge.evidence import recording
from tests.project import make_project
from tests.servers import serving
from tests.test_rehearsal import CALM, script

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SERIES = """
[prometheus]
url = "http://127.0.0.1:9090"
headers = { Authorization = "Bearer sesame-opens" }
step = "2s"

[[series]]
name = "memory"
query = "memory_bytes{$side}"
unit = "bytes"
level = "<=+20%"
growth = "<=+10%/min"
"""
Value = Callable[[float], float]
Answer = Callable[[httpx.Request], httpx.Response]


def steady(at_s: float) -> float:
    return 1e8 + 1e5 * (at_s % 7)


def leaking(at_s: float) -> float:
    return steady(at_s) + 2e6 * at_s


class FakePrometheus:
    """Knows one series of each side."""

    def __init__(self, candidate: Value = steady) -> None:
        self.values = {'memory_bytes{side="baseline"}': steady, 'memory_bytes{side="candidate"}': candidate}
        self.questions: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        self.questions.append(asked["query"])
        if request.url.path.endswith("/query"):
            result: object = [1, str(NOW.timestamp())]
        else:
            query = asked["query"].removeprefix("timestamp(").rstrip(")")
            value = self.values[query] if query == asked["query"] else lambda at_s: at_s
            begin_s, end_s = float(asked["start"]), float(asked["end"])
            moments = np.arange(begin_s, end_s + 0.5, float(asked["step"])).tolist()
            result = [{"values": [[at_s, str(value(at_s - NOW.timestamp()))] for at_s in moments]}]
        return httpx.Response(200, json={"status": "success", "data": {"result": result}})


class Stage:
    """A project with a series, whose load is scripted and whose Prometheus is a fake."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._patch = monkeypatch
        monkeypatch.setattr("rehearse.metrics.promql.time", NOW.timestamp)

    def settings(self) -> Settings:
        overrides = {"load.block": "4s", "load.warm_up": "4s", "load.budget": "64s", "judge.floor": "0.2ms"}
        return load_settings(self.root / "rehearse.toml", {}, {**overrides, "baseline.budget": "64s"})

    def parts(self, seed: int) -> rehearsal.Parts:
        blocks = recording(CALM, np.random.default_rng(seed))
        events: list[LoadEvent] = script(blocks, [Tick(0.0), Tick(68.0)])
        return rehearsal.Parts(ScriptedEngine([events]), Silence(), lambda: NOW)

    def answered_by(self, answer: Answer) -> None:
        def source(settings: Settings) -> Prometheus | None:
            real = prometheus_of(settings)
            return None if real is None else replace(real, transport=httpx.MockTransport(answer))

        self._patch.setattr(monitoring, "prometheus_of", source)

    def baseline(self) -> None:
        self.answered_by(FakePrometheus())
        rehearsal.baseline(self.settings(), self.parts(1), None, "test")

    def compare(self, answer: Answer) -> Verdict:
        self.answered_by(answer)
        return rehearsal.compare(self.settings(), self.parts(2), rehearsal.CompareOptions()).result.verdict


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with serving() as left, serving() as right:
        make_project(tmp_path, left.url, right.url)
        with (tmp_path / "rehearse.toml").open("a") as file:
            file.write(SERIES)
        yield Stage(tmp_path, monkeypatch)


def test_a_series_is_recorded_with_the_baseline_and_judged_in_the_comparison(stage: Stage) -> None:
    stage.baseline()
    fake = FakePrometheus()
    verdict = stage.compare(fake)
    assert verdict.decision is Decision.GO
    found = {one.cell.label: one for one in verdict.judgements if one.cell.name == "memory"}
    assert {label: one.outcome for label, one in found.items()} == {
        "memory level": Outcome.PASS,
        "memory growth": Outcome.PASS,
    }
    assert found["memory level"].baseline_count == 33  # 64 s at a point each 2 s, both ends
    assert 'memory_bytes{side="candidate"}' in fake.questions


def test_a_dry_run_says_which_series_are_certified_and_what_is_in_reach_of_them(stage: Stage) -> None:
    def told() -> str:
        return "\n".join(foresight.dry_run(stage.settings(), NOW, None, without_baseline=False).lines)

    before = told()
    assert "server-side series: memory level, memory growth certified; a point each 2 s" in before
    assert (
        "not foretold: memory level +20 %: no recording of two equal sides tells by how much it differs"
        in before
    )
    stage.baseline()
    after = told()
    assert re.search(r"can certify p50 .*, level \+[\d.]+ %, growth \+[\d.]+ %/min$", after, re.MULTILINE)
    assert "not foretold" not in after


def test_a_leak_is_abort(stage: Stage) -> None:
    stage.baseline()
    verdict = stage.compare(FakePrometheus(leaking))
    assert verdict.decision is Decision.ABORT
    assert "memory growth" in {finding.subject for finding in verdict.reasons}


def refusing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused sesame-opens", request=request)


def dying(request: httpx.Request) -> httpx.Response:
    """Alive before load, gone after it."""
    return FakePrometheus()(request) if request.url.path.endswith("/query") else httpx.Response(503)


def empty(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/query"):
        return FakePrometheus()(request)
    return httpx.Response(200, json={"status": "success", "data": {"result": []}})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusing, "Prometheus at 127.0.0.1:9090 does not answer"),
        (dying, "status 503"),
        (empty, "found no series"),
        (FakePrometheus(lambda _: float("nan")), "not numbers"),
    ],
    ids=["unreachable", "gone after the load", "empty", "NaN"],
)
def test_what_prometheus_does_not_tell_is_inconclusive_with_the_reason(
    stage: Stage, answer: Answer, words: str
) -> None:
    stage.baseline()
    verdict = stage.compare(answer)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].code == ReasonCode.SERIES_MISSING
    assert words in verdict.reasons[0].sentence


def test_its_credentials_are_in_no_artefact(stage: Stage) -> None:
    stage.baseline()
    stage.compare(refusing)
    files = [path for path in stage.root.rglob("*") if path.is_file() and path.name != "rehearse.toml"]
    assert any(path.name == "result.json" for path in files)
    assert [path.name for path in files if b"sesame-opens" in path.read_bytes()] == []


def test_a_query_that_is_not_understood_is_refused_before_load(stage: Stage) -> None:
    stage.baseline()
    broken = httpx.Response(400, json={"status": "error", "error": "parse error"})
    with pytest.raises(ConfigError, match="parse error"):
        stage.compare(lambda _: broken)


def test_a_prometheus_that_is_not_listed_is_refused(stage: Stage) -> None:
    file = stage.root / "rehearse.toml"
    file.write_text(file.read_text().replace("http://127.0.0.1:9090", "http://10.99.0.1:9090"))
    with pytest.raises(TargetRefused, match=r"10\.99\.0\.1"):
        stage.baseline()


def test_load_never_reaches_it_though_it_is_listed(stage: Stage) -> None:
    settings = stage.settings()
    assert "127.0.0.1:9090" in other_sides(settings, settings.target(Side.CANDIDATE))


def test_the_window_is_what_was_measured_and_ends_with_the_load() -> None:
    clock, schedule = RoundClock(lambda: NOW), Schedule(50.0, "poisson", 4.0, 2, 10, 1, (1.0,))
    assert clock.measured(schedule, 1.0) is None
    for at_s in (-1.0, 0.5, 20.0):
        clock.sees(at_s)
    window = clock.measured(schedule, 1.0)
    assert window is not None
    assert window.begin_s == NOW.timestamp() - 0.5 + 8.0
    assert window.length_s == 12.0
