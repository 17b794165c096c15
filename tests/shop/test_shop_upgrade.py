"""One database through every version, and a seeding that always ends the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, delete, inspect, select

from rehearse.shop.migration import migrate
from rehearse.shop.seeding import seed
from rehearse.shop.tables import EVENT_INDEX, connect, metadata, order_events, orders, seed_marks
from rehearse.shop.versions import BEHAVIOURS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shop.conftest import Serve

ORDER = {"customer_id": 2, "product_id": 9, "quantity": 1}


def schema(engine: Engine) -> tuple[bool, bool]:
    """Whether the currency is there, and whether the index is."""
    columns = {column["name"] for column in inspect(engine).get_columns(orders.name)}
    indexes = {index["name"] for index in inspect(engine).get_indexes(order_events.name)}
    return "currency" in columns, EVENT_INDEX.name in indexes


def digest(engine: Engine) -> str:
    """Changes with any row of any table."""
    with engine.connect() as connection:
        rows = [
            connection.execute(select(table).order_by(table.c.id)).all() for table in metadata.sorted_tables
        ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_upgrade_in_place_keeps_every_order(empty_database: Engine, serve: Serve) -> None:
    seed(empty_database, orders=2_000)
    placed: list[int] = []
    for version in ("1.0", "2.0", "2.1", "1.0"):
        with serve(version, empty_database) as client:
            answer = client.post("/orders", json=ORDER, headers={"Idempotency-Key": f"{len(placed)}"})
            placed.append(answer.json()["id"])
            seen = client.get("/customers/2/orders").json()["orders"]
            assert [order["id"] for order in seen[: len(placed)]] == placed[::-1]
            for path in ("/products?page=2", "/products/3", "/reports/sales?day=2024-06-03"):
                assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("version", "expected"), [("1.0", (False, True)), ("2.0", (True, False)), ("2.1", (True, True))]
)
@pytest.mark.parametrize("version_before", ["1.0", "2.0", "2.1"])
def test_schema_is_that_of_the_version_whatever_was_there_before(
    empty_database: Engine, version_before: str, version: str, expected: tuple[bool, bool]
) -> None:
    seed(empty_database, orders=40)
    for started in (version_before, version, version):
        migrate(empty_database, BEHAVIOURS[started])
    assert schema(empty_database) == expected


def test_answer_to_a_key_outlives_the_repaired_upgrade(empty_database: Engine, serve: Serve) -> None:
    seed(empty_database, orders=40)
    answers = []
    for version in ("1.0", "2.1"):
        with serve(version, empty_database) as client:
            answers.append(client.post("/orders", json=ORDER, headers={"Idempotency-Key": "kept"}).content)
    assert answers[0] == answers[1]


def test_seeding_is_the_same_each_time(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        engine = connect(f"sqlite:///{tmp_path / name}.db")
        seed(engine, orders=500)
        digests.add(digest(engine))
        engine.dispose()
    assert len(digests) == 1


def test_seeded_database_is_left_alone(empty_database: Engine) -> None:
    seed(empty_database, orders=40)
    with empty_database.begin() as connection:
        connection.execute(delete(order_events))
    before = digest(empty_database)
    seed(empty_database, orders=40)
    assert digest(empty_database) == before


def test_half_seeded_database_is_started_over(empty_database: Engine) -> None:
    seed(empty_database, orders=40)
    whole = digest(empty_database)
    migrate(empty_database, BEHAVIOURS["2.0"])
    with empty_database.begin() as connection:
        connection.execute(delete(seed_marks))
        connection.execute(delete(order_events).where(order_events.c.id > 10))
    seed(empty_database, orders=40)
    assert digest(empty_database) == whole
    assert schema(empty_database) == (False, True)
