"""Consolidation: jobs with leases, weights that were made, which of them serve, the plan and the schedule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables."""
    _create_jobs()
    op.create_table(
        "weight_artifacts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("made", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("decided_at", sa.String(32)),
        sa.Column("decided_by", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_weight_artifacts"),
    )
    op.create_index("ix_weight_artifacts_version", "weight_artifacts", ["model", "version"], unique=True)
    op.create_table(
        "served_weights",
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("artifact_id", sa.String(64)),
        sa.Column("previous_id", sa.String(64)),
        sa.Column("canary_id", sa.String(64)),
        sa.Column("canary_share", sa.Float(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.Column("changed_by", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_served_weights"),
    )
    op.create_table(
        "rollout_replicas",
        sa.Column("replica", sa.String(64), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("replica", "model", name="pk_rollout_replicas"),
    )
    op.create_table(
        "consolidation_settings",
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_consolidation_settings"),
    )


def _create_jobs() -> None:
    op.create_table(
        "consolidation_jobs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.String(64)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(128)),
        sa.Column("lease_until", sa.String(32)),
        sa.Column("not_before", sa.String(32)),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_consolidation_jobs"),
    )
    op.create_index("ix_consolidation_jobs_number", "consolidation_jobs", ["number"], unique=True)
    op.create_index("ix_consolidation_jobs_state", "consolidation_jobs", ["state", "model"])
