"""Exhibits: evidence that is neither load nor a worker's closing account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "exhibits",
        sa.Column("run_number", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "kind", "name", name=op.f("pk_exhibits")),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_exhibits_run_number_runs"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop it, and with it the results of checks and the contracts."""
    op.drop_table("exhibits")
