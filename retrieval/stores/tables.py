"""The registry's tables, as SQLAlchemy Core knows them; the migrations create them.

Nothing here knows what an entry means. Types are those that SQLite and PostgreSQL share; times are fixed-width RFC 3339
text in UTC (see `timestamps`), so that they sort as text; JSON is text, so that audit hashes cover the bytes as stored.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""One row, "seq": the number of the last change of anything that a worker caches."""

entries = Table(
    "entries",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),  # the last change, of the body or of its memory
    Column("created_seq", BigInteger, nullable=False),  # the order of pages
    Column("core_revision", BigInteger, nullable=False),  # when the short texts last changed
    Column("documents_revision", BigInteger, nullable=False),  # when the documents last changed
    Column("has_documents", Boolean, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("weights", String(32)),
    Column("effective_at", String(32)),
    Column("expires_at", String(32)),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
    Column("elicited_at", String(32)),
    Column("body", Text, nullable=False),
    Index("ix_entries_seq", "seq", unique=True),
    Index("ix_entries_created_seq", "created_seq", unique=True),
)

entry_revisions = Table(
    "entry_revisions",
    metadata,
    Column("entry_id", String(128), ForeignKey("entries.id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("updated_at", String(32), nullable=False),
    Column("replaced_at", String(32), nullable=False),
    Column("body", Text, nullable=False),
)
"""Bodies that a later revision replaced."""

entry_memory = Table(
    "entry_memory",
    metadata,
    Column("entry_id", String(128), ForeignKey("entries.id"), primary_key=True),
    Column("part", String(32), primary_key=True),
    Column("fingerprint", String(128), primary_key=True),
    Column("dim", Integer, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("vectors", LargeBinary, nullable=False),
)

memory_edits = Table(
    "memory_edits",
    metadata,
    Column("entry_id", String(128), ForeignKey("entries.id"), primary_key=True),
    Column("item_id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("source", String(32), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("is_unmistakable", Boolean, nullable=False),
    Column("edited_at", String(32), nullable=False),
)
"""What was added to an entry's memory, and which derived items are switched off."""

keys = Table(
    "keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("secret_hash", String(64), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("models", Text, nullable=False),
    Column("rate_limit_per_min", Integer),
    Column("label", String(128), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("data", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_records_kind", "kind", "id"),
    Index("ix_audit_records_subject", "subject", "id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("chain", String(32), primary_key=True),
    Column("last_id", BigInteger, nullable=False),
    Column("last_hash", String(64), nullable=False),
)
"""One row, "main": the end of the chain, so that a cut-off tail is found."""

consolidation_jobs = Table(
    "consolidation_jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),  # the order in which they were asked for
    Column("model", String(256), nullable=False),
    Column("state", String(32), nullable=False),
    Column("step", String(32), nullable=False),
    Column("request", Text, nullable=False),
    Column("artifact_id", String(64)),
    Column("attempts", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),  # grows with every lease: an older holder can write no more
    Column("worker", String(128)),
    Column("lease_until", String(32)),
    Column("not_before", String(32)),
    Column("is_cancelled", Boolean, nullable=False),
    Column("progress", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Index("ix_consolidation_jobs_number", "number", unique=True),
    Index("ix_consolidation_jobs_state", "state", "model"),
)

weight_artifacts = Table(
    "weight_artifacts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("made", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("decided_at", String(32)),
    Column("decided_by", String(128)),
    Index("ix_weight_artifacts_version", "model", "version", unique=True),
)

served_weights = Table(
    "served_weights",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("artifact_id", String(64)),
    Column("previous_id", String(64)),
    Column("canary_id", String(64)),
    Column("canary_share", Float, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("changed_at", String(32), nullable=False),
    Column("changed_by", String(128), nullable=False),
)
"""A row for each public model: which weights its requests are to be answered with; no artifact: those as they were."""

rollout_replicas = Table(
    "rollout_replicas",
    metadata,
    Column("replica", String(64), primary_key=True),
    Column("model", String(256), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("is_done", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("seen_at", String(32), nullable=False),
)
"""What each process that serves a model has made of the newest row of `served_weights`."""

consolidation_settings = Table(
    "consolidation_settings",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at", String(32), nullable=False),
)
"""The schedule, and the newest plan of each model, as JSON."""
