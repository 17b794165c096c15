"""Orders: what a customer ordered, and placing an order once however often it is sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, literal, literal_column, select
from sqlalchemy.exc import IntegrityError

from rehearse.shop.answers import money, with_currency
from rehearse.shop.catalogue import first_day_of_this_year
from rehearse.shop.tables import answered_keys, customers, order_events, orders, products

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Select

    from rehearse.shop.versions import Behaviour

ORDERS_SHOWN = 20
LOYAL_FROM_CENTS = 2_000_000
LOYALTY_DISCOUNT_PERCENT = 3


class UnknownReferenceError(Exception):
    """The order names a customer or a product that the shop does not have."""


class KeyReusedError(Exception):
    """The idempotency key came before, with another payload."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as a client sent it."""

    account: str
    key: str
    request_id: str
    customer_id: int
    product_id: int
    quantity: int

    @property
    def payload_sha256(self) -> str:
        """The same for the same order, however its JSON was written."""
        payload = f"{self.customer_id} {self.product_id} {self.quantity}"
        return hashlib.sha256(payload.encode()).hexdigest()

    def stored_key(self, behaviour: Behaviour) -> str:
        """What makes two requests one order; 2.0 adds the id of the request, so no retry ever matches."""
        return self.key if behaviour.replays_retried_orders else f"{self.key}/{self.request_id}"


def customer_exists(connection: Connection, customer_id: int) -> bool:
    """Whether the shop has this customer."""
    return connection.scalar(select(customers.c.id).where(customers.c.id == customer_id)) is not None


def customer_orders(
    connection: Connection, behaviour: Behaviour, customer_id: int, since: date | None
) -> dict[str, object]:
    """A customer's newest orders (`since`: of those with an event since then) and past spending."""
    mine = orders.c.customer_id == customer_id
    if since is not None:
        mine &= orders.c.id.in_(_orders_with_events(customer_id, since))
    spent_cents = _spent_cents_by_category(connection, customer_id)
    return {
        "customer_id": customer_id,
        "spent_in_past_years": {category: money(cents, behaviour) for category, cents in spent_cents.items()},
        "orders": _newest_orders(connection, behaviour, mine),
    }


def _orders_with_events(customer_id: int, since: date) -> Select[int]:
    same_customer = order_events.c.customer_id == customer_id
    return select(order_events.c.order_id).where(same_customer, order_events.c.happened_on >= since)


def _newest_orders(
    connection: Connection, behaviour: Behaviour, wanted: ColumnElement[bool]
) -> list[dict[str, object]]:
    currency = literal_column(f"{orders.name}.currency") if behaviour.names_currency else literal(None)
    newest = (
        select(orders, products.c.name, currency.label("currency"))
        .join(products, products.c.id == orders.c.product_id)
        .where(wanted)
        .order_by(orders.c.placed_on.desc(), orders.c.id.desc())
        .limit(ORDERS_SHOWN)
    )
    return [
        {
            "id": row.id,
            "product": row.name,
            "quantity": row.quantity,
            "amount": money(row.total_cents, behaviour),
            "placed_on": str(row.placed_on),
        }
        | ({"currency": row.currency} if behaviour.names_currency else {})
        for row in connection.execute(newest)
    ]


def _spent_cents_by_category(connection: Connection, customer_id: int) -> dict[str, int]:
    spent = (
        select(products.c.category, func.sum(orders.c.total_cents))
        .join(orders, orders.c.product_id == products.c.id)
        .where(orders.c.customer_id == customer_id, orders.c.placed_on < first_day_of_this_year())
        .group_by(products.c.category)
        .order_by(products.c.category)
    )
    return dict(connection.execute(spent).all())


def count_orders(connection: Connection, product_id: int, quantity: int) -> int:
    """How many orders there are of so much of one product."""
    chosen = (orders.c.product_id == product_id) & (orders.c.quantity == quantity)
    return connection.execute(select(func.count()).select_from(orders).where(chosen)).scalar_one()


def place_order(engine: Engine, behaviour: Behaviour, request: OrderRequest) -> str:
    """Places the order and returns the answer as JSON; a key that was used gets its first answer again."""
    with engine.connect() as connection:
        total_cents = _price_cents(connection, request)
    try:
        with engine.begin() as connection:
            order_id = _insert_order(connection, request, total_cents)
            answer_json = json.dumps(_order_answer(behaviour, request, order_id, total_cents))
            # Two sends at the same time both come here; the unique key lets one of them commit.
            connection.execute(insert(answered_keys).values(_answered(behaviour, request, answer_json)))
            return answer_json
    except IntegrityError:
        return _first_answer(engine, behaviour, request)


def _price_cents(connection: Connection, request: OrderRequest) -> int:
    columns = select(products.c.category, products.c.price_cents)
    row = connection.execute(columns.where(products.c.id == request.product_id)).one_or_none()
    if row is None:
        raise UnknownReferenceError(f"no product {request.product_id}")
    if not customer_exists(connection, request.customer_id):
        raise UnknownReferenceError(f"no customer {request.customer_id}")
    category, price_cents = row
    full_cents = request.quantity * price_cents
    is_loyal = _spent_cents_by_category(connection, request.customer_id).get(category, 0) >= LOYAL_FROM_CENTS
    return full_cents - (full_cents * LOYALTY_DISCOUNT_PERCENT // 100 if is_loyal else 0)


def _insert_order(connection: Connection, request: OrderRequest, total_cents: int) -> int:
    today = datetime.now(UTC).date()
    order = insert(orders).values(
        customer_id=request.customer_id,
        product_id=request.product_id,
        quantity=request.quantity,
        total_cents=total_cents,
        placed_on=today,
    )
    order_id = connection.execute(order.returning(orders.c.id)).scalar_one()
    event = insert(order_events).values(
        order_id=order_id, customer_id=request.customer_id, kind="placed", happened_on=today
    )
    connection.execute(event)
    return order_id


def _order_answer(
    behaviour: Behaviour, request: OrderRequest, order_id: int, total_cents: int
) -> dict[str, object]:
    answer: dict[str, object] = {
        "id": order_id,
        "customer_id": request.customer_id,
        "product_id": request.product_id,
        "quantity": request.quantity,
        "amount": money(total_cents, behaviour),
    }
    return with_currency(answer, behaviour)


def _answered(behaviour: Behaviour, request: OrderRequest, answer_json: str) -> dict[str, str]:
    return {
        "account": request.account,
        "key": request.stored_key(behaviour),
        "payload_sha256": request.payload_sha256,
        "answer_json": answer_json,
    }


def _first_answer(engine: Engine, behaviour: Behaviour, request: OrderRequest) -> str:
    same_account = answered_keys.c.account == request.account
    same_key = answered_keys.c.key == request.stored_key(behaviour)
    first = select(answered_keys.c.payload_sha256, answered_keys.c.answer_json).where(same_account, same_key)
    with engine.connect() as connection:
        payload_sha256, answer_json = connection.execute(first).one()
    if payload_sha256 != request.payload_sha256:
        raise KeyReusedError(f"Idempotency-Key {request.key!r} was used for another order")
    return answer_json
