"""One who watches: what is known of him, and how he leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.logger import Logger

from ntvmedia.hub.outlet import Outlet

if TYPE_CHECKING:
    from ntvmedia.hub.audience import Audience
    from ntvmedia.hub.rendition import Rendition

_log = Logger()


@dataclass(frozen=True, slots=True)
class ViewerInfo:
    """Who it is.

    Attributes:
        protocol: Such as "rtmp" or "flv".
        peer: The address.
        user_agent: The program, as it names itself; else empty.
        page_url: The page that holds the player; else empty.
    """

    protocol: str
    peer: str
    user_agent: str = ""
    page_url: str = ""


class Viewer:
    """One connection that plays one stream. Made by `Stream.play`.

    Attributes:
        info: Who it is.
        session: As in `ntvmedia.events.PlayStarted`.
        started_at: Wall clock, seconds since 1970.
        outlet: Its way out.
        kicked: It was sent away by `kick`.
        bitrate: Bits a second that it was sent, over the last second or so.
    """

    __slots__ = (
        "_audience",
        "_bytes_before",
        "_drops_before",
        "_on_end",
        "_rate_at",
        "_rate_bytes",
        "_rendition",
        "bitrate",
        "info",
        "kicked",
        "outlet",
        "session",
        "started_at",
    )

    def __init__(
        self,
        audience: Audience,
        rendition: Rendition,
        outlet: Outlet,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        session: int,
        started_at: float,
    ) -> None:
        self._audience = audience
        self._rendition: Rendition | None = rendition
        self._on_end: Callable[[str], None] | None = on_end
        self._bytes_before = outlet.sent_bytes
        self._drops_before = outlet.dropped_blocks
        self._rate_bytes = 0
        self._rate_at = 0.0
        self.bitrate = 0.0
        self.kicked = False
        self.outlet = outlet
        self.info = info
        self.session = session
        self.started_at = started_at

    @property
    def bytes_out(self) -> int:
        """Bytes that it was sent for this stream."""
        return self.outlet.sent_bytes - self._bytes_before

    @property
    def dropped_blocks(self) -> int:
        """Blocks of this stream left out since it was too slow."""
        return self.outlet.dropped_blocks - self._drops_before

    def plays(self, rendition: Rendition) -> bool:
        """Whether that is what it is sent."""
        return self._rendition is rendition

    def sample(self, now: float) -> None:
        """Measure `bitrate`, in bits a second, since the last sample."""
        sent = self.bytes_out
        passed = now - self._rate_at
        if self._rate_at and passed > 0:
            self.bitrate = (sent - self._rate_bytes) * 8 / passed
        self._rate_bytes, self._rate_at = sent, now

    def leave(self, reason: str = "viewer left") -> None:
        """Stop watching; nothing more is sent, and `on_end` is not called. Idempotent."""
        rendition, self._rendition = self._rendition, None
        self._on_end = None
        if rendition is not None:
            rendition.remove(self.outlet)
            self._audience.viewer_left(self, rendition, reason)

    def pause(self, paused: bool) -> None:
        """Hold the blocks back, or go on with the next that begins with a keyframe."""
        if self._rendition is None:
            return
        if paused:
            self._rendition.remove(self.outlet)
        elif self.outlet not in self._rendition.outlets:
            self._rendition.resume(self.outlet)

    def end(self, reason: str) -> None:
        """Tell the connection that this is over: the stream ended, or it is not wanted here."""
        on_end = self._on_end
        self.leave(reason)
        if on_end is None:
            return
        try:
            on_end(reason)
        except Exception:  # a bug of one connection ends that one only
            _log.failure("{peer} failed when its stream ended", peer=self.info.peer)
            self.outlet.abort()

    def kick(self, reason: str) -> None:
        """Send it away, while the stream goes on for the others."""
        self.kicked = True
        self.end(reason)
