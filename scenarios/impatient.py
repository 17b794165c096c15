"""The sample shop's users in a hurry: what fails is sent again at once, up to three times. An ordinary Locust file:

locust -f scenarios/impatient.py --headless -u 5 -r 5 -t 30s -H http://127.0.0.1:8001
"""

from __future__ import annotations

import random

from locust import FastHttpUser, between, task

ATTEMPTS = 4
PRODUCTS = 320
PAGES = 8


class ImpatientShopper(FastHttpUser):
    """Browses, and tries again."""

    wait_time = between(0.5, 1.5)

    @task(2)
    def open_a_product(self) -> None:
        self.insist(f"/products/{random.randint(1, PRODUCTS)}", "/products/[id]")

    @task(1)
    def browse_tea(self) -> None:
        self.insist(f"/products?category=tea&page={random.randint(1, PAGES)}", "/products")

    def insist(self, path: str, name: str) -> None:
        """Without a pause and without a budget: the worst that a client can do."""
        for _ in range(ATTEMPTS):
            if self.client.get(path, name=name).status_code == 200:
                return
