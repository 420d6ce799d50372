"""Applications as rows: values only; what they mean is the business of `ntvmedia.access`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, update

from ntvmedia.store.rows import all_rows, unless_taken, with_lists, with_tuples
from ntvmedia.store.schema import APPLICATIONS

# JSON in the table.
_LISTS: Final = ("outputs", "referers", "hls_variants")


@dataclass(frozen=True)
class ApplicationRow:
    """One application.

    No text may have a NUL character, which PostgreSQL does not keep, or half of a surrogate pair.

    Attributes:
        name: The key, compared case-sensitively; 1 to 128 characters.
        type: A word of at most 32 characters, as is `recording`.
        hls_segment_seconds: Above 0.
        hls_segment_count: Above 0, as are `hls_part_seconds` and `hls_key_segments`.
        hls_format: A word of at most 8 characters, as is `authorize_failure`.
        max_players: 0 or above, as are the other limits.
        created_at: Seconds since 1970, as is `updated_at`.
    """

    name: str
    type: str
    enabled: bool
    outputs: tuple[str, ...]
    recording: str
    publish_password: str
    rtmp_authentication: bool
    referers: tuple[str, ...]
    allow_empty_referer: bool
    signed: bool
    encrypted: bool
    hls_key_segments: int
    hls_key_url: str
    hls_format: str
    hls_segment_seconds: float
    hls_segment_count: int
    hls_part_seconds: float
    hls_blocking: bool
    hls_variants: tuple[str, ...]
    hls_audio_variant: bool
    hls_always: bool
    hls_sessions: bool
    hls_end_list: bool
    rtsp_multicast: bool
    max_players: int
    max_publishers: int
    max_stream_players: int
    max_bandwidth_kbps: int
    authorize_url: str
    authorize_failure: str
    jwks_url: str
    jwt_issuer: str
    jwt_audience: str
    cut_at_expiry: bool
    created_at: float
    updated_at: float


def list_applications(connection: Connection) -> list[ApplicationRow]:
    """Return all applications, in the order of their names' code points.

    Raises:
        StoreError: Somebody else wrote into the table what this program never does.
    """
    rows = [
        ApplicationRow(**with_tuples(row, _LISTS, f'of application "{row["name"]}"'))
        for row in all_rows(connection, APPLICATIONS, "the table of applications")
    ]
    # Sorted here: each PostgreSQL database has an order of its own.
    return sorted(rows, key=lambda row: row.name)


def insert_application(connection: Connection, row: ApplicationRow) -> None:
    """Add an application.

    Raises:
        Duplicate: There is one of this name. The transaction may go on without it.
    """
    with unless_taken(connection, _taken(row.name)):
        connection.execute(insert(APPLICATIONS).values(with_lists(row, _LISTS)))


def update_application(connection: Connection, name: str, row: ApplicationRow) -> bool:
    """Give an application other values, another name too.

    Args:
        name: Its name so far.
        row: All of its values from now on.

    Returns:
        Whether there is one of this name.

    Raises:
        Duplicate: There is another one that has the new name. The transaction may go on.
    """
    values = with_lists(row, _LISTS)
    change = update(APPLICATIONS).where(APPLICATIONS.c.name == name).values(values)
    with unless_taken(connection, _taken(row.name)):
        done = connection.execute(change)
    return done.rowcount == 1


def delete_application(connection: Connection, name: str) -> bool:
    """Remove an application.

    Returns:
        Whether there was one of this name.
    """
    done = connection.execute(delete(APPLICATIONS).where(APPLICATIONS.c.name == name))
    return done.rowcount == 1


def _taken(name: str) -> str:
    return f'there is an application "{name}" already'
