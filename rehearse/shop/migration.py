"""Brings the schema to what one version has, whichever version used the database before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from rehearse.shop.tables import EVENT_INDEX, order_events, orders, wait_for_turn

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from rehearse.shop.versions import Behaviour


def migrate(engine: Engine, behaviour: Behaviour) -> None:
    """Upgrades, repairs or downgrades in place; does nothing where the schema is right."""
    with engine.begin() as connection:
        wait_for_turn(connection)
        _migrate_currency(connection, wanted=behaviour.names_currency)
        _migrate_event_index(connection, wanted=behaviour.keeps_event_index)


def _migrate_currency(connection: Connection, *, wanted: bool) -> None:
    there = any(column["name"] == "currency" for column in inspect(connection).get_columns(orders.name))
    if wanted and not there:
        connection.execute(
            text(f"ALTER TABLE {orders.name} ADD COLUMN currency VARCHAR(3) NOT NULL DEFAULT 'EUR'")
        )
    elif there and not wanted:
        connection.execute(text(f"ALTER TABLE {orders.name} DROP COLUMN currency"))


def _migrate_event_index(connection: Connection, *, wanted: bool) -> None:
    there = any(
        index["name"] == EVENT_INDEX.name for index in inspect(connection).get_indexes(order_events.name)
    )
    if wanted and not there:
        EVENT_INDEX.create(connection)
    elif there and not wanted:
        EVENT_INDEX.drop(connection)
