"""Databases of each released schema, kept as SQL in `tests/data/databases/`.

`python -m tests.store.dumps` writes those of the newest schema. A released one is never written
again: it has what real servers have.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ntvmedia.store import ApplicationRow
from ntvmedia.store.migration import MIGRATIONS
from tests.e2e.postgres import PostgreSQLServer
from tests.store.places import Place, add_all, row

FOLDER = Path(__file__).parents[1] / "data" / "databases"


def revisions() -> list[str]:
    """Return the revisions of the schema that there are, the oldest first."""
    modules = (MIGRATIONS / "versions").glob("r*.py")
    return sorted(path.stem.partition("_")[0].removeprefix("r") for path in modules)


NEWEST = revisions()[-1]

_ADDED: dict[str, tuple[ApplicationRow, ...]] = {
    "0001": (
        row(
            "Über-uns",
            type="vod",
            enabled=False,
            outputs=("hls",),
            publish_password="it's \\ \" secret",
            referers=("example.org", "bücher.example"),
            allow_empty_referer=False,
            signed=True,
            hls_segment_seconds=4.5,
            hls_segment_count=12,
            hls_always=True,
            hls_sessions=False,
            hls_end_list=True,
        ),
        row("empty", outputs=()),
    ),
    "0002": (
        row(
            "every.field-2",
            encrypted=True,
            hls_key_segments=3,
            hls_key_url="https://me:it's@keys.example/{application}/{stream}/{key}?token=%24",
            hls_format="ll",
            hls_part_seconds=0.333,
            hls_blocking=False,
            hls_variants=("_720p", "_ü"),
            hls_audio_variant=False,
        ),
    ),
    "0003": (row("groups", rtsp_multicast=True),),
    "0004": (
        row(
            "guarded",
            max_players=7,
            max_publishers=2,
            max_stream_players=5,
            max_bandwidth_kbps=100_000,
            authorize_url="https://me:it's@business.example/may?token=%24",
            authorize_failure="allow",
            jwks_url="https://keys.example/jwks.json",
            jwt_issuer="https://issuer.example",
            jwt_audience="ntvmedia",
            cut_at_expiry=True,
            rtmp_authentication=True,
        ),
    ),
}


def added_until(revision: str) -> list[ApplicationRow]:
    """Return what is in a revision's dump beside the built-in applications.

    Where a field came later, it has the value that a migration gives it.
    """
    return [row for since, rows in _ADDED.items() if since <= revision for row in rows]


def dump_of(kind: str, revision: str) -> Path:
    """Return the file of a revision's dump for "sqlite" or "postgresql"."""
    return FOLDER / f"{revision}.{kind}.sql"


def write_dumps(server: PostgreSQLServer, folder: Path) -> None:
    """Write the dumps of the newest revision.

    Args:
        server: Where a database can be made.
        folder: An empty one for the file of SQLite.
    """
    FOLDER.mkdir(exist_ok=True)
    for place in (Place(folder), Place(folder, server)):
        add_all(place.store(), added_until(NEWEST))
        if place.server:
            text = place.server.dump(place.url)
        else:
            with closing(sqlite3.connect(place.file)) as connection:
                text = "".join(f"{line}\n" for line in connection.iterdump())
        kind = "postgresql" if place.server else "sqlite"
        dump_of(kind, NEWEST).write_text(text, "utf-8")
        place.close()


if __name__ == "__main__":
    with PostgreSQLServer() as running, tempfile.TemporaryDirectory() as empty:
        write_dumps(running, Path(empty))
