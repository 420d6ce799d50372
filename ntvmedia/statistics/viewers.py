"""The log of viewers: who watched what, when, for how long, and how much he was sent.

One who comes is in the log with the next batch, and is written again from time to time while he
watches: a server that is killed loses how he went on since, and no viewer.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

from ntvmedia.statistics.counting import Line, Presence
from ntvmedia.statistics.pending import Pending
from ntvmedia.store import ViewerRow

MAX_REFRESHED: Final = 1000
"""Rows of those who go on watching, in each batch: with more than so many they take turns."""

# What a player says of itself is kept for people to read.
MAX_TEXT: Final = 300

_MAX_PEER: Final = 64


class _Watching:
    """A row that is still open."""

    __slots__ = ("page_url", "peer", "presence", "started_at", "user_agent")

    def __init__(self, presence: Presence, started_at: float, info: Any, peer: str) -> None:
        self.presence = presence
        self.started_at = started_at
        self.peer = host_of(peer)
        self.user_agent = clean(getattr(info, "user_agent", ""))
        self.page_url = without_query(getattr(info, "page_url", ""))


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
        self, session: int, presence: Presence, started_at: float, info: Any, peer: str, now: float
    ) -> None:
        """Begin a row.

        Args:
            session: The viewer's own number.
            started_at: Seconds since 1970.
            info: An `ntvmedia.hub.viewer.ViewerInfo`, or None.
            peer: The viewer's address.
            now: Monotonic seconds.
        """
        watching = self._watching[session] = _Watching(presence, started_at, info, peer)
        self._turns.append(session)
        self._write(session, watching, None, now, "")

    def left(self, session: int, reason: str, now: float) -> None:
        """End a row; nothing where there is none.

        Args:
            session: As of `came`.
            reason: One clause.
            now: Monotonic seconds.
        """
        watching = self._watching.pop(session, None)
        if watching is not None:
            # By the clock that nobody sets: no one leaves before he came.
            ended_at = watching.started_at + (now - watching.presence.began)
            self._write(session, watching, ended_at, now, reason)

    def refresh(self, now: float) -> None:
        """Write again who watches, or as many as have their turn."""
        turns = self._turns
        for _count in range(min(MAX_REFRESHED, len(turns))):
            session = turns.popleft()
            watching = self._watching.get(session)
            if watching is not None:
                turns.append(session)
                self._write(session, watching, None, now, "")

    def forget(self) -> None:
        """Keep no row open any more: none is wanted."""
        self._watching.clear()
        self._turns.clear()

    def _write(
        self, session: int, watching: _Watching, ended_at: float | None, now: float, reason: str
    ) -> None:
        presence = watching.presence
        line: Line = presence.line
        self._pending.viewer(
            ViewerRow(
                f"{self._run}-{session}",
                self._run,
                *line,
                watching.peer,
                watching.user_agent,
                watching.page_url,
                watching.started_at,
                ended_at,
                max(0.0, now - presence.began),
                presence.reported,
                clean(reason),
            )
        )


def host_of(peer: str) -> str:
    """Return an address without its port: "[2001:db8::1]:50000" is "2001:db8::1"."""
    host, mark, port = peer.rpartition(":")
    if not mark or not port.isdigit() or (":" in host and not host.startswith("[")):
        host = peer
    return clean(host.strip("[]"))[:_MAX_PEER]


def without_query(url: str) -> str:
    """Return a page's address as far as it may be kept: passwords and tickets stand behind it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return clean(parts._replace(netloc=host, query="", fragment="").geturl())


def clean(text: str) -> str:
    """Return text that every database keeps, of a length to read."""
    short = text[:MAX_TEXT].replace("\0", "")
    return short.encode("utf-8", "replace").decode("utf-8")
