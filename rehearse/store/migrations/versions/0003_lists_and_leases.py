"""What a list of runs shows, as columns; and who may load a target at this moment."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("title", "baseline_name", "baseline_run_id", "decision")
_RUNS = sa.table(
    "runs", *(sa.column(name) for name in ("number", "document", "verdict")), *map(sa.column, _COLUMNS)
)


def upgrade() -> None:
    """Add them, and say for the runs that are there already what they hold."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("title", sa.Text(), nullable=False, server_default=""))
        for name in _COLUMNS[1:]:
            runs.add_column(sa.Column(name, sa.Text(), nullable=True))
    _fill()
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("title", server_default=None)
    op.create_table(
        "leases",
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("renewed_at_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_leases")),
    )


def downgrade() -> None:
    """Drop them: `document` and `verdict` still say it all."""
    op.drop_table("leases")
    with op.batch_alter_table("runs") as runs:
        for name in reversed(_COLUMNS):
            runs.drop_column(name)


def _fill() -> None:
    connection = op.get_bind()
    for number in connection.scalars(
        sa.select(_RUNS.c.number)
    ).all():  # one at a time: a verdict may be large
        row = connection.execute(sa.select(_RUNS).where(_RUNS.c.number == number)).one()
        document, verdict = _said(row.document), _said(row.verdict)
        listed = {name: document.get(name) for name in _COLUMNS[1:3]}
        title = _storable(document.get("title")) or ""
        connection.execute(
            sa.update(_RUNS)
            .where(_RUNS.c.number == number)
            .values(
                title=title,
                decision=_storable(verdict.get("decision")),
                **{name: _storable(value) for name, value in listed.items()},
            )
        )


def _said(sealed: str | None) -> dict[str, object]:
    """The object inside `[version, object]`; nothing of what is damaged, which is found when that run is read."""
    try:
        _, data = json.loads(sealed or "[1,{}]")
    except (ValueError, TypeError):
        return {}
    return data if isinstance(data, dict) else {}


def _storable(value: object) -> str | None:
    """As `rehearse.store.rows.listed` does: neither database takes every character."""
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
