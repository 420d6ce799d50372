"""One who watches: what is known of him, and how he leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ntvmedia.hub.blocks import BlockOutlet

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
        request: What it asked for, an `ntvmedia.access.Request`; None for one who did not ask, as
            a multicast group. Nothing to the hub, nor is the next.
        verdict: The answer, an `ntvmedia.access.Verdict`.
    """

    protocol: str
    peer: str
    user_agent: str = ""
    page_url: str = ""
    # There may be a password in it, and it is the same one for the same viewer.
    request: Any = field(default=None, repr=False, compare=False)
    verdict: Any = field(default=None, repr=False, compare=False)


class Viewer:
    """One who watches one stream: what all kinds of them have in common.

    Attributes:
        info: Who it is.
        session: As in `ntvmedia.events.PlayStarted`.
        started_at: Wall clock, seconds since 1970.
        kicked: It was sent away by `kick`.
        reason: Why it left or was sent away; empty while it watches.
        bitrate: Bits a second that it was sent, over the last second or so.
    """

    __slots__ = (
        "_audience",
        "_on_end",
        "_rate_at",
        "_rate_bytes",
        "bitrate",
        "info",
        "kicked",
        "reason",
        "session",
        "started_at",
    )

    def __init__(
        self,
        audience: Audience,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        session: int,
        started_at: float,
    ) -> None:
        self._audience: Audience | None = audience
        self._on_end: Callable[[str], None] | None = on_end
        self._rate_bytes = 0
        self._rate_at = 0.0
        self.bitrate = 0.0
        self.kicked = False
        self.reason = ""
        self.info = info
        self.session = session
        self.started_at = started_at

    @property
    def bytes_out(self) -> int:
        """Bytes that it was sent for this stream."""
        raise NotImplementedError

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for it."""
        return 0

    @property
    def dropped_blocks(self) -> int:
        """Blocks of this stream left out since it was too slow."""
        return 0

    @property
    def stalled(self) -> bool:
        """Whether it was cut since it took nothing."""
        return False

    @property
    def rendition(self) -> Rendition | None:
        """What it is sent; None for one who fetches pieces."""
        return None

    @property
    def watching(self) -> bool:
        """Whether it still does."""
        return self._audience is not None

    def plays(self, rendition: Rendition) -> bool:
        """Whether that is what it is sent."""
        return False

    def look(self) -> None:
        """Find out whether it takes anything."""

    def sample(self, now: float) -> None:
        """Measure `bitrate`, in bits a second, since the last sample."""
        sent = self.bytes_out
        passed = now - self._rate_at
        if self._rate_at and passed > 0:
            self.bitrate = (sent - self._rate_bytes) * 8 / passed
        self._rate_bytes, self._rate_at = sent, now

    def leave(self, reason: str = "viewer left") -> None:
        """Stop watching; nothing more is sent, and `on_end` is not called. Idempotent."""
        audience, self._audience = self._audience, None
        self._on_end = None
        if audience is not None:
            self.reason = reason
            self._detach(audience)
            audience.viewer_left(self, reason)

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
            self._abort()

    def kick(self, reason: str) -> None:
        """Send it away, while the stream goes on for the others."""
        self.kicked = True
        self.end(reason)

    def _detach(self, audience: Audience) -> None:
        """Let go of what it is sent."""

    def _abort(self) -> None:
        """Break off, after a bug."""


class OutletViewer(Viewer):
    """One connection that plays one stream. Made by `Stream.play`.

    Attributes:
        outlet: Its way out.
    """

    __slots__ = ("_bytes_before", "_drops_before", "_rendition", "outlet")

    def __init__(
        self,
        audience: Audience,
        rendition: Rendition,
        outlet: BlockOutlet,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        session: int,
        started_at: float,
    ) -> None:
        super().__init__(audience, info, on_end, session=session, started_at=started_at)
        self._rendition = rendition
        self._bytes_before = outlet.sent_bytes
        self._drops_before = outlet.dropped_blocks
        self.outlet = outlet

    @property
    def bytes_out(self) -> int:
        return self.outlet.sent_bytes - self._bytes_before

    @property
    def queued_bytes(self) -> int:
        return self.outlet.queued_bytes

    @property
    def dropped_blocks(self) -> int:
        return self.outlet.dropped_blocks - self._drops_before

    @property
    def stalled(self) -> bool:
        return self.outlet.stalled

    @property
    def rendition(self) -> Rendition:
        return self._rendition

    def plays(self, rendition: Rendition) -> bool:
        return self.watching and self._rendition is rendition

    def look(self) -> None:
        self.outlet.look()

    def pause(self, paused: bool) -> None:
        """Hold the blocks back, or go on with the next that begins with a keyframe."""
        if not self.watching:
            return
        if paused:
            self._rendition.hold(self.outlet)
        elif self.outlet in self._rendition.held:
            self._rendition.resume(self.outlet)

    def _detach(self, audience: Audience) -> None:
        self._rendition.remove(self.outlet)
        audience.outlet_left(self._rendition)

    def _abort(self) -> None:
        self.outlet.abort()


class RequestViewer(Viewer):
    """One who fetches a stream piece by piece. Made by `Stream.visit`.

    Attributes:
        sent_bytes: What it was sent; counted by whoever answers it.
    """

    __slots__ = ("sent_bytes",)

    def __init__(
        self,
        audience: Audience,
        info: ViewerInfo,
        on_end: Callable[[str], None],
        *,
        session: int,
        started_at: float,
    ) -> None:
        super().__init__(audience, info, on_end, session=session, started_at=started_at)
        self.sent_bytes = 0

    @property
    def bytes_out(self) -> int:
        return self.sent_bytes
