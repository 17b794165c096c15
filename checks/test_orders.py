"""Orders: what a client that tries again may rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    import httpx

CLERK = {"user": "clerk-1", "password": "staging"}  # of the sample data, which anyone can seed


def place(client: httpx.Client, key: str, quantity: int) -> httpx.Response:
    """Logs in, and places an order under an Idempotency-Key."""
    token = client.post("/login", json=CLERK).json()["token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    order = {"customer_id": 3, "product_id": 5, "quantity": quantity}
    return client.post("/orders", json=order, headers=headers)


@pytest.mark.breakage(
    id="SHOP-4",
    broke_on="2026-03-05",
    component="orders",
    ref="https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/",
)
def test_an_order_that_is_sent_again_is_placed_once(candidate: httpx.Client) -> None:
    """2.0 forgot which keys it had seen: clients whose connection broke sent again, and 31 customers paid twice."""
    key = uuid4().hex
    first, again = (place(candidate, key, quantity=2).json()["id"] for _ in range(2))
    assert again == first, f"sent again under its key, order {first} was placed as {again} too"


@pytest.mark.breakage(
    id="SHOP-5",
    broke_on="2026-03-05",
    component="orders",
    ref="https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/",
)
def test_a_key_that_was_used_is_refused_for_another_order(candidate: httpx.Client) -> None:
    """A client counts its keys from 1 after each restart. Only this refusal tells its makers, and 2.0 took it away."""
    key = uuid4().hex
    place(candidate, key, quantity=2)
    status = place(candidate, key, quantity=3).status_code
    assert status == 422, f"a used key with another order answers {status}, and not 422"
