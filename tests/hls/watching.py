"""A rig with a session that polls all the time, judged by a monitor and a ledger."""

from __future__ import annotations

from typing import Any

from tests.hls.checker import PlaylistMonitor
from tests.hls.ledger import Ledger
from tests.hls.m3u8 import MediaPlaylist, Segment, demand
from tests.hls.media import Media
from tests.hls.rig import Player, Rig

# About as often as the most eager player.
POLL_SECONDS = 0.4

# A playlist stays for this long after the end of its stream.
KEPT_SECONDS = 60.0


class Watching:
    """One session from its beginning on.

    Args:
        rig: The server.
        path: Of the multivariant playlist.
        player: A session that has read that already, and which media playlist it takes.
        ledger: Knows what is published; by default that is the first publisher's.

    Attributes:
        player: The session.
        monitor: What it sees is judged by it.
        ledger: And by this, against what was sent.
        polls: How often it asked.
        is_polling: Whether it asks while the rig runs.
        on_segment: Called with each segment, after the ledger.
    """

    def __init__(
        self,
        rig: Rig,
        path: str = "/liveshow/test.m3u8",
        player: Player | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.rig = rig
        self.player = player or Player(rig, path)
        self.ledger = ledger or Ledger(rig)
        self.monitor = PlaylistMonitor(lambda uri: self.player.fetch(uri), self._segment)
        self.polls = 0
        self.is_polling = False
        self._polled_at = 0.0
        rig.on_step = self.step

    def join(self) -> float:
        """Begin a session, and return after how many seconds there was a playlist."""
        if not self.player.playlist or self.polls:
            self.player.join()
        waited = self.player.wait()
        self.is_polling = True
        self.poll()
        return waited

    def leave(self) -> None:
        """Ask no more; the server may forget all."""
        self.is_polling = False
        self.monitor.may_be_remade()
        self.ledger.forget()

    def step(self) -> None:
        """Poll when it is time."""
        if self.is_polling and self.rig.now - self._polled_at >= POLL_SECONDS - 0.001:
            self.poll()

    def poll(self) -> MediaPlaylist:
        """Read the media playlist, and judge it."""
        self._polled_at = self.rig.now
        self.polls += 1
        answer = self.player.poll()
        demand(answer.status == 200, "status", f"{self.player.playlist}: {answer.status}")
        check_headers(answer.headers)
        return self.monitor.saw(self.rig.now, answer.body)

    def published(self) -> None:
        """There is a publisher."""
        self.monitor.stream_began()

    def ended(self) -> None:
        """There will be none."""
        self.monitor.stream_ended()

    def on_segment(self, segment: Segment, media: Media) -> None:
        """Take a segment: for who replaces this."""

    def _segment(self, segment: Segment, media: Media) -> None:
        self.ledger(segment, media)
        self.on_segment(segment, media)


def check_headers(headers: Any, longest_seconds: int = 0) -> None:
    """Check the header fields of a live playlist.

    Args:
        headers: By name in lower case.
        longest_seconds: A cache may keep it for so long, besides what all may be kept for.

    Raises:
        Violation: A cache could keep an old version, or pages may not read it (C-PL-12).
    """
    kind = headers.get("content-type", "")
    demand(kind == "application/vnd.apple.mpegurl", "playlist-type-field", kind)
    cache = headers.get("cache-control", "")
    # One second is at most half of any target duration of two or more.
    known = ("no-cache", "no-store", "max-age=1", f"max-age={longest_seconds}")
    demand(cache in known, "playlist-cache", cache)
    demand("access-control-allow-origin" in headers, "cors", str(headers))
