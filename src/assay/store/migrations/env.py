"""Run by Alembic for every migration, with the connection that `database.migrate` holds."""

from __future__ import annotations

from alembic import context

from assay.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
