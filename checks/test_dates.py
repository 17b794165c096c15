"""Dates: the days on which a calculation has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rehearse.instants import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from rehearse.instants import Instant

YEARS_OF_REPORTS = range(1900, 9_999)  # as the shop documents them


@pytest.mark.breakage(
    id="SHOP-3",
    broke_on="2024-02-29",
    component="reports",
    ref="https://github.com/certbot/certbot/issues/2564",
)
def test_29_february_has_a_sales_report(candidate: httpx.Client) -> None:
    """The report compares with the day one year before, and 29 February has none: all of that day it answered 500."""
    status = candidate.get("/reports/sales?day=2028-02-29").status_code
    assert status == 200, f"the sales report of 29 February 2028 answers {status}"


@pytest.mark.breakage(
    id="SHOP-8",
    broke_on="2024-02-29",
    component="reports",
    ref="https://codeofmatt.com/list-of-2024-leap-day-bugs/",
)
def test_every_special_day_has_a_sales_report(
    candidate: httpx.Client, boundary_instants: Sequence[Instant]
) -> None:
    """After the leap day we asked for the rest: year ends, week 53, days that are missing in some zone, 2038."""
    days = {
        instant.written(Format.DATE): instant.why
        for instant in boundary_instants
        if instant.wall.year in YEARS_OF_REPORTS
    }
    failing = [
        f"{day} ({why})"
        for day, why in days.items()
        if candidate.get(f"/reports/sales?day={day}").status_code != 200
    ]
    assert not failing, f"there is no sales report of {'; '.join(failing)}"
