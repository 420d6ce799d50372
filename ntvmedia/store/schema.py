"""The tables as this version of the program uses them.

The migrations make them, and a test compares the two. They do not import this module: what a
migration did stays as it was when the tables change.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

# Constraints have names, or a later migration could not find them to change them.
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Names are compared byte by byte on both databases: SQLite's BINARY, and what PostgreSQL does with
# every collation of a whole database. Times are seconds since 1970.
APPLICATIONS: Final = Table(
    "applications",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("recording", String(32), nullable=False),
    Column("publish_password", Text, nullable=False),
    Column("rtmp_authentication", Boolean, nullable=False),
    Column("referers", JSON, nullable=False),
    Column("allow_empty_referer", Boolean, nullable=False),
    Column("signed", Boolean, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    Column("hls_key_segments", Integer, nullable=False),
    Column("hls_key_url", Text, nullable=False),
    Column("hls_format", String(8), nullable=False),
    Column("hls_segment_seconds", Double, nullable=False),
    Column("hls_segment_count", Integer, nullable=False),
    Column("hls_part_seconds", Double, nullable=False),
    Column("hls_blocking", Boolean, nullable=False),
    Column("hls_variants", JSON, nullable=False),
    Column("hls_audio_variant", Boolean, nullable=False),
    Column("hls_always", Boolean, nullable=False),
    Column("hls_sessions", Boolean, nullable=False),
    Column("hls_end_list", Boolean, nullable=False),
    Column("rtsp_multicast", Boolean, nullable=False),
    Column("max_players", Integer, nullable=False),
    Column("max_publishers", Integer, nullable=False),
    Column("max_stream_players", Integer, nullable=False),
    Column("max_bandwidth_kbps", Integer, nullable=False),
    Column("authorize_url", Text, nullable=False),
    Column("authorize_failure", String(8), nullable=False),
    Column("jwks_url", Text, nullable=False),
    Column("jwt_issuer", Text, nullable=False),
    Column("jwt_audience", Text, nullable=False),
    Column("cut_at_expiry", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint("name <> ''", name="name"),
    CheckConstraint("hls_segment_seconds > 0", name="hls_segment_seconds"),
    CheckConstraint("hls_segment_count > 0", name="hls_segment_count"),
    CheckConstraint("hls_part_seconds > 0", name="hls_part_seconds"),
    CheckConstraint("hls_key_segments > 0", name="hls_key_segments"),
    CheckConstraint("max_players >= 0", name="max_players"),
    CheckConstraint("max_publishers >= 0", name="max_publishers"),
    CheckConstraint("max_stream_players >= 0", name="max_stream_players"),
    CheckConstraint("max_bandwidth_kbps >= 0", name="max_bandwidth_kbps"),
)
