"""Fills an empty database with the same shop each time."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import islice, product
from typing import TYPE_CHECKING

from sqlalchemy import insert, inspect, literal, select, text

from rehearse.shop.auth import hash_password
from rehearse.shop.tables import (
    INDEXES,
    accounts,
    customers,
    metadata,
    order_events,
    orders,
    products,
    seed_marks,
    wait_for_turn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

Row = dict[str, object]

SEED = 1848
SEEDED_ORDERS = 200_000
ACCOUNTS = 20
PASSWORD = "staging"  # noqa: S105  of the sample data, which anyone can seed
# Few customers with many orders each: one customer's history is then some milliseconds of real work.
CUSTOMERS = 50
PRODUCTS_PER_CATEGORY = 40
CATEGORIES = ("bakery", "cheese", "coffee", "fruit", "pasta", "spices", "tea", "wine")
ORIGINS = (
    "Alpine",
    "Andean",
    "Breton",
    "Cretan",
    "Danish",
    "Iberian",
    "Nordic",
    "Sicilian",
    "Tuscan",
    "Welsh",
)
GRADES = ("classic", "fine", "organic", "reserve", "rustic")
FIRST_DAY = date(2023, 1, 1)
DAYS = 1_096  # up to and with 2025-12-31
INSERT_ROWS = 20_000


def seed(engine: Engine, orders: int = SEEDED_ORDERS) -> None:
    """Fills the database unless that was done before; starts over where an earlier seeding did not end."""
    with engine.begin() as connection:
        wait_for_turn(connection)
        if not _is_seeded(connection):
            metadata.drop_all(connection)
            metadata.create_all(connection)
            _fill(connection, orders)


def _is_seeded(connection: Connection) -> bool:
    if not inspect(connection).has_table(seed_marks.name):
        return False
    return connection.scalar(select(seed_marks.c.id)) is not None


def _fill(connection: Connection, order_count: int) -> None:
    # One sort at the end is much quicker than 1,000,000 single steps into an index.
    for index in INDEXES:
        index.drop(connection)
    draws = random.Random(SEED)
    connection.execute(insert(accounts), list(_account_rows(draws)))
    connection.execute(
        insert(customers), [{"name": f"Customer {number}"} for number in range(1, CUSTOMERS + 1)]
    )
    product_rows = list(_product_rows(draws))
    connection.execute(insert(products), product_rows)
    prices_cents = [int(str(row["price_cents"])) for row in product_rows]
    _insert_orders(connection, _order_rows(draws, order_count, prices_cents))
    _insert_events(connection)
    for index in INDEXES:
        index.create(connection)
    connection.execute(insert(seed_marks).values(orders=order_count))
    connection.execute(text("ANALYZE"))


def _account_rows(draws: random.Random) -> Iterator[Row]:
    for number in range(1, ACCOUNTS + 1):
        salt = draws.randbytes(16)
        yield {
            "name": f"clerk-{number}",
            "password_salt": salt,
            "password_hash": hash_password(PASSWORD, salt),
        }


def _product_rows(draws: random.Random) -> Iterator[Row]:
    for category in CATEGORIES:
        for origin, grade in islice(product(ORIGINS, GRADES), PRODUCTS_PER_CATEGORY):
            yield {
                "category": category,
                "name": f"{origin} {category}, {grade}",
                "price_cents": draws.randrange(250, 9_000, 5),
            }


def open_days() -> list[date]:
    """The days with orders: all of three years but Christmas, when the shop is closed."""
    days = (FIRST_DAY + timedelta(days=offset) for offset in range(DAYS))
    return [day for day in days if (day.month, day.day) != (12, 25)]


def _order_rows(draws: random.Random, count: int, prices_cents: list[int]) -> Iterator[Row]:
    days = open_days()
    # By turns, so that every customer and every product has the same share: no id is a slow one by chance.
    customer_ids, product_ids = list(range(1, CUSTOMERS + 1)), list(range(1, len(prices_cents) + 1))
    for number in range(count):
        if number % len(product_ids) == 0:
            draws.shuffle(product_ids)
        if number % len(customer_ids) == 0:
            draws.shuffle(customer_ids)
        product_id = product_ids[number % len(product_ids)]
        quantity = 1 + number * 7 % 5
        yield {
            "customer_id": customer_ids[number % CUSTOMERS],
            "product_id": product_id,
            "quantity": quantity,
            "total_cents": quantity * prices_cents[product_id - 1],
            "placed_on": days[number * len(days) // count],
        }


def _insert_orders(connection: Connection, rows: Iterator[Row]) -> None:
    while batch := list(islice(rows, INSERT_ROWS)):
        connection.execute(insert(orders), batch)


def _insert_events(connection: Connection) -> None:
    for kind in ("placed", "paid", "packed", "shipped", "delivered"):
        events = select(orders.c.id, orders.c.customer_id, literal(kind), orders.c.placed_on)
        names = ["order_id", "customer_id", "kind", "happened_on"]
        connection.execute(insert(order_events).from_select(names, events.order_by(orders.c.id)))
