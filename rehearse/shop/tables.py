"""The tables of the shop as version 1.0 has them, and how to reach their database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    create_engine,
    event,
    make_url,
    text,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

# Any number will do that other programs on the same PostgreSQL server do not use.
ADVISORY_LOCK_ID = 720_041

metadata = MetaData()


class AccountColumns(TypedColumns):
    """Staff of the shop, who log in; each of them serves all customers."""

    id = Column(Integer, primary_key=True)
    name = Column(String(40), unique=True, nullable=False)
    password_salt = Column(LargeBinary, nullable=False)
    password_hash = Column(LargeBinary, nullable=False)


class CustomerColumns(TypedColumns):
    """Wholesale customers: few, with thousands of orders each."""

    id = Column(Integer, primary_key=True)
    name = Column(String(80), nullable=False)


class ProductColumns(TypedColumns):
    """What the shop sells."""

    id = Column(Integer, primary_key=True)
    category = Column(String(20), nullable=False, index=True)
    name = Column(String(80), nullable=False)
    price_cents = Column(Integer, nullable=False)


class OrderColumns(TypedColumns):
    """One product in some quantity, ordered by one customer on one day; 2.x adds `currency`."""

    id = Column(Integer, primary_key=True)
    customer_id = Column(Integer, ForeignKey("shop_customers.id"), nullable=False)
    product_id = Column(Integer, ForeignKey("shop_products.id"), nullable=False)
    quantity = Column(Integer, nullable=False)
    total_cents = Column(Integer, nullable=False)
    placed_on = Column(Date, nullable=False)


class EventColumns(TypedColumns):
    """What happened to an order: placed, paid, packed, shipped, delivered."""

    id = Column(Integer, primary_key=True)
    order_id = Column(Integer, ForeignKey("shop_orders.id"), nullable=False)
    customer_id = Column(Integer, nullable=False)
    kind = Column(String(10), nullable=False)
    happened_on = Column(Date, nullable=False)


class AnsweredKeyColumns(TypedColumns):
    """Idempotency keys that were used, each with the answer that its first request got."""

    id = Column(Integer, primary_key=True)
    account = Column(String(40), nullable=False)
    key = Column(String(255), nullable=False)
    payload_sha256 = Column(String(64), nullable=False)
    answer_json = Column(Text, nullable=False)


class SeedMarkColumns(TypedColumns):
    """One row, written last: without it the seeding did not end."""

    id = Column(Integer, primary_key=True)
    orders = Column(Integer, nullable=False)


accounts = Table("shop_accounts", metadata, AccountColumns)
customers = Table("shop_customers", metadata, CustomerColumns)
products = Table("shop_products", metadata, ProductColumns)
orders = Table("shop_orders", metadata, OrderColumns)
order_events = Table("shop_order_events", metadata, EventColumns)
answered_keys = Table("shop_answered_keys", metadata, AnsweredKeyColumns, UniqueConstraint("account", "key"))
seed_marks = Table("shop_seed_marks", metadata, SeedMarkColumns)

COUNTED_TABLES: tuple[Table, ...] = (accounts, customers, products, orders, order_events, answered_keys)

EVENT_INDEX = Index(
    "ix_shop_order_events_customer_day", order_events.c.customer_id, order_events.c.happened_on
)
INDEXES = (
    Index("ix_shop_orders_customer_day", orders.c.customer_id, orders.c.placed_on),
    Index("ix_shop_orders_product", orders.c.product_id),
    Index("ix_shop_orders_day", orders.c.placed_on),
    EVENT_INDEX,
)


def connect(database_url: str) -> Engine:
    """An engine for SQLite or PostgreSQL; makes the folder of a SQLite file."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_size=10, max_overflow=30)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=10, max_overflow=30, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # WAL: readers go on while one order is written. mmap: connections share the page cache of the system.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "mmap_size=268435456"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def wait_for_turn(connection: Connection) -> None:
    """Holds off every other process that seeds or migrates, until this transaction ends."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": ADVISORY_LOCK_ID})
