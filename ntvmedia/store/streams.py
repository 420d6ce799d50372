"""Labels of streams as rows: what an operator calls a stream, whoever publishes it.

They follow their application to another name: see `ntvmedia.store.access.move_access`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from ntvmedia.store.schema import METADATA

# The names of a stream: 128 characters each, as `ntvmedia.media.names` has it.
STREAM_LABELS: Final = Table(
    "stream_labels",
    METADATA,
    Column("application", String(128), primary_key=True),
    Column("stream", String(128), primary_key=True),
    Column("label", String(200), nullable=False),
    CheckConstraint("label <> ''", name="label"),
)


class LabelRow(NamedTuple):
    """One label.

    No text may have a NUL character, which PostgreSQL does not keep, or half of a surrogate pair.

    Attributes:
        application: The first part of the stream's name.
        stream: The second part.
        label: 1 to 200 characters.
    """

    application: str
    stream: str
    label: str


def list_stream_labels(connection: Connection) -> list[LabelRow]:
    """Return all labels, in the order of their streams' names."""
    rows = connection.execute(select(STREAM_LABELS)).all()
    # Sorted here: each PostgreSQL database has an order of its own.
    return sorted(LabelRow(*row) for row in rows)


def set_stream_label(connection: Connection, row: LabelRow) -> None:
    """Give a stream this label, instead of the one that it may have."""
    where = (STREAM_LABELS.c.application == row.application) & (
        STREAM_LABELS.c.stream == row.stream
    )
    changed = connection.execute(update(STREAM_LABELS).where(where).values(label=row.label))
    if not changed.rowcount:
        connection.execute(insert(STREAM_LABELS).values(row._asdict()))


def delete_stream_label(connection: Connection, application: str, stream: str) -> bool:
    """Take the label of a stream away.

    Returns:
        Whether it had one.
    """
    where = (STREAM_LABELS.c.application == application) & (STREAM_LABELS.c.stream == stream)
    return connection.execute(delete(STREAM_LABELS).where(where)).rowcount == 1
