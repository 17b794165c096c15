"""The tables for analysis: whatever a name holds, a spreadsheet takes no cell for a formula."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import BytesIO, StringIO

import pandas
import pytest

from rehearse.model import Block, RunRecord
from rehearse.report.table import table_of
from rehearse.report.visible import visible
from tests.report.pages import HOSTILE
from tests.store.examples import block, record

FORMULAS = {
    "equals": "=1+1",
    "plus": "+1",
    "minus": "-1",
    "at": "@SUM(A1)",
    "tab": "\t=1+1",
    "return": "\r=1+1",
    "link": '=HYPERLINK("http://x")',
    "quote": '"=1+1',
}
TEXTS = pytest.mark.parametrize("text", [*HOSTILE.values(), *FORMULAS.values()], ids=[*HOSTILE, *FORMULAS])


def hostile(text: str) -> tuple[RunRecord, list[Block]]:
    """A run with `text` in every place of a text, also in those that only a changed store could have it in."""
    one = block()
    series = tuple(replace(part, name=text) for part in one.series)
    run = replace(record(), run_id=text, title=text, started_at=text)
    return run, [replace(one, series=series)]


@TEXTS
def test_no_cell_of_a_csv_begins_a_formula(text: str) -> None:
    content = table_of(*hostile(text), "csv").decode()
    rows = list(csv.reader(StringIO(content, newline="")))
    plain = list(csv.reader(StringIO(table_of(*hostile("plain"), "csv").decode(), newline="")))
    assert [len(row) for row in rows] == [len(row) for row in plain]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert rows[1][0].removeprefix("'") == visible(text.encode("utf-8", "replace").decode())


@TEXTS
def test_parquet_keeps_a_text_as_it_is(text: str) -> None:
    frame = pandas.read_parquet(BytesIO(table_of(*hostile(text), "parquet")))
    shown = text.encode("utf-8", "replace").decode()
    assert (
        set(frame["title"])
        == set(frame["run_id"])
        == set(frame["started_at"])
        == set(frame["name"])
        == {shown}
    )
