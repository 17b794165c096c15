"""The first schema: runs with their blocks and finals, and the names of baselines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _create_runs()
    _create_part("blocks", "index_in_round", sa.Column("body", sa.LargeBinary(), nullable=False))
    _create_part("finals", "worker", sa.Column("document", sa.Text(), nullable=False))
    _create_baselines()


def downgrade() -> None:
    """Drop every table, and with them every recording."""
    for table in ("baselines", "finals", "blocks", "runs"):
        op.drop_table(table)


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("run_id", name=op.f("uq_runs_run_id")),
    )
    op.create_index(op.f("ix_runs_started_at_number"), "runs", ["started_at", "number"])


def _create_part(table: str, position: str, content: sa.Column[bytes] | sa.Column[str]) -> None:
    op.create_table(
        table,
        sa.Column("run_number", _NUMBER, nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column(position, sa.Integer(), nullable=False),
        content,
        sa.PrimaryKeyConstraint("run_number", "side", "round", position, name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f(f"fk_{table}_run_number_runs"), ondelete="CASCADE"
        ),
    )


def _create_baselines() -> None:
    op.create_table(
        "baselines",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_number", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_baselines")),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_baselines_run_number_runs"), ondelete="RESTRICT"
        ),
    )
    op.create_index(op.f("ix_baselines_name_number"), "baselines", ["name", "number"])
    op.create_index(op.f("ix_baselines_run_number"), "baselines", ["run_number"])
