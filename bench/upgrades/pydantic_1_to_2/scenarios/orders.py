"""How clients use the service: most by the web shop, one in sixteen by the phone app, which nobody thought of."""

from __future__ import annotations

import random

from locust import FastHttpUser, between, task

PRODUCTS = 40
PAGES = 4
PHONE_APP_RATIO = 1 / 16


class Client(FastHttpUser):
    """Looks around, orders, and says how it was."""

    wait_time = between(0.5, 1.5)

    @task(20)
    def look_around(self) -> None:
        self.client.get(f"/products?page={random.randrange(PAGES)}", name="/products")

    @task(30)
    def look_at_a_product(self) -> None:
        self.client.get(f"/products/{random.randrange(PRODUCTS)}", name="/products/[number]")

    @task(25)
    def order(self) -> None:
        customer = random.randint(1000, 9999)
        is_phone_app = random.random() < PHONE_APP_RATIO
        order = {
            "customer": customer if is_phone_app else str(customer),
            "product": random.randrange(PRODUCTS),
            "quantity": random.randint(1, 5),
        }
        self.client.post("/orders", json=order)

    @task(25)
    def review(self) -> None:
        review: dict[str, object] = {"product": random.randrange(PRODUCTS), "stars": random.randint(1, 5)}
        if random.random() >= PHONE_APP_RATIO:
            review["text"] = random.choice(("as described", "a little late", None))
        self.client.post("/reviews", json=review)
