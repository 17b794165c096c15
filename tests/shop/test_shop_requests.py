"""What the known-good shop promises to clients."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import insert

from rehearse.shop.auth import TOKEN_LIFETIME_S, account_of, issue_token
from rehearse.shop.catalogue import product_card
from rehearse.shop.seeding import seed
from rehearse.shop.tables import connect, orders
from rehearse.shop.versions import BEHAVIOURS

if TYPE_CHECKING:
    from pathlib import Path

ORDER = {"customer_id": 2, "product_id": 9, "quantity": 3}


def place_order(client: httpx.Client, key: str, **changes: int) -> httpx.Response:
    return client.post("/orders", json=ORDER | changes, headers={"Idempotency-Key": key})


def order_rows(client: httpx.Client) -> int:
    return int(client.get("/version").json()["rows"]["shop_orders"])


@pytest.mark.parametrize(
    "credentials",
    [{"user": "clerk-1", "password": "wrong"}, {"user": "nobody", "password": "staging"}],
    ids=["wrong password", "unknown user"],
)
def test_login_refuses_who_it_does_not_know(good_shop: httpx.Client, credentials: dict[str, str]) -> None:
    assert good_shop.post("/login", json=credentials).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x.y", "Basic abc", "Bearer é.é"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/customers/1/orders"), ("POST", "/orders")])
def test_orders_need_a_token(good_shop: httpx.Client, method: str, path: str, header: str) -> None:
    headers = [(b"Authorization", header.encode("latin-1")), (b"Idempotency-Key", b"no token")]
    refused = good_shop.request(method, path, headers=headers, json=ORDER if method == "POST" else None)
    assert refused.status_code == 401
    assert refused.json().keys() == {"error", "request_id"}


def test_token_ends() -> None:
    token = issue_token("clerk-2", now_s=1_000)
    assert account_of(token, now_s=1_000 + TOKEN_LIFETIME_S - 1) == "clerk-2"
    assert account_of(token, now_s=1_000 + TOKEN_LIFETIME_S) is None


def test_token_cannot_be_changed() -> None:
    body, signature = issue_token("clerk-2", now_s=1_000).split(".")
    other_body, _ = issue_token("clerk-3", now_s=1_000).split(".")
    assert account_of(f"{other_body}.{signature}", now_s=1_000) is None
    assert account_of(f"{body}.{signature}", now_s=1_000) == "clerk-2"


def test_products_are_listed_by_page(good_shop: httpx.Client) -> None:
    pages = [
        good_shop.get("/products", params={"category": "tea", "page": page}).json() for page in (1, 2, 99)
    ]
    names = [[product["name"] for product in page["products"]] for page in pages]
    assert names[0] + names[1] == sorted(names[0] + names[1])
    assert names[2] == []
    assert {product["category"] for page in pages for product in page["products"]} == {"tea"}


def test_product_tells_what_is_bought_together_with_it(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'shop.db'}")
    seed(engine, orders=0)
    baskets = [(1, 12), (1, 7), (1, 9), (2, 12), (2, 9), (3, 12), (4, 7)]
    with engine.begin() as connection:
        bought = {"quantity": 1, "total_cents": 100, "placed_on": date(2024, 5, 6)}
        rows = [bought | {"customer_id": customer, "product_id": product} for customer, product in baskets]
        connection.execute(insert(orders), rows)
        card = product_card(connection, BEHAVIOURS["1.0"], 12)
    engine.dispose()
    assert card is not None
    together = card["often_bought_together"]
    assert isinstance(together, list)
    assert [(product["id"], product["times"]) for product in together] == [(9, 2), (7, 1)]


def test_orders_since_a_day_are_not_older(good_shop: httpx.Client) -> None:
    days = [
        order["placed_on"]
        for order in good_shop.get("/customers/4/orders", params={"since": "2025-12-20"}).json()["orders"]
    ]
    assert days
    assert min(days) >= "2025-12-20"


def test_placed_order_is_the_newest_of_its_customer(good_shop: httpx.Client) -> None:
    placed = place_order(good_shop, "newest", customer_id=6).json()
    newest = good_shop.get("/customers/6/orders").json()["orders"][0]
    assert (newest["id"], newest["amount"]) == (placed["id"], placed["amount"])


def test_order_needs_a_key(good_shop: httpx.Client) -> None:
    assert good_shop.post("/orders", json=ORDER).status_code == 400
    assert place_order(good_shop, "").status_code == 400


def test_same_key_and_payload_get_the_first_answer_again(good_shop: httpx.Client) -> None:
    first, second = (place_order(good_shop, "replayed") for _ in range(2))
    assert (second.status_code, second.content) == (first.status_code, first.content)


def test_same_key_with_another_payload_is_refused(good_shop: httpx.Client) -> None:
    assert place_order(good_shop, "reused").status_code == 201
    rows = order_rows(good_shop)
    assert place_order(good_shop, "reused", quantity=99).status_code == 422
    assert order_rows(good_shop) == rows


def test_two_accounts_may_use_the_same_key(good_shop: httpx.Client) -> None:
    other = {"Authorization": f"Bearer {issue_token('clerk-2', time.time())}"}
    mine = place_order(good_shop, "shared").json()
    theirs = good_shop.post("/orders", json=ORDER, headers={"Idempotency-Key": "shared"} | other).json()
    assert mine["id"] != theirs["id"]


def test_sends_of_one_key_at_the_same_time_make_one_order(good_shop: httpx.Client) -> None:
    rows, sends = order_rows(good_shop), 4
    together = Barrier(sends)

    def send(_: int) -> httpx.Response:
        together.wait(timeout=10)
        return place_order(good_shop, "at the same time")

    with ThreadPoolExecutor(sends) as pool:
        answers = list(pool.map(send, range(sends)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert order_rows(good_shop) == rows + 1


@pytest.mark.parametrize("unknown", ["customer_id", "product_id"])
def test_order_for_what_the_shop_does_not_have_is_refused(good_shop: httpx.Client, unknown: str) -> None:
    rows = order_rows(good_shop)
    refused = place_order(good_shop, f"unknown {unknown}", **{unknown: 399_999})
    assert refused.status_code == 422
    assert refused.json()["error"] == f"no {unknown.removesuffix('_id')} 399999"
    assert order_rows(good_shop) == rows


@pytest.mark.parametrize(
    "path",
    [
        "/products/0",
        f"/products/{2**63}",
        "/products/x",
        "/products?page=0",
        "/products?category=%00",
        "/customers/1/orders?since=2025-02-29",
        "/customers/1/orders?since=yesterday",
        "/reports/sales?day=0001-01-01",
        "/reports/sales?day=9999-12-31",
        "/reports/sales?day=10000-01-01",
        "/reports/sales?day=2023-02-29",
    ],
)
def test_invalid_request_is_refused_with_a_page_that_names_the_value(
    good_shop: httpx.Client, path: str
) -> None:
    refused = good_shop.get(path)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith(("path.", "query."))


@pytest.mark.parametrize("body", [b"", b"{", b'{"user": "\\ud800", "password": "x"}', b'{"user": 1}', b"[]"])
def test_invalid_body_is_refused(good_shop: httpx.Client, body: bytes) -> None:
    refused = good_shop.post("/login", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422


@pytest.mark.parametrize("path", ["/health", "/boom", "/nowhere", "/version"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_answer_tells_version_and_environment(
    shops: dict[str, httpx.Client], version: str, path: str
) -> None:
    headers = shops[version].get(path).headers
    assert (headers["x-shop-version"], headers["x-rehearse-env"]) == (version, "staging")


def test_connection_outlives_an_error(good_shop: httpx.Client) -> None:
    with httpx.Client(base_url=good_shop.base_url) as client:
        answers = [client.get(path) for path in ("/boom", "/boom", "/health")]
        streams = [answer.extensions["network_stream"] for answer in answers]
        addresses = {stream.get_extra_info("client_addr") for stream in streams}
    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert len(addresses) == 1


def test_counters_witness_every_request(good_shop: httpx.Client) -> None:
    before = good_shop.get("/counters").json()
    for path in ("/products/1", "/products/2", "/health", "/counters", "/boom", "/typing/error"):
        good_shop.get(path)
    after = good_shop.get("/counters").json()
    more = {
        route: after["routes"][route] - before["routes"].get(route, 0)
        for route in ("GET /products/{product_id}", "GET /boom", "GET (unknown)")
    }
    assert more == {"GET /products/{product_id}": 2, "GET /boom": 1, "GET (unknown)": 1}
    assert after["total"] - before["total"] == 4
    assert after["total"] == sum(after["routes"].values())


def test_version_tells_the_rows_of_this_moment(good_shop: httpx.Client) -> None:
    before = good_shop.get("/version").json()
    place_order(good_shop, "one more row")
    after = good_shop.get("/version").json()
    assert (after["version"], after["database"]) == ("1.0", "sqlite")
    grown = {table for table, rows in after["rows"].items() if rows > before["rows"][table]}
    assert grown == {"shop_orders", "shop_order_events", "shop_answered_keys"}
