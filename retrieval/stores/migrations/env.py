"""What Alembic runs: the migrations on the connection, and inside the transaction, that the caller hands in.

It opens nothing itself and reads no ini file, so it cannot touch a database that nobody passed.
"""

from __future__ import annotations

from alembic import context

from retrieval.stores.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
