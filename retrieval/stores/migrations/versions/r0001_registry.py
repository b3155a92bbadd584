"""The registry's first tables: entries with history and memory, keys, the audit chain, the change counter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything, and the counter and chain at their start."""
    _create_entries()
    _create_keys()
    _create_audit()
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.bulk_insert(counters, [{"name": "seq", "value": 0}])


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("created_seq", sa.BigInteger(), nullable=False),
        sa.Column("core_revision", sa.BigInteger(), nullable=False),
        sa.Column("documents_revision", sa.BigInteger(), nullable=False),
        sa.Column("has_documents", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("weights", sa.String(32)),
        sa.Column("effective_at", sa.String(32)),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32)),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
    )
    op.create_index("ix_entries_seq", "entries", ["seq"], unique=True)
    op.create_index("ix_entries_created_seq", "entries", ["created_seq"], unique=True)
    op.create_table(
        "entry_revisions",
        sa.Column("entry_id", sa.String(128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("replaced_at", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "revision", name="pk_entry_revisions"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_entry_revisions_entry_id"),
    )
    op.create_table(
        "entry_memory",
        sa.Column("entry_id", sa.String(128), nullable=False),
        sa.Column("part", sa.String(32), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "part", "fingerprint", name="pk_entry_memory"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_entry_memory_entry_id"),
    )


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("rate_limit_per_min", sa.Integer()),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32)),
        sa.PrimaryKeyConstraint("key_id", name="pk_keys"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_records",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_records"),
    )
    op.create_index("ix_audit_records_kind", "audit_records", ["kind", "id"])
    op.create_index("ix_audit_records_subject", "audit_records", ["subject", "id"])
    head = op.create_table(
        "audit_head",
        sa.Column("chain", sa.String(32), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"chain": "main", "last_id": 0, "last_hash": "0" * 64}])
