"""Alembic entry: runs on the connection that burnish_curator.database.engine opened, inside its transaction."""

from __future__ import annotations

from alembic import context

from burnish_curator.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
