"""The response contract through the whole story: samples in, exhibits stored, judged, reported, no secret kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rehearse import rehearsal
from rehearse.checks.contract import contracts_of
from rehearse.checks.values import differences_of
from rehearse.load.engine import LoadEvent, Sampled, SamplesCounted
from rehearse.model import Decision, Sample, Sampling, Side
from tests.checks.answers import sample
from tests.project import make_project
from tests.servers import serving
from tests.test_rehearsal import CALM, CANARY, Stage, blocks_of, script

N = 40
GET = "GET /items"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    body = b'{"total": 12.5, "tax": 19, "id": 7}'
    with serving(body=body) as left, serving(body=body) as right:
        make_project(tmp_path, left.url, right.url)
        yield Stage(tmp_path, left, right)


def answers(total: object, side: Side, **more: object) -> list[Sample]:
    return [sample({"total": total, **more}, side, GET, target="/items?page=1") for _ in range(N)]


def events(*samples: Sequence[Sample], seed: int = 2) -> list[LoadEvent]:
    told: list[LoadEvent] = [Sampled(one) for part in samples for one in part]
    counted = [SamplesCounted(Sampling(side, N)) for side in Side]
    return script(blocks_of(CALM, seed), [*told, *counted])


def record_baseline(stage: Stage) -> None:
    known = events(answers(1.5, Side.BASELINE), answers(2.5, Side.CANDIDATE), seed=1)
    rehearsal.baseline(stage.settings(), stage.parts(known), None, "test")


def test_a_changed_type_is_abort_is_reported_and_is_judged_again_from_the_store(stage: Stage) -> None:
    record_baseline(stage)
    done = stage.compare(events(answers(1.5, Side.BASELINE), answers("1.5", Side.CANDIDATE)))
    assert done.result.verdict.decision is Decision.ABORT
    page = done.reports[0].read_text()
    assert "contract: GET /items 200 $.total type" in page
    with stage.store() as store:
        again = rehearsal.rejudge(store, done.result.run_id, stage.root / "again")
    assert again.result == done.result


def test_the_baseline_keeps_the_contract_of_both_sides(stage: Stage) -> None:
    record_baseline(stage)
    with stage.store() as store:
        exhibits = store.exhibits(store.baseline("default").run_id)
    assert {one.side for one in contracts_of(exhibits)} == set(Side)
    assert differences_of(exhibits) == ()


def test_equal_requests_are_sent_to_both_sides_twice_and_what_differs_is_told(stage: Stage) -> None:
    record_baseline(stage)
    stage.right.body = b'{"total": 12.5, "tax": 7, "id": 7}'
    for site in (stage.left, stage.right):
        site.requests.clear()
    done = stage.compare(events(answers(1.5, Side.BASELINE), answers(2.5, Side.CANDIDATE)))
    assert [done.result.verdict.contract[0].subject] == ["contract: GET /items 200 $.tax value"]
    assert done.result.verdict.decision is Decision.GO
    for site in (stage.left, stage.right):
        assert site.requests.count("GET /items?page=1") == 2


def test_values_that_are_switched_off_send_nothing(stage: Stage) -> None:
    record_baseline(stage)
    stage.right.requests.clear()
    stage.compare(
        events(answers(1.5, Side.BASELINE), answers(2.5, Side.CANDIDATE)), **{"contract.values": "off"}
    )
    assert "GET /items?page=1" not in stage.right.requests


def test_a_secret_in_answers_is_in_no_artefact(stage: Stage) -> None:
    secret: dict[str, object] = {"targets.baseline.headers": {"Authorization": f"Bearer {CANARY}"}}
    stage.left.body = b'{"said": "' + CANARY.encode() + b'", "tax": 1}'
    stage.right.body = b'{"said": "other", "tax": 1}'
    told = {"echo": f"Bearer {CANARY}", CANARY: 1}
    done = rehearsal.compare(
        stage.settings(**secret),
        stage.parts(
            events(answers(1.5, Side.BASELINE, **told), answers("1.5", Side.CANDIDATE, echo="other"))
        ),
        rehearsal.CompareOptions(without_baseline=True),
    )
    assert any(one.what == "value" for one in done.result.verdict.contract)
    with stage.store() as store:
        stored = b"".join(one.body for one in store.exhibits(done.result.run_id))
    artefacts = [path.read_bytes() for path in stage.root.rglob("*") if path.is_file()]
    assert b"***" in stored
    assert CANARY.encode() not in stored
    assert all(CANARY.encode() not in content for content in artefacts)
