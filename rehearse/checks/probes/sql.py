"""One query of the side under test, where that is a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from rehearse.checks.tolerance import (
    Count,
    Expectations,
    Expected,
    Texts,
    Yes,
    counted,
    cut,
    is_secret_name,
    plain,
)
from rehearse.config.fields import Name
from rehearse.config.section import Section

if TYPE_CHECKING:
    from sqlalchemy import Engine

MAX_ROWS = 100_000


class SqlExpectations(Expectations):
    """What the rows must be."""

    rows: Count | None = Field(default=None, description="How many: a number, or from and to.")
    empty: Yes | None = Field(default=None, description="There are none: nothing is wrong.")
    columns: Texts = Field(default=(), description="The names of all columns, in their order.")
    scalar: Expected | None = Field(
        default=None,
        description="The only value of the only row: what it equals, or a table as for JSON paths.",
    )


class SqlProbe(Section):
    """One query of the side under test, over a connection that the database itself keeps to reads."""

    query: Name = Field(description="One statement that answers rows.")
    expect: SqlExpectations = Field(description="What the rows must be.")

    @property
    def what(self) -> str:
        """How sentences name it."""
        return cut(" ".join(self.query.split()))

    def complaints(self, engine: Engine) -> Iterator[str]:
        """Ask once, and say what is wrong with the rows."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with engine.connect() as connection:
                # As it stands: with parameters, even none, a driver would read each % as the start of one.
                result = connection.execution_options(no_parameters=True).exec_driver_sql(self.query)
                if not result.returns_rows:
                    yield "answers no rows at all; write a statement that selects what is to be compared"
                    return
                columns, rows = list(result.keys()), result.fetchmany(MAX_ROWS + 1)
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            yield f"got no answer: {cut(said, 200)}"
            return
        yield from self._row_complaints(columns, [list(map(plain, row)) for row in rows])

    def _row_complaints(self, columns: Sequence[str], rows: Sequence[list[object]]) -> Iterator[str]:
        expect = self.expect
        found = f"{len(rows)}" if len(rows) <= MAX_ROWS else f"more than {MAX_ROWS}"
        if expect.empty and rows:
            yield f"expected no rows, found {found}"
        if expect.rows is not None and not (expect.rows[0] <= len(rows) <= expect.rows[1]):
            yield f"expected {counted(expect.rows)} rows, found {found}"
        if expect.columns and tuple(columns) != expect.columns:
            yield f"expected the columns {', '.join(expect.columns)}, found {cut(', '.join(columns))}"
        if expect.scalar is not None and (len(rows), len(columns)) != (1, 1):
            yield f"expected a single value, found {found} rows of {len(columns)} columns"
        elif expect.scalar is not None:
            yield from expect.scalar.complaints(rows[0], is_secret_name(columns[0]))
