"""Sign-offs; and of each run its stage and its candidate, for lists."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COLUMNS = ("stage", "candidate", "sign_offs", "signed")
_RUNS = sa.table("runs", *(sa.column(name) for name in ("number", "kind", "document", "candidate")))
_LONGEST = 200


def upgrade() -> None:
    """Add them, and say for the runs that are there already which candidate they were of."""
    with op.batch_alter_table("runs") as runs:
        for name in _COLUMNS:
            runs.add_column(sa.Column(name, sa.Text(), nullable=True))
    _fill()
    op.create_table(
        "sign_offs",
        sa.Column("run_number", _NUMBER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_number", "position", name=op.f("pk_sign_offs")),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_sign_offs_run_number_runs"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop them: what was signed is lost, so export the runs first."""
    op.drop_table("sign_offs")
    with op.batch_alter_table("runs") as runs:
        for name in reversed(_COLUMNS):
            runs.drop_column(name)


def _fill() -> None:
    connection = op.get_bind()
    numbers = connection.scalars(sa.select(_RUNS.c.number).where(_RUNS.c.kind != "baseline")).all()
    for number in numbers:  # one at a time: a document may be large
        document = connection.scalar(sa.select(_RUNS.c.document).where(_RUNS.c.number == number))
        connection.execute(
            sa.update(_RUNS).where(_RUNS.c.number == number).values(candidate=_candidate(document or ""))
        )


def _candidate(sealed: str) -> str | None:
    """As `rehearse.store.rows` says it; nothing for what is damaged, which is found when that run is read."""
    try:
        _, data = json.loads(sealed)
        facts: dict[str, str] = next(
            (one["facts"] for one in data["targets"] if one["side"] == "candidate"), {}
        )
        words = ", ".join(f"{key} {facts[key]}" for key in sorted(facts))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return words.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:_LONGEST] or None
