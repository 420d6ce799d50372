"""The log of viewers: who watched what, when, for how long, and how much he was sent.

One who comes is in the log with the next batch, and is written again from time to time while he
watches: a server that is killed loses how he went on since, and no viewer.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

from ntvmedia.statistics.counting import Presence
from ntvmedia.statistics.pending import Pending
from ntvmedia.store import ViewerRow

LEAST_REFRESHED: Final = 100
"""Rows of those who go on watching, in each batch: with no more than so many all are."""

MAX_REFRESHED: Final = 1000
"""The same, however many they are."""

# Of more than that, as many as it takes to have all in a minute: a row costs about what it costs
# to send its viewer a second of media.
_BATCHES: Final = 6

# What a player says of itself is kept for people to read.
MAX_TEXT: Final = 300

_MAX_PEER: Final = 64


class _Watching:
    """One whose row is still open, or is about to be written for the last time."""

    __slots__ = (
        "_ended_at",
        "_page_url",
        "_peer",
        "_presence",
        "_reason",
        "_run",
        "_session",
        "_started_at",
        "_user_agent",
    )

    def __init__(
        self,
        run: str,
        session: int,
        presence: Presence,
        started_at: float,
        info: Any,
        peer: str,
    ) -> None:
        self._presence = presence
        self._started_at = started_at
        self._run = run
        self._session = session
        self._ended_at: float | None = None
        self._reason = ""
        self._peer = host_of(peer)
        self._user_agent = clean(getattr(info, "user_agent", ""))
        self._page_url = without_query(getattr(info, "page_url", ""))

    def ended(self, reason: str, now: float) -> None:
        """Close the row, at a time in monotonic seconds."""
        # By the clock that nobody sets: no one leaves before he came.
        self._ended_at = self._started_at + (now - self._presence.began)
        self._reason = clean(reason)

    def row(self) -> ViewerRow:
        """Return the row as it is now: it is made when it is written, and not kept."""
        presence = self._presence
        return ViewerRow(
            f"{self._run}-{self._session}",
            self._run,
            *presence.line,
            self._peer,
            self._user_agent,
            self._page_url,
            self._started_at,
            self._ended_at,
            max(0.0, presence.since - presence.began),
            presence.reported,
            self._reason,
        )


class ViewerLog:
    """Makes the rows.

    Args:
        pending: Takes them.
        run: Of this process.
    """

    def __init__(self, pending: Pending, run: str) -> None:
        self._pending = pending
        self._run = run
        self._watching: dict[int, _Watching] = {}
        self._turns: deque[int] = deque()

    def came(
        self, session: int, presence: Presence, started_at: float, info: Any, peer: str
    ) -> None:
        """Begin a row.

        Args:
            session: The viewer's own number.
            presence: What is counted of him, whenever the row is written.
            started_at: Seconds since 1970.
            info: An `ntvmedia.hub.viewer.ViewerInfo`, or None.
            peer: The viewer's address.
        """
        watching = _Watching(self._run, session, presence, started_at, info, peer)
        self._watching[session] = watching
        self._turns.append(session)
        self._pending.viewer(session, watching)

    def left(self, session: int, reason: str, now: float) -> None:
        """End a row; nothing where there is none.

        Args:
            session: As of `came`.
            reason: One clause.
            now: Monotonic seconds.
        """
        watching = self._watching.pop(session, None)
        if watching is not None:
            watching.ended(reason, now)
            self._pending.viewer(session, watching)

    def refresh(self) -> None:
        """Have it written again who watches, or as many as have their turn."""
        turns = self._turns
        share = -(-len(turns) // _BATCHES)
        count = min(len(turns), MAX_REFRESHED, max(LEAST_REFRESHED, share))
        for _number in range(count):
            session = turns.popleft()
            watching = self._watching.get(session)
            if watching is not None:
                turns.append(session)
                self._pending.viewer(session, watching)

    def forget(self) -> None:
        """Keep no row open any more: none is wanted."""
        self._watching.clear()
        self._turns.clear()


def host_of(peer: str) -> str:
    """Return an address without its port: "[2001:db8::1]:50000" is "2001:db8::1"."""
    host, mark, port = peer.rpartition(":")
    if not mark or not port.isdigit() or (":" in host and not host.startswith("[")):
        host = peer
    return clean(host.strip("[]"))[:_MAX_PEER]


def without_query(url: str) -> str:
    """Return a page's address as far as it may be kept: passwords and tickets stand behind it."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return clean(parts._replace(netloc=host, query="", fragment="").geturl())


def clean(text: str) -> str:
    """Return text that every database keeps, of a length to read."""
    if len(text) <= MAX_TEXT and text.isascii() and text.isprintable():
        return text
    short = text[:MAX_TEXT].replace("\0", "")
    return short.encode("utf-8", "replace").decode("utf-8")
