"""The `http` pack on the shop: silent about the good versions, and it finds the error page of 2.0."""

from __future__ import annotations

import httpx
import pytest

from tests.checks.http_pack import failures, outcomes_of, passed

OF_THE_SHOP: dict[str, object] = {
    "paths": ["/products?category=tea&page=2", "/products/7", "/reports/sales?day=2024-06-03"],
    "health": "/health",
    "ready": "/health",
    "failing": "/boom",
    "posts": ["/login", "/orders"],
    "idle_s": 0.2,
}


def url_of(shops: dict[str, httpx.Client], version: str) -> str:
    return str(shops[version].base_url)


@pytest.mark.parametrize("version", ["1.0", "2.1"])
def test_nothing_is_wrong_with_the_good_shops(shops: dict[str, httpx.Client], version: str) -> None:
    outcomes = outcomes_of(url_of(shops, "1.0"), url_of(shops, version), OF_THE_SHOP)
    assert failures(outcomes) == {}
    assert passed(outcomes) >= 28


def test_the_broken_shop_has_the_error_page_that_fails(shops: dict[str, httpx.Client]) -> None:
    outcomes = outcomes_of(url_of(shops, "1.0"), url_of(shops, "2.0"), OF_THE_SHOP)
    says = "GET /boom: the baseline's page is application/json, the candidate's text/plain"
    assert failures(outcomes) == {"error-page": says}
