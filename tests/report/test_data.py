"""The data and the series on the page: both sides beside each other, in units that people use."""

from __future__ import annotations

from dataclasses import replace

from rehearse.model import Moment, Side
from rehearse.report.data import Grown, data_table
from rehearse.report.html import render_html
from tests.report.examples import abort, go


def test_rows_of_both_sides_with_what_the_load_added() -> None:
    table = data_table(abort())
    assert table is not None
    customers, orders = table.rows
    assert (orders.baseline, orders.candidate) == (Grown("48,000", "+1,812"), Grown("48,000", "+3,620"))
    assert orders.of_production == "0.1\N{NO-BREAK SPACE}%"
    assert (customers.baseline.more, customers.of_production) == ("0", "–")


def test_what_was_not_said_after_the_load_is_a_gap() -> None:
    data = tuple(one for one in abort().data if one.moment is Moment.BEFORE or one.side is Side.BASELINE)
    table = data_table(replace(abort(), data=data))
    assert table is not None
    assert table.rows[1].candidate == Grown("48,000", "–")


def test_without_any_there_is_no_section() -> None:
    assert data_table(go()) is None
    assert 'id="data"' not in render_html(go())
    assert 'id="data"' in render_html(abort())


def test_series_are_told_in_their_own_units() -> None:
    page = render_html(abort())
    assert "8.75 MB/min" in page
    assert "+8.3 %/min" in page
    assert "104 MB" in page
    assert "114 points" in page
    assert "Server-side series" in page
    assert 'id="series"' not in render_html(go())
