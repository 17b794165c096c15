"""Samples: which answers are kept, what of them, and that nobody's load waits for them. Real workers at the end."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rehearse.checks.contract import ContractLearner, contracts_of
from rehearse.judge.contract import contract_changes
from rehearse.load.engine import LoadEvent, Sampled, SamplesCounted
from rehearse.load.locust_engine import LocustSession
from rehearse.load.orders import SamplingOrder
from rehearse.load.outbox import Outbox
from rehearse.load.sampling import FIRST, MAX_KINDS, Sampler, headers_that_matter, sample_of
from rehearse.model import Contract, ContractRules, Evidence, Mode, Policy, Side, Weight
from tests.load.test_workers import load, run
from tests.servers import serving

URL = "http://127.0.0.1:8101"


@dataclass
class Request:
    url: str = f"{URL}/orders/7?full=1"


@dataclass
class Lean:
    """An answer as LeanHttpUser has it."""

    status_code: int = 200
    content: bytes | None = b'{"a": 1}'
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    request: Request = field(default_factory=Request)


class Fast:
    """An answer as FastHttpUser has it: nothing is cached before somebody reads it."""

    __slots__ = ("_cached_content", "headers", "status_code")
    _cached_content: bytes

    def __init__(self) -> None:
        self.status_code, self.headers = 200, {"Content-Type": "application/json"}

    @property
    def content(self) -> bytes:
        raise AssertionError("a stream was read")


@dataclass
class Plain:
    """An answer as HttpUser has it: False until it is read."""

    _content: Any = False
    status_code: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        raise AssertionError("a stream was read")


@dataclass
class Desk:
    """A sampler of a round of 100 s, with a clock that is set."""

    samples: int = 25
    max_body_bytes: int = 1000
    has_room: bool = True
    now_s: float = 1000.0
    kept: list[dict[str, Any]] = field(default_factory=list)

    def sampler(self) -> Sampler:
        order = SamplingOrder(self.samples, self.max_body_bytes)
        return Sampler(order, URL, 100.0, self.offer, lambda: self.now_s)

    def offer(self, message: Any) -> bool:
        if self.has_room:
            self.kept.append(json.loads(json.dumps(message)))
        return self.has_room


def test_the_first_are_kept_and_then_one_in_each_slice_of_the_round() -> None:
    desk = Desk()
    sampler, times = desk.sampler(), []
    for _ in range(10_000):
        before = len(desk.kept)
        sampler.see("GET /x", Lean())
        if len(desk.kept) > before:
            times.append(desk.now_s - 1000)
        desk.now_s += 0.01
    assert desk.samples - 2 <= len(desk.kept) <= desk.samples + 1
    assert times[FIRST - 1] < 1
    assert max(times) >= 95  # a late change is seen too
    assert max(b - a for a, b in pairwise(times)) < 6


def test_however_many_names_are_due_there_are_at_most_fifty_samples_a_second() -> None:
    desk = Desk()
    sampler = desk.sampler()
    for index in range(10_000):
        sampler.see(f"GET /{index % 400}", Lean())
        desk.now_s += 0.0001
    assert 40 <= len(desk.kept) <= 51


def test_names_beyond_the_bound_are_counted_and_left_out() -> None:
    desk = Desk()
    sampler = desk.sampler()
    for index in range(MAX_KINDS + 7):
        sampler.see(f"GET /{index}", Lean())
        desk.now_s += 1
    assert (len(desk.kept), sampler.left_out) == (MAX_KINDS, 7)


def test_a_long_body_is_cut_and_says_so() -> None:
    desk = Desk(max_body_bytes=10)
    desk.sampler().see("GET /x", Lean(content=b"x" * 11))
    sample = sample_of(Side.CANDIDATE, desk.kept[0])
    assert (len(sample.body), sample.is_whole, sample.target) == (10, False, "/orders/7?full=1")


@pytest.mark.parametrize("response", [Fast(), Plain(), Plain(_content=None), Lean(content=None), object()])
def test_what_nobody_has_read_is_left_alone(response: object) -> None:
    desk = Desk()
    sampler = desk.sampler()
    sampler.see("GET /x", response)
    assert (desk.kept, sampler.failed) == ([], 0)


def test_an_answer_that_cannot_be_read_is_counted_and_fails_no_request() -> None:
    sampler = Desk().sampler()
    sampler.see("GET /x", Lean(headers=7))  # type: ignore[arg-type]
    assert sampler.failed == 1


def test_a_request_to_another_host_has_no_target_to_be_asked_again() -> None:
    desk = Desk()
    desk.sampler().see("GET /x", Lean(request=Request("http://127.0.0.1:8101.evil.example/")))
    assert desk.kept[0]["target"] == ""


def test_a_cookie_is_kept_without_its_value() -> None:
    lines = {"Set-Cookie": "sid=canary-4711; Path=/; HttpOnly; Max-Age=77; Secure", "X-Request-Id": "canary"}
    kept = headers_that_matter(Lean(headers={**lines, "ETag": 'W/"canary"', "Location": "/o/4711?t=canary"}))
    assert kept == {
        "set-cookie sid": "HttpOnly; Max-Age; Path=/; Secure",
        "etag": "present",
        "location": "/o/#",
    }


def test_a_sample_is_left_out_rather_than_waited_for() -> None:
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb"), os.fdopen(writes, "wb", buffering=0) as stream:
        outbox = Outbox(stream, threading.Lock())
        message = {"body": "x" * 20_000}
        offered = [outbox.offer("sample", message) for _ in range(5)]
    assert offered[0]
    assert not offered[-1]


# --- real workers ---------------------------------------------------------------------------------------------------

USERS = """
from locust import FastHttpUser, HttpUser, task
from rehearse.load import LeanHttpUser


class Fast(FastHttpUser):
    @task
    def look(self):
        self.client.get("/orders/7", name="/fast")


class Plain(HttpUser):
    @task
    def look(self):
        self.client.get("/orders/7", name="/plain")


class Lean(LeanHttpUser):
    @task
    def look(self):
        self.client.get("/orders/7", name="/lean")
"""


def learnt(events: list[LoadEvent]) -> tuple[Contract, ...]:
    learner = ContractLearner()
    for event in events:
        if isinstance(event, Sampled):
            learner.take(event.sample)
        if isinstance(event, SamplesCounted):
            assert (event.sampling.lost, event.sampling.failed) == (0, 0)
            learner.count(event.sampling)
    return contracts_of(learner.exhibits())


def test_a_type_that_changed_on_a_real_server_is_found_under_load_with_each_kind_of_user(
    tmp_path: Path,
) -> None:
    headers = {"Content-Type": "application/json", "ETag": '"1"'}
    with (
        serving(headers=dict(headers), body=b'{"total": 12.5, "id": 7}') as baseline,
        serving(headers=dict(headers), body=b'{"total": "12.5", "id": 7}') as candidate,
    ):
        order = load(tmp_path, baseline, candidate, scenario=USERS, blocks=4)
        contracts = learnt(run(LocustSession(replace(order, sampling=SamplingOrder(50, 65_536)))))
    evidence = Evidence(
        Mode.PAIRED, Policy((), contract=ContractRules()), (), (), None, 0, 1, 1, contracts=contracts
    )
    found = contract_changes(evidence)
    assert {one.subject for one in found} == {
        f"contract: GET /{user} 200 $.total type" for user in ("fast", "plain", "lean")
    }
    assert {(one.weight, one.before, one.after) for one in found} == {(Weight.GATE, "12.5", '"12.5"')}
    assert all("header etag" in one.places for one in contracts)
