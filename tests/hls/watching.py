"""A rig with a session that polls all the time, judged by a monitor and a ledger."""

from __future__ import annotations

from typing import Any

from tests.hls.checker import PlaylistMonitor
from tests.hls.ledger import Ledger
from tests.hls.m3u8 import MediaPlaylist, demand
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

    Attributes:
        player: The session.
        monitor: What it sees is judged by it.
        ledger: And by this, against what was sent.
        polls: How often it asked.
        is_polling: Whether it asks while the rig runs.
    """

    def __init__(self, rig: Rig, path: str = "/liveshow/test.m3u8") -> None:
        self.rig = rig
        self.player = Player(rig, path)
        self.ledger = Ledger(rig)
        self.monitor = PlaylistMonitor(
            lambda uri: self.player.fetch(uri), lambda *found: self.ledger(*found)
        )
        self.polls = 0
        self.is_polling = False
        self._polled_at = 0.0
        rig.on_step = self.step

    def join(self) -> float:
        """Begin a session, and return after how many seconds there was a playlist."""
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


def check_headers(headers: Any) -> None:
    """Check the header fields of a live playlist.

    Raises:
        Violation: A cache could keep an old version, or pages may not read it (C-PL-12).
    """
    kind = headers.get("content-type", "")
    demand(kind == "application/vnd.apple.mpegurl", "playlist-type-field", kind)
    cache = headers.get("cache-control", "")
    # One second is at most half of any target duration of two or more.
    demand(cache in ("no-cache", "no-store", "max-age=1"), "playlist-cache", cache)
    demand("access-control-allow-origin" in headers, "cors", str(headers))
