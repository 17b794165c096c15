"""`rehearse cutover` on a real shop with a real PostgreSQL: what it says is what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cutover.shops import shops

pytestmark = pytest.mark.live

ADD = "alter table shop_orders add column currency varchar(3) not null default 'EUR'"
DROP = "alter table shop_orders drop column currency"


@pytest.mark.timeout(120)
def test_blue_and_green_with_an_expand_contract_migration_has_no_outage_and_comes_back(
    postgres_url: str, tmp_path: Path
) -> None:
    with shops(tmp_path, postgres_url) as shop:
        expand = shop.sql("add the column", ADD, DROP, window="old app, new schema")
        shop.plan(expand, shop.start_green("2.1"), shop.switch())
        done, result = shop.cutover()
    assert done.code == 0, (done, result.get("verdict"))
