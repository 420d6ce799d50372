"""Applications say whether their streams may be played from multicast groups."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; the applications that there are go on as they were, without."""
    column: sa.Column[bool] = sa.Column(
        "rtsp_multicast", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("applications", column)
    # Described here, not as it is found: see 0002.
    with op.batch_alter_table("applications", copy_from=_applications()) as table:
        table.alter_column("rtsp_multicast", server_default=None)


def _applications() -> sa.Table:
    """Return the table as it is once the column is added."""
    return sa.Table(
        "applications",
        sa.MetaData(),
        *(
            sa.Column(name, kind, nullable=False)
            for name, kind in (
                ("name", sa.String(128)),
                ("type", sa.String(32)),
                ("enabled", sa.Boolean()),
                ("outputs", sa.JSON()),
                ("recording", sa.String(32)),
                ("publish_password", sa.Text()),
                ("referers", sa.JSON()),
                ("allow_empty_referer", sa.Boolean()),
                ("signed", sa.Boolean()),
                ("encrypted", sa.Boolean()),
                ("hls_segment_seconds", sa.Double()),
                ("hls_segment_count", sa.Integer()),
                ("hls_always", sa.Boolean()),
                ("hls_sessions", sa.Boolean()),
                ("hls_end_list", sa.Boolean()),
                ("created_at", sa.Double()),
                ("updated_at", sa.Double()),
                ("hls_key_segments", sa.Integer()),
                ("hls_key_url", sa.Text()),
                ("hls_format", sa.String(8)),
                ("hls_part_seconds", sa.Double()),
                ("hls_blocking", sa.Boolean()),
                ("hls_variants", sa.JSON()),
                ("hls_audio_variant", sa.Boolean()),
            )
        ),
        sa.Column("rtsp_multicast", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("name", name="pk_applications"),
        sa.CheckConstraint("name <> ''", name="ck_applications_name"),
        sa.CheckConstraint("hls_segment_seconds > 0", name="ck_applications_hls_segment_seconds"),
        sa.CheckConstraint("hls_segment_count > 0", name="ck_applications_hls_segment_count"),
        sa.CheckConstraint("hls_part_seconds > 0", name="ck_applications_hls_part_seconds"),
        sa.CheckConstraint("hls_key_segments > 0", name="ck_applications_hls_key_segments"),
    )
