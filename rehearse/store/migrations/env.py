"""What Alembic runs for every command: migrate over the connection that `schema.alembic_config` was given."""

from alembic import context

from rehearse.store.schema import VERSION_TABLE
from rehearse.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite has almost no ALTER TABLE
    transactional_ddl=True,  # true of SQLite too, since database.py sends BEGIN itself
)

with context.begin_transaction():
    context.run_migrations()
