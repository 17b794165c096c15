"""${message}

A migration must work on SQLite (batch mode) and on PostgreSQL, with rows in the tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Promise in one sentence."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """The way back; say what is lost."""
    ${downgrades if downgrades else "pass"}
