"""The written file is a person's file, and nothing of a recording can become code in it."""

from __future__ import annotations

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from rehearse.codec import JsonData
from rehearse.replay.locustfile import arrivals_file, literal, locust_file, weights
from rehearse.replay.recording import Body, Journey, Recording, Step
from tests.replay.files import requests_of

SHOP = Recording(
    source="shop.har (HAR)",
    journeys=(
        Journey(
            "page 1 /products",
            (
                Step("GET", "/products", {"/products?category=tea": 1}),
                Step("GET", "/products/[id]", {"/products/17": 1}, {"Accept": "application/json"}),
            ),
            weight=30,
        ),
        Journey(
            "GET /orders/[id]", (Step("GET", "/orders/[id]", {"/orders/1": 5, "/orders/2": 1}),), weight=10
        ),
        Journey(
            "POST /orders",
            (
                Step(
                    "POST",
                    "/orders",
                    {"/orders": 1},
                    {"Idempotency-Key": "recorded"},
                    Body(json={"n": [1, None]}),
                ),
            ),
            weight=10,
        ),
        Journey(
            "POST /login",
            (
                Step(
                    "POST",
                    "/login",
                    {"/login": 1},
                    {"Content-Type": "x"},
                    Body(text="user=ann&pass=SCRUBBED"),
                ),
            ),
            weight=10,
        ),
    ),
    base_url="https://shop.example",
    left_out={"requests to other hosts": 12},
    scrubbed={"header cookie": 3},
    arrivals_s=(0.0, 1.25),
)
WRITTEN = '''\
"""Made from shop.har (HAR). It is yours now: edit it.

    rehearse scenario from-har shop.har

Recorded at https://shop.example.

Left out: 12 × requests to other hosts.

Scrubbed: 3 × header cookie.
"""

from __future__ import annotations

import random
from uuid import uuid4

from locust import FastHttpUser, constant, task

GET_ORDERS_ID = {
    "/orders/1": 5,
    "/orders/2": 1,
}


def any_of(paths: dict[str, int]) -> str:
    """One of the paths, each as often as it was recorded."""
    return random.choices(tuple(paths), tuple(paths.values()))[0]


class Visitor(FastHttpUser):
    """Does what was recorded."""

    wait_time = constant(1)  # for plain Locust; `rehearse` says itself when a journey begins

    @task(3)
    def page_1_products(self) -> None:
        self.client.get("/products?category=tea", name="/products")
        self.client.get(
            "/products/17",
            name="/products/[id]",
            headers={"Accept": "application/json"},
        )

    @task
    def get_orders_id(self) -> None:
        self.client.get(any_of(GET_ORDERS_ID), name="/orders/[id]")

    @task
    def post_orders(self) -> None:
        self.client.post("/orders", headers={"Idempotency-Key": uuid4().hex}, json={"n": [1, None]})

    @task
    def post_login(self) -> None:
        self.client.post("/login", headers={"Content-Type": "x"}, data="user=ann&pass=SCRUBBED")
'''


def test_the_file_reads_as_if_a_person_had_written_it() -> None:
    assert locust_file(SHOP, "rehearse scenario from-har shop.har") == WRITTEN


def test_arrival_times_are_one_a_line() -> None:
    assert arrivals_file(SHOP, "rehearse x") == "# rehearse x\n0.000\n1.250\n"


def test_weights_are_small_and_nobody_loses_its_turn() -> None:
    def weighed(*counts: int) -> list[int]:
        return weights([Journey("x", (), count) for count in counts])

    assert weighed(30, 10, 10) == [3, 1, 1]
    assert weighed(7) == [1]
    assert weighed(5_000_000, 1) == [1000, 1]


ANYTHING = st.text(st.characters(codec="utf-8") | st.sampled_from("\"'\\\n\r\u2028{}`#"), max_size=30)
DATA: st.SearchStrategy[JsonData] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANYTHING, inner, max_size=3),
    max_leaves=6,
)
STEPS = st.builds(
    Step,
    method=st.sampled_from(["GET", "POST", "PROPFIND"]),
    name=ANYTHING,
    paths=st.dictionaries(ANYTHING, st.integers(1, 9), min_size=1, max_size=3),
    headers=st.dictionaries(ANYTHING | st.just("Idempotency-Key"), ANYTHING, max_size=2),
    body=st.none() | st.builds(Body, json=DATA) | st.builds(Body, text=ANYTHING),
)
RECORDINGS = st.builds(
    Recording,
    source=ANYTHING,
    journeys=st.lists(
        st.builds(Journey, ANYTHING, st.lists(STEPS, min_size=1, max_size=3).map(tuple), st.integers(1, 9)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    base_url=ANYTHING,
    left_out=st.dictionaries(ANYTHING, st.integers(1, 9), max_size=2),
    scrubbed=st.dictionaries(ANYTHING, st.integers(1, 9), max_size=2),
    notes=st.lists(ANYTHING, max_size=2).map(tuple),
)


@settings(deadline=None, max_examples=150)
@given(recording=RECORDINGS, command=ANYTHING)
def test_whatever_was_recorded_stays_a_text(recording: Recording, command: str) -> None:
    text = locust_file(recording, command)
    found = requests_of(text)  # which fails on any call that a scenario has no need of
    steps = [step for journey in recording.journeys for step in journey.steps]
    assert len(found) == len(steps)
    for (path, options), step in zip(found, steps, strict=True):
        if len(step.paths) == 1:
            assert path == next(iter(step.paths))
            assert options.get("name", path) == step.name
        if step.body is not None and step.body.text is not None:
            assert options["data"] == step.body.text


@given(ANYTHING | st.text())
def test_a_literal_is_the_text_itself(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
