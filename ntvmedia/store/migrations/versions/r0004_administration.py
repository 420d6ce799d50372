"""Accounts, access rules, limits, callbacks and statistics get their tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is new; what was there stays as it is."""
    _preferences()
    _accounts()
    _applications()
    _access()
    _callbacks()
    _statistics()
    _streams()


def _preferences() -> None:
    """Settings of the whole server."""
    op.create_table(
        "preferences",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_preferences"),
    )


def _accounts() -> None:
    """Users, sessions, tokens, audit."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("password_changed_at", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("logged_in_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
        sa.CheckConstraint("name <> ''", name=op.f("ck_users_name")),
    )
    for name, further in (
        (
            "sessions",
            (
                sa.Column("peer_host", sa.Text(), nullable=False),
                sa.Column("agent", sa.Text(), nullable=False),
                sa.Column("created_at", sa.Double(), nullable=False),
                sa.Column("used_at", sa.Double(), nullable=False),
            ),
        ),
        (
            "tokens",
            (
                sa.Column("name", sa.String(128), nullable=False),
                sa.Column("role", sa.String(32), nullable=False),
                sa.Column("created_at", sa.Double(), nullable=False),
                sa.Column("expires_at", sa.Double(), nullable=True),
                sa.Column("used_at", sa.Double(), nullable=True),
            ),
        ),
    ):
        op.create_table(
            name,
            sa.Column("id", sa.String(32), nullable=False),
            sa.Column("secret_hash", sa.String(64), nullable=False),
            sa.Column("owner", sa.String(64), nullable=False),
            *further,
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
            sa.UniqueConstraint("secret_hash", name=f"uq_{name}_secret_hash"),
            sa.ForeignKeyConstraint(
                ["owner"], ["users.name"], name=f"fk_{name}_owner", ondelete="CASCADE"
            ),
        )
        op.create_index(f"ix_{name}_owner", name, ["owner"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("session", sa.String(32), nullable=False),
        sa.Column("peer_host", sa.Text(), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    for column in ("time", "who", "action", "subject"):
        op.create_index(f"ix_audit_{column}", "audit", [column])


def _applications() -> None:
    """Applications get limits and further rules of access; those that there are go on as before."""
    for column in _added_to_applications():
        op.add_column("applications", column)
    # Described here, not as it is found: see 0002.
    with op.batch_alter_table("applications", copy_from=_applications_table()) as table:
        for column in _added_to_applications():
            table.alter_column(column.name, server_default=None)
        for name in _LIMITS:
            table.create_check_constraint(f"ck_applications_{name}", f"{name} >= 0")


_LIMITS = ("max_players", "max_publishers", "max_stream_players", "max_bandwidth_kbps")


def _added_to_applications() -> list[sa.Column[Any]]:
    columns: list[sa.Column[Any]] = [
        sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))
        for name in _LIMITS
    ]
    for name, kind, default in (
        ("authorize_url", sa.Text(), "''"),
        ("authorize_failure", sa.String(8), "'deny'"),
        ("jwks_url", sa.Text(), "''"),
        ("jwt_issuer", sa.Text(), "''"),
        ("jwt_audience", sa.Text(), "''"),
    ):
        columns.append(sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
    columns += [
        sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        for name in ("cut_at_expiry", "rtmp_authentication")
    ]
    return columns


def _applications_table() -> sa.Table:
    """Return the table as it is once the columns are added."""
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
                ("rtsp_multicast", sa.Boolean()),
            )
        ),
        *_added_to_applications(),
        sa.PrimaryKeyConstraint("name", name="pk_applications"),
        sa.CheckConstraint("name <> ''", name="ck_applications_name"),
        sa.CheckConstraint("hls_segment_seconds > 0", name="ck_applications_hls_segment_seconds"),
        sa.CheckConstraint("hls_segment_count > 0", name="ck_applications_hls_segment_count"),
        sa.CheckConstraint("hls_part_seconds > 0", name="ck_applications_hls_part_seconds"),
        sa.CheckConstraint("hls_key_segments > 0", name="ck_applications_hls_key_segments"),
    )


def _access() -> None:
    """IP rules, share links, signing keys, forbidden streams."""
    op.create_table(
        "ip_rules",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ip_rules"),
    )
    op.create_table(
        "forbidden_streams",
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("application", "stream", name="pk_forbidden_streams"),
    )
    op.create_table(
        "share_links",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("max_viewers", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_share_links"),
        sa.CheckConstraint("max_viewers >= 0", name="ck_share_links_max_viewers"),
    )
    keys = op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_signing_keys"),
    )
    assert keys is not None
    # The key that every server has: its secret is in a file, "keys/signing".
    op.bulk_insert(
        keys,
        [
            {
                "id": "default",
                "application": "",
                "secret": "",
                "enabled": True,
                "comment": "",
                "created_at": 0.0,
                "updated_at": 0.0,
            }
        ],
    )


def _callbacks() -> None:
    """Callbacks, and the queue of what is still to be delivered."""
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("dialect", sa.String(16), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("decides", sa.Boolean(), nullable=False),
        sa.Column("on_failure", sa.String(8), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
        sa.CheckConstraint("id <> ''", name="ck_callbacks_id"),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("callback", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
    )


def _statistics() -> None:
    """Days, charts, the log of viewers."""
    op.create_table(
        "statistics_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=False),
        sa.Column("viewers", sa.BigInteger(), nullable=False),
        sa.Column("peak", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("publishes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "application", "stream", "protocol", name="pk_statistics_days"
        ),
    )
    op.create_table(
        "statistics_refusals",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=False),
        sa.Column("rule", sa.String(32), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "application", "protocol", "rule", name="pk_statistics_refusals"
        ),
    )
    op.create_table(
        "statistics_points",
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("viewers", sa.BigInteger(), nullable=False),
        sa.Column("publishers", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("span", "application", "time", name="pk_statistics_points"),
    )
    op.create_index("ix_statistics_points_span_time", "statistics_points", ["span", "time"])
    op.create_table(
        "viewer_log",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("page_url", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_viewer_log"),
    )
    op.create_index("ix_viewer_log_started_at_id", "viewer_log", ["started_at", "id"])
    op.create_index(
        "ix_viewer_log_application_stream_started_at",
        "viewer_log",
        ["application", "stream", "started_at"],
    )
    op.create_index(
        "ix_viewer_log_open",
        "viewer_log",
        ["run"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "statistics_runs",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_statistics_runs"),
    )


def _streams() -> None:
    """Labels of streams."""
    op.create_table(
        "stream_labels",
        sa.Column("application", sa.String(128), nullable=False),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("application", "stream", name="pk_stream_labels"),
        sa.CheckConstraint("label <> ''", name=op.f("ck_stream_labels_label")),
    )
