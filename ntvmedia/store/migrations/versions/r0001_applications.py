"""The table of applications, and the four that every server has (P-202)."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and put the built-in applications in."""
    applications = op.create_table(
        "applications",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.Column("recording", sa.String(32), nullable=False),
        sa.Column("publish_password", sa.Text(), nullable=False),
        sa.Column("referers", sa.JSON(), nullable=False),
        sa.Column("allow_empty_referer", sa.Boolean(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("hls_segment_seconds", sa.Double(), nullable=False),
        sa.Column("hls_segment_count", sa.Integer(), nullable=False),
        sa.Column("hls_always", sa.Boolean(), nullable=False),
        sa.Column("hls_sessions", sa.Boolean(), nullable=False),
        sa.Column("hls_end_list", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint("name <> ''", name="ck_applications_name"),
        sa.CheckConstraint("hls_segment_seconds > 0", name="ck_applications_hls_segment_seconds"),
        sa.CheckConstraint("hls_segment_count > 0", name="ck_applications_hls_segment_count"),
        sa.PrimaryKeyConstraint("name", name="pk_applications"),
    )
    now = time.time()
    built_in = {"liveshow": "live", "tv": "time-shift", "audio": "audio", "vod": "vod"}
    op.bulk_insert(
        applications,
        [
            {
                "name": name,
                "type": kind,
                "enabled": True,
                "outputs": ["rtmp", "flv", "ts", "hls", "rtsp"],
                "recording": "manual",
                "publish_password": "",
                "referers": [],
                "allow_empty_referer": True,
                "signed": False,
                "encrypted": False,
                "hls_segment_seconds": 2.0,
                "hls_segment_count": 7,
                "hls_always": False,
                "hls_sessions": True,
                "hls_end_list": False,
                "created_at": now,
                "updated_at": now,
            }
            for name, kind in built_in.items()
        ],
    )
