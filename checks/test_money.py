"""Amounts of money: what a front-end adds up, and what must be the same before and after an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from rehearse.checks.packs.http_checks.asking import BothSides

A_DAY_OF_SALES = "2024-06-03"
A_DAY_WITHOUT_SALES = "2024-12-25"  # the shop is closed


def sales(client: httpx.Client, day: str) -> dict[str, Any]:
    """The sales report of a day."""
    report: dict[str, Any] = client.get("/reports/sales", params={"day": day}).json()
    return report


@pytest.mark.breakage(
    id="SHOP-1",
    broke_on="2026-03-02",
    component="catalogue",
    ref="https://github.com/pydantic/pydantic/issues/7120",
)
def test_a_price_is_a_number(candidate: httpx.Client) -> None:
    """2.0 sent 12.5 as "12.50", as pydantic 2 writes a Decimal: the web shop joined prices instead of adding them."""
    price = candidate.get("/products/7").json()["price"]
    assert isinstance(price, int | float), f"the price of product 7 is {price!r}, which is no number"


@pytest.mark.breakage(
    id="SHOP-2",
    broke_on="2026-03-02",
    component="reports",
    ref="https://github.com/JetBrains/Exposed/pull/45",
)
def test_a_day_without_sales_has_a_revenue_of_zero(candidate: httpx.Client) -> None:
    """2.0 passed on that SQL's sum of no rows is NULL: on the morning after Christmas the dashboard stayed empty."""
    revenue = sales(candidate, A_DAY_WITHOUT_SALES)["revenue"]
    assert revenue == 0, f"the revenue of a day without sales is {revenue!r}, and not 0"


@pytest.mark.breakage(id="SHOP-7", broke_on="2026-03-03", component="reports")
def test_the_currency_migration_leaves_past_sales_as_they_were(both: BothSides) -> None:
    """2.0 adds a currency to every order; accounting could not match its reports with those that 1.0 had printed."""
    before, after = sales(both.baseline, A_DAY_OF_SALES), sales(both.candidate, A_DAY_OF_SALES)
    changed = sorted(key for key in before if after.get(key) != before[key])
    assert not changed, f"the sales of {A_DAY_OF_SALES} have changed in {', '.join(changed)}"
