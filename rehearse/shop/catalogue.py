"""Products: the list with how each one sells, and one product with what is bought together with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from rehearse.shop.answers import money, with_currency
from rehearse.shop.tables import orders, products

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Connection, Subquery

    from rehearse.shop.versions import Behaviour

PAGE_LENGTH = 5


def product_page(
    connection: Connection, behaviour: Behaviour, category: str | None, page: int
) -> list[dict[str, object]]:
    """One page of products by name, with the units sold of each; empty beyond the last page."""
    listed = _listed(category, page)
    sold = (
        select(
            listed.c.id,
            listed.c.category,
            listed.c.name,
            listed.c.price_cents,
            func.coalesce(func.sum(orders.c.quantity), 0).label("units_sold"),
            func.max(orders.c.placed_on).label("last_sold_on"),
        )
        .outerjoin(orders, orders.c.product_id == listed.c.id)
        .group_by(listed.c.id, listed.c.category, listed.c.name, listed.c.price_cents)
        .order_by(listed.c.name)
    )
    return [
        with_currency(
            {
                "id": row.id,
                "category": row.category,
                "name": row.name,
                "price": money(row.price_cents, behaviour),
                "units_sold": row.units_sold,
                "last_sold_on": None if row.last_sold_on is None else str(row.last_sold_on),
            },
            behaviour,
        )
        for row in connection.execute(sold)
    ]


def _listed(category: str | None, page: int) -> Subquery:
    wanted = select(products).order_by(products.c.name).limit(PAGE_LENGTH).offset((page - 1) * PAGE_LENGTH)
    if category is not None:
        wanted = wanted.where(products.c.category == category)
    return wanted.subquery()


def product_card(connection: Connection, behaviour: Behaviour, product_id: int) -> dict[str, object] | None:
    """One product and what the same customers bought on the same day; None when there is no such product."""
    columns = select(products.c.category, products.c.name, products.c.price_cents)
    row = connection.execute(columns.where(products.c.id == product_id)).one_or_none()
    if row is None:
        return None
    category, name, price_cents = row
    card: dict[str, object] = {
        "id": product_id,
        "category": category,
        "name": name,
        "price": money(price_cents, behaviour),
        "often_bought_together": _bought_together(connection, product_id),
    }
    return with_currency(card, behaviour)


def first_day_of_this_year() -> date:
    """Statistics end there, so that the thousands of orders of a load test do not make them slower."""
    return datetime.now(UTC).date().replace(month=1, day=1)


def _bought_together(connection: Connection, product_id: int) -> list[dict[str, object]]:
    this, other = orders.alias("this"), orders.alias("other")
    same_basket = (this.c.customer_id == other.c.customer_id) & (this.c.placed_on == other.c.placed_on)
    times = func.count().label("times")
    together = (
        select(products.c.id, products.c.name, times)
        .select_from(this)
        .join(other, same_basket & (other.c.product_id != this.c.product_id))
        .join(products, products.c.id == other.c.product_id)
        .where(this.c.product_id == product_id, this.c.placed_on < first_day_of_this_year())
        .group_by(products.c.id, products.c.name)
        .order_by(times.desc(), products.c.id)
        .limit(5)
    )
    return [{"id": row.id, "name": row.name, "times": row.times} for row in connection.execute(together)]
