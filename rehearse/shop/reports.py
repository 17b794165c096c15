"""The sales report: one day, the three weeks up to it, and the same day of the year before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from rehearse.shop.answers import money, with_currency
from rehearse.shop.tables import orders, products

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Connection

    from rehearse.shop.versions import Behaviour

THREE_WEEKS = timedelta(days=21)


def year_before(day: date, behaviour: Behaviour) -> date:
    """The same day one year earlier; for 29 February that is 28 February."""
    if behaviour.knows_leap_days and (day.month, day.day) == (2, 29):
        return day.replace(year=day.year - 1, day=28)
    return day.replace(year=day.year - 1)


def sales_report(connection: Connection, behaviour: Behaviour, day: date) -> dict[str, object]:
    """The sales of one day beside those of the year before."""
    earlier = year_before(day, behaviour)
    report = _sales(connection, behaviour, day) | {"year_before": _sales(connection, behaviour, earlier)}
    return with_currency(report, behaviour)


def _sales(connection: Connection, behaviour: Behaviour, day: date) -> dict[str, object]:
    order_count, revenue_cents = _order_count_and_cents(connection, day)
    if revenue_cents is None and behaviour.empty_sum_is_zero:
        revenue_cents = 0
    return {
        "day": str(day),
        "orders": order_count,
        "revenue": money(revenue_cents, behaviour),
        "three_weeks": _revenue_by_category(connection, behaviour, day),
    }


def _order_count_and_cents(connection: Connection, day: date) -> tuple[int, int | None]:
    totals = select(func.count(), func.sum(orders.c.total_cents)).where(orders.c.placed_on == day)
    return connection.execute(totals).one()


def _revenue_by_category(connection: Connection, behaviour: Behaviour, last_day: date) -> dict[str, object]:
    revenue = (
        select(products.c.category, func.sum(orders.c.total_cents))
        .join(products, products.c.id == orders.c.product_id)
        .where(orders.c.placed_on > last_day - THREE_WEEKS, orders.c.placed_on <= last_day)
        .group_by(products.c.category)
        .order_by(products.c.category)
    )
    return {category: money(cents, behaviour) for category, cents in connection.execute(revenue)}
