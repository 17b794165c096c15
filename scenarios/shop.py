"""How people use the sample shop. An ordinary Locust file:

locust -f scenarios/shop.py --headless -u 5 -r 5 -t 30s -H http://127.0.0.1:8001

Per 100 requests about 43 for products, 24 for a customer's orders, 16 for the sales report, 10 for placing orders,
and 5 to log in again; the weights count journeys, two of which make a second request.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from uuid import uuid4

from locust import FastHttpUser, between, task

ACCOUNTS = 20
PASSWORD = "staging"  # noqa: S105  of the sample data, which anyone can seed
CUSTOMERS = 50
PRODUCTS = 320
CATEGORIES = ("bakery", "cheese", "coffee", "fruit", "pasta", "spices", "tea", "wine")
PAGES_PER_CATEGORY = 8
FIRST_DAY_WITH_A_YEAR_BEFORE = date(2024, 1, 1)
LAST_DAY = date(2025, 12, 24)
LEAP_DAYS = ("2024-02-29", "2028-02-29")
DAYS_WITHOUT_SALES = ("2026-01-11", "2026-02-08")  # the shop's data end before


class Shopper(FastHttpUser):
    """Browses, buys, and looks up what was bought."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.token_header: dict[str, str] = {}
        self.log_in()

    @task(5)
    def log_in(self) -> None:
        credentials = {"user": f"clerk-{random.randint(1, ACCOUNTS)}", "password": PASSWORD}
        response = self.client.post("/login", json=credentials)
        if response.status_code == 200:
            self.token_header = {"Authorization": f"Bearer {response.json()['token']}"}

    @task(20)
    def find_a_product(self) -> None:
        page = random.randint(1, PAGES_PER_CATEGORY)
        self.client.get(f"/products?category={random.choice(CATEGORIES)}&page={page}", name="/products")
        self.open_a_product()

    @task(5)
    def open_a_product(self) -> None:
        self.client.get(f"/products/{random.randint(1, PRODUCTS)}", name="/products/[id]")

    @task(25)
    def look_up_orders(self) -> None:
        path = f"/customers/{random.randint(1, CUSTOMERS)}/orders"
        if random.random() < 0.3:
            path += f"?since={LAST_DAY - timedelta(days=random.randint(250, 300))}"
        self.client.get(path, headers=self.token_header, name="/customers/[id]/orders")

    @task(17)
    def read_the_sales_report(self) -> None:
        days = (LAST_DAY - FIRST_DAY_WITH_A_YEAR_BEFORE).days
        day = str(FIRST_DAY_WITH_A_YEAR_BEFORE + timedelta(days=random.randint(0, days)))
        if random.random() < 0.12:
            day = random.choice(LEAP_DAYS)
        elif random.random() < 0.25:
            day = random.choice(DAYS_WITHOUT_SALES)
        self.client.get(f"/reports/sales?day={day}", name="/reports/sales")

    @task(8)
    def place_an_order(self) -> None:
        order = {
            "customer_id": random.randint(1, CUSTOMERS),
            "product_id": random.randint(1, PRODUCTS),
            "quantity": random.randint(1, 5),
        }
        headers = {**self.token_header, "Idempotency-Key": uuid4().hex}
        self.client.post("/orders", json=order, headers=headers)
        # An impatient client: the same order again, under the same key.
        if random.random() < 0.25:
            self.client.post("/orders", json=order, headers=headers)
