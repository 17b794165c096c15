"""Each break of the upgrade is there in 2.0, and neither before nor after it is repaired."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, Engine, event

from rehearse.shop.migration import migrate
from rehearse.shop.ordering import customer_orders
from rehearse.shop.seeding import seed
from rehearse.shop.tables import EVENT_INDEX, connect
from rehearse.shop.versions import BEHAVIOURS

GOOD = ("1.0", "2.1")
WHOLE = ("1.0", "2.0", "2.1")
SINCE = date(2025, 12, 10)

Shops = dict[str, httpx.Client]


def amounts(client: httpx.Client) -> list[Any]:
    """One amount of each endpoint that tells one."""
    listed = client.get("/products").json()["products"][0]["price"]
    card = client.get("/products/1").json()["price"]
    orders = client.get("/customers/1/orders").json()
    report = client.get("/reports/sales", params={"day": "2024-06-03"}).json()
    placed = place_order(client, key=f"amount {time.monotonic_ns()}").json()["amount"]
    return [
        listed,
        card,
        orders["orders"][0]["amount"],
        *orders["spent_in_past_years"].values(),
        report["revenue"],
        placed,
    ]


def place_order(client: httpx.Client, key: str, quantity: int = 2) -> httpx.Response:
    order = {"customer_id": 3, "product_id": 5, "quantity": quantity}
    return client.post("/orders", json=order, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("version", GOOD)
def test_money_is_a_number(shops: Shops, version: str) -> None:
    assert {type(amount) for amount in amounts(shops[version])} == {float}


def test_money_turns_into_a_string_in_the_broken_upgrade(shops: Shops) -> None:
    told = amounts(shops["2.0"])
    assert {type(amount) for amount in told} == {str}
    assert [f"{float(amount):.2f}" for amount in told] == told


def test_money_is_the_same_number_before_and_after_the_upgrade(shops: Shops) -> None:
    before, broken, after = (amounts(shops[version])[:2] for version in WHOLE)
    assert before == after == [float(amount) for amount in broken]


@pytest.mark.parametrize(("version", "expected"), [("1.0", 200), ("2.0", 500), ("2.1", 200)])
@pytest.mark.parametrize("leap_day", ["2024-02-29", "2028-02-29"])
def test_leap_day_report_fails_only_in_the_broken_upgrade(
    shops: Shops, version: str, expected: int, leap_day: str
) -> None:
    assert shops[version].get("/reports/sales", params={"day": leap_day}).status_code == expected


@pytest.mark.parametrize("version", WHOLE)
@pytest.mark.parametrize("day", ["2024-02-28", "2024-03-01", "2025-02-28", "2025-12-31"])
def test_other_days_are_reported_by_every_version(shops: Shops, version: str, day: str) -> None:
    report = shops[version].get("/reports/sales", params={"day": day}).json()
    assert report["day"] == day
    assert report["year_before"]["day"] == f"{int(day[:4]) - 1}{day[4:]}"


def test_leap_day_is_compared_with_the_day_before_march(shops: Shops) -> None:
    report = shops["2.1"].get("/reports/sales", params={"day": "2024-02-29"}).json()
    assert report["orders"] > 0
    assert report["year_before"]["day"] == "2023-02-28"


@pytest.mark.parametrize(("version", "expected"), [("1.0", 0), ("2.0", None), ("2.1", 0)])
def test_revenue_of_a_day_without_orders_is_null_only_in_the_broken_upgrade(
    shops: Shops, version: str, expected: int | None
) -> None:
    report = shops[version].get("/reports/sales", params={"day": "2024-12-25"}).json()
    assert report["orders"] == 0
    assert report["revenue"] == expected


@pytest.mark.parametrize(("version", "expected"), [("1.0", 1), ("2.0", 2), ("2.1", 1)])
def test_retried_order_is_placed_twice_only_in_the_broken_upgrade(
    shops: Shops, version: str, expected: int
) -> None:
    client = shops[version]
    rows_before = client.get("/version").json()["rows"]["shop_orders"]
    answers = [place_order(client, "one order") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == expected
    assert client.get("/version").json()["rows"]["shop_orders"] - rows_before == expected


@pytest.mark.parametrize("version", GOOD)
def test_error_page_is_json(shops: Shops, version: str) -> None:
    page = shops[version].get("/boom")
    assert page.status_code == 500
    assert page.json().keys() == {"error", "request_id", "failed_at"}


@pytest.mark.parametrize("path", ["/boom", "/reports/sales?day=2024-02-29"])
def test_error_page_fails_in_the_broken_upgrade(shops: Shops, path: str) -> None:
    page = shops["2.0"].get(path)
    assert (page.status_code, page.text) == (500, "Internal Server Error")
    assert page.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("version", WHOLE)
@pytest.mark.parametrize("path", ["/nowhere", "/products/399999", "/customers/399999/orders"])
def test_page_for_what_is_not_there_is_json_in_every_version(shops: Shops, version: str, path: str) -> None:
    page = shops[version].get(path)
    assert page.status_code == 404
    assert page.json().keys() == {"error", "request_id"}


def test_repaired_upgrade_only_adds_the_currency(shops: Shops) -> None:
    for path in ("/products/7", "/reports/sales?day=2024-06-03"):
        old, new = (shops[version].get(path).json() for version in GOOD)
        assert new == old | {"currency": "EUR"}


@pytest.fixture(scope="module")
def whole_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """All seeded rows: only there the lost index is felt."""
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('whole') / 'shop.db'}")
    seed(engine)
    yield engine
    engine.dispose()


def query_plans(engine: Engine, since: date | None) -> str:
    """How SQLite finds the rows of each query behind a customer's orders."""
    plans: list[str] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        # On a connection of its own: an EXPLAIN that a connection has prepared before keeps the plan of then.
        with closing(sqlite3.connect(str(engine.url.database))) as fresh:
            plans.extend(str(row[-1]) for row in fresh.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(engine, "before_cursor_execute", explain)
    with engine.connect() as connection:
        customer_orders(connection, BEHAVIOURS["1.0"], 1, since)
    event.remove(engine, "before_cursor_execute", explain)
    return "\n".join(plans)


def median_ms(engine: Engine, since: date | None) -> float:
    took_ms = []
    with engine.connect() as connection:
        for customer_id in range(1, 16):
            started_s = time.perf_counter()
            customer_orders(connection, BEHAVIOURS["1.0"], customer_id, since)
            took_ms.append((time.perf_counter() - started_s) * 1_000)
    return median(took_ms)


@pytest.mark.parametrize(("version", "is_used"), [("1.0", True), ("2.0", False), ("2.1", True)])
def test_broken_upgrade_loses_the_index_of_the_orders_since_a_day(
    whole_database: Engine, version: str, is_used: bool
) -> None:
    migrate(whole_database, BEHAVIOURS[version])
    assert (str(EVENT_INDEX.name) in query_plans(whole_database, SINCE)) is is_used
    assert "SCAN shop_order_events" not in query_plans(whole_database, None)


def test_lost_index_slows_only_the_orders_since_a_day(whole_database: Engine) -> None:
    migrate(whole_database, BEHAVIOURS["1.0"])
    before_ms = {since: median_ms(whole_database, since) for since in (None, SINCE)}
    migrate(whole_database, BEHAVIOURS["2.0"])
    after_ms = {since: median_ms(whole_database, since) for since in (None, SINCE)}
    assert after_ms[SINCE] > 3 * before_ms[SINCE]
    # Far from equal: other programs may run on this machine now.
    assert after_ms[None] < 2 * before_ms[None]


def test_seeding_all_rows_leaves_enough_to_work_on(whole_database: Engine, seeded_file: Path) -> None:
    with whole_database.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM shop_orders").scalar_one() >= 200_000
