"""Edits of an entry's memory, and since when a served model's words are in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "memory_edits",
        sa.Column("entry_id", sa.String(128), nullable=False),
        sa.Column("item_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("is_unmistakable", sa.Boolean(), nullable=False),
        sa.Column("edited_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "item_id", name="pk_memory_edits"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_memory_edits_entry_id"),
    )
    op.add_column("entries", sa.Column("elicited_at", sa.String(32)))
