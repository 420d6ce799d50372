"""Applications get the settings of complete HLS: formats, low latency, variants, keys."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, with defaults for the rows that there are and for no others."""
    for column in _added():
        op.add_column("applications", column)
    # SQLite changes a table by making another one: as described here, not as it is found, since
    # it depends on the version of SQLAlchemy whether checks are.
    with op.batch_alter_table("applications", copy_from=_applications()) as table:
        for column in _added():
            table.alter_column(column.name, server_default=None)
        table.create_check_constraint("ck_applications_hls_part_seconds", "hls_part_seconds > 0")
        table.create_check_constraint("ck_applications_hls_key_segments", "hls_key_segments > 0")


def _added() -> list[sa.Column[Any]]:
    """Make the new columns. The applications that there are go on as they were."""
    return [
        _column("hls_key_segments", sa.Integer(), "10"),
        _column("hls_key_url", sa.Text(), "''"),
        _column("hls_format", sa.String(8), "'ts'"),
        _column("hls_part_seconds", sa.Double(), "0.2"),
        _column("hls_blocking", sa.Boolean(), "true"),
        _column("hls_variants", sa.JSON(), "'[]'"),
        _column("hls_audio_variant", sa.Boolean(), "true"),
    ]


def _column(name: str, kind: Any, default: str = "") -> sa.Column[Any]:
    server_default = sa.text(default) if default else None
    return sa.Column(name, kind, nullable=False, server_default=server_default)


def _applications() -> sa.Table:
    """Return the table as it is once the columns are added."""
    return sa.Table(
        "applications",
        sa.MetaData(),
        _column("name", sa.String(128)),
        _column("type", sa.String(32)),
        _column("enabled", sa.Boolean()),
        _column("outputs", sa.JSON()),
        _column("recording", sa.String(32)),
        _column("publish_password", sa.Text()),
        _column("referers", sa.JSON()),
        _column("allow_empty_referer", sa.Boolean()),
        _column("signed", sa.Boolean()),
        _column("encrypted", sa.Boolean()),
        _column("hls_segment_seconds", sa.Double()),
        _column("hls_segment_count", sa.Integer()),
        _column("hls_always", sa.Boolean()),
        _column("hls_sessions", sa.Boolean()),
        _column("hls_end_list", sa.Boolean()),
        _column("created_at", sa.Double()),
        _column("updated_at", sa.Double()),
        *_added(),
        sa.PrimaryKeyConstraint("name", name="pk_applications"),
        sa.CheckConstraint("name <> ''", name="ck_applications_name"),
        sa.CheckConstraint("hls_segment_seconds > 0", name="ck_applications_hls_segment_seconds"),
        sa.CheckConstraint("hls_segment_count > 0", name="ck_applications_hls_segment_count"),
    )
