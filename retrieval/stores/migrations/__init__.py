"""Alembic's scripts for the registry's tables; `retrieval.stores.schema` runs them."""
