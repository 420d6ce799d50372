"""Relay tasks and pushes get their tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is new; what was there stays as it is."""
    op.create_table(
        "relays",
        *_head(),
        sa.Column("on_demand", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fallbacks", sa.JSON(), nullable=False),
        sa.Column("recover_seconds", sa.Double(), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("loop", sa.Boolean(), nullable=False),
        sa.Column("stall_seconds", sa.Double(), nullable=False),
        sa.Column("video", sa.JSON(), nullable=False),
        sa.Column("audio", sa.JSON(), nullable=False),
        sa.Column("renditions", sa.JSON(), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_relays"),
        sa.CheckConstraint("id <> ''", name="ck_relays_id"),
        sa.CheckConstraint("stall_seconds > 0", name="ck_relays_stall_seconds"),
    )
    op.create_table(
        "pushes",
        *_head(),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("streams", sa.JSON(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("target_application", sa.Text(), nullable=False),
        sa.Column("target_stream", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("stall_seconds", sa.Double(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_pushes"),
        sa.CheckConstraint("id <> ''", name="ck_pushes_id"),
        sa.CheckConstraint("stall_seconds > 0", name="ck_pushes_stall_seconds"),
    )


def _head() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
    ]


def _times() -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
    ]
